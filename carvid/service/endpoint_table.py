"""The table of the routes: what each takes and answers. Both the routes and their description are made of it."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from carvid.serve.answers import MOST_AT_ONCE, json_answer
from carvid.service.endpoint import JSON, Content, Endpoint, Parameter
from carvid.service.handlers import MOST_BODY_BYTES, NO_MODEL, Service
from carvid.service.jobs import MOST_JOBS
from carvid.service.openapi import describe
from carvid.service.schemas import SHARE, TEXT, a_list, ref
from carvid.service.sent_image import FORMATS, MOST_PX

_LONG = f"the body is longer than {MOST_BODY_BYTES} bytes"
_BUSY = f"{MOST_AT_ONCE} calls are waiting for the model"
_WRONG = "the request cannot be used"
_NOT_JSON = f"the body is not {JSON}"
_NO_MODEL = f"{NO_MODEL}; or its weights cannot be loaded"
_NO_JOB = "there is no such job"

_JOB_ID = Parameter("id", "path", "the job's id", TEXT, required=True)


def endpoints(service: Service) -> tuple[Endpoint, ...]:
    """All routes, with what handles them."""

    async def description(request: Request) -> Response:
        return json_answer(document)

    table = (
        Endpoint(
            "GET",
            "/healthz",
            "Whether the server runs, and with which model",
            service.health,
            {200: Content("it runs", ref("Health"))},
            is_open=True,
        ),
        Endpoint(
            "GET",
            "/openapi.json",
            "This description",
            description,
            {200: Content("OpenAPI 3.1", {"type": "object"})},
        ),
        *_own(service),
        *_label_studio(service),
    )
    document = describe(table)
    return table


def _own(service: Service) -> tuple[Endpoint, ...]:
    return (
        Endpoint(
            "POST",
            "/v1/segment",
            "Segment one image, which is the body",
            service.segment,
            {200: Content("its objects", ref("Image"))},
            {
                400: _WRONG,
                413: _LONG,
                415: "the body's content-type is none of these images",
                422: f"the body cannot be read as an image, or has more than {MOST_PX} pixels",
                429: _BUSY,
                503: _NO_MODEL,
            },
            (
                Parameter("query", "query", "what to find; repeat it for more", a_list(TEXT), required=True),
                Parameter(
                    "theta", "query", "the lowest score at which a query is there; else the server's", SHARE
                ),
            ),
            Content("the image", None, tuple(FORMATS)),
        ),
        Endpoint(
            "GET",
            "/v1/videos",
            "The videos in the server's folders",
            service.videos,
            {200: Content("the videos", a_list(ref("Video")))},
        ),
        Endpoint(
            "POST",
            "/v1/jobs",
            "Segment a video, after those that wait already",
            service.add_job,
            {202: Content("the job", ref("Job"))},
            {
                400: _WRONG,
                404: "there is no such video",
                413: "the body is too long",
                415: _NOT_JSON,
                429: f"{MOST_JOBS} jobs are kept",
                503: _NO_MODEL,
                507: "there is no room for its results",
            },
            body=Content("what to segment", ref("JobRequest")),
        ),
        Endpoint(
            "GET",
            "/v1/jobs",
            "The jobs that are kept, oldest first",
            service.jobs,
            {200: Content("the jobs", a_list(ref("Job")))},
        ),
        Endpoint(
            "GET",
            "/v1/jobs/{id}",
            "One job: its state, and how many frames are done",
            service.job,
            {200: Content("the job", ref("Job"))},
            {404: _NO_JOB},
            (_JOB_ID,),
        ),
        Endpoint(
            "GET",
            "/v1/jobs/{id}/events",
            "A job's results as server-sent events: `frame` (data: Frame), then `done`, `failed` or `cancelled` "
            "(data: Job)",
            service.events,
            {200: Content("the events", TEXT, ("text/event-stream",))},
            {400: _WRONG, 404: _NO_JOB},
            (
                _JOB_ID,
                Parameter("Last-Event-ID", "header", "go on after the event with this id", TEXT),
            ),
        ),
        Endpoint(
            "DELETE",
            "/v1/jobs/{id}",
            "Cancel a job or, once it has ended, forget it and its results",
            service.drop_job,
            {200: Content("which of both", ref("Dropped"))},
            {404: _NO_JOB},
            (_JOB_ID,),
        ),
    )


def _label_studio(service: Service) -> tuple[Endpoint, ...]:
    return (
        Endpoint(
            "GET",
            "/labelstudio/health",
            "Label Studio: whether the backend is there",
            service.studio_health,
            {200: Content("it is", ref("LabelStudioHealth"))},
            {503: NO_MODEL},
        ),
        Endpoint(
            "POST",
            "/labelstudio/setup",
            "Label Studio: whether a project's labelling configuration can be used",
            service.studio_setup,
            {200: Content("it can; the version of what predicts", ref("LabelStudioModel"))},
            {400: _WRONG, 413: _LONG, 415: _NOT_JSON, 503: NO_MODEL},
            body=Content("the project, with its configuration as schema", ref("LabelStudioSetup")),
        ),
        Endpoint(
            "GET",
            "/labelstudio/versions",
            "Label Studio: the versions there are",
            service.studio_versions,
            {200: Content("the one there is", ref("LabelStudioVersions"))},
            {503: NO_MODEL},
        ),
        Endpoint(
            "POST",
            "/labelstudio/predict",
            "Label Studio: brush masks for tasks",
            service.studio_predict,
            {200: Content("a prediction, or an error, for each task", ref("LabelStudioPredictions"))},
            {
                400: _WRONG,
                413: _LONG,
                415: _NOT_JSON,
                422: "no task's image can be read",
                429: _BUSY,
                503: _NO_MODEL,
            },
            body=Content("the tasks, with the project's configuration", ref("LabelStudioRequest")),
        ),
        Endpoint(
            "POST",
            "/labelstudio/webhook",
            "Label Studio: something has happened; nothing is done about it",
            service.studio_webhook,
            {200: Content("it was read", ref("LabelStudioIgnored"))},
            {400: "the training that it asks for is none of carvid's", 413: _LONG, 415: _NOT_JSON},
            body=Content("what has happened", {"type": "object"}),
        ),
    )
