"""The samples of a data set as tasks for workers: images some at a time, videos one by one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from types import MappingProxyType
from typing import Any

from carvid.evaluate.contract import Sample

#: How many images are one task, unless more go through the models together. What a killed run loses is one task.
IMAGES = 8

#: The rows of a run that is no table: one, without a name or changes; see `carvid.evaluate.segmenting.Segmenting`.
ALONE: Mapping[str, Mapping[str, Any]] = MappingProxyType({"": {}})


@dataclass(frozen=True, eq=False)
class SampleTask:
    """Some samples; see `carvid.workers.job.WorkTask`. number: its place among the tasks."""

    number: int
    samples: tuple[Sample, ...]

    @property
    def key(self) -> str:
        return f"{self.number}"

    @property
    def path(self) -> str:
        return self.samples[0].name

    @property
    def whole(self) -> int:
        return self.number

    def to_json(self) -> Mapping[str, Any]:
        return {"samples": [sample.to_json() for sample in self.samples]}


def tasks(samples: Sequence[Sample], batch: int) -> tuple[SampleTask, ...]:
    """All samples as tasks. The images of a task have one size, and their order is the data set's.

    batch: how many images go through the models together. Which these are depends on the samples alone, not on what is
    done already, so a run that goes on comes to the same bytes.
    """
    images = [sample for sample in samples if len(sample.frames) == 1]
    videos = [sample for sample in samples if len(sample.frames) != 1]
    each = batch * -(-IMAGES // batch)

    def some() -> Iterator[tuple[Sample, ...]]:
        # Sorting is stable: within a size the order stays.
        for _, alike in groupby(sorted(images, key=lambda one: one.size), lambda one: one.size):
            of_size = list(alike)
            for start in range(0, len(of_size), each):
                yield tuple(of_size[start : start + each])
        for video in videos:
            yield (video,)

    return tuple(SampleTask(number, part) for number, part in enumerate(some()))
