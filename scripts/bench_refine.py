"""Measures what refines a proposal to the picture's edges: mean J and F against a DAVIS tree's annotations, and time.

    python scripts/bench_refine.py DAVIS_ROOT... --height 1080 --proposer-size 336

Each annotated mask (all labels as one) gives three proposals: its mean over each of f's patches, enlarged as f's CAMs
are; that of the mask moved right and down by half a patch; and the first with one patch in ten flipped. `--height`
enlarges frames and masks first. Each method refines the three of a frame in one call, one method after the other, and
ms is the median over frames.

Methods: the dense CRF with its default options (crf), also with fewer steps (crf/5), or started from what it found on
the frame before (warm/3); on a frame shrunk to S px, its marginals enlarged along the frame's edges (crf-S), also with
an appearance kernel as wide in px of the shrunk frame (crf-S/wide) or of the whole (crf-S/narrow), or with marginals
enlarged bilinearly (crf-S/bilinear); the guided filter alone, on a frame shrunk to S px (guided-S); and none.

`--peak` prints the peak memory of the process instead, after one frame and one method.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from carvid.measures.label_maps import LabelMap, boundary_f_table, iou_table
from carvid.media.palette import read_label_png
from carvid.recipe.refinement import CrfOptions, crf_working_size
from carvid.refine.crf import SMALLEST_PROBABILITY, DenseCRF
from carvid.refine.guided import Guide, shrunk
from carvid.stream.image_file import read_image

PATCH_PX = 16
KINDS = ("as they are", "moved by half a patch", "one patch in ten flipped")
DEFAULT_METHODS = (
    "none,crf,crf/5,crf/3,warm/3,crf-480,crf-480/5,crf-360,crf-240,crf-360/narrow,crf-360/bilinear,guided-360"
)


class Case(NamedTuple):
    """A frame (H, W, 3) uint8 RGB and its proposals (3, H, W), one of each of `KINDS`."""

    image: Tensor
    proposals: Tensor


# Refines the proposals of a case; the tensor is what the CRF made of the frame before, for those who start from it.
Method = Callable[[Case, Tensor], Tensor]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("roots", type=Path, nargs="+", help="trees with JPEGImages/480p and Annotations/480p")
    parser.add_argument("--height", type=int, default=480, help="enlarge frames and masks to so many px")
    parser.add_argument(
        "--proposer-size", type=int, default=None, help="f sees frames of this height; default: --height"
    )
    parser.add_argument("--every", type=int, default=10, help="only every so many frames of a sequence")
    parser.add_argument("--methods", default=DEFAULT_METHODS, help="separated by commas")
    parser.add_argument("--threads", type=int, default=1, help="of torch and OpenCV")
    parser.add_argument("--peak", action="store_true", help="print the peak memory after one frame instead")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    cv2.setNumThreads(given.threads)
    patch_px = PATCH_PX * given.height / (given.proposer_size or given.height)
    methods = {name: method(name, given.height) for name in given.methods.split(",")}
    cases = read_cases(given.roots, given.every, given.height, patch_px, warm="warm" in given.methods)
    with torch.inference_mode():
        if given.peak:
            print_peak(next(cases), methods)
        else:
            print_table(cases, methods)


def print_peak(case: tuple[Case, Tensor, NDArray[np.bool_]], methods: dict[str, Method]) -> None:
    ((name, refine),) = methods.items()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refine(*case[:2])
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"{name}: peak {after / 1024:,.0f} MiB, {before / 1024:,.0f} MiB of it before the frame")


def print_table(cases: Iterator[tuple[Case, Tensor, NDArray[np.bool_]]], methods: dict[str, Method]) -> None:
    scores: dict[str, list[list[tuple[float, float]]]] = defaultdict(list)
    seconds: dict[str, list[float]] = defaultdict(list)
    for case, start, truth in cases:
        annotated = LabelMap(truth.astype(np.uint8), 1)
        for name, refine in methods.items():
            started = time.perf_counter()
            found = refine(case, start)
            seconds[name].append(time.perf_counter() - started)
            masks = (found > 0.5).numpy().astype(np.uint8)
            scores[name].append([score(LabelMap(mask, 1), annotated) for mask in masks])
    frames = len(next(iter(seconds.values())))
    print(f"{frames} frames of {case.image.shape[1]}x{case.image.shape[0]} px\n")
    print("| refined by | J | F | " + " | ".join(f"{kind}: J, F" for kind in KINDS) + " | ms |")
    print("|---" + "|--:" * (3 + len(KINDS)) + "|")
    for name, rows in scores.items():
        by_kind = np.mean(rows, axis=0)
        j, f = by_kind.mean(0)
        kinds = " | ".join(f"{one:.4f}, {other:.4f}" for one, other in by_kind)
        print(f"| {name} | {j:.4f} | {f:.4f} | {kinds} | {1000 * np.median(seconds[name]):,.0f} |")


def score(mask: LabelMap, annotated: LabelMap) -> tuple[float, float]:
    """J and F."""
    return float(iou_table(mask, annotated)[0, 0]), float(boundary_f_table(mask, annotated)[0, 0])


def read_cases(
    roots: Sequence[Path], every: int, height: int, patch_px: float, *, warm: bool
) -> Iterator[tuple[Case, Tensor, NDArray[np.bool_]]]:
    """A frame, what the CRF made of the one before it (nothing unless `warm`), and its annotation (H, W) bool."""
    crf = DenseCRF()
    for root in roots:
        for folder in sorted((root / "JPEGImages" / "480p").iterdir()):
            pictures = sorted(folder.glob("*.jpg"))
            for i in range(1, len(pictures), every):
                case, truth = read_case(pictures[i], root, height, patch_px)
                start = torch.empty(0)
                if warm:
                    start = crf.refine_binary(*read_case(pictures[i - 1], root, height, patch_px)[0])
                yield case, start, truth


def read_case(picture: Path, root: Path, height: int, patch_px: float) -> tuple[Case, NDArray[np.bool_]]:
    image = read_image(picture)
    mask = read_label_png(root / "Annotations" / "480p" / picture.parent.name / f"{picture.stem}.png") > 0
    if height != image.shape[0]:
        # Even, as a video's sides are.
        width = round(image.shape[1] * height / image.shape[0] / 2) * 2
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC)
        mask = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR) > 0.5
    return Case(
        torch.from_numpy(image), proposals(mask, patch_px, np.random.default_rng(int(picture.stem)))
    ), mask


def proposals(mask: NDArray[np.bool_], patch_px: float, rng: np.random.Generator) -> Tensor:
    """(3, H, W) float32 in [0, 1]: one proposal of each of `KINDS`. patch_px: the side of f's patches in px."""
    height, width = mask.shape
    grid = -int(-width // patch_px), -int(-height // patch_px)
    half = int(patch_px / 2)
    moved = np.zeros_like(mask)
    moved[half:, half:] = mask[:-half, :-half]
    plain, displaced = (
        cv2.resize(one.astype(np.float32), grid, interpolation=cv2.INTER_AREA) for one in (mask, moved)
    )
    flipped = np.where(rng.random(plain.shape) < 0.1, 1 - plain, plain)
    maps = torch.from_numpy(np.stack([plain, displaced, flipped]))
    # As `carvid.car.proposals.BatchProposer` enlarges CAMs.
    return F.interpolate(maps[None], (height, width), mode="bilinear", align_corners=False)[0].clamp(0, 1)


def method(name: str, height: int) -> Method:
    """The method of a name in the table, for frames of this height."""
    what, _, how = name.partition("/")
    kind, _, size = what.partition("-")
    if name == "none":
        return lambda case, start: case.proposals
    if kind == "guided":
        return Guided(int(size))
    options = CrfOptions(steps=int(how)) if how.isdecimal() else CrfOptions()
    if kind == "warm":
        return Warm(options)
    if kind != "crf" or (how not in ("", "wide", "narrow", "bilinear") and not how.isdecimal()):
        sys.exit(f"unknown method {name!r}; see --help")
    # The CRF shrinks the kernel by the root of the share.
    root = (int(size) / height) ** 0.5 if size else 1.0
    wider = {"wide": 1 / root, "narrow": root, "bilinear": root}.get(how, 1.0)
    options = replace(options, bilateral_sxy=options.bilateral_sxy * wider)
    if how == "bilinear":
        return Bilinear(options, int(size))
    crf = DenseCRF(options, size=int(size) if size else "full")
    return lambda case, start: crf.refine_binary(*case)


class Guided:
    """The guided filter alone, with windows of 17 px of the shrunk frame."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __call__(self, case: Case, start: Tensor) -> Tensor:
        size = crf_working_size((case.image.shape[0], case.image.shape[1]), self.size)
        return Guide(case.image, size, radius_px=8, flat=1e-3).enlarge(shrunk(case.proposals, size))


class Bilinear:
    """The CRF on a shrunk frame, its marginals enlarged without regard to the picture."""

    def __init__(self, options: CrfOptions, size: int) -> None:
        self.crf, self.size = DenseCRF(options), size

    def __call__(self, case: Case, start: Tensor) -> Tensor:
        whole = case.image.shape[0], case.image.shape[1]
        size = crf_working_size(whole, self.size)
        image = shrunk(case.image.permute(2, 0, 1).float(), size).round().clamp(0, 255)
        small = image.permute(1, 2, 0).byte().contiguous()
        found = self.crf.refine_binary(small, shrunk(case.proposals, size))
        return F.interpolate(found[None], whole, mode="bilinear", align_corners=False)[0]


class Warm:
    """The mean field of the CRF, started from marginals of the frame before."""

    def __init__(self, options: CrfOptions) -> None:
        self.steps, self.crf = options.steps, DenseCRF()

    def __call__(self, case: Case, start: Tensor) -> Tensor:
        p = case.proposals.flatten(1).T.contiguous()
        logit = p.clamp(min=SMALLEST_PROBABILITY).log() - (1 - p).clamp(min=SMALLEST_PROBABILITY).log()
        q = start.flatten(1).T.contiguous()
        kernels = self.crf.smoothness(*start.shape[1:]), self.crf.appearance(case.image)
        for kernel in kernels:
            logit -= kernel.compat * kernel.of_ones
        for _ in range(self.steps):
            field = logit
            for kernel in kernels:
                field = kernel.add_message(field, q, scale=2)
            q = field.sigmoid()
        return q.T.reshape(start.shape)


if __name__ == "__main__":
    main()
