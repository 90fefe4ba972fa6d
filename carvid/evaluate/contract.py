"""What a benchmark is: a reader of its data set, what is written for a frame, and a scorer. One file per benchmark.

The runner (`carvid.evaluate.runner`) knows `Sample`s alone: it neither reads a data set nor scores.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from carvid.evaluate.figures import Figures
from carvid.recipe.option import frozen
from carvid.result import FrameResult

#: What to do about a prediction that is not there: refuse to score, or score it as an empty mask.
Missing = Literal["refuse", "empty"]


@dataclass(frozen=True)
class Asked:
    """One query set of a sample.

    name: tells it from the sample's other query sets. queries: 1 to 255 texts.
    labels: for each query, what its mask is called in the predictions; what that means is the benchmark's.
    settings: fields of `carvid.recipe.settings.Settings` that are other than the recipe's for this query set; none that
        changes what f computes before it knows a query, except switches.
    """

    name: str
    queries: tuple[str, ...]
    labels: tuple[int, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Sample:
    """An image, or the frames of a video, and what is asked of it.

    name: tells it from the data set's other samples; a file name without suffix, or several with / between.
    frames: the paths of its images in order; one for an image. size: (H, W) of all of them, in px.
    upright: whether images are turned as their EXIF says; a benchmark's truth lies on the pixels as they are stored.
    """

    name: str
    frames: tuple[str, ...]
    size: tuple[int, int]
    asked: tuple[Asked, ...]
    upright: bool = False

    def to_json(self) -> dict[str, Any]:
        """As plain data, for a worker, which may have another working folder."""
        return {**asdict(self), "frames": list(map(os.path.abspath, self.frames))}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Sample:
        asked = (
            Asked(
                one["name"],
                tuple(one["queries"]),
                tuple(one["labels"]),
                {name: frozen(value) for name, value in one["settings"].items()},
            )
            for one in values["asked"]
        )
        height, width = values["size"]
        return cls(values["name"], tuple(values["frames"]), (height, width), tuple(asked), values["upright"])


#: `Benchmark.names` where there is one way to ask.
PAPER_NAMES = ("paper",)


@dataclass(frozen=True)
class Choice:
    """Which part of a data set.

    split: None for the benchmark's first. names: which list of class names are the queries, where there are two.
    first: only so many samples, from the first on. only: only samples of these names.
    two_passes: whether to ask as the switch of that name has it, where the benchmark can.
    """

    split: str | None = None
    names: str = "paper"
    first: int | None = None
    only: tuple[str, ...] | None = None
    two_passes: bool = False


class DataSet(Protocol):
    """A split of a data set, read and checked."""

    @property
    def split(self) -> str: ...
    @property
    def samples(self) -> Sequence[Sample]: ...
    def score(self, predictions: Path, missing: Missing) -> Figures:
        """Score the files below `predictions`, whoever made them, which lie where `Benchmark.paint` puts them.

        Raises one InputError that lists what is missing, cannot be read, or is of another size.
        """
        ...


@runtime_checkable
class Served(DataSet, Protocol):
    """A split that the benchmark's server scores. truth: None where the server alone has it."""

    @property
    def truth(self) -> object | None: ...
    def write_zip(self, predictions: Path, path: Path) -> None:
        """Pack the files below `predictions` for the server. Raises InputError that lists what is missing."""
        ...


class Painter(Protocol):
    """What is written for a frame. name: by which a worker finds it; see `carvid.evaluate.benchmarks.runnable`."""

    @property
    def name(self) -> str: ...
    def paint(
        self, sample: Sample, frame: str, found: Mapping[str, FrameResult]
    ) -> Iterable[tuple[str, NDArray[np.uint8]]]:
        """The files of one frame: their paths below the output folder, and (H, W) uint8 labels for a palette PNG.

        frame: the name of its file without suffix. found: the frame's result for each query set, by `Asked.name`.
        """
        ...


class Benchmark(Painter, Protocol):
    """name: as on the command line. preset: the settings of the published figure. splits: the first is the default.

    names: what `Choice.names` may be.
    """

    @property
    def names(self) -> tuple[str, ...]: ...
    @property
    def preset(self) -> str: ...
    @property
    def splits(self) -> tuple[str, ...]: ...
    def read(self, root: Path, choice: Choice) -> DataSet:
        """Read a split in its published layout, truth included.

        Raises UsageError for a choice that there is not, and one InputError that lists all that is missing or wrong.
        """
        ...
