"""Compares the fast paths with the straightforward ones on the same frames, in the same process: results and times."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from carvid.bench.reference_crf import reference_marginals
from carvid.bench.straightforward import Twin
from carvid.bench.transformers_clip import transformers_clip
from carvid.evidence import Evidence
from carvid.frame import Frame
from carvid.measures.pair import iou
from carvid.model import Model
from carvid.recipe.settings import Settings
from carvid.refine.crf import DenseCRF
from carvid.result import FrameResult
from carvid.session import Session
from carvid.stopwatch import synchronise

# The IoU that both methods' masks must reach.
LEAST_IOU = 0.99


@dataclass(frozen=True)
class NaiveFrame:
    """One frame done by both methods.

    seconds, naive_seconds: by carvid, and by the straightforward method. live_equal: whether the sequences of live sets
    are equal. iou: of the two masks of the query where it is lowest, in [0, 1].
    """

    seconds: float
    naive_seconds: float
    live_equal: bool
    iou: float

    @property
    def agrees(self) -> bool:
        return self.live_equal and self.iou >= LEAST_IOU


@dataclass(frozen=True)
class CrfFrame:
    """One frame's CRF done by carvid and by pydensecrf (reference).

    seconds: carvid's, with the spatial lattice kept from the frame before; spatial_seconds: what building it adds.
    reference_spatial_seconds: the part of reference_seconds that builds the spatial kernel.
    labels_equal: the share of equal labels, over all queries, in [0, 1].
    """

    seconds: float
    spatial_seconds: float
    reference_seconds: float
    reference_spatial_seconds: float
    labels_equal: float


def against_naive(
    session: Session, straight: Model, frames: Sequence[Frame], device: torch.device
) -> list[NaiveFrame]:
    """Run each frame through the session and then through the straightforward method, and compare.

    session: warmed up. straight: the model in float32 on the CPU, for the straightforward method.
    device: the session's.
    """
    queries = session.queries
    texts = straight.session(queries).texts
    # Loaded, and kept, before the clock runs.
    transformers_clip(straight.proposer.located)
    transformers_clip(straight.classifier.located)
    compared = []
    for frame in frames:
        synchronise(device)
        started = time.perf_counter()
        result = session.step(frame)
        synchronise(device)
        seconds = time.perf_counter() - started
        started = time.perf_counter()
        live, masks = _straightforward(straight, session.recipe, texts, len(queries), frame)
        naive_seconds = time.perf_counter() - started
        compared.append(
            NaiveFrame(
                seconds=seconds,
                naive_seconds=naive_seconds,
                live_equal=[step.live for step in evidence(result).steps] == live,
                iou=min(iou(ours, theirs) for ours, theirs in zip(result.query_masks, masks, strict=True)),
            )
        )
    return compared


def against_pydensecrf(
    frames: Sequence[Frame], results: Sequence[FrameResult], *, binary: bool, device: torch.device
) -> list[CrfFrame]:
    """Run the CRF alone on each frame, with the proposals of its result, and compare.

    binary: refer mode's CRF; see `carvid.bench.reference_crf.reference_marginals`.
    """
    compared = []
    proposals = [evidence(result).proposals for result in results]
    kept = DenseCRF(device=device)
    # The first call builds the lattice of this frame size.
    _refine(kept, frames[0].image, proposals[0][:1], binary, device)
    for frame, proposed in zip(frames, proposals, strict=True):
        q, seconds = _refine(kept, frame.image, proposed, binary, device)
        _, fresh_seconds = _refine(DenseCRF(device=device), frame.image, proposed, binary, device)
        reference = reference_marginals(frame.image, proposed, binary=binary)
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


def evidence(result: FrameResult) -> Evidence:
    """A result's evidence, which CLIP as RNN always gives."""
    assert result.evidence is not None
    return result.evidence


def _straightforward(
    model: Model, settings: Settings, texts: Any, count: int, frame: Frame
) -> tuple[list[tuple[int, ...]], NDArray[np.bool_]]:
    """The live set of each step and the masks (N, H, W): the loop, then pydensecrf building both kernels per query."""
    slow = Twin.of(model, settings, texts, np.array(frame.image))
    steps, kept, proposals = slow.run()
    found = proposals.numpy().clip(0, 1)
    if not settings.crf:
        responses = found > settings.eta
    else:
        binary = settings.mode == "refer"
        q = reference_marginals(frame.image, found, binary=binary).q
        labels = _labels(q, binary)
        responses = labels if binary else labels == np.arange(1, len(kept) + 1)[:, None, None]
    masks = np.zeros((count, *frame.image.shape[:2]), bool)
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
    pixels, values = torch.from_numpy(np.array(image)).to(device), torch.from_numpy(proposals).to(device)
    synchronise(device)
    started = time.perf_counter()
    q = crf.refine_binary(pixels, values) if binary else crf.refine_labels(pixels, values)[1:]
    synchronise(device)
    return q.cpu().numpy(), time.perf_counter() - started


def _labels(q: NDArray[np.float32], binary: bool) -> NDArray[Any]:
    """If binary, (N, H, W) bool, each query against its own background; otherwise (H, W) int, 0 for background."""
    if binary:
        return q > 0.5
    background = 1 - q.sum(0, keepdims=True)
    labels: NDArray[Any] = np.concatenate([background, q]).argmax(0)
    return labels
