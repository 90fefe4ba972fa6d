"""Options that several commands share, apart from those of a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from carvid.cli.completion import among, devices, readers
from carvid.cli.help import OUTPUT, SOURCE
from carvid.recipe.recipe import MACHINE

Reader = Annotated[
    str,
    typer.Option(
        "--reader",
        help="Video reader: pyav or decord.",
        rich_help_panel=SOURCE,
        autocompletion=among(readers),
    ),
]
StartFrame = Annotated[
    int, typer.Option("--start-frame", help="First frame, counted from 0.", rich_help_panel=SOURCE)
]
StopFrame = Annotated[
    int | None, typer.Option("--stop-frame", help="Stop before this frame.", rich_help_panel=SOURCE)
]
Every = Annotated[int, typer.Option("--every", help="Take only every N-th frame.", rich_help_panel=SOURCE)]
Strict = Annotated[
    bool, typer.Option("--strict", help="Treat damage in the source as an error.", rich_help_panel=SOURCE)
]
Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", help="Replace what carvid wrote there before.", rich_help_panel=OUTPUT),
]
Json = Annotated[bool, typer.Option("--json", help="Print the summary as JSON.", rich_help_panel=OUTPUT)]
Out = Annotated[Path, typer.Option("--out", "-o", help="Output folder.", rich_help_panel=OUTPUT)]
Device = Annotated[
    str, typer.Option("--device", help="auto, cpu, cuda, cuda:N or mps.", autocompletion=among(devices))
]
Workers = Annotated[
    int,
    typer.Option(
        "--workers", help="Worker processes, each of which loads the model.", rich_help_panel=MACHINE
    ),
]
Ray = Annotated[
    str | None,
    typer.Option(
        "--ray",
        help="Run the workers on the Ray cluster at this address; local starts one here. Needs carvid[ray].",
        rich_help_panel=MACHINE,
    ),
]
