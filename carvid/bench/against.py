"""The fast paths beside the straightforward ones: same frames, same process, results compared, both times."""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import carvid
from carvid.bench.reference_crf import reference_marginals
from carvid.clip.load import LoadedClip
from carvid.errors import UsageError
from carvid.frame import Frame, FrameResult
from carvid.measures.masks import iou
from carvid.refine.crf import DenseCRF
from carvid.segmenter import VideoSegmenter
from carvid.stopwatch import synchronise

# What the masks of both must reach.
LEAST_IOU = 0.99


@dataclass(frozen=True)
class NaiveFrame:
    """One frame done by both. live_equal: the sequences of live sets agree. iou: of the worst query's masks."""

    seconds: float
    naive_seconds: float
    live_equal: bool
    iou: float

    @property
    def agrees(self) -> bool:
        return self.live_equal and self.iou >= LEAST_IOU


@dataclass(frozen=True)
class CrfFrame:
    """One frame's CRF done by both. seconds: with the spatial lattice kept from the frame before;
    spatial_seconds: what building it adds. reference_spatial_seconds is part of reference_seconds.
    labels_equal: the share of equal labels, over all queries.
    """

    seconds: float
    spatial_seconds: float
    reference_seconds: float
    reference_spatial_seconds: float
    labels_equal: float


def load_twin() -> Any:
    """The class of the straightforward method, `tests/twin.py`. Raises UsageError outside a checkout."""
    path = Path(carvid.__file__).resolve().parents[1] / "tests" / "twin.py"
    name = "carvid_straightforward_twin"
    spec = importlib.util.spec_from_file_location(name, path) if path.is_file() else None
    if spec is None or spec.loader is None:
        raise UsageError(
            f"--against naive needs a checkout of carvid: the straightforward method is its tests/twin.py, and "
            f"there is no {path}"
        )
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module.Twin


def against_naive(
    segmenter: VideoSegmenter,
    straight: tuple[LoadedClip, LoadedClip],
    frames: Sequence[Frame],
    device: torch.device,
) -> list[NaiveFrame]:
    """Each frame by the segmenter, which is warm, and by the twin, one right after the other.

    straight: f and g in float32 on the CPU, which is what the twin runs on.
    """
    twin = load_twin()
    texts = VideoSegmenter(*straight, segmenter.queries, segmenter.settings).texts
    compared = []
    for frame in frames:
        synchronise(device)
        started = time.perf_counter()
        result = segmenter.step(frame)
        synchronise(device)
        seconds = time.perf_counter() - started
        started = time.perf_counter()
        live, masks = _straightforward(twin, segmenter, straight, texts, frame)
        naive_seconds = time.perf_counter() - started
        compared.append(
            NaiveFrame(
                seconds=seconds,
                naive_seconds=naive_seconds,
                live_equal=[step.live for step in result.steps] == live,
                iou=min(iou(ours, theirs) for ours, theirs in zip(result.masks, masks, strict=True)),
            )
        )
    return compared


def against_pydensecrf(
    frames: Sequence[Frame], results: Sequence[FrameResult], *, binary: bool, device: torch.device
) -> list[CrfFrame]:
    """The CRF alone, on the proposals of `results`, one per frame."""
    compared = []
    kept = DenseCRF(device=device)
    # The lattice of the frame size, which the first call builds.
    _refine(kept, frames[0].image, results[0].proposals[:1], binary, device)
    for frame, result in zip(frames, results, strict=True):
        q, seconds = _refine(kept, frame.image, result.proposals, binary, device)
        _, fresh_seconds = _refine(DenseCRF(device=device), frame.image, result.proposals, binary, device)
        reference = reference_marginals(frame.image, result.proposals, binary=binary)
        equal = _labels(q, binary) == _labels(reference.q, binary)
        compared.append(
            CrfFrame(
                seconds=seconds,
                spatial_seconds=max(0.0, fresh_seconds - seconds),
                reference_seconds=reference.seconds,
                reference_spatial_seconds=reference.spatial_seconds,
                labels_equal=float(equal.mean()),
            )
        )
    return compared


def _straightforward(
    twin: Any, segmenter: VideoSegmenter, clips: tuple[LoadedClip, LoadedClip], texts: Any, frame: Frame
) -> tuple[list[tuple[int, ...]], NDArray[np.bool_]]:
    """The live sets, and masks (N, H, W): the loop, then pydensecrf with both its kernels for every query."""
    settings = segmenter.settings
    slow = twin.of(segmenter, clips, texts, np.array(frame.image))
    steps, kept, proposals = slow.run()
    found = proposals.numpy().clip(0, 1)
    if not settings.crf:
        responses = found > settings.eta
    else:
        binary = settings.mode == "refer"
        q = reference_marginals(frame.image, found, binary=binary).q
        labels = _labels(q, binary)
        responses = labels if binary else labels == np.arange(1, len(kept) + 1)[:, None, None]
    masks = np.zeros((len(segmenter.queries), *frame.image.shape[:2]), bool)
    survived = max(steps[-1][1]) >= settings.theta
    if survived or settings.keep_best:
        masks[kept] = responses
    return [live for live, _ in steps], masks


def _refine(
    crf: DenseCRF,
    image: NDArray[np.uint8],
    proposals: NDArray[np.float32],
    binary: bool,
    device: torch.device,
) -> tuple[NDArray[np.float32], float]:
    """The queries' marginals (N, H, W) on the host, and the seconds the CRF took on its device."""
    # New tensors: of a tensor it has seen, the CRF keeps the lattice.
    pixels, values = torch.from_numpy(np.array(image)).to(device), torch.from_numpy(proposals).to(device)
    synchronise(device)
    started = time.perf_counter()
    q = crf.refine_binary(pixels, values) if binary else crf.refine_labels(pixels, values)[1:]
    synchronise(device)
    return q.cpu().numpy(), time.perf_counter() - started


def _labels(q: NDArray[np.float32], binary: bool) -> NDArray[Any]:
    """binary: (N, H, W) bool, each query against its own background; otherwise (H, W), 0 the background."""
    if binary:
        return q > 0.5
    background = 1 - q.sum(0, keepdims=True)
    labels: NDArray[Any] = np.concatenate([background, q]).argmax(0)
    return labels
