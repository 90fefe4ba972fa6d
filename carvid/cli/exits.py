"""From errors to messages on stderr and exit codes."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import ParamSpec

import typer

from carvid.errors import CarvidError

PART_FAILED = 1
INTERRUPTED = 130

P = ParamSpec("P")


def tell(error: CarvidError) -> int:
    """Say on standard error what went wrong; returns the exit code."""
    typer.echo(f"carvid: {error}", err=True)
    return error.exit_code


def exits(command: Callable[P, int | None]) -> Callable[P, None]:
    """Wrap a command: its return value becomes the exit code, and errors meant for the caller become messages."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            code = command(*args, **kwargs) or 0
            sys.stdout.flush()
        except CarvidError as error:
            code = tell(error)
        except KeyboardInterrupt:
            typer.echo("carvid: interrupted", err=True)
            code = INTERRUPTED
        except BrokenPipeError:
            # The reader of standard output has gone, as in `carvid ... | head`.
            code = PART_FAILED
        raise typer.Exit(code)

    return wrapped
