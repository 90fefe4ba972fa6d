"""What handles each route: reads the call, does the work on a thread, and answers."""

from __future__ import annotations

from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from carvid import __version__
from carvid.errors import UsageError, WeightsError
from carvid.serve.answers import AtOnce, answered, json_answer, read_body, read_json
from carvid.serve.lent_model import LentModel
from carvid.serve.segment import ImageSegmenter
from carvid.service.asked import asked_job, asked_place, asked_queries, asked_theta
from carvid.service.job_events import job_events
from carvid.service.jobs import Jobs, TooManyJobsError
from carvid.service.label_config import read_brush
from carvid.service.label_studio import model_version, predict
from carvid.service.media_folders import MediaFolders
from carvid.service.result_json import image_json
from carvid.service.sent_image import FORMATS, decode_image

MOST_BODY_BYTES = 64 << 20

NO_MODEL = "this server was started without a model; start carvid serve with --model"


class Service:
    """The handlers, with what they share."""

    def __init__(self, model: LentModel | None, folders: MediaFolders, jobs: Jobs) -> None:
        self._model, self._folders, self._jobs = model, folders, jobs
        self._segmenter = None if model is None else ImageSegmenter(model)
        self._at_once = AtOnce()

    async def health(self, request: Request) -> Response:
        lent = self._model
        return json_answer(
            {
                "status": "ok",
                "version": __version__,
                "model": None if lent is None else lent.recipe.model,
                "loaded": lent is not None and lent.is_loaded,
            }
        )

    async def segment(self, request: Request) -> Response:
        segmenter, queries, theta = self._needed(), asked_queries(request), asked_theta(request)
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in FORMATS:
            raise HTTPException(
                415, f"the body's content-type is {kind or 'not given'}; expected one of {', '.join(FORMATS)}"
            )

        def work(data: bytes) -> dict[str, Any]:
            return image_json(segmenter.segment(decode_image(data, "the image"), queries, theta))

        with self._at_once:
            return await answered(work, await read_body(request, MOST_BODY_BYTES))

    async def videos(self, request: Request) -> Response:
        def work() -> list[dict[str, str]]:
            return [
                {"id": one.id, "folder": one.folder.name, "path": one.path} for one in self._folders.videos()
            ]

        return await answered(work)

    async def add_job(self, request: Request) -> Response:
        segmenter, body = self._needed(), await read_json(request)

        def work() -> Response:
            try:
                return json_answer(
                    self._jobs.add(asked_job(body, self._folders), segmenter).to_json(), status=202
                )
            except TooManyJobsError as error:
                raise HTTPException(429, str(error)) from error

        return await answered(work)

    async def jobs(self, request: Request) -> Response:
        return json_answer([job.to_json() for job in self._jobs.all()])

    async def job(self, request: Request) -> Response:
        return json_answer(self._jobs.get(request.path_params["id"]).to_json())

    async def events(self, request: Request) -> Response:
        job, first = self._jobs.get(request.path_params["id"]), asked_place(request)
        # A proxy that gathers an answer before it passes it on would hold the events back.
        quick = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(job_events(job, first), 200, quick, "text/event-stream")

    async def drop_job(self, request: Request) -> Response:
        name = request.path_params["id"]
        return json_answer({"id": name, "state": self._jobs.drop(name)})

    async def studio_health(self, request: Request) -> Response:
        self._needed()
        return json_answer({"status": "UP", "model_class": "carvid"})

    async def studio_setup(self, request: Request) -> Response:
        recipe = self._needed().lent.recipe
        config = (await read_json(request, MOST_BODY_BYTES)).get("schema")
        # Label Studio also sends a token for its own interface; nothing here needs one.
        if not isinstance(config, str):
            raise UsageError("the request has no schema; expected the project's labelling configuration")
        read_brush(config)
        return json_answer({"model_version": model_version(recipe)})

    async def studio_versions(self, request: Request) -> Response:
        return json_answer({"versions": [model_version(self._needed().lent.recipe)]})

    async def studio_predict(self, request: Request) -> Response:
        segmenter = self._needed()
        with self._at_once:
            body = await read_json(request, MOST_BODY_BYTES)
            return await answered(predict, segmenter, self._folders, body)

    async def studio_webhook(self, request: Request) -> Response:
        if (await read_json(request, MOST_BODY_BYTES)).get("action") == "START_TRAINING":
            raise UsageError(
                "carvid is not trained: it finds what the labels say, so there is nothing to start"
            )
        return json_answer({"status": "ignored"})

    def _needed(self) -> ImageSegmenter:
        if self._segmenter is None:
            raise WeightsError(NO_MODEL)
        return self._segmenter
