"""Resident memory over a long video: a drawn video through the whole pipeline, with one line per sample.

    python scripts/measure_memory.py --frames 20000 --size 426x240 --no-crf
    python scripts/measure_memory.py --frames 500 --size 1920x1080 --tiny
    python scripts/measure_memory.py --frames 2000 --keyframes 10

Prints a Markdown table, and the growth per 1,000 frames after the warm-up (least squares).
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from carvid.frame import Frame  # noqa: E402
from carvid.media.video_writer import VideoWriter  # noqa: E402
from carvid.motion.keyframes import on_key_frames  # noqa: E402
from carvid.pipeline import OutputOptions, run_job  # noqa: E402
from carvid.segmenter import VideoSegmenter  # noqa: E402
from carvid.shapes.scenes import moving_clip  # noqa: E402
from carvid.stream import open_frames  # noqa: E402
from tests.tiny_clip import make_tiny_clip  # noqa: E402

WARM_UP = 0.1


def resident_mib() -> float:
    """This process's resident set in MiB (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


class Samples:
    """A `carvid.pipeline.RunProgress` that samples memory every `step` frames."""

    def __init__(self, step: int) -> None:
        self.step, self.frames, self.rows = step, 0, []

    def start(self, total: int | None) -> None:
        self.started = time.monotonic()

    def observe(self, session: object) -> None:
        pass

    def advance(self, frame: Frame, result: object) -> None:
        self.frames += 1
        if self.frames % self.step == 0:
            self.rows.append((self.frames, resident_mib(), time.monotonic() - self.started))

    def finish(self) -> None:
        pass


def write_video(path: Path, frames: int, height: int, width: int) -> None:
    from fractions import Fraction

    with VideoWriter(path, Fraction(25)) as video:
        for scene in moving_clip(1, frames, height, width):
            video.write(scene.image)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--size", default="426x240")
    parser.add_argument("--queries", type=int, default=2)
    parser.add_argument("--model", default="shapes")
    parser.add_argument(
        "--tiny",
        action="store_true",
        help="a small random CLIP with patches of 32 px instead of --model, so that f takes little time",
    )
    parser.add_argument("--no-crf", action="store_true")
    parser.add_argument("--keyframes", default="1", help="as `carvid run` takes it")
    arguments = parser.parse_args()
    width, height = (int(side) for side in arguments.size.split("x"))
    queries = ["the red car", "the blue star", "the green fish"][: arguments.queries]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.mp4"
        write_video(path, arguments.frames, height, width)
        model = arguments.model
        if arguments.tiny:
            model = make_tiny_clip(Path(folder) / "clip", seed=5, image_size=64, patch=32, logit_scale=6.0)
        segmenter = VideoSegmenter.from_pretrained(
            model, queries=queries, device="cpu", crf=not arguments.no_crf, keyframes=arguments.keyframes
        )
        samples = Samples(max(1, arguments.frames // 20))
        with open_frames(path) as stream:
            session = on_key_frames(segmenter, segmenter.recipe)
            run_job(stream, session, Path(folder) / "out", output=OutputOptions(), progress=samples)
    print("| frames | resident MiB | seconds |\n|---:|---:|---:|")
    for frames, mib, seconds in samples.rows:
        print(f"| {frames} | {mib:.1f} | {seconds:.0f} |")
    kept = np.array([row[:2] for row in samples.rows if row[0] >= WARM_UP * arguments.frames])
    growth = np.polyfit(kept[:, 0], kept[:, 1], 1)[0] * 1000
    print(
        f"\ngrowth after warm-up: {growth:+.2f} MiB per 1,000 frames ({arguments.size}, {len(queries)} queries)"
    )


if __name__ == "__main__":
    main()
