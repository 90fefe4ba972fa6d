"""The assignment against every assignment there is, and against SciPy's."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carvid.measures.assignment import assign


def cheapest_total(cost):
    rows, columns = cost.shape
    if rows > columns:
        return cheapest_total(cost.T)
    return min(
        sum(cost[row, column] for row, column in enumerate(chosen))
        for chosen in itertools.permutations(range(columns), rows)
    )


costs = st.integers(1, 5).flatmap(
    lambda rows: st.integers(1, 6).flatmap(
        lambda columns: st.lists(
            st.lists(st.integers(-4, 4).map(lambda value: value / 4), min_size=columns, max_size=columns),
            min_size=rows,
            max_size=rows,
        )
    )
)


@settings(max_examples=200, deadline=None)
@given(costs.map(np.array))
def test_assignment_is_the_cheapest(cost):
    rows, columns = assign(cost)
    assert len(rows) == min(cost.shape)
    assert len(set(rows.tolist())) == len(set(columns.tolist())) == len(rows)
    assert rows.tolist() == sorted(rows.tolist())
    assert cost[rows, columns].sum() == pytest.approx(cheapest_total(cost))


@settings(max_examples=200, deadline=None)
@given(costs.map(np.array))
def test_assignment_breaks_ties_as_scipy_does(cost):
    optimize = pytest.importorskip("scipy.optimize")
    expected = optimize.linear_sum_assignment(cost)
    np.testing.assert_array_equal(assign(cost), expected)
