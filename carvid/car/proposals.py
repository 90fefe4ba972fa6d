"""f: the mask proposal generator, CLIP-ES (Grad-CAM and class-aware affinity) on one frozen CLIP (eq. 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

from carvid.car.affinity import Affinity, min_max, refine_cams
from carvid.car.gradcam import LastBlock, cam_weights, live_weights, run_last_block
from carvid.clip.vision import AFFINITY_BLOCKS, VisionTower


@dataclass(frozen=True)
class ProposalTexts:
    """The texts of f, embedded once per video.

    queries: (N, d) and background: (Nb, d), float32 of length 1; Nb may be 0.
    """

    queries: Tensor
    background: Tensor
    logit_scale: float

    def only(self, queries: Sequence[int]) -> ProposalTexts:
        """The texts with these of the queries alone."""
        return replace(self, queries=self.queries[list(queries)])


@dataclass(frozen=True)
class ProposalOptions:
    """How f turns scores into masks.

    refer: each query meets only the background texts; otherwise all live queries share one softmax (semantic).
    affinity: refine the CAM by the attention's affinity (`--cam clip-es`), or take it as it is (`gradcam`).
    lam: where the CAM is cut for its boxes, as a share of its maximum.
    """

    refer: bool
    affinity: bool
    lam: float


class BatchProposer:
    """f on B frames: built from their features, asked for the proposals of live sets.

    The proposals of the whole query set, with which every frame begins, are made for all frames together.
    """

    def __init__(
        self,
        state: LastBlock,
        weights: Tensor,
        texts: ProposalTexts,
        options: ProposalOptions,
        grid: tuple[int, int],
        size: tuple[int, int],
    ) -> None:
        """weights: (B, N or N + 1, D), J^T t of the queries and, where there are background texts, of their mean
        t_B. grid: (rows, columns) of patches; size: (H, W).
        """
        self.count = len(texts.queries)
        self.refer = options.refer
        self._activations = state.activations.float()
        self._weights = weights[:, : self.count]
        self._background = weights[:, self.count] if len(texts.background) else None
        z = state.embedding
        self._logits = texts.logit_scale * (z @ texts.queries.T)  # (B, N)
        # -inf without background texts
        self._background_logit = (texts.logit_scale * (z @ texts.background.T)).logsumexp(1)
        self._lam, self._grid, self._size = options.lam, grid, size
        self._affinity = Affinity(state.attention) if state.attention is not None else None

    @cached_property
    def whole(self) -> Tensor:
        """Masks (B, N, H, W) float32 in [0, 1] of all queries."""
        return self._masks(slice(None), None)

    def of(self, frame: int, live: Sequence[int]) -> Tensor:
        """Masks (len(live), H, W) of one frame's live queries."""
        return self._masks(slice(frame, frame + 1), list(live))[0]

    def _masks(self, frames: slice, live: list[int] | None) -> Tensor:
        cams = self._cams(frames, live, with_background=True)
        if self._background is not None:
            # Made whether or not a CAM is all zero: cheaper than to ask a device.
            alone = self._cams(frames, live, with_background=False)
            cams = torch.where(cams.amax(-1, keepdim=True) == 0, alone, cams)
        maps = min_max(cams).view(*cams.shape[:2], *self._grid)
        if self._affinity is not None:
            maps = refine_cams(maps, self._affinity.only(frames), self._lam)
        return F.interpolate(maps, self._size, mode="bilinear", align_corners=False).clamp(0, 1)

    def _cams(self, frames: slice, live: list[int] | None, *, with_background: bool) -> Tensor:
        """ReLU(sum_c w_c A_c) of the live queries, None for all: (B, K, n)."""
        logits, weights = self._logits[frames], self._weights[frames]
        if live is not None:
            logits, weights = logits[:, live], weights[:, live]
        batch, count = logits.shape
        meet = torch.eye(count, dtype=torch.bool, device=logits.device)
        if not self.refer:
            meet = torch.ones_like(meet)
        contest = torch.full((batch, count, count + 1), -torch.inf, device=logits.device)
        contest[..., :-1] = torch.where(meet, logits[:, None], -torch.inf)
        background = None
        if self._background is not None and with_background:
            background = self._background[frames]
            contest[..., -1] = self._background_logit[frames, None]
        competitors = (contest > -torch.inf).sum(-1) > 1
        combined = live_weights(weights, background, contest.softmax(-1), competitors)
        return (combined @ self._activations[frames].transpose(1, 2)).relu()


@dataclass(frozen=True)
class FrameProposer:
    """f on one frame of a batch."""

    batch: BatchProposer
    frame: int

    def propose(self, live: Sequence[int]) -> Tensor:
        """Masks y_t (len(live), H, W) float32 in [0, 1] of the live queries."""
        if len(live) == self.batch.count:
            return self.batch.whole[self.frame]
        if self.batch.refer:
            # A query's proposal does not depend on the others.
            return self.batch.whole[self.frame, list(live)]
        return self.batch.of(self.frame, live)


@dataclass(frozen=True)
class FrameFeatures:
    """What f sees of B frames before any text is known. grid: (rows, columns) of patches."""

    state: LastBlock
    grid: tuple[int, int]


def look(tower: VisionTower, planes: Tensor, *, affinity: bool = True) -> FrameFeatures:
    """The one trunk pass. planes: (B, 3, H', W') normalised, sides multiples of the patch size.

    affinity: keep the attention that refines CAMs; without it they are taken as they are.
    """
    x, attention = tower.trunk(planes, affinity=affinity)
    state = run_last_block(tower, x, attention, min(AFFINITY_BLOCKS, len(tower.blocks)))
    return FrameFeatures(
        state, (planes.shape[2] // tower.patch_size_px, planes.shape[3] // tower.patch_size_px)
    )


class MaskProposer:
    """f for a whole video: the features of frames in, one `FrameProposer` for each out."""

    def __init__(self, tower: VisionTower, texts: ProposalTexts, options: ProposalOptions) -> None:
        self._tower, self.texts, self._options = tower, texts, options

    def on(self, features: FrameFeatures, size: tuple[int, int]) -> list[FrameProposer]:
        """features: of B frames. size: (H, W) of the masks."""
        state, texts, options = features.state, self.texts, self._options
        weights = cam_weights(self._tower, state, self._directions(state.embedding))
        batch = BatchProposer(state, weights, texts, options, features.grid, size)
        return [FrameProposer(batch, i) for i in range(len(weights))]

    def _directions(self, z: Tensor) -> Tensor:
        """The texts to differentiate (B, K, d) for embeddings z (B, d): the queries, and t_B, the background texts'
        mean under their own softmax."""
        texts = self.texts
        queries = texts.queries.expand(len(z), -1, -1)
        if not len(texts.background):
            return queries
        shares = (texts.logit_scale * (z @ texts.background.T)).softmax(1)
        return torch.cat([queries, (shares @ texts.background)[:, None]], 1)
