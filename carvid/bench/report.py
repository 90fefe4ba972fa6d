"""The results of a benchmark, in types JSON holds."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from carvid.bench.against import CrfFrame, NaiveFrame
from carvid.bench.against_speed import Compared
from carvid.bench.machine import Machine, Product
from carvid.bench.stages import Spread


@dataclass(frozen=True)
class Share:
    """A model stage compared with the machine. operations: per frame (`carvid.bench.operations`). flops: operations
    per second, from the median time. share: flops divided by those of the machine's best product in this run."""

    operations: int
    flops: float
    share: float


@dataclass(frozen=True)
class QueriesReport:
    """The measurements with one number of queries.

    queries: that number. theta: the lowest score at which a query was kept.
    stages: seconds per frame, by stage. segment: seconds per frame, without decode and write.
    model: the stages trunk, cam and classifier, compared with the machine.
    encoded, dropped: per frame, the images g encoded and the queries dropped in the first step.
    memory: `carvid.bench.machine.peak_memory` after these frames.
    sam: `SamEnsemble.totals`, the warm-up frame included; None without a SAM.
    naive, crf: the comparisons, per frame; speed: those with other speeds; empty where not asked for.
    """

    queries: int
    theta: float
    stages: dict[str, Spread]
    segment: Spread
    model: dict[str, Share]
    encoded: tuple[int, ...]
    dropped: tuple[int, ...]
    memory: dict[str, int]
    sam: dict[str, Any] | None = None
    naive: tuple[NaiveFrame, ...] = ()
    crf: tuple[CrfFrame, ...] = ()
    speed: tuple[Compared, ...] = ()

    @property
    def rest(self) -> float:
        """Median seconds of a frame without cam and classifier, the stages that must grow with the queries."""
        return self.segment.median - self.stages["cam"].median - self.stages["classifier"].median

    @property
    def agrees(self) -> bool:
        """Whether the straightforward method, if compared, gave the same results."""
        return all(frame.agrees for frame in self.naive)


@dataclass(frozen=True)
class BenchReport:
    """A whole run of `carvid bench`.

    models: the names of f and g. clip: what the frames are from. size: (width, height) in px. frames: how many were
    measured. drop: how theta was chosen. products: the machine's matrix products. runs: one per number of queries.
    """

    machine: Machine
    models: tuple[str, str]
    preset: str
    mode: str
    device: str
    dtype: str
    clip: str
    size: tuple[int, int]
    frames: int
    drop: str
    products: tuple[Product, ...]
    runs: tuple[QueriesReport, ...]

    @property
    def flops(self) -> float:
        """The machine's matrix-product rate: the best of `products`."""
        return max(product.flops for product in self.products)

    @property
    def agrees(self) -> bool:
        return all(run.agrees for run in self.runs)

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "agrees": self.agrees}
