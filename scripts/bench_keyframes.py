"""What a run costs with key frames against one with every frame, in one process, decoding and writing included.

    python scripts/bench_keyframes.py VIDEO --model random:clip --every 5,10 --stop-frame 21

VIDEO is any source that `carvid run` takes. The random weights cost what real ones do. With theta at 0 no query is
dropped, so that every query has a mask to carry.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from contextlib import closing
from pathlib import Path

# As the command line does, before torch is loaded: its threads sleep while they wait.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

from carvid.loading import load_model
from carvid.pipeline import OutputOptions, RunSummary, run_job
from carvid.recipe import load_recipe
from carvid.stream import open_frames
from carvid.video_session import open_session

QUERIES = ("a dog", "the red car", "a person on a horse")


def main() -> None:
    parser = argparse.ArgumentParser(description="Seconds of a run with key frames, against every frame.")
    parser.add_argument("video")
    parser.add_argument("--model", default="random:clip")
    parser.add_argument("--every", default="5,10", help="distances of key frames, separated by commas")
    parser.add_argument("--stop-frame", type=int, default=21)
    parser.add_argument("--speed", default="exact", help="what the key frames run at")
    given = parser.parse_args()
    model = load_model(
        load_recipe("default", model=given.model, speed=given.speed, device="cpu", theta=0.0, keyframes=1)
    )
    print("| key every | frames | keys | s | times as fast | s per frame between | flow | carry | refine |")
    print("|---|---|---|---|---|---|---|---|---|")
    alone = 0.0
    for every in (1, *map(int, given.every.split(","))):
        chosen = model.with_settings(keyframes=every)
        with (
            tempfile.TemporaryDirectory() as folder,
            open_frames(given.video, stop_frame=given.stop_frame) as frames,
            closing(open_session(chosen.session, QUERIES, chosen.recipe)) as session,
        ):
            summary = run_job(frames, session, Path(folder), output=OutputOptions(overwrite=True))
            keys = session.totals.get("motion", {}).get("keys", summary.frames)
        alone = alone or summary.seconds["total"]
        print(row(every, summary, keys, alone), flush=True)


def row(every: int, summary: RunSummary, keys: int, alone: float) -> str:
    total, between = summary.seconds["total"], summary.frames - keys
    stages = {
        name: summary.seconds.get(f"segment/motion/{name}", 0.0)
        for name in ("flow", "carry", "refine", "shots")
    }
    cells = [str(every), str(summary.frames), str(keys), f"{total:.1f}", f"{alone / total:.2f}"]
    if between:
        cells += [f"{sum(stages.values()) / between:.2f}"]
        cells += [f"{stages[name] / between:.3f}" for name in ("flow", "carry", "refine")]
    else:
        cells += ["-"] * 4
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
