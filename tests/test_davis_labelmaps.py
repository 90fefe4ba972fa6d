"""The tables over whole label maps against one pair of masks at a time, written out plainly."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carvid.davis.assignment import assign
from carvid.davis.labelmaps import LabelMap, boundary_f_table, jaccard_table
from carvid.measures.masks import boundary_f, jaccard


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
    f, j = boundary_f_table(prediction, truth), jaccard_table(prediction, truth)
    assert f.shape == j.shape == (count + 2, count)
    for p, g in itertools.product(range(count + 2), range(count)):
        masks = true == g + 1, found == p + 1
        assert f[p, g] == plain_f(*masks)
        assert boundary_f(*masks) == plain_f(*masks)
        assert j[p, g] == jaccard(*masks)


def test_a_map_that_is_one_label_has_no_boundary():
    full = LabelMap(np.full((5, 6), 2, np.uint8), 2)
    assert full.boundary_px.tolist() == [0, 0, 0]
    assert full.reaches == {}


def cheapest_total(cost):
    rows, columns = cost.shape
    if rows > columns:
        return cheapest_total(cost.T)
    return min(
        sum(cost[row, column] for row, column in enumerate(chosen))
        for chosen in itertools.permutations(range(columns), rows)
    )


tables = st.integers(1, 5).flatmap(
    lambda rows: st.integers(1, 6).flatmap(
        lambda columns: st.lists(
            st.lists(st.integers(-4, 4).map(lambda value: value / 4), min_size=columns, max_size=columns),
            min_size=rows,
            max_size=rows,
        )
    )
)


@settings(max_examples=200, deadline=None)
@given(tables.map(np.array))
def test_assignment_is_the_cheapest(cost):
    rows, columns = assign(cost)
    assert len(rows) == min(cost.shape)
    assert len(set(rows.tolist())) == len(set(columns.tolist())) == len(rows)
    assert rows.tolist() == sorted(rows.tolist())
    assert cost[rows, columns].sum() == pytest.approx(cheapest_total(cost))


@settings(max_examples=200, deadline=None)
@given(tables.map(np.array))
def test_assignment_breaks_ties_as_scipy_does(cost):
    optimize = pytest.importorskip("scipy.optimize")
    expected = optimize.linear_sum_assignment(cost)
    np.testing.assert_array_equal(assign(cost), expected)
