"""Mean, recall and decay against values worked out by hand."""

import numpy as np
import pytest

from carvid.measures.over_frames import statistics


def test_statistics_of_four_frames():
    # Quarters end at frames 0, 1, 2, 2, 3, so the first is frames 0-1 and the last frames 2-3.
    found = statistics(np.array([1.0, 0.8, 0.5, 0.1]))
    assert (found.mean, found.recall, found.decay) == pytest.approx((0.6, 0.5, 0.9 - 0.3))


def test_statistics_of_one_frame():
    found = statistics(np.array([0.7]))
    assert (found.mean, found.recall, found.decay) == (0.7, 1.0, 0.0)


def test_decay_does_not_wrap_past_256_frames():
    # linspace(1, 300, 5) rounds to 1, 76, 151, 225, 300: frames 0-75 against 224-299.
    assert statistics(np.arange(300.0)).decay == 37.5 - 261.5


def test_recall_is_strictly_above_one_half():
    assert statistics(np.array([0.5, 0.5, 0.51, 0.0])).recall == 0.25


def test_nan_frames_are_left_out_of_the_mean():
    found = statistics(np.array([np.nan, 1.0, 0.5]))
    assert (found.mean, found.recall) == (0.75, 1 / 3)
