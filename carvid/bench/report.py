"""What a benchmark found, as JSON can hold it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from carvid.bench.against import CrfFrame, NaiveFrame
from carvid.bench.machine import Machine, Product
from carvid.bench.stages import Spread


@dataclass(frozen=True)
class Share:
    """A model stage beside the machine. operations: per frame (`carvid.bench.operations`). flops: operations
    per second at the median. share: of the machine's best product in this run."""

    operations: int
    flops: float
    share: float


@dataclass(frozen=True)
class QueriesReport:
    """One number of queries.

    theta: the score a query needed. stages: seconds per frame, by stage; segment: from the frame to its masks,
    without decode and write. model: the stages trunk, cam and classifier. encoded, dropped: per frame, images
    through g and queries dropped in the first step. memory: `carvid.bench.machine.peak_memory` after it. sam: what
    `SamEnsemble.totals` counted, the frame to warm up included; None without a SAM.
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

    @property
    def rest(self) -> float:
        """Median seconds of a frame besides cam and classifier, which must grow with the queries."""
        return self.segment.median - self.stages["cam"].median - self.stages["classifier"].median

    @property
    def agrees(self) -> bool:
        """Whether the straightforward method, where it was asked, gave the same."""
        return all(frame.agrees for frame in self.naive)


@dataclass(frozen=True)
class BenchReport:
    """A whole run of `carvid bench`. size: (width, height) in px. drop: how theta was chosen."""

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
