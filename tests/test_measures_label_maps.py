"""The tables over whole label maps against one pair of masks at a time, written out plainly."""

import itertools
import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from carvid.measures.label_maps import LabelMap, boundary_f_table, iou_table
from carvid.measures.pair import boundary_f, iou


def plain_boundary(mask):
    """Each pixel against its right, lower and lower right neighbour; the last row and column apart."""
    right, below, across = (np.zeros_like(mask) for _ in range(3))
    right[:, :-1] = mask[:, 1:]
    below[:-1] = mask[1:]
    across[:-1, :-1] = mask[1:, 1:]
    edge = (mask != right) | (mask != below) | (mask != across)
    edge[-1] = mask[-1] != right[-1]
    edge[:, -1] = mask[:, -1] != below[:, -1]
    edge[-1, -1] = False
    return edge


def plain_f(annotation, prediction):
    radius = math.ceil(0.008 * math.hypot(*annotation.shape))
    true, found = np.argwhere(plain_boundary(annotation)), np.argwhere(plain_boundary(prediction))
    if not len(true) or not len(found):
        return float(len(true) == len(found))
    distance = true[:, None].astype(np.int32) - found[None].astype(np.int32)
    near = distance[..., 0] ** 2 + distance[..., 1] ** 2 <= radius**2
    precision, recall = near.any(0).sum() / len(found), near.any(1).sum() / len(true)
    return 0.0 if precision + recall == 0 else 2 * precision * recall / (precision + recall)


@st.composite
def label_maps(draw):
    """Two maps of one size out of boxes and single pixels; some sizes have a tolerance of 2 or 3 px."""
    height, width = draw(st.sampled_from([(1, 1), (1, 7), (6, 5), (13, 17), (9, 180), (24, 250)]))
    count = draw(st.integers(1, 4))
    maps = []
    for _ in range(2):
        labels = np.zeros((height, width), np.uint8)
        for _ in range(draw(st.integers(0, 6))):
            top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
            bottom = draw(st.sampled_from([top + 1, top + 3, height]))
            right = draw(st.sampled_from([left + 1, left + 4, width]))
            labels[top:bottom, left:right] = draw(st.integers(0, count))
        maps.append(labels)
    return maps[0], maps[1], count


@settings(max_examples=80, deadline=None)
@given(label_maps())
def test_tables_equal_the_plain_definition(case):
    found, true, count = case
    prediction, truth = LabelMap(found, count + 2), LabelMap(true, count)
    f, j = boundary_f_table(prediction, truth), iou_table(prediction, truth)
    assert f.shape == j.shape == (count + 2, count)
    for p, g in itertools.product(range(count + 2), range(count)):
        masks = true == g + 1, found == p + 1
        assert f[p, g] == plain_f(*masks)
        assert boundary_f(*masks) == plain_f(*masks)
        assert j[p, g] == iou(*masks)


def test_a_map_that_is_one_label_has_no_boundary():
    full = LabelMap(np.full((5, 6), 2, np.uint8), 2)
    assert full.boundary_px.tolist() == [0, 0, 0]
    assert full.reaches == {}
