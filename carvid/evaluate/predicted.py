"""Predicted label maps, from whoever made them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from carvid.errors import InputError
from carvid.evaluate.contract import Missing
from carvid.evaluate.truth_png import read_labels
from carvid.paths import is_file
from carvid.problems import refuse_if_any


class Predicted:
    """Reads predictions below a folder and gathers what is wrong with them, for one error at the end."""

    def __init__(self, folder: Path, missing: Missing) -> None:
        self._folder, self._missing = folder, missing
        self.problems: list[str] = []
        self.absent = 0

    def read(self, path: str, size: tuple[int, int], highest: int) -> NDArray[np.int32]:
        """(H, W) int32 labels, `size` is (H, W), up to `highest`; all 0 where they cannot be used."""
        file = self._folder / path
        empty = np.zeros(size, np.int32)
        try:
            if not is_file(file, InputError):
                self.absent += 1
                if self._missing == "refuse":
                    self.problems.append(f"no file {file}")
                return empty
            labels = read_labels(file)
        except InputError as error:
            self.problems.append(str(error))
            return empty
        if labels.shape != size:
            self.problems.append(
                f"{file} is {labels.shape[1]}x{labels.shape[0]} px; expected {size[1]}x{size[0]}"
            )
            return empty
        if not 0 <= labels.min() <= labels.max() <= highest:
            self.problems.append(
                f"{file} has labels {labels.min()} to {labels.max()}; expected 0 to {highest}"
            )
            return empty
        return labels

    def refuse_if_any(self) -> None:
        """Raises InputError that lists the problems."""
        refuse_if_any(
            self.problems,
            f"the predictions in {self._folder} cannot be scored",
            "Predict these again; those that are missing can also be scored as empty.",
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What to say of predictions that were not there."""
        return (f"{self.absent} missing predictions were scored as empty masks.",) if self.absent else ()
