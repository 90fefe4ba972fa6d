"""The desk's routes: each reads its call, and leaves the work to a function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from carvid.desk import look
from carvid.desk.ask_again import asked_masks, clicked_mask
from carvid.desk.carry import carried_masks
from carvid.desk.desk import Desk
from carvid.desk.edit import MOST_BYTES, MOST_INDEX, correct, give_verdict, optional_whole, whole
from carvid.serve.answers import MOST_BYTES as FEW_BYTES
from carvid.serve.answers import LinesResponse, NotFoundError, answered, read_json
from carvid.store.database import open_dataset
from carvid.store.reviewed import next_unreviewed

_PAGE = files("carvid.desk") / "page"
_TYPES = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
}

Work = Callable[[Desk, Mapping[str, int], Mapping[str, Any]], Any]


def desk_routes(desk: Desk) -> list[Route]:
    """The page and what it calls."""

    def route(method: str, path: str, work: Work, most: int = FEW_BYTES) -> Route:
        async def endpoint(request: Request) -> Response:
            desk.ranking.asked()
            ids = _ids(request)
            sent = await read_json(request, most) if method == "POST" else dict(request.query_params)
            return await answered(work, desk, ids, sent)

        return Route(f"/api{path}", endpoint, methods=[method])

    video, frame = "/videos/{video}", "/videos/{video}/frames/{frame}"
    return [
        Route("/", _file, methods=["GET"]),
        Route("/page/{name}", _file, methods=["GET"]),
        route("GET", "/dataset", lambda desk, ids, sent: look.facts(desk)),
        route("GET", "/videos", lambda desk, ids, sent: look.videos(desk)),
        route("GET", "/progress", lambda desk, ids, sent: look.team(desk)),
        route("GET", "/worst", lambda desk, ids, sent: desk.ranking.of_all()),
        route("GET", video, lambda desk, ids, sent: look.video(desk, ids["video"])),
        route("GET", f"{video}/timeline", lambda desk, ids, sent: look.timeline(desk, ids["video"])),
        route("GET", f"{video}/worst", _worst),
        route("GET", f"{video}/unreviewed", _unreviewed),
        route("GET", frame, _picture),
        route("GET", f"{frame}/masks", lambda desk, ids, sent: look.masks(desk, ids["video"], ids["frame"])),
        route(
            "POST",
            f"{video}/corrections",
            lambda desk, ids, sent: correct(desk, ids["video"], sent),
            MOST_BYTES,
        ),
        route(
            "POST",
            f"{video}/verdicts",
            lambda desk, ids, sent: give_verdict(desk, ids["video"], sent),
            MOST_BYTES,
        ),
        route("POST", f"{video}/propagations", _propagation),
        route("POST", f"{video}/asks", _ask),
        route("POST", f"{video}/clicks", _click),
    ]


def _ids(request: Request) -> dict[str, int]:
    """The ids of a path. Raises NotFoundError for what is no id."""
    return {name: _index(name, text) for name, text in request.path_params.items()}


def _index(name: str, text: Any) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 12 and int(text) < MOST_INDEX):
        raise NotFoundError(f"{text[:40]!r} is no id of a {name}; expected a whole number")
    return int(text)


async def _file(request: Request) -> Response:
    name = request.path_params.get("name", "index.html")
    kind = _TYPES.get(name.rpartition(".")[2])
    # Only the files that are there, by their names: a path cannot lead out of the folder.
    found = {each.name: each for each in _PAGE.iterdir()}.get(name)
    if kind is None or found is None:
        raise NotFoundError(f"there is no {name[:40]!r} here")
    # Asked again each time, so that a page and its scripts are of one version.
    return Response(
        await run_in_threadpool(found.read_bytes), headers={"cache-control": "no-cache"}, media_type=kind
    )


def _picture(desk: Desk, ids: Mapping[str, int], sent: Mapping[str, Any]) -> Response:
    with open_dataset(desk.dataset) as dataset:
        video = look.done_video(dataset, ids["video"])
    picture = desk.cache.picture(video, ids["frame"])
    # Not to be kept: another dataset may be served at the same address. The page keeps its pictures itself.
    return Response(picture, media_type="image/jpeg")


def _worst(desk: Desk, ids: Mapping[str, int], sent: Mapping[str, Any]) -> Any:
    with open_dataset(desk.dataset) as dataset:
        look.done_video(dataset, ids["video"])
    return {"frames": desk.ranking.of_video(ids["video"])}


def _unreviewed(desk: Desk, ids: Mapping[str, int], sent: Mapping[str, Any]) -> Any:
    after = [sent.get(name) for name in ("frame", "object")]
    # Without a place, from the start of the video.
    place = (-1, 0) if None in after else (_index("frame", after[0]), _index("object", after[1]))
    with open_dataset(desk.dataset) as dataset:
        look.done_video(dataset, ids["video"])
        return next_unreviewed(dataset, ids["video"], *place)


def _ask(desk: Desk, ids: Mapping[str, int], sent: Mapping[str, Any]) -> Response:
    # Until its first row is there, a call keeps one of the threads on which all others are answered.
    with desk.at_once:
        return LinesResponse(asked_masks(desk, ids["video"], sent))


def _click(desk: Desk, ids: Mapping[str, int], sent: Mapping[str, Any]) -> Any:
    with desk.at_once:
        return clicked_mask(desk, ids["video"], sent)


def _propagation(desk: Desk, ids: Mapping[str, int], sent: Mapping[str, Any]) -> Response:
    def rows() -> Any:
        with open_dataset(desk.dataset) as dataset:
            yield from carried_masks(
                dataset,
                ids["video"],
                whole(sent, "frame"),
                whole(sent, "object"),
                sent.get("direction"),
                optional_whole(sent, "last"),
            )

    return LinesResponse(rows())
