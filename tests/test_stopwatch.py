"""Seconds per stage, each counted once."""

from __future__ import annotations

import pytest
import torch

from carvid.stopwatch import Stopwatch

CPU = torch.device("cpu")


def test_a_stage_inside_another_counts_once() -> None:
    watch = Stopwatch(CPU)
    times = iter([0.0, 1.0, 3.0, 4.0, 4.5, 10.0])
    watch._now = lambda: next(times)  # type: ignore[method-assign]
    with watch.stage("outer"):
        with watch.stage("inner", items=2):
            pass
        with watch.stage("inner", items=3):
            pass
    assert watch.seconds == {"inner": 2.5, "outer": 7.5}
    assert watch.items == {"inner": 5, "outer": 0}


def test_a_stage_that_fails_is_counted_and_leaves_the_stopwatch_whole() -> None:
    watch = Stopwatch()
    times = iter([0.0, 1.0, 3.0, 4.0, 4.0, 6.0])
    watch._now = lambda: next(times)  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="stop"), watch.stage("outer"), watch.stage("inner"):
        raise ValueError("stop")
    with watch.stage("next"):
        pass
    assert watch.seconds == {"inner": 2.0, "outer": 2.0, "next": 2.0}
