"""How much time and memory scoring takes, on any pair of annotation and prediction folders.

    python scripts/bench_eval.py ANNOTATIONS PREDICTIONS [--workers N]

ANNOTATIONS and PREDICTIONS hold one folder of PNG files per video. Both protocols are scored in one pass, as in
`carvid eval`. A protocol that the labels do not allow is listed under `refused`.
"""

from __future__ import annotations

import argparse
import json
import os
import threading
import time
from pathlib import Path

from carvid.davis.dataset import GroundTruth, read_videos
from carvid.davis.score_split import score_predictions


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("annotations", type=Path)
    parser.add_argument("predictions", type=Path)
    parser.add_argument("--workers", type=int, default=None, help="processes; one per processor if not given")
    options = parser.parse_args()
    names = sorted(path.name for path in options.annotations.iterdir() if path.is_dir())
    truth = GroundTruth("val", options.annotations, read_videos(options.annotations, names))
    peak = PeakMemory()
    started = time.perf_counter()
    with peak:
        scores = score_predictions(truth, options.predictions, workers=options.workers)
    seconds = time.perf_counter() - started
    frames = sum(len(video.annotation_paths) for video in truth.videos)
    frame_objects = sum(len(video.annotation_paths) * video.object_count for video in truth.videos)
    print(
        json.dumps(
            {
                "videos": len(truth.videos),
                "frames": frames,
                "frame_objects": frame_objects,
                "workers": options.workers or len(os.sched_getaffinity(0)),
                "seconds": round(seconds, 2),
                "milliseconds_per_frame": round(1000 * seconds / frames, 2),
                "milliseconds_per_frame_object": round(1000 * seconds / frame_objects, 2),
                "peak_memory_mib": round(peak.mib, 1),
                "jf_mean": {
                    protocol: score.averages and score.averages.jf_mean
                    for protocol, score in scores.overall.items()
                },
                "refused": scores.refusals,
            },
            indent=1,
        )
    )


class PeakMemory:
    """The peak resident memory of this process and its children together, in MiB, sampled every 20 ms.

    Linux only. Pages shared between processes count once per process, so the figure is an upper bound.
    """

    def __init__(self) -> None:
        self.mib = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.02):
            family = [os.getpid(), *children(os.getpid())]
            self.mib = max(self.mib, sum(map(resident_mib, family)))


def children(process: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{process}/task").glob("*/children"):
        try:
            direct = [int(child) for child in task.read_text().split()]
        except OSError:
            continue
        for child in direct:
            found += [child, *children(child)]
    return found


def resident_mib(process: int) -> float:
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    main()
