"""`carvid serve`: the desk in the browser, and a service for other tools."""

from __future__ import annotations

import webbrowser
from collections.abc import Mapping
from pathlib import Path
from threading import Thread
from typing import Annotated, Any

import typer

from carvid.cli.help import CALLERS, SOURCE
from carvid.cli.recipe_options import takes_recipe
from carvid.errors import UsageError
from carvid.recipe import Recipe, recipe_of

PORT = 8765
"""The port unless another one is given: always the same, as a browser keeps what is not saved yet by the address."""


def _recipe_of_dataset(given: Mapping[str, Any]) -> Recipe | None:
    """What the dataset is labelled with; None without a dataset, or before it is labelled."""
    from carvid.store.database import open_dataset

    if given["dataset"] is None:
        return None
    with open_dataset(given["dataset"]) as dataset:
        settings = dataset.settings()
    return recipe_of(settings) if settings else None


@takes_recipe(base=_recipe_of_dataset, without=("batch",))
def serve(
    recipe: Recipe,
    dataset: Annotated[
        Path | None,
        typer.Argument(help="The folder that `carvid annotate` wrote; without it, the service alone."),
    ] = None,
    folder: Annotated[
        list[Path] | None,
        typer.Option(
            "--folder",
            help="A folder of videos and images that other tools may name; repeat it for several.",
            rich_help_panel=SOURCE,
        ),
    ] = None,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")
    ] = True,
    port: Annotated[
        int, typer.Option("--port", help="The port to listen on; 0 takes any.", rich_help_panel=CALLERS)
    ] = PORT,
    host: Annotated[
        str,
        typer.Option(
            "--host",
            help="The address to listen on; one that others can reach needs --token-file.",
            rich_help_panel=CALLERS,
        ),
    ] = "127.0.0.1",
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-host",
            help="NAME:PORT by which others reach this machine; repeat it for several.",
            rich_help_panel=CALLERS,
        ),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            "--token-file",
            help="A file with the token to use; by default a new one each time.",
            rich_help_panel=CALLERS,
        ),
    ] = None,
) -> int:
    """Look at masks in the browser, correct them and accept them; and let other tools call carvid.

    The recipe is the dataset's, unless a model or a preset is given.
    """
    try:
        from carvid.serve.server import address_of, application, listen, new_token, read_token, url_of
        from carvid.serve.server import serve as answer
    except ImportError as error:
        raise UsageError(
            f"{error}; install it with: pip install 'carvid[serve]' (in a checkout: pip install '.[serve]')"
        ) from error
    from carvid.desk.api import desk_routes
    from carvid.desk.desk import Desk
    from carvid.serve.lent_model import LentModel
    from carvid.service.jobs import Jobs
    from carvid.service.routes import service_routes
    from carvid.store.database import open_dataset

    address = address_of(host, port, allow_host or ())
    _check(address, token_file)
    token = new_token() if token_file is None else read_token(token_file)
    lent = LentModel(recipe)
    jobs = Jobs()
    routes = service_routes(lent, folder or [], jobs)
    desk = None
    if dataset is None:
        # Whoever calls the service needs it, so what is wrong with it is told now.
        lent.get()
    else:
        open_dataset(dataset).close()
        desk = Desk(dataset, lent)
        desk.ranking.start()
        routes += desk_routes(desk)
    listening = listen(address)
    url = url_of(listening, host)
    page = f"{url}/#token={token}"
    if not address.is_local:
        typer.echo(
            f"carvid: {host} can be reached from other machines, so the token in {token_file} is all that keeps others "
            "out; what is sent is not encrypted: put a server that does TLS before it",
            err=True,
        )
    what = "the desk is at" if desk else "the service is at"
    try:
        typer.echo(f"carvid: {what} {page if desk else url}")
        if desk is None and token_file is None:
            typer.echo(f"carvid: its token is {token}")
        typer.echo("carvid: Ctrl-C ends it", err=True)
        if desk and browser:
            # A browser in the terminal would keep the server from answering.
            Thread(target=webbrowser.open, args=(page,), daemon=True).start()
        answer(application(routes, address.hosts(listening.getsockname()[1]), token), listening, jobs.cancel)
    except KeyboardInterrupt:
        # The usual way to end it.
        return 0
    finally:
        jobs.close()
        if desk is not None:
            desk.close()
    return 0


def _check(address: Any, token_file: Path | None) -> None:
    if not 0 <= address.port < 1 << 16:
        raise UsageError(f"--port is {address.port}; expected 0 to 65535")
    for name in address.allowed:
        host, _, port = name.rpartition(":")
        if not host or not port.isdecimal():
            raise UsageError(f"--allow-host is {name!r}; expected NAME:PORT, such as desk.example.org:8765")
    if address.is_local:
        return
    if token_file is None:
        raise UsageError(
            f"--host {address.host} can be reached from other machines: give --token-file, whose token you hand to "
            "those who may come in; or leave out --host, and only this machine can reach the page"
        )
    if address.ip.is_unspecified and not address.allowed:
        raise UsageError(
            f"--host {address.host} listens on every address; say with --allow-host NAME:PORT by which name others come"
        )
