"""The ensemble's arithmetic: IoM, matching, union, replacement, and the label map after it. No state."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from carvid.evidence import SamRecord
from carvid.measures.on_device import iou
from carvid.media.packed import PackedMasks, intersections


def iom(masks: PackedMasks, segments: PackedMasks) -> Tensor:
    """|A n B| / min(|A|, |B|) of all pairs: (N, M) float64 on the CPU; 0 where either is empty."""
    overlap = intersections(masks, segments).cpu().double()
    smaller = torch.minimum(masks.areas()[:, None], segments.areas()[None]).cpu().double()
    return torch.where(smaller > 0, overlap / smaller.clamp_min(1), 0.0)


def segments_within(segments: PackedMasks, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The segments (M, H, W) bool that lie within a mask (H, W) bool by 9 tenths of their area."""
    region = PackedMasks.pack(torch.from_numpy(mask)[None].to(segments.bits.device))
    inside = intersections(region, segments)[0] >= 0.9 * segments.areas().clamp_min(1)
    found: NDArray[np.bool_] = segments.select(inside.nonzero()[:, 0]).unpack().cpu().numpy()
    return found


def match(ioms: Tensor, phi_iom: float) -> Tensor:
    """Which segments belong to which mask: (N, M) bool, IoM strictly above `phi_iom`."""
    return ioms > phi_iom


def ensemble(
    masks: Tensor, segments: PackedMasks, phi_iom: float, phi_iou: float
) -> tuple[Tensor, tuple[SamRecord, ...]]:
    """Replace each mask by the union of its segments if that union is nearly the same.

    masks: (N, H, W) bool, the CRF's. segments: SAM's, of the same size and on the same device.
    A segment is matched to a mask when IoM > phi_iom; the union of a mask's matches replaces it when their
    IoU > phi_iou; otherwise the mask stays. Returns (N, H, W) bool and a record per mask.
    """
    matched = match(iom(PackedMasks.pack(masks), segments), phi_iom)
    refined = masks.clone()
    records = []
    for i, row in enumerate(matched):
        chosen = row.nonzero()[:, 0]
        if len(chosen) == 0:
            records.append(SamRecord())
            continue
        union = segments.select(chosen).union().unpack()[0]
        agreement = iou(masks[i], union)
        replaced = agreement > phi_iou
        if replaced:
            refined[i] = union
        records.append(SamRecord(matched=len(chosen), iou=agreement, replaced=replaced))
    return refined, tuple(records)


def label_map(masks: Tensor, responses: Tensor) -> Tensor:
    """(H, W) int64: 0 where no mask is, else i + 1 of the mask there whose query responds most.

    masks: (N, H, W) bool, possibly overlapping. responses: (N, H, W), larger where a query is surer. Where
    masks are responses cut at a threshold this is the argmax of the responses; a replaced mask also covers
    pixels below the threshold, and responses only decide where masks overlap. Ties go to the first query.
    """
    if len(masks) == 0:
        return torch.zeros(masks.shape[1:], dtype=torch.int64, device=masks.device)
    strongest, query = torch.where(masks, responses.float(), -torch.inf).max(0)
    return torch.where(strongest > -torch.inf, query + 1, 0)
