"""The desk's state: the dataset, which is the one truth, and what is kept to answer fast."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from carvid.desk.frame_cache import FrameCache
from carvid.desk.worst import Ranking
from carvid.serve.answers import AtOnce
from carvid.serve.lent_model import LentModel


@dataclass
class Desk:
    """dataset: the folder that `carvid annotate` wrote. lent: the model to ask again; None if none can be asked."""

    dataset: Path
    lent: LentModel | None
    cache: FrameCache = field(default_factory=FrameCache)
    ranking: Ranking = field(init=False)
    at_once: AtOnce = field(default_factory=AtOnce)

    def __post_init__(self) -> None:
        self.ranking = Ranking(self.dataset)

    def close(self) -> None:
        self.ranking.close()
        self.cache.close()
