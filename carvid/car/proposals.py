"""f, the mask proposal generator (eq. 3): CLIP-ES, that is Grad-CAM and class-aware affinity, on one frozen CLIP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
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


@dataclass(frozen=True)
class ProposalOptions:
    """How f makes masks.

    refer: whether each query competes with the background texts alone; otherwise all live queries compete (semantic).
    affinity: whether to refine the CAM by the affinity step (`--cam clip-es`, otherwise `gradcam`).
    lam: threshold on the CAM for the boxes of the affinity step, as a share of the CAM's maximum.
    switches: names in `carvid.recipe.variant.SWITCHES`.
    """

    refer: bool
    affinity: bool
    lam: float
    switches: Sequence[str] = ()


class BatchProposer:
    """f on B frames of one size: makes the proposals of any live set of any frame.

    The proposals of the whole query set, with which a frame normally starts, are made for all frames together.
    """

    def __init__(
        self,
        state: LastBlock,
        weights: Tensor,
        texts: ProposalTexts,
        options: ProposalOptions,
        grid: tuple[int, int],
        size: tuple[int, int],
        affinity: Affinity | None,
    ) -> None:
        """state: of the B frames. weights: (B, N or N + 1, D) float32, J^T t of the N queries and, if there are
        background texts, of their mean t_B. grid: (rows, columns) of patches; size: (H, W) of the masks in px.
        affinity: of the B frames; None without the affinity step.
        """
        self.count = len(texts.queries)
        self.refer = options.refer
        self._activations = state.activations.float()
        self._weights = weights[:, : self.count]
        self._background = weights[:, self.count] if len(texts.background) else None
        z = state.embedding
        self._logits = texts.logit_scale * (z @ texts.queries.T)  # (B, N)
        # (B,); -inf without background texts
        self._background_logit = (texts.logit_scale * (z @ texts.background.T)).logsumexp(1)
        self._lam, self._grid, self._size = options.lam, grid, size
        self._switches, self._affinity = options.switches, affinity

    @cached_property
    def whole(self) -> Tensor:
        """Soft masks (B, N, H, W) float32 in [0, 1] of all queries."""
        return self._masks(slice(None), None)

    def of(self, frame: int, live: Sequence[int]) -> Tensor:
        """Soft masks (len(live), H, W) float32 in [0, 1] of one frame's live queries."""
        return self._masks(slice(frame, frame + 1), list(live))[0]

    def _masks(self, frames: slice, live: list[int] | None) -> Tensor:
        cams = self._cams(frames, live, with_background=True)
        if self._background is not None:
            # Computed even if no CAM is all zero: cheaper than asking the device first.
            alone = self._cams(frames, live, with_background=False)
            cams = torch.where(cams.amax(-1, keepdim=True) == 0, alone, cams)
        maps = min_max(cams).view(*cams.shape[:2], *self._grid)
        if self._affinity is not None:
            maps = refine_cams(maps, self._affinity.only(frames), self._lam, self._switches)
        return F.interpolate(maps, self._size, mode="bilinear", align_corners=False).clamp(0, 1)

    def _cams(self, frames: slice, live: list[int] | None, *, with_background: bool) -> Tensor:
        """ReLU(sum_c w_c A_c) of the K live queries (None for all): (B, K, n) float32."""
        logits, weights = self._logits[frames], self._weights[frames]
        if live is not None:
            logits, weights = logits[:, live], weights[:, live]
        batch, count = logits.shape
        contest = torch.full((batch, count, count + 1), -torch.inf, device=logits.device)
        if not self.refer:
            others = ~torch.eye(count, dtype=torch.bool, device=logits.device)
            contest[..., :-1] = torch.where(others, logits[:, None], -torch.inf)
        background = None
        if self._background is not None and with_background:
            background = self._background[frames]
            contest[..., -1] = self._background_logit[frames, None]
        alone = (contest == -torch.inf).all(-1, keepdim=True)
        rivals = torch.where(alone, 0.0, contest.softmax(-1))
        combined = live_weights(weights, background, rivals)
        if "zero-cam-stays" in self._switches:
            combined = combined.masked_fill(alone, 0)
        return (combined @ self._activations[frames].transpose(1, 2)).relu()


@dataclass(frozen=True)
class FrameProposer:
    """f on frame number `frame` of a batch. wordings: with the texts of the first step, the second, and so on; the last
    are those of all later ones."""

    wordings: Sequence[BatchProposer]
    frame: int

    def propose(self, live: Sequence[int], step: int = 1) -> Tensor:
        """Soft masks y_t (len(live), H, W) float32 in [0, 1] of the live queries, given by ascending index, in step t,
        from 1."""
        batch = self.wordings[min(step, len(self.wordings)) - 1]
        if len(live) == batch.count:
            return batch.whole[self.frame]
        if batch.refer:
            # In refer mode a query's proposal does not depend on the others.
            return batch.whole[self.frame, list(live)]
        return batch.of(self.frame, live)


@dataclass(frozen=True)
class FrameFeatures:
    """What f computes of B frames before any text is known. grid: (rows, columns) of patches.

    weights: the CAM weights made so far, with the texts they are of: sessions that share texts share them.
    """

    state: LastBlock
    grid: tuple[int, int]
    weights: list[tuple[ProposalTexts, Tensor]] = field(default_factory=list)


def look(tower: VisionTower, planes: Tensor, *, affinity: bool = True) -> FrameFeatures:
    """The one trunk pass over B frames. planes: (B, 3, H', W') normalised, both sides multiples of the patch size.

    affinity: whether to keep the attention, which the affinity step needs.
    """
    x, attention = tower.trunk(planes, affinity=affinity)
    state = run_last_block(tower, x, attention, min(AFFINITY_BLOCKS, len(tower.blocks)))
    return FrameFeatures(
        state, (planes.shape[2] // tower.patch_size_px, planes.shape[3] // tower.patch_size_px)
    )


class MaskProposer:
    """f with the texts of one video: takes the features of frames, gives a `FrameProposer` for each."""

    def __init__(
        self, tower: VisionTower, wordings: Sequence[ProposalTexts], options: ProposalOptions
    ) -> None:
        """wordings: as in `FrameProposer`, the same texts each time."""
        self._tower, self.wordings, self._options = tower, wordings, options

    def on(self, features: FrameFeatures, size: tuple[int, int]) -> list[FrameProposer]:
        """A proposer for each of the B frames of `features`. size: (H, W) of the masks in px."""
        state, options = features.state, self._options
        affinity = None
        if options.affinity:
            assert state.attention is not None  # `look` was told to keep it
            affinity = Affinity(state.attention)
        batches = [
            BatchProposer(
                state, self._weights(features, texts), texts, options, features.grid, size, affinity
            )
            for texts in self.wordings
        ]
        return [FrameProposer(batches, i) for i in range(len(state.embedding))]

    def _weights(self, features: FrameFeatures, texts: ProposalTexts) -> Tensor:
        weights = next((made for of, made in features.weights if of is texts), None)
        if weights is None:
            weights = cam_weights(self._tower, features.state, _directions(texts, features.state.embedding))
            features.weights.append((texts, weights))
        return weights


def _directions(texts: ProposalTexts, z: Tensor) -> Tensor:
    """The texts to differentiate, (B, N or N + 1, d), for embeddings z (B, d): the queries and, if there are background
    texts, t_B, their mean weighted by their own softmax."""
    queries = texts.queries.expand(len(z), -1, -1)
    if not len(texts.background):
        return queries
    shares = (texts.logit_scale * (z @ texts.background.T)).softmax(1)
    return torch.cat([queries, (shares @ texts.background)[:, None]], 1)
