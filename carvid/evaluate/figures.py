"""What scoring comes to: figures over all and by row, as JSON, CSV and Markdown."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from carvid.media.whole_file import output_errors, write_whole

#: Not scores.json, which `carvid.davis` writes for Ref-DAVIS.
FIGURES_FILE = "figures.json"

#: A figure that does not exist, such as the IoU of a class that never occurs, is None.
Figure = float | int | None


@dataclass(frozen=True)
class Figures:
    """The scores of a split.

    overall: the benchmark's figures, by the name the field gives them; shares in [0, 1], counts as whole numbers.
    tables: figures by row, such as "class" -> "aeroplane" -> "IoU"; the rows of a table have the same columns.
    notes: what a reader of the figures should know, such as samples that were left out.
    """

    benchmark: str
    split: str
    overall: Mapping[str, Figure]
    tables: Mapping[str, Mapping[str, Mapping[str, Figure]]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def to_json(self) -> str:
        document = {
            "benchmark": self.benchmark,
            "split": self.split,
            "overall": dict(self.overall),
            "tables": self.tables,
            "notes": list(self.notes),
        }
        return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    def to_markdown(self) -> str:
        """The figures over all as a table of one row, and the notes."""
        heads = ("benchmark", "split", *self.overall)
        cells = (self.benchmark, self.split, *map(in_words, self.overall.values()))
        lines = [_row(heads), _row("---" for _ in heads), _row(cells)]
        return "\n".join([*lines, *(f"\n{note}" for note in self.notes)])

    def table_csv(self, table: str) -> str:
        """One of `tables` as CSV; a figure that does not exist is an empty cell."""
        rows = self.tables[table]
        columns = list(dict.fromkeys(column for row in rows.values() for column in row))
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([table, *columns])
        for name, row in rows.items():
            writer.writerow(
                [name, *("" if (value := row.get(column)) is None else value for column in columns)]
            )
        return text.getvalue()

    def write(self, folder: Path) -> None:
        """Write figures.json, and figures-<table>.csv for each of `tables`. Raises OutputError."""
        with output_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        for table in self.tables:
            write_whole(folder / f"figures-{table}.csv", self.table_csv(table).encode())
        write_whole(folder / FIGURES_FILE, self.to_json().encode())


def in_words(figure: Figure) -> str:
    """A figure for a table: shares with four digits after the point."""
    if figure is None:
        return "-"
    return str(figure) if isinstance(figure, int) else f"{figure:.4f}"


def _row(cells: object) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"  # type: ignore[attr-defined]
