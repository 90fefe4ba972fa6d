"""The routes for other programs, to be mounted by a server."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from starlette.routing import Route

from carvid.serve.lent_model import LentModel
from carvid.service.endpoint_table import endpoints
from carvid.service.handlers import Service
from carvid.service.jobs import Jobs
from carvid.service.media_folders import MediaFolders


def service_routes(model: LentModel | None, folders: Sequence[Path], jobs: Jobs | None = None) -> list[Route]:
    """The routes for other programs. They check no token.

    model: None for a server without one; what needs it then answers 503. folders: where videos and images may be read.
    jobs: for a caller that closes them; else they are closed when Python ends.
    Raises UsageError for a folder that is none.
    """
    service = Service(model, MediaFolders(folders), Jobs() if jobs is None else jobs)
    return [Route(one.path, one.handler, methods=[one.method]) for one in endpoints(service)]
