"""Many masks of one size, stored as one bit per pixel, and the pixel counts of their intersections."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

# How many bytes of each mask are unpacked at a time: 300 masks then take 39 MB as float32, whatever their size.
_BLOCK_BYTES = 4096


@dataclass(frozen=True, eq=False)
class PackedMasks:
    """M masks of (H, W) pixels.

    bits: (M, ceil(H W / 8)) uint8, the pixels row by row, the first in the highest bit, as np.packbits packs
    them; bits after the last pixel are 0.
    size: (H, W).
    """

    bits: Tensor
    size: tuple[int, int]

    def __len__(self) -> int:
        return len(self.bits)

    @classmethod
    def pack(cls, masks: Tensor) -> PackedMasks:
        """Pack (M, H, W) bool masks, on their own device."""
        count, height, width = masks.shape
        pixels = F.pad(masks.reshape(count, height * width), (0, -height * width % 8))
        octets = pixels.view(count, pixels.shape[1] // 8, 8).to(torch.uint8)
        return cls((octets * _bit_values(masks.device)).sum(-1, dtype=torch.uint8), (height, width))

    @classmethod
    def join(cls, parts: Sequence[PackedMasks], size: tuple[int, int], device: torch.device) -> PackedMasks:
        """All masks of `parts`, of `size`, in order."""
        none = torch.zeros((0, -(-size[0] * size[1] // 8)), dtype=torch.uint8, device=device)
        return cls(torch.cat([none, *(part.bits for part in parts)]), size)

    def unpack(self) -> Tensor:
        """(M, H, W) bool."""
        height, width = self.size
        return _pixels(self.bits)[:, : height * width].reshape(len(self), height, width)

    def select(self, index: Tensor | Sequence[int]) -> PackedMasks:
        """The masks at `index`, in that order."""
        rows = torch.as_tensor(index, dtype=torch.long, device=self.bits.device)
        return PackedMasks(self.bits[rows], self.size)

    def union(self) -> PackedMasks:
        """The union of all the masks, as one mask; empty for none."""
        merged = self.bits.new_zeros(self.bits.shape[1])
        for row in self.bits:
            merged = merged | row
        return PackedMasks(merged[None], self.size)

    def areas(self) -> Tensor:
        """(M,) int64, in px."""
        device = self.bits.device
        ones = _pixels(torch.arange(256, dtype=torch.uint8, device=device)[:, None]).sum(1)
        total = torch.zeros(len(self), dtype=torch.int64, device=device)
        for block in _blocks(self.bits):
            total += ones[block.int()].sum(1)
        return total


def to_host(masks: Tensor) -> Tensor:
    """(M, H, W) bool masks in the host's memory; from a device they are copied as bits."""
    if masks.device.type == "cpu":
        return masks
    bits = PackedMasks.pack(masks).bits.cpu().numpy()
    return torch.from_numpy(unpack_bits(bits, (masks.shape[1], masks.shape[2])))


def unpack_bits(bits: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.bool_]:
    """`PackedMasks.unpack` in the host's memory, where NumPy is faster."""
    pixels = np.unpackbits(bits, axis=1, count=size[0] * size[1])
    return pixels.view(np.bool_).reshape(len(bits), *size)


def intersections(a: PackedMasks, b: PackedMasks) -> Tensor:
    """|A_i n B_j| in px for all pairs: (len(a), len(b)) int64.

    One matrix product over the pixels, taken block by block so that no mask becomes a plane of floats; every
    partial sum is a whole number below 2^24, which float32 holds exactly. Only the bytes in which some A has
    a pixel are looked at.
    """
    if a.size != b.size:
        raise ValueError(f"masks of {a.size} and of {b.size} px; expected one size")
    total = torch.zeros((len(a), len(b)), dtype=torch.int64, device=a.bits.device)
    used = (a.bits != 0).any(0).nonzero()[:, 0]
    for ours, theirs in zip(_blocks(a.bits[:, used]), _blocks(b.bits[:, used]), strict=True):
        total += (_pixels(ours).float() @ _pixels(theirs).float().T).long()
    return total


def _blocks(bits: Tensor) -> Iterator[Tensor]:
    for start in range(0, bits.shape[1], _BLOCK_BYTES):
        yield bits[:, start : start + _BLOCK_BYTES]


def _bit_values(device: torch.device) -> Tensor:
    return torch.tensor([128, 64, 32, 16, 8, 4, 2, 1], dtype=torch.uint8, device=device)


def _pixels(bits: Tensor) -> Tensor:
    """(M, n) uint8 to (M, 8 n) bool."""
    return ((bits[..., None] & _bit_values(bits.device)) != 0).flatten(1)
