"""From errors to messages on stderr and exit codes."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from typing import ParamSpec

import typer

from carvid.errors import CarvidError

PART_FAILED = 1
INTERRUPTED = 130

P = ParamSpec("P")


def exits(command: Callable[P, int | None]) -> Callable[P, None]:
    """Wrap a command: its return value is the exit code, and errors meant for the caller become messages."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            code = command(*args, **kwargs) or 0
            sys.stdout.flush()
        except CarvidError as error:
            typer.echo(f"carvid: {error}", err=True)
            code = error.exit_code
        except KeyboardInterrupt:
            typer.echo("carvid: interrupted", err=True)
            code = INTERRUPTED
        except BrokenPipeError:
            # The reader of stdout has gone, as `carvid ... | head` does; nothing more can be said there.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = PART_FAILED
        raise typer.Exit(code)

    return wrapped
