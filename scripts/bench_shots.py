"""How well shot boundaries are found, on the sequences of a DAVIS tree joined in pairs.

    python scripts/bench_shots.py DAVIS_ROOT [--frames N] [--pairs N] [--seed N] [--beside-scenedetect]

DAVIS_ROOT holds JPEGImages/480p/SEQUENCE/*.jpg; each sequence is taken to be one shot. Prints a Markdown table. Ordered
pairs of sequences are joined by a hard cut, by a dissolve of 12 frames and by a fade through black (8 frames down, 2
black, 8 up); flashes of 1 to 3 frames are put into single sequences; `none` are the sequences as they are. A hard cut
is found if it is reported at its frame, a dissolve or fade if one report lies within 6 frames of its middle. `hard,
causal` is what is known with no frame of delay. --beside-scenedetect adds PySceneDetect's detectors of content, of
adaptive content and of fades (ThresholdDetector) as they are by default; it needs `pip install --no-deps scenedetect`.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from carvid.motion.shots import ShotDetector  # noqa: E402
from carvid.stream import open_frames  # noqa: E402

Clip = list[NDArray[np.uint8]]

WIDTH, HEIGHT = 320, 180
DISSOLVE, FADE, BLACK = 12, 8, 2
NEAR = 6
# Frames of a shot in a pair.
SHOT = 25


@dataclass(frozen=True)
class Case:
    """A clip and the frames at which its shots start, but for the first; `near`: how far off a report may be."""

    kind: str
    clip: Clip
    starts: tuple[int, ...] = ()
    near: int = 0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("root", type=Path, metavar="DAVIS_ROOT")
    parser.add_argument("--frames", type=int, default=60, help="of each sequence, at most")
    parser.add_argument("--pairs", type=int, default=200, help="ordered pairs, at most")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of pairs and places")
    parser.add_argument("--beside-scenedetect", action="store_true", help="PySceneDetect's on the same clips")
    options = parser.parse_args()
    folders = sorted(path for path in (options.root / "JPEGImages" / "480p").iterdir() if path.is_dir())
    clips = [read(folder, options.frames) for folder in folders]
    rows: dict[str, list[int]] = {}
    for case in cases(clips, options.pairs, np.random.default_rng(options.seed)):
        count(rows.setdefault(case.kind, [0] * 4), case, reports(case.clip, causal=False))
        if case.kind == "hard":
            count(rows.setdefault("hard, causal", [0] * 4), case, reports(case.clip, causal=True))
        if options.beside_scenedetect:
            for name, reported in scenedetect_reports(case.clip).items():
                count(rows.setdefault(f"{case.kind}, {name}", [0] * 4), case, reported)
    print("| kind | clips | boundaries | recall | precision |")
    print("|---|---|---|---|---|")
    for kind, (number, boundaries, found, reported) in rows.items():
        recall = f"{found / boundaries:.3f}" if boundaries else "-"
        precision = f"{found / reported:.3f}" if boundaries and reported else f"{reported} reported"
        print(f"| {kind} | {number} | {boundaries} | {recall} | {precision} |")


def read(folder: Path, frames: int) -> Clip:
    """Small pictures, all of one size, so that a pair can be blended and the memory suffices."""
    with open_frames(folder, stop_frame=frames) as stream:
        return [cv2.resize(frame.image, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA) for frame in stream]


def cases(clips: list[Clip], most: int, rng: np.random.Generator) -> Iterator[Case]:
    for clip in clips:
        yield Case("none", clip)
    for clip, frames in itertools.product(clips, (1, 2, 3)):
        yield Case("flash", flashed(clip, int(rng.integers(4, len(clip) - 8)), frames, rng))
    pairs = list(itertools.permutations(clips, 2))
    for chosen in sorted(rng.permutation(len(pairs))[:most]):
        one, other = pairs[chosen]
        left, right = part(one, rng), part(other, rng)
        yield Case("hard", left + right, (len(left),))
        yield Case("dissolve", dissolved(left, right), (len(left) - DISSOLVE // 2,), NEAR)
        yield Case("fade", faded(left, right), (len(left) + BLACK // 2,), NEAR)


def part(clip: Clip, rng: np.random.Generator) -> Clip:
    """SHOT frames of the clip, or all if it has fewer, from a random place on."""
    start = int(rng.integers(0, max(1, len(clip) - SHOT + 1)))
    return clip[start : start + SHOT]


def blend(one: NDArray[np.uint8], other: NDArray[np.uint8], share: float) -> NDArray[np.uint8]:
    mixed: NDArray[np.uint8] = cv2.addWeighted(one, 1 - share, other, share, 0)
    return mixed


def dissolved(left: Clip, right: Clip) -> Clip:
    overlap = zip(left[-DISSOLVE:], right[:DISSOLVE], strict=True)
    mixed = [blend(one, other, (i + 1) / (DISSOLVE + 1)) for i, (one, other) in enumerate(overlap)]
    return left[:-DISSOLVE] + mixed + right[DISSOLVE:]


def faded(left: Clip, right: Clip) -> Clip:
    black = np.zeros_like(left[0])
    down = [blend(image, black, (i + 1) / (FADE + 1)) for i, image in enumerate(left[-FADE:])]
    up = [blend(black, image, (i + 1) / (FADE + 1)) for i, image in enumerate(right[:FADE])]
    return left[:-FADE] + down + [black] * BLACK + up + right[FADE:]


def flashed(clip: Clip, start: int, frames: int, rng: np.random.Generator) -> Clip:
    strength = rng.uniform(0.5, 1.0)
    white = np.full_like(clip[0], 255)
    lit = [blend(image, white, strength) for image in clip[start : start + frames]]
    return clip[:start] + lit + clip[start + frames :]


def reports(clip: Clip, *, causal: bool) -> list[int]:
    """The frames that are said to start a shot."""
    detector = ShotDetector(causal=causal)
    verdicts = [verdict for image in clip for verdict in detector.push(image)] + detector.finish()
    return [i for i, verdict in enumerate(verdicts) if verdict]


def scenedetect_reports(clip: Clip) -> dict[str, list[int]]:
    """The same, of PySceneDetect's detectors, by name."""
    from scenedetect import AdaptiveDetector, ContentDetector, FrameTimecode, ThresholdDetector

    found = {}
    for kind in (ContentDetector, AdaptiveDetector, ThresholdDetector):
        detector, cuts = kind(), []
        for i, image in enumerate(clip):
            cuts += detector.process_frame(FrameTimecode(i, fps=25.0), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        cuts += detector.post_process(FrameTimecode(len(clip) - 1, fps=25.0))
        found[kind.__name__] = [cut.frame_num for cut in cuts]
    return found


def count(row: list[int], case: Case, reported: list[int]) -> None:
    """Adds to clips, boundaries, boundaries found, and reports."""
    found = [start for start in case.starts if any(abs(start - i) <= case.near for i in reported)]
    for place, number in enumerate((1, len(case.starts), len(found), len(reported))):
        row[place] += number


if __name__ == "__main__":
    main()
