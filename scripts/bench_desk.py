"""How long a person waits at the desk, measured in a browser over a real server.

    step, prefetched   from pressing the key to the next frame painted, when there was a moment since the last one
    step, held down    the same, each press as soon as the last frame is painted
    jump, cold         from asking for a frame that was never read to its being painted
    open               from asking for the page to the first frame painted, with its list of videos

The frames are of a drawn clip of 854x480 px with 3 masks, H.264 with a key frame every 250 frames as encoders have by
default. `open` is measured on that dataset and on one of many long videos, whose rows are made by the database itself.

    python scripts/bench_desk.py --videos 1000 --frames 10000
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import statistics
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from carvid.media.rle import bounding_box_xywh, encode_rle  # noqa: E402
from carvid.shapes.scenes import moving_clip  # noqa: E402
from carvid.store.schema import DATABASE  # noqa: E402
from tests.browser import open_browser, wait_for  # noqa: E402
from tests.desk_cases import TOKEN, open_desk  # noqa: E402
from tests.labelled import Labelled, write_dataset  # noqa: E402
from tests.media import write_video  # noqa: E402

HEIGHT, WIDTH, COUNT = 480, 854, 300
QUERIES = ("the first", "the second", "the third")

# Resolves with the milliseconds from an action to the frame being painted; the action is the first argument.
TIMED = """
const [action, frame, done] = arguments, hooks = document.documentElement.dataset;
const started = performance.now();
const watch = new MutationObserver(() => {
  if (hooks.frame !== String(frame)) return;
  watch.disconnect();
  // Drawn now; on the screen by the time that the browser asks for the frame after it.
  requestAnimationFrame(() => done(performance.now() - started));
});
watch.observe(document.documentElement, { attributes: true });
if (action === "next") {
  document.getElementById("stage").dispatchEvent(
    new KeyboardEvent("keydown", { key: "ArrowRight", code: "ArrowRight", bubbles: true, cancelable: true }));
} else {
  document.getElementById("frame-number").value = frame;
  document.getElementById("frame-form").requestSubmit();
}
"""


def clip_dataset(folder: Path) -> Path:
    scenes = list(moving_clip(1, COUNT, HEIGHT, WIDTH))
    path = write_video(folder / "clip.mp4", [scene.image for scene in scenes], gop=250, options={"crf": "23"})
    empty = np.zeros((HEIGHT, WIDTH), np.bool_)
    masks = np.stack([np.stack([*scene.masks, *[empty] * 3][:3]) for scene in scenes])
    return write_dataset(folder / "one", [Labelled("clip.mp4", path, QUERIES, masks)])


def many_videos(folder: Path, one: Path, videos: int, frames: int) -> Path:
    """A dataset of so many videos with so many frames and one object each; every source is the same file."""
    mask = np.zeros((HEIGHT, WIDTH), np.bool_)
    mask[100:220, 300:420] = True
    (folder / "sources").mkdir()
    source = folder / "clip.mp4"
    dataset = write_dataset(folder / "many", [Labelled("0.mp4", source, ("the car",), mask[None, None])])
    with closing(sqlite3.connect(dataset / DATABASE)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        for number in range(1, videos + 1):
            linked = folder / "sources" / f"{number:05d}.mp4"
            os.link(source, linked)
            if number > 1:
                connection.execute(
                    "INSERT INTO videos SELECT ?, ?, ?, start_frame, stop_frame, sha256, size_bytes, status, error,"
                    " width, height, frame_rate, frame_count, damage, NULL, NULL FROM videos WHERE id = 1",
                    (number, linked.name, str(linked)),
                )
                connection.execute("INSERT INTO video_queries VALUES (?, 0, 1)", (number,))
                connection.execute("INSERT INTO objects VALUES (?, 1, 1, 0)", (number,))
        connection.execute("UPDATE videos SET frame_count = ?", (frames,))
        connection.execute("DELETE FROM frames")
        connection.execute("DELETE FROM annotations")
        series = "WITH RECURSIVE frame(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM frame WHERE n + 1 < ?)"
        connection.execute(
            f"{series} INSERT INTO frames SELECT id, n, printf('%05d', n), n / 25.0, ?, ?, NULL, NULL, NULL"
            " FROM videos, frame ORDER BY id, n",
            (frames, WIDTH, HEIGHT),
        )
        x, y, width, height = bounding_box_xywh(mask) or (0, 0, 0, 0)
        connection.execute(
            f"{series} INSERT INTO annotations SELECT id, n, 1, 0, 'model', NULL, 1, ?, ?, ?, NULL, ?, ?, ?, ?, ?,"
            " 0.5 + 0.4 * (n % 7) / 7.0, 1, 0.9 FROM videos, frame ORDER BY id, n",
            (frames, WIDTH, HEIGHT, encode_rle(mask)["counts"], x, y, width, height, int(mask.sum())),
        )
        # As much as people say in some weeks.
        connection.execute(
            "INSERT INTO verdicts SELECT video_id, frame_index, 1, 0, 'accepted', '2026-01-01' FROM frames"
            " WHERE video_id % 10 = 0 AND frame_index < 1000"
        )
        connection.commit()
    return dataset


def timed(driver: Any, action: str, frame: int) -> float:
    return float(driver.execute_async_script(TIMED, action, frame))


def opened(driver: Any, url: str) -> float:
    """Milliseconds from asking for the page to a frame painted, with the list of videos there."""
    driver.get("about:blank")
    driver.get(f"{url}/#token={TOKEN}")
    wait_for(driver, "document.documentElement.dataset.frame !== undefined")
    return float(driver.execute_script("return performance.now()"))


def told(name: str, values: list[float]) -> None:
    ordered = sorted(values)
    high = ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))]
    print(f"{name:24} median {statistics.median(values):7.1f} ms   95 % {high:7.1f} ms   of {len(values)}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--videos", type=int, default=1000, help="How many videos the large dataset has.")
    parser.add_argument("--frames", type=int, default=10_000, help="How many frames each of these has.")
    parser.add_argument("--steps", type=int, default=60, help="How many steps and jumps are timed.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="carvid-bench-desk-") as place:
        folder = Path(place)
        one = clip_dataset(folder)
        many = many_videos(folder, one, options.videos, options.frames)
        size = sum(path.stat().st_size for path in many.glob(f"{DATABASE}*")) / 1e6
        with open_browser(folder / "profile") as driver:
            with open_desk(one) as desk:
                told("open, one video", [opened(driver, desk.origin) for _ in range(5)])
                frame, warm, held = 0, [], []
                for _ in range(options.steps):
                    time.sleep(0.25)
                    frame += 1
                    warm.append(timed(driver, "next", frame))
                for _ in range(options.steps):
                    frame += 1
                    held.append(timed(driver, "next", frame))
                told("step, prefetched", warm)
                told("step, held down", held)
            jumps: list[float] = []
            order = np.random.default_rng(0).permutation(COUNT)[: options.steps].tolist()
            # Each desk starts with nothing read.
            for start in range(0, len(order), 10):
                with open_desk(one) as desk:
                    opened(driver, desk.origin)
                    time.sleep(0.5)
                    for frame in order[start : start + 10]:
                        jumps.append(timed(driver, "jump", frame))
                        time.sleep(0.3)
            told("jump, cold", jumps)
            with open_desk(many) as desk:
                desk.desk.ranking.start()
                name = f"open, {options.videos} x {options.frames}"
                told(name, [opened(driver, desk.origin) for _ in range(5)])
                seen = driver.execute_script("return document.getElementById('video-count').textContent")
                print(f"  the database has {size:.0f} MB; the page says: {seen}")


if __name__ == "__main__":
    main()
