"""SamEnsemble: the CRF's masks of one frame in, refined by Segment Anything out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from carvid.evidence import SamRecord
from carvid.measures.on_device import iou
from carvid.media.packed import PackedMasks
from carvid.recipe.refinement import SamOptions
from carvid.sam.automatic import AutomaticMaskGenerator, AutomaticMasks
from carvid.sam.grid import grow
from carvid.sam.load import LoadedSam
from carvid.sam.matching import ensemble
from carvid.sam.tower import sam_tower
from carvid.stopwatch import Stopwatch


@dataclass(frozen=True, eq=False)
class Refined:
    """What became of a frame's N masks.

    masks: (N, H, W) bool. records: one per mask; None on a frame that `every` leaves out.
    segments: masks SAM found. decoded_points of grid_points: what the decoder was asked.
    found: all masks SAM found, (H, W) each; None where it did not run.
    agreement: guided only, on compared frames: mean IoU of the masks with what the full grid makes of them.
    """

    masks: Tensor
    records: tuple[SamRecord, ...] | None
    segments: int = 0
    decoded_points: int = 0
    grid_points: int = 0
    agreement: float | None = None
    found: PackedMasks | None = None


class SegmentSource(Protocol):
    """Where segments come from: an `AutomaticMaskGenerator`, or a stand-in for it."""

    clock: Stopwatch

    def generate(self, image: Tensor, region: Tensor | None = None) -> AutomaticMasks:
        """All masks of an image (H, W, 3) uint8 RGB; with a region (H, W) bool, those of points in it."""
        ...


class SamEnsemble:
    """Refines the masks of one video's frames, in their order; counts the frames it has seen, for `every`.

    seconds: time spent so far, by stage: encoder, decoder, filter, match.
    totals: frames refined, masks SAM found, points decoded and in the grid, and the mean agreement of guided with
    full.
    """

    def __init__(self, source: SegmentSource, options: SamOptions | None = None) -> None:
        self.options = options or SamOptions()
        self._source = source
        self._frames = self._refined = self._segments = self._decoded = self._grid = 0
        self._agreements: list[float] = []

    @classmethod
    def from_loaded(cls, sam: LoadedSam, options: SamOptions | None = None) -> SamEnsemble:
        """An ensemble of its own for one video; the weights may be shared."""
        options = options or SamOptions()
        return cls(AutomaticMaskGenerator(sam_tower(sam), options.automatic), options)

    @property
    def seconds(self) -> Mapping[str, float]:
        return self._source.clock.seconds

    @property
    def totals(self) -> dict[str, Any]:
        """For the run's record: frames, segments, decoded_points, grid_points, agreement (None if never compared)."""
        known = self._agreements
        return {
            "frames": self._refined,
            "segments": self._segments,
            "decoded_points": self._decoded,
            "grid_points": self._grid,
            "agreement": sum(known) / len(known) if known else None,
        }

    @torch.inference_mode()
    def refine(self, image: Tensor, masks: Tensor) -> Refined:
        """Refine a frame's masks.

        image: (H, W, 3) uint8 RGB. masks: (N, H, W) bool, the CRF's, empty where a query is absent, on the
        image's device. A frame whose masks are all empty costs nothing.
        """
        number = self._frames
        self._frames += 1
        if number % self.options.every:
            return Refined(masks, None)
        if not bool(masks.any()):
            return Refined(masks, (SamRecord(),) * len(masks))
        guided = self.options.points == "guided"
        found = self._source.generate(image, self._region(masks) if guided else None)
        refined, records = self._match(masks, found)
        agreement = None
        if guided and len(self._agreements) < self.options.compared_frames:
            full, _ = self._match(masks, self._source.generate(image))
            agreement = mean_agreement(refined, full)
            self._agreements.append(agreement)
        self._refined += 1
        self._segments += len(found)
        self._decoded += found.decoded_points
        self._grid += found.grid_points
        return Refined(
            refined, records, len(found), found.decoded_points, found.grid_points, agreement, found.masks
        )

    def _region(self, masks: Tensor) -> Tensor:
        return grow(masks.any(0), math.ceil(self.options.margin * max(masks.shape[1:])))

    def _match(self, masks: Tensor, found: AutomaticMasks) -> tuple[Tensor, tuple[SamRecord, ...]]:
        with self._source.clock.stage("match"):
            return ensemble(masks, found.masks, self.options.phi_iom, self.options.phi_iou)


def mean_agreement(masks: Tensor, others: Tensor) -> float:
    """Mean IoU of (N, H, W) bool masks with others in the same order, N > 0."""
    return sum(iou(a, b) for a, b in zip(masks, others, strict=True)) / len(masks)
