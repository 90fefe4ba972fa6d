from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from carvid.media import packed
from carvid.media.packed import PackedMasks, intersections

CPU = torch.device("cpu")


def random_masks(seed: int, count: int, height: int, width: int) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.random((count, height, width)) < rng.random((count, 1, 1)))


def test_one_bit_per_pixel_the_first_highest() -> None:
    masks = torch.tensor([[[1, 0, 0], [0, 0, 0], [0, 1, 1]]], dtype=torch.bool)
    assert PackedMasks.pack(masks).bits.tolist() == [[0b10000001, 0b10000000]]


@given(st.integers(0, 2**31), st.integers(0, 4), st.integers(1, 9), st.integers(1, 9))
def test_packing_is_numpys_and_unpacking_its_inverse(seed: int, count: int, height: int, width: int) -> None:
    masks = random_masks(seed, count, height, width)
    packed_masks = PackedMasks.pack(masks)
    expected = np.packbits(masks.numpy().reshape(count, height * width), axis=1)
    np.testing.assert_array_equal(packed_masks.bits.numpy(), expected)
    assert torch.equal(packed_masks.unpack(), masks)
    assert packed_masks.areas().tolist() == masks.sum((1, 2)).tolist()


@settings(deadline=None)
@given(st.integers(0, 2**31), st.integers(0, 4), st.integers(0, 4), st.integers(1, 300))
def test_intersections_are_those_of_brute_force_over_any_number_of_blocks(
    seed: int, n: int, m: int, width: int
) -> None:
    a, b = random_masks(seed, n, 11, width), random_masks(seed + 1, m, 11, width)
    expected = [[int((one & other).sum()) for other in b] for one in a]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packed, "_BLOCK_BYTES", 16)
        found = intersections(PackedMasks.pack(a), PackedMasks.pack(b))
        assert PackedMasks.pack(a).areas().tolist() == a.sum((1, 2)).tolist()
    assert found.shape == (n, m)
    assert found.tolist() == expected


def test_masks_of_two_sizes_have_no_intersection() -> None:
    a, b = PackedMasks.pack(torch.ones(1, 2, 8).bool()), PackedMasks.pack(torch.ones(1, 4, 4).bool())
    with pytest.raises(ValueError, match=r"\(2, 8\) and of \(4, 4\)"):
        intersections(a, b)


def test_union_and_selection_and_joining() -> None:
    masks = torch.tensor([[[1, 0, 0]], [[0, 1, 0]], [[0, 0, 1]]], dtype=torch.bool)
    bits = PackedMasks.pack(masks)
    assert bits.select([2, 0]).unpack().int().tolist() == [[[0, 0, 1]], [[1, 0, 0]]]
    assert bits.select([2, 0]).union().unpack().int().tolist() == [[[1, 0, 1]]]
    assert bits.select([]).union().unpack().int().tolist() == [[[0, 0, 0]]]
    joined = PackedMasks.join([bits.select([1]), bits.select([0])], (1, 3), CPU)
    assert joined.unpack().int().tolist() == [[[0, 1, 0]], [[1, 0, 0]]]
    assert PackedMasks.join([], (1, 3), CPU).unpack().shape == (0, 1, 3)


def test_a_thousand_masks_of_a_frame_take_a_bit_per_pixel() -> None:
    masks = PackedMasks.join([PackedMasks.pack(torch.ones(1, 480, 854).bool())] * 1000, (480, 854), CPU)
    assert masks.bits.numel() * masks.bits.element_size() == 1000 * 480 * 854 // 8
