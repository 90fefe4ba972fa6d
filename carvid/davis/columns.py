"""Averages by the names of the reference evaluator's columns."""

from __future__ import annotations

from carvid.davis.averages import Averages
from carvid.davis.scores import ProtocolScore

GLOBAL_COLUMNS = ("J&F-Mean", "J-Mean", "J-Recall", "J-Decay", "F-Mean", "F-Recall", "F-Decay")


def by_column(averages: Averages) -> dict[str, float]:
    """The values of GLOBAL_COLUMNS, in their order."""
    j, f = averages.j, averages.f
    values = (averages.jf_mean, j.mean, j.recall, j.decay, f.mean, f.recall, f.decay)
    return dict(zip(GLOBAL_COLUMNS, values, strict=True))


def gap(identity: ProtocolScore, matched: ProtocolScore) -> dict[str, float] | None:
    """How much higher *matched* is than *identity*, by column.

    None when one of them was refused, and when they are of different videos.
    """
    if identity.averages is None or matched.averages is None or identity.left_out != matched.left_out:
        return None
    low, high = by_column(identity.averages), by_column(matched.averages)
    return {name: high[name] - low[name] for name in GLOBAL_COLUMNS}
