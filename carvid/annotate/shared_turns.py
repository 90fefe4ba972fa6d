"""The tasks of a dataset, as the supervisor of workers asks for them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from carvid.annotate.leases import Presence
from carvid.errors import UsageError
from carvid.recipe.record import differences, fingerprint
from carvid.store.agreement import agree, settings_of
from carvid.store.ledger import Ledger
from carvid.store.task import Outcome, Task
from carvid.store.turns import Turns
from carvid.workers.states import WAITING

_LOOK_SECONDS = 1.0


class DatasetTurns:
    """Whole videos or pieces of them, shared with other processes; see `carvid.workers.job.Turns`."""

    def __init__(self, ledger: Ledger, turns: Turns, presence: Presence, *, replace: bool = False) -> None:
        """turns: what the tasks are. replace: whether labels made with other settings may be discarded."""
        self._ledger, self._presence, self._replace = ledger, presence, replace
        # What the store's turns do already.
        self.claim, self.waiting, self.renew = turns.claim, turns.waiting, turns.renew
        self.fail, self.release, self.done = turns.fail, turns.release, turns.labelled
        self.counts = ledger.counts
        self._commit = turns.commit
        self._looked = time.monotonic()

    def commit(self, task: Task, staged: Path, outcome: Mapping[str, Any]) -> bool:
        return self._commit(task, staged, Outcome(**outcome))

    def is_complete(self) -> bool:
        """Whether nothing is waiting or being labelled elsewhere; takes over what ended processes held."""
        if self._ledger.counts()[WAITING]:
            return False
        if time.monotonic() - self._looked >= _LOOK_SECONDS:
            self._looked = time.monotonic()
            if self._ledger.recover(self._presence.dead(self._ledger.lease_owners())):
                return False
        return self._ledger.is_settled()

    def agree(self, description: Mapping[str, Any]) -> None:
        """Raises UsageError if the dataset was labelled with other settings, unless they may be replaced, once."""
        before = settings_of(self._ledger)
        if before is None or differences(before, description):
            before = agree(self._ledger, description, fingerprint(description), replace=self._replace)
            if before is not None and not self._replace:
                raise UsageError(
                    "this dataset was labelled with other settings:\n  "
                    + "\n  ".join(differences(before, description))
                    + "\nchoose another folder, or give --overwrite to discard all its labels"
                )
        self._replace = False
