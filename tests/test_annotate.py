"""`carvid annotate` as it is used: real processes, real videos, faults and all."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from carvid.errors import InputError
from carvid.segmenter import VideoSegmenter
from carvid.store.database import open_dataset
from carvid.store.schema import DATABASE
from carvid.stream import open_frames
from tests.annotate_cases import children_of, is_alive, run_annotate, start_annotate, status, wait_until
from tests.media import moving_square, truncate, write_folder, write_video
from tests.tiny_clip import make_tiny_clip

ROOT = Path(__file__).resolve().parents[1]
QUERIES = ("-q", "the red square", "-q", "a dog")

needs_fifo = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make_tiny_clip(tmp_path_factory.mktemp("clip"), seed=5, patch=16, logit_scale=6.0)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("clip") / "clip.mp4", moving_square(3))


@pytest.fixture
def start():
    """Starts `carvid annotate`; what a failed test leaves running is ended."""
    with ExitStack() as stack:

        def started(*arguments):
            process = stack.enter_context(start_annotate(*arguments))
            stack.callback(process.kill)
            return process

        yield started


def copy(clip, *places):
    for place in places:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(clip.read_bytes())


def states(dataset):
    if not (dataset / DATABASE).exists():
        return {}
    try:
        with open_dataset(dataset) as found:
            return {video.path: video.status for video in found.videos()}
    except InputError:
        # The tables are not made yet.
        return {}


def test_a_dataset_is_labelled_continued_and_guarded(tmp_path, model):
    videos, out = tmp_path / "in", tmp_path / "out"
    write_video(videos_path(videos, "a/same é.mp4"), moving_square(4))
    write_video(videos_path(videos, "b/same é.mp4"), moving_square(3))
    write_folder(videos / "-dash", moving_square(2), names=["one", "two"])
    truncate(write_video(videos / "cut.mkv", moving_square(40), gop=40), 2500)
    (videos / "bad.mp4").write_bytes(b"nonsense")
    ran = run_annotate(videos, out, model, *QUERIES, "--workers", "2")
    assert ran.returncode == 1, ran.stderr
    # The one bad video is told with its reason, and so is the damaged one.
    assert "5 videos: 0 waiting, 0 running, 4 done, 1 failed" in ran.stdout
    assert "failed: bad.mp4: " in ran.stdout
    assert "not a video" in ran.stdout
    assert "damaged: cut.mkv: frame" in ran.stdout
    assert [path.name for path in out.iterdir()] == [DATABASE]
    assert status(out) in ran.stdout
    with open_dataset(out) as dataset:
        found = {video.path: video for video in dataset.videos()}
        assert list(found) == ["-dash", "a/same é.mp4", "b/same é.mp4", "bad.mp4", "cut.mkv"]
        assert [video.id for video in found.values()] == [1, 2, 3, 4, 5]
        assert [frame.name for frame in dataset.frames(1)] == ["one", "two"]
        assert found["a/same é.mp4"].frame_count == 4
        assert (found["a/same é.mp4"].width, found["a/same é.mp4"].height) == (64, 48)
        settings = dataset.settings()
        assert len(settings["models"]["proposer"]["sha256"]) == 64
        assert settings["settings"]["theta"] == 0.3
        check_labels(dataset, found["a/same é.mp4"], model)

    # Again, with a new video and the bad one mended: nothing else is done.
    before = labels(out)
    write_video(videos / "bad.mp4", moving_square(2))
    write_video(videos / "new.mp4", moving_square(2))
    count_labellings(out)
    ran = run_annotate(videos, out, model, *QUERIES, "--retry-failed", "--json")
    assert ran.returncode == 1
    told = json.loads(ran.stdout)
    assert told["videos"] == {"waiting": 0, "running": 0, "done": 6, "failed": 0}
    assert [each["path"] for each in told["damaged"]] == ["cut.mkv"]
    assert labellings(out) == [(4, "done", 1), (4, "running", 1), (6, "done", 1), (6, "running", 1)]
    after = labels(out)
    assert {video_id: after[video_id] for video_id in before} == before

    # Other thresholds and other queries are refused, saying what differs.
    ran = run_annotate(videos, out, model, *QUERIES, "--theta", "0.25")
    assert ran.returncode == 2
    assert "settings.theta: 0.3 before, 0.25 now" in ran.stderr
    ran = run_annotate(videos, out, model, "-q", "a cat")
    assert ran.returncode == 2
    assert "-dash: ['the red square', 'a dog'] before, ['a cat'] now" in ran.stderr
    assert labels(out) == after


def videos_path(folder, name):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    return folder / name


def labels(dataset):
    with open_dataset(dataset) as found:
        return {video.id: list(found.annotations(video.id)) for video in found.videos() if video.is_done}


def check_labels(dataset, video, model):
    """The rows are what the segmenter gives."""
    queries = [query.text for query in dataset.queries(video.id)]
    assert queries == ["the red square", "a dog"]
    segmenter = VideoSegmenter.from_pretrained(str(model), queries=queries, device="cpu")
    with open_frames(video.source) as frames:
        for result, (frame, annotations) in zip(
            segmenter.run(frames), dataset.annotations(video.id), strict=True
        ):
            assert (frame.frame_index, frame.name) == (result.index, result.name)
            assert frame.pts_seconds == result.pts_seconds
            for i, annotation in enumerate(annotations):
                np.testing.assert_array_equal(annotation.mask(), result.masks[i])
                np.testing.assert_array_equal(annotation.label_mask(), result.label_map == i + 1)
                assert annotation.score == pytest.approx(result.scores[i], abs=1e-5)
                assert annotation.present == result.present[i]


def test_a_manifest_gives_queries_and_ranges_and_overwrite_replaces_labels(tmp_path, model):
    write_video(tmp_path / "a.mp4", moving_square(8))
    write_video(tmp_path / "b.mp4", moving_square(3))
    manifest, out = tmp_path / "list.jsonl", tmp_path / "out"
    rows = [
        {"path": "a.mp4", "queries": ["a {dog}", 'a "cat"'], "start": 2, "stop": 6},
        {"path": "a.mp4", "start": 6},
        {"path": "b.mp4"},
    ]
    manifest.write_text("\n".join(map(json.dumps, rows)))
    ran = run_annotate(manifest, out, model, "-q", "a bus", "--every", "2")
    assert ran.returncode == 0
    assert (
        ran.stderr.count("the manifest has queries for 1 video; -q and --queries-file have no effect there")
        == 1
    )
    with open_dataset(out) as dataset:
        assert [[query.text for query in dataset.queries(i)] for i in (1, 2, 3)] == [
            ["a {dog}", 'a "cat"'],
            ["a bus"],
            ["a bus"],
        ]
        assert [[frame.frame_index for frame in dataset.frames(i)] for i in (1, 2, 3)] == [
            [2, 4],
            [6],
            [0, 2],
        ]
    before = labels(out)
    rows[1]["queries"] = "a tree"
    rows.append({"path": 256 * "x"})
    manifest.write_text("\n".join(map(json.dumps, rows)))
    ran = run_annotate(manifest, out, model, "-q", "a bus", "--every", "2", "--overwrite")
    # A row whose path cannot be looked at costs itself alone.
    assert ran.returncode == 1, ran.stderr
    assert ran.stdout.count("failed: xxx") == ran.stdout.count("File name too long") == 1
    with open_dataset(out) as dataset:
        assert [query.text for query in dataset.queries(2)] == ["a tree"]
    after = labels(out)
    assert (after[1], after[3]) == (before[1], before[3])
    assert after[2] != before[2]


def test_a_dataset_that_moved_with_its_videos_is_not_labelled_again(tmp_path, model, clip):
    copy(clip, tmp_path / "before/in/a/1.mp4")
    assert run_annotate(tmp_path / "before/in", tmp_path / "before/out", model, *QUERIES).returncode == 0
    (tmp_path / "before").rename(tmp_path / "now")
    count_labellings(tmp_path / "now/out")
    ran = run_annotate(tmp_path / "now/in", tmp_path / "now/out", model, *QUERIES)
    assert ran.returncode == 0, ran.stderr
    assert "videos recognised at a new place: 1" in ran.stdout
    assert labellings(tmp_path / "now/out") == []
    # The user may also say so, which reads no file.
    (tmp_path / "now/in").rename(tmp_path / "now/videos")
    moved = f"{tmp_path / 'now/in'}={tmp_path / 'now/videos'}"
    ran = run_annotate(tmp_path / "now/videos/a", tmp_path / "now/out", model, *QUERIES, "--moved", moved)
    assert ran.returncode == 0, ran.stderr
    assert labellings(tmp_path / "now/out") == []
    with open_dataset(tmp_path / "now/out") as dataset:
        assert [video.source for video in dataset.videos()] == [str(tmp_path / "now/videos/a/1.mp4")]


def test_what_cannot_be_begun_is_refused_at_once(tmp_path, model, clip):
    videos = clip.parent
    (tmp_path / "used").mkdir()
    (tmp_path / "used/file").touch()
    for arguments, code, said in [
        ((videos, tmp_path / "used", *QUERIES), 4, "is not empty (file)"),
        ((videos, tmp_path / "used/file", *QUERIES), 4, "is not a folder"),
        ((videos, videos / "out", *QUERIES), 4, "inside the input"),
        ((videos, tmp_path / "out"), 2, "no query for clip.mp4"),
        ((videos, tmp_path / "out", *QUERIES, "--workers", "0"), 2, "workers is 0"),
        ((videos, tmp_path / "out", "-q", "caf\udce9"), 2, "expected UTF-8 text"),
        ((videos, tmp_path / "out", *QUERIES, "--theta", "2"), 2, "theta is 2.0"),
        ((videos, tmp_path / "out", *QUERIES, "--moved", "old"), 2, "expected OLD=NEW"),
        ((tmp_path / "nowhere", tmp_path / "out", *QUERIES), 3, "there is no"),
    ]:
        where, dataset, *rest = arguments
        ran = run_annotate(where, dataset, model, *rest)
        assert (ran.returncode, said in ran.stderr) == (code, True), ran.stderr
        assert "Traceback" not in ran.stderr
    assert not (tmp_path / "out").exists()
    ran = subprocess.run(
        [sys.executable, "-m", "carvid", "status", str(tmp_path)], capture_output=True, text=True
    )
    assert (ran.returncode, "holds no annotations.sqlite" in ran.stderr) == (3, True)


def test_weights_that_are_missing(tmp_path, clip):
    ran = run_annotate(clip, tmp_path / "out", tmp_path / "no model", *QUERIES)
    assert ran.returncode == 3
    assert "no model" in ran.stderr
    assert "Traceback" not in ran.stderr


@needs_fifo
def test_a_decoder_that_hangs_or_crashes_takes_down_only_its_video(tmp_path, model, clip, start):
    videos, out = tmp_path / "in", tmp_path / "out"
    # Opening a pipe that nobody writes to takes for ever.
    videos.mkdir()
    os.mkfifo(videos / "1 crashes.mp4")
    os.mkfifo(videos / "2 hangs.mp4")
    copy(clip, videos / "3.mp4", videos / "4.mp4")
    process = start(videos, out, model, *QUERIES, "--stall-seconds", "15")
    crashed = set()
    while states(out).get("1 crashes.mp4") != "failed":
        assert process.poll() is None, process.communicate()
        # Listed first: what is listed after the video has failed is the worker of the next.
        fresh = set(children_of(process.pid)) - crashed
        if states(out).get("1 crashes.mp4") == "running":
            for child in fresh:
                os.kill(child, signal.SIGSEGV)
                crashed.add(child)
        time.sleep(0.1)
    said, errors = process.communicate(timeout=120)
    assert process.returncode == 1, errors
    assert len(crashed) == 2
    assert "failed: 1 crashes.mp4: the process working on it was killed by SIGSEGV" in said
    assert "failed: 2 hangs.mp4: no progress for 15 s after 0 frames" in said
    assert states(out) == {
        "1 crashes.mp4": "failed",
        "2 hangs.mp4": "failed",
        "3.mp4": "done",
        "4.mp4": "done",
    }


@needs_fifo
@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_ends_within_5_seconds_and_leaves_a_valid_dataset(tmp_path, model, clip, start, presses):
    videos, out = tmp_path / "in", tmp_path / "out"
    copy(clip, videos / "1.mp4")
    os.mkfifo(videos / "2.mp4")
    process = start(videos, out, model, *QUERIES)
    wait_until(lambda: states(out) == {"1.mp4": "done", "2.mp4": "running"})
    children = children_of(process.pid)
    pressed = time.monotonic()
    process.send_signal(signal.SIGINT)
    if presses == 2:
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
    said, errors = process.communicate(timeout=30)
    seconds = time.monotonic() - pressed
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert seconds < 5
    assert not any(is_alive(child) for child in children)
    if presses == 1:
        assert "1 waiting, 0 running, 1 done" in said
        assert not (out / "work").exists()
    assert states(out)["1.mp4"] == "done"


@needs_fifo
def test_two_processes_share_a_dataset_and_one_takes_over_from_the_other(tmp_path, model, clip, start):
    videos, out = tmp_path / "in", tmp_path / "out"
    videos.mkdir()
    os.mkfifo(videos / "1.mp4")
    first = start(videos, out, model, *QUERIES)
    wait_until(lambda: states(out) == {"1.mp4": "running"})
    copy(clip, *(videos / f"{i}.mp4" for i in (2, 3, 4)))
    count_labellings(out)
    second = start(videos, out, model, *QUERIES)
    wait_until(lambda: list(states(out).values()) == ["running", "done", "done", "done"])
    # The first still holds its video, so the second waits for it; until the first is no more.
    assert second.poll() is None
    copy(clip, tmp_path / "1.mp4")
    (tmp_path / "1.mp4").replace(videos / "1.mp4")
    first.kill()
    first.communicate()
    said, errors = second.communicate(timeout=120)
    assert second.returncode == 0, errors
    assert "4 done, 0 failed" in said
    # Video 1 was begun by the first before anything was counted, and then by the second.
    assert labellings(out) == [(i, state, 1) for i in (1, 2, 3, 4) for state in ("done", "running")]


def count_labellings(dataset):
    """Have the database note each time a video is begun or done."""
    with sqlite3.connect(dataset / DATABASE, timeout=30) as connection:
        connection.execute("CREATE TABLE log (id INTEGER, status TEXT)")
        connection.execute(
            "CREATE TRIGGER note AFTER UPDATE OF status ON videos WHEN NEW.status IN ('running', 'done')"
            " BEGIN INSERT INTO log VALUES (NEW.id, NEW.status); END"
        )
    connection.close()


def labellings(dataset):
    """How often each video was begun and done since, as (id, state, count)."""
    with sqlite3.connect(dataset / DATABASE, timeout=30) as connection:
        rows = connection.execute(
            "SELECT id, status, count(*) FROM log GROUP BY 1, 2 ORDER BY 1, 2"
        ).fetchall()
    connection.close()
    return rows


def test_kills_and_a_full_disk_leave_no_trace_in_the_labels(tmp_path):
    # A short run of what docs/annotate.md tells of a long one.
    script = [sys.executable, str(ROOT / "scripts/fault_annotate.py"), "--disk", "limit", "--seed", "3"]
    script += ["--faults", "2", "--kinds", "group", "space"]
    script += ["--videos", "3", "--frames", "30", "--workers", "1"]
    ran = subprocess.run(script, cwd=ROOT, capture_output=True, text=True, check=False, timeout=400)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    summary = json.loads(ran.stdout)
    assert sum(summary["faults"].values()) == 2
    assert summary["datasets_completed_and_identical"] >= 1
