"""How many frames go through the models together."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from carvid import UsageError
from carvid.batch import MOST_FRAMES, Batch, frames_that_fit
from carvid.engines import gather
from carvid.recipe import load_recipe

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def test_frames_that_fit_leave_memory_free() -> None:
    assert frames_that_fit(1000, 100) == 6
    assert frames_that_fit(1000, 601) == 1
    assert frames_that_fit(0, 100) == 1
    assert frames_that_fit(10**12, 1) == MOST_FRAMES


def test_unasked_it_is_one_on_a_cpu() -> None:
    unasked = Batch(None, CPU)
    assert list(unasked.run([1, 2, 3], list)) == [[1], [2], [3]]
    assert unasked.frames == 1


def test_the_first_frame_tells_how_many_fit_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    peak = {"bytes": 300}
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: peak.update(bytes=300))
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 300)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: peak["bytes"])
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 2000))

    def work(frames: list[int]) -> list[int]:
        peak["bytes"] = 300 + 200 * len(frames)
        return frames

    found = Batch(None, CUDA)
    assert list(found.run([1, 2, 3, 4, 5], work)) == [[1], [2, 3, 4], [5]]
    assert found.frames == 3


def test_a_batch_that_does_not_fit_is_halved() -> None:
    def work(frames: list[int]) -> list[int]:
        if len(frames) > 2:
            raise torch.OutOfMemoryError
        return frames

    asked = Batch(8, CPU)
    assert list(asked.run(list(range(9)), work)) == [[0, 1], [2, 3], [4, 5], [6, 7], [8]]
    assert asked.frames == 2


def test_what_came_before_an_error_is_gathered_with_it() -> None:
    def failing() -> Iterator[int]:
        yield from (1, 2, 3)
        raise ValueError("damaged")

    items = failing()
    assert gather(items, 2) == ([1, 2], None)
    some, error = gather(items, 2)
    assert some == [3]
    assert isinstance(error, ValueError)
    assert gather(iter([1, 2]), 5) == ([1, 2], None)
    assert gather(iter([1, 2]), 5, lambda: True) == ([], None)


@pytest.mark.parametrize(("text", "frames"), [("auto", None), ("1", 1), ("16", 16)])
def test_the_option(text: str, frames: int | None) -> None:
    assert load_recipe(batch=text).batch == frames


@pytest.mark.parametrize("text", ["0", "-1", "many", "1.5", ""])
def test_what_is_no_batch_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="expected auto or a whole number from 1"):
        load_recipe(batch=text)
