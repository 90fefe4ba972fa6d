"""How much faster is `carvid annotate` with several workers? Prints frames per second and the ratio to the first run.

The clock runs from the start of the first video to the end of the last one. Meanwhile the other workers still load
their models, so use enough videos for that not to matter. Each worker has one thread, so workers do not compete for
cores as long as there are enough cores.

    python scripts/bench_annotate.py --workers 1 2 4 --model shapes
    python scripts/bench_annotate.py --videos 1 --frames 400 --piece 25
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))


from carvid.annotate.annotate import annotate  # noqa: E402
from carvid.annotate.label import StreamOptions  # noqa: E402
from carvid.recipe import load_recipe  # noqa: E402
from carvid.workers.supervise import WorkOptions  # noqa: E402
from tests.media import moving_square, write_video  # noqa: E402


class Watch:
    """Notes when the first video is started."""

    def __init__(self) -> None:
        self.begun: float | None = None

    def update(self, counts: Mapping[str, int], working: Mapping[str, tuple[int, int | None]]) -> None:
        if self.begun is None and counts["running"]:
            self.begun = time.monotonic()

    def note(self, line: str) -> None:
        pass


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--model", default="shapes")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--videos", type=int, default=16)
    parser.add_argument("--frames", type=int, default=25)
    parser.add_argument("--piece", type=int, help="label videos in pieces of so many frames")
    parser.add_argument("--size", type=int, nargs=2, default=[426, 240], metavar=("WIDTH", "HEIGHT"))
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    width, height = options.size
    rates: dict[int, float] = {}
    with tempfile.TemporaryDirectory(prefix="carvid-bench-") as folder:
        videos = Path(folder, "videos")
        videos.mkdir()
        for i in range(options.videos):
            write_video(videos / f"{i}.mp4", moving_square(options.frames, height, width, height // 4))
        for workers in options.workers:
            watch = Watch()
            summary = annotate(
                str(videos),
                Path(folder, f"dataset-{workers}"),
                load_recipe(model=options.model, device=options.device),
                queries=["the red square", "a green circle"],
                stream=StreamOptions(piece=options.piece),
                work=WorkOptions(workers=workers),
                progress=watch,
            )
            if not summary.is_whole or watch.begun is None:
                raise SystemExit(f"not every video was labelled: {summary.to_json()}")
            rates[workers] = summary.status.frames / (time.monotonic() - watch.begun)
    print(
        json.dumps(
            {
                "cores": os.cpu_count(),
                "frames_per_second": {workers: round(rate, 2) for workers, rate in rates.items()},
                "ratio": {
                    workers: round(rate / rates[options.workers[0]], 2) for workers, rate in rates.items()
                },
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
