"""Videos by id, jobs over them, their events, and what is kept of them."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from carvid.errors import InputError, UsageError
from carvid.media.rle import decode_rle
from carvid.serve.answers import NotFoundError
from carvid.serve.segment import ImageSegmenter
from carvid.service.job_events import job_events
from carvid.service.jobs import Job, JobRequest, Jobs, TooManyJobsError
from carvid.service.media_folders import MediaFolders
from carvid.service.routes import service_routes
from carvid.stream.source import Selection
from tests.media import truncate, write_folder
from tests.service_cases import ABSENT, RED, encoded, iou, scene, shapes_model, write_clip
from tests.serving import Caller, Event, read_events, served

FRAMES = 6


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two videos and a folder of images, among what is none."""
    root = tmp_path / "media"
    write_clip(root / "a" / "clip10.mp4", FRAMES)
    write_clip(root / "a" / "clip9.mp4", FRAMES)
    write_folder(root / "frames", [scene().image, scene(3).image])
    (root / "a" / "notes.txt").write_text("no video")
    write_clip(root / ".hidden" / "clip.mp4", 1)
    return root


@pytest.fixture
def jobs() -> Iterator[Jobs]:
    jobs = Jobs(most=3)
    yield jobs
    jobs.close()


@pytest.fixture
def server(folder: Path, jobs: Jobs) -> Iterator[Caller]:
    with served(service_routes(shapes_model(), [folder], jobs)) as caller:
        yield caller


def video_id(server: Caller, path: str) -> str:
    return next(one["id"] for one in server.call("GET", "/v1/videos").json if one["path"] == path)


def started(server: Caller, path: str = "a/clip9.mp4", **more: Any) -> str:
    data = {"video": video_id(server, path), "queries": [RED, ABSENT], **more}
    answer = server.call("POST", "/v1/jobs", data=data)
    assert answer.status == 202, answer.body
    # One that cannot be read may have failed already.
    assert answer.json["state"] in ("waiting", "running", "failed")
    name: str = answer.json["id"]
    return name


def events(server: Caller, job: str, after: int | None = None) -> list[Event]:
    headers = {} if after is None else {"Last-Event-ID": str(after)}
    with server.opened("GET", f"/v1/jobs/{job}/events", headers=headers) as response:
        assert response.status == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        return list(read_events(iter(response)))


class Held:
    """The model's turn, held: a job that runs waits for it."""

    def __enter__(self) -> None:
        shapes_model().get()
        shapes_model().turn.acquire()

    def __exit__(self, *_: object) -> None:
        shapes_model().turn.release()


def test_videos_are_listed_by_ids_that_stay(server: Caller, folder: Path) -> None:
    found = server.call("GET", "/v1/videos").json
    assert [(one["folder"], one["path"]) for one in found] == [
        ("media", "a/clip9.mp4"),
        ("media", "a/clip10.mp4"),
        ("media", "frames"),
    ]
    assert len({one["id"] for one in found}) == 3
    assert [one.id for one in MediaFolders([folder]).videos()] == [one["id"] for one in found]


def test_links_out_of_a_folder_are_not_followed(folder: Path, tmp_path: Path) -> None:
    outside = write_clip(tmp_path / "outside" / "secret.mp4", 1)
    (tmp_path / "outside" / "secret.png").write_bytes(encoded(scene().image))
    (folder / "linked.mp4").symlink_to(outside)
    (folder / "linked").symlink_to(outside.parent)
    (folder / "mixed").mkdir()
    (folder / "mixed" / "0.png").write_bytes(encoded(scene().image))
    (folder / "mixed" / "1.png").symlink_to(tmp_path / "outside" / "secret.png")
    (folder / "again.mp4").symlink_to(folder / "a" / "clip9.mp4")
    folders = MediaFolders([folder])
    assert [one.path for one in folders.videos()] == ["a/clip9.mp4", "a/clip10.mp4", "again.mp4", "frames"]
    with pytest.raises(InputError, match=r"there is no image 'mixed/1\.png'"):
        folders.image("mixed/1.png")
    with pytest.raises(InputError, match=r"there is no image 'linked/secret\.png'"):
        folders.image("linked/secret.png")
    # What has become a link since it was listed is not opened.
    video = next(one for one in folders.videos() if one.path == "frames")
    (folder / "frames" / "00002.png").symlink_to(tmp_path / "outside" / "secret.png")
    with pytest.raises(InputError, match="a link that leads out of its folder"):
        video.opened()


def test_images_are_found_below_a_folder_and_nowhere_else(folder: Path, tmp_path: Path) -> None:
    folders = MediaFolders([folder])
    assert folders.image("frames/00000.png") == folder / "frames" / "00000.png"
    assert folders.image("/frames/00000.png") == folder / "frames" / "00000.png"
    (tmp_path / "beside.png").write_bytes(encoded(scene().image))
    for path in ("../beside.png", "a/../../beside.png", str(tmp_path / "beside.png"), "", "a", "a/\0.png"):
        with pytest.raises(InputError):
            folders.image(path)
    write_folder(tmp_path / "more" / "frames", [scene().image])
    with pytest.raises(InputError, match="in 2 of this server's folders"):
        MediaFolders([folder, tmp_path / "more"]).image("frames/00000.png")
    with pytest.raises(UsageError, match="there is no folder"):
        MediaFolders([tmp_path / "none"])


def test_a_job_gives_each_frame_and_ends(server: Caller) -> None:
    job = started(server)
    *frames, last = events(server, job)
    assert [one.name for one in frames] == ["frame"] * FRAMES
    assert [one.id for one in frames] == [str(i + 1) for i in range(FRAMES)]
    assert [one.data["index"] for one in frames] == list(range(FRAMES))
    assert frames[0].data["pts_seconds"] == 0.0
    assert frames[0].data["name"] == "00000"
    for i, one in enumerate(frames):
        red, absent = one.data["objects"]
        assert (red["query"], red["present"], absent["present"]) == (RED, True, False)
        assert iou(decode_rle(red["segmentation"]), scene(float(i)).masks[0]) > 0.7
    assert (last.name, last.data["state"], last.data["frames"]) == ("done", "done", FRAMES)
    assert last.data["damage"] == []
    assert server.call("GET", f"/v1/jobs/{job}").json == last.data
    assert server.call("GET", "/v1/jobs").json == [last.data]


def test_a_range_of_frames(server: Caller) -> None:
    found = events(server, started(server, start_frame=1, stop_frame=5, every=2))
    assert [one.data["index"] for one in found[:-1]] == [1, 3]


def test_a_reader_goes_on_where_it_was(server: Caller) -> None:
    job = started(server)
    whole = events(server, job)
    assert events(server, job, after=4) == whole[4:]
    assert [one.name for one in events(server, job, after=FRAMES)] == ["done"]
    assert [one.name for one in events(server, job, after=999)] == ["done"]
    answer = server.call("GET", f"/v1/jobs/{job}/events", headers={"Last-Event-ID": "x"})
    assert (answer.status, answer.json["error"]) == (400, "Last-Event-ID is 'x'; expected the id of an event")


def test_several_readers_follow_one_job_while_it_runs(server: Caller) -> None:
    with Held():
        job = started(server)
        found: list[list[Event]] = []
        readers = [threading.Thread(target=lambda: found.append(events(server, job))) for _ in range(3)]
        for reader in readers:
            reader.start()
    for reader in readers:
        reader.join()
    assert len(found) == 3
    assert found[0] == found[1] == found[2]
    assert len(found[0]) == FRAMES + 1


def test_a_waiting_job_tells_readers_that_it_is_still_there(folder: Path) -> None:
    (video, *_) = MediaFolders([folder]).videos()
    job = Job(JobRequest(video, (RED,), Selection(0, None, 1)))

    async def first() -> bytes:
        stream = job_events(job, 0, heartbeat_seconds=0.0)
        chunk = await anext(stream)
        await stream.aclose()
        return chunk

    assert asyncio.run(first()) == b": still here\n\n"
    job.close()


def test_jobs_are_cancelled_and_forgotten(server: Caller) -> None:
    with Held():
        running, waiting = started(server), started(server)
        for job in (running, waiting):
            answer = server.call("DELETE", f"/v1/jobs/{job}")
            assert answer.json == {"id": job, "state": "cancelled"}
        assert [one["state"] for one in server.call("GET", "/v1/jobs").json] == ["cancelled"] * 2
    (last,) = events(server, running)
    assert (last.name, last.data["frames"]) == ("cancelled", 0)
    assert server.call("DELETE", f"/v1/jobs/{waiting}").json == {"id": waiting, "state": "forgotten"}
    assert server.call("GET", f"/v1/jobs/{waiting}").status == 404
    # The next job runs all the same.
    assert events(server, started(server))[-1].name == "done"


def test_no_more_jobs_are_kept_than_said(server: Caller) -> None:
    jobs = [started(server) for _ in range(3)]
    data = {"video": video_id(server, "frames"), "queries": [RED]}
    answer = server.call("POST", "/v1/jobs", data=data)
    assert (answer.status, answer.json["error"]) == (
        429,
        "3 jobs are kept; DELETE one that is no longer needed",
    )
    server.call("DELETE", f"/v1/jobs/{jobs[-1]}")
    server.call("DELETE", f"/v1/jobs/{jobs[-1]}")
    assert server.call("POST", "/v1/jobs", data=data).status == 202


def test_a_video_that_cannot_be_read_fails_its_job_alone(server: Caller, folder: Path) -> None:
    (folder / "a" / "clip9.mp4").write_bytes(b"no video at all")
    (last,) = events(server, started(server))
    assert (last.name, last.data["state"]) == ("failed", "failed")
    assert "clip9.mp4" in last.data["error"]
    assert events(server, started(server, "frames"))[-1].name == "done"


def test_damage_is_told(server: Caller, folder: Path) -> None:
    broken = folder / "frames" / "00001.png"
    truncate(broken, 200)
    *frames, last = events(server, started(server, "frames"))
    assert [one.data["index"] for one in frames] == [0]
    (told,) = last.data["damage"]
    assert told.startswith("frame 1: 00001.png cannot be read as an image")


@pytest.mark.parametrize(
    ("data", "status", "words"),
    [
        ({}, 400, "video is None; expected an id from GET /v1/videos"),
        ({"video": "../../etc/passwd", "queries": [RED]}, 404, "there is no video '../../etc/passwd'"),
        ({"video": "VIDEO", "queries": RED}, 400, "queries is 'the red circle'; expected a list of texts"),
        ({"video": "VIDEO", "queries": []}, 400, "no query"),
        ({"video": "VIDEO", "queries": [RED], "every": 0}, 400, "every is 0"),
        ({"video": "VIDEO", "queries": [RED], "every": True}, 400, "every is True; expected a whole number"),
        ({"video": "VIDEO", "queries": [RED], "start_frame": 3, "stop_frame": 2}, 400, "stop_frame is 2"),
        ({"video": "VIDEO", "queries": [RED], "out": "/tmp"}, 400, "unknown 'out'; expected some of video"),
    ],
)
def test_jobs_that_are_refused(server: Caller, data: dict[str, Any], status: int, words: str) -> None:
    if data.get("video") == "VIDEO":
        data = {**data, "video": video_id(server, "frames")}
    answer = server.call("POST", "/v1/jobs", data=data)
    assert answer.status == status
    assert words in answer.json["error"]
    assert server.call("GET", "/v1/jobs").json == []


def test_a_job_that_is_not_there(server: Caller) -> None:
    for method, path in [("GET", "/v1/jobs/x"), ("GET", "/v1/jobs/x/events"), ("DELETE", "/v1/jobs/x")]:
        answer = server.call(method, path)
        assert (answer.status, answer.json["error"][:21]) == (404, "there is no job 'x'; ")


def test_results_come_in_pieces_of_a_file(folder: Path) -> None:
    (video, *_) = MediaFolders([folder]).videos()
    job = Job(JobRequest(video, (RED,), Selection(0, None, 1)))
    assert not job.add({"n": 0})
    assert job.start()
    assert not job.start()
    assert all(job.add({"n": n, "name": "ü\n"}) for n in range(3))
    assert [json.loads(line)["n"] for line in job.results(0, 1)] == [0]
    assert [json.loads(line)["n"] for line in job.results(1, 1000)] == [1, 2]
    assert job.results(3, 1000) == []
    assert json.loads(job.results(2, 1)[0])["name"] == "ü\n"
    assert job.end("done")
    assert not job.end("cancelled")
    job.close()
    assert (job.state, job.results(0, 1000)) == ("done", [])


def test_closing_cancels_what_runs_and_takes_no_more(folder: Path) -> None:
    jobs, segmenter = Jobs(most=2), ImageSegmenter(shapes_model())
    (video, *_) = MediaFolders([folder]).videos()
    request = JobRequest(video, (RED,), Selection(0, None, 1))
    with Held():
        both = [jobs.add(request, segmenter) for _ in range(2)]
        with pytest.raises(TooManyJobsError):
            jobs.add(request, segmenter)
        closing = threading.Thread(target=jobs.close)
        closing.start()
    closing.join()
    assert [job.state for job in both] == ["cancelled", "cancelled"]
    with pytest.raises(UsageError, match="about to end"):
        jobs.add(request, segmenter)
    with pytest.raises(NotFoundError):
        jobs.get("x")


def test_readers_are_told_and_leave_when_the_server_is_about_to_end(server: Caller, jobs: Jobs) -> None:
    with Held():
        job = started(server)
        with server.opened("GET", f"/v1/jobs/{job}/events") as response:
            jobs.cancel()
            assert [event.name for event in read_events(iter(response))] == ["cancelled"]
