from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from carvid.media.packed import PackedMasks
from carvid.sam.regions import clean, fill_holes, remove_islands
from carvid.sam.suppression import cut_off, mask_boxes, suppress


def array(*rows: str) -> np.ndarray:
    return np.array([[character == "#" for character in row] for row in rows])


def test_boxes_reach_from_the_first_to_the_last_pixel() -> None:
    masks = torch.zeros((4, 5, 6), dtype=torch.bool)
    masks[0, 1:3, 2:5] = True
    masks[1, 4, 5] = True
    masks[2, 0, 0] = masks[2, 4, 5] = True
    assert mask_boxes(masks).tolist() == [[2, 1, 4, 2], [5, 4, 5, 4], [0, 0, 5, 4], [0, 0, 0, 0]]
    assert mask_boxes(masks[:0]).shape == (0, 4)


def test_a_box_at_the_crops_border_is_cut_off_unless_the_frame_ends_there_too() -> None:
    boxes = np.array([
        [0, 0, 50, 50],      # at the frame's own corner
        [60, 60, 181, 100],  # 19 px from the crop's right border
        [60, 60, 179, 100],  # 21 px from it
        [60, 60, 180, 100],  # 20 px: still near
    ])  # fmt: skip
    assert cut_off(boxes, (0, 0, 200, 150), 300, 400).tolist() == [False, True, False, True]
    assert not cut_off(boxes, (0, 0, 400, 300), 300, 400).any()


def test_the_better_of_two_like_boxes_stays() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30]])
    assert suppress(boxes, np.array([0.5, 0.9, 0.7], np.float32), 0.7).tolist() == [1, 2]


def test_a_box_exactly_at_the_threshold_stays() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 5]])  # IoU one half
    assert suppress(boxes, np.array([1.0, 0.5], np.float32), 0.5).tolist() == [0, 1]
    assert suppress(boxes, np.array([1.0, 0.5], np.float32), 0.49).tolist() == [0]


def test_ties_keep_their_order_and_boxes_without_area_overlap_nothing() -> None:
    boxes = np.array([[5, 5, 5, 9], [5, 5, 5, 9], [0, 0, 4, 4]])
    assert suppress(boxes, np.ones(3, np.float32), 0.1).tolist() == [0, 1, 2]
    assert suppress(np.zeros((0, 4), np.int64), np.zeros(0, np.float32), 0.7).tolist() == []


@given(st.integers(0, 2**31), st.integers(0, 20), st.floats(0.05, 0.95))
def test_suppression_is_that_of_brute_force(seed: int, count: int, thresh: float) -> None:
    rng = np.random.default_rng(seed)
    corner = rng.integers(0, 8, (count, 2))
    boxes = np.concatenate([corner, corner + rng.integers(0, 8, (count, 2))], axis=1)
    scores = rng.integers(0, 4, count).astype(np.float32)
    kept: list[int] = []
    for i in sorted(range(count), key=lambda i: -scores[i]):
        a = boxes[i]
        for j in kept:
            b = boxes[j]
            inside = max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
            total = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inside
            if total and float(np.float32(inside) / np.float32(total)) > thresh:
                break
        else:
            kept.append(i)
    assert suppress(boxes, scores, thresh).tolist() == kept


def test_small_holes_are_filled_and_large_ones_stay() -> None:
    mask = array("########", "#.##...#", "####...#", "########")
    filled, changed = fill_holes(mask, 3)
    assert changed
    np.testing.assert_array_equal(filled, array("########", "####...#", "####...#", "########"))
    assert fill_holes(mask, 1)[1] is False


def test_small_islands_go_and_the_largest_stays_even_if_small() -> None:
    mask = array("##......", "##...#..", "......#.", ".......#")  # the diagonal is one island of three
    cleaned, changed = remove_islands(mask, 4)
    assert changed
    np.testing.assert_array_equal(cleaned, array("##......", "##......", "........", "........"))
    np.testing.assert_array_equal(remove_islands(mask, 99)[0], cleaned)
    assert remove_islands(mask, 3)[1] is False


def test_a_cleaned_mask_yields_to_the_untouched_one_it_has_become() -> None:
    speckled = array("####....", "####....", "####...#")
    whole = array("####....", "####....", "####....")
    masks = PackedMasks.pack(torch.from_numpy(np.stack([speckled, whole])))
    boxes = mask_boxes(masks.unpack()).numpy()
    kept_masks, kept_boxes, kept = clean(masks, boxes, 2, 0.7)
    assert kept.tolist() == [1]
    assert kept_boxes.tolist() == [[0, 0, 3, 2]]
    np.testing.assert_array_equal(kept_masks.unpack()[0].numpy(), whole)
    assert len(clean(masks.select([]), boxes[:0], 2, 0.7)[0]) == 0
