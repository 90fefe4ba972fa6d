"""`--help` shows every option of every command, each under a heading."""

from __future__ import annotations

import pytest
import typer
from typer.testing import CliRunner

from carvid.cli import app

COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_shown(name: str) -> None:
    shown = CliRunner().invoke(app, [name, "--help"])
    assert shown.exit_code == 0, shown.output
    for parameter in COMMANDS[name].params:
        for flag in parameter.opts if parameter.param_type_name == "option" else ():
            assert flag in shown.output
