"""`--help` with the options under headings, in plain text."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperCommand

# The headings, in the order of the work; an option that has none comes under the last.
SOURCE, OUTPUT, CALLERS = "Source", "Output", "Who may call"
HEADINGS = (
    SOURCE,
    CALLERS,
    "Models",
    "Speed",
    "Method",
    "Refinement",
    "Motion",
    OUTPUT,
    "Machine",
    "Options",
)


class GroupedCommand(TyperCommand):
    """A command whose help lists its options by heading (`rich_help_panel`)."""

    def format_options(self, context: typer.Context, formatter: Any) -> None:  # type: ignore[override]
        """Write the arguments, then the options of each heading."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(context):
            record = parameter.get_help_record(context)
            if record is None:
                continue
            heading = getattr(parameter, "rich_help_panel", None) or HEADINGS[-1]
            argument = parameter.param_type_name == "argument"
            assert heading in HEADINGS, f"{heading} is no heading: its options would not be shown"
            groups.setdefault("Arguments" if argument else heading, []).append(record)
        for heading in ("Arguments", *HEADINGS):
            if heading in groups:
                with formatter.section(heading):
                    formatter.write_dl(groups[heading])
