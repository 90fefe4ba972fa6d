"""The job: from a stream through a segmenter into files, finished, damaged, interrupted or failed."""

import gc
import hashlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from carvid import interrupt as interrupt_module
from carvid.errors import InputError, OutputError, UsageError
from carvid.frame import Frame
from carvid.interrupt import Abandoned, first_interrupt
from carvid.media.palette import read_label_png
from carvid.pipeline import WAITING, OutputOptions, run_job
from carvid.sinks import read_results
from carvid.sinks.run_record import read_manifest
from carvid.stream.source import Damage
from tests import tracked
from tests.sinks_cases import (
    BLUE,
    GREEN,
    NASTY_QUERIES,
    RED,
    ListStream,
    SquareSegmenter,
    file_size_limit,
    names_under,
    read_video,
    small_disk,
    square_frame,
)


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"stands for a video")
    return path


def frames(n, colours=(RED,)):
    return [square_frame(i, colour=colours[i % len(colours)]) for i in range(n)]


def test_a_run_writes_masks_record_overlay_and_manifest(tmp_path, source):
    out = tmp_path / "out"
    stream = ListStream(frames(3), source, frame_rate=Fraction(25))
    summary = run_job(stream, SquareSegmenter(), out, command=["carvid", "run"])
    assert names_under(out) == [
        "masks",
        "masks/00000.png",
        "masks/00001.png",
        "masks/00002.png",
        "overlay.mp4",
        "results.jsonl",
        "run.json",
    ]
    for i, record in enumerate(read_results(out / "results.jsonl")):
        expected = (square_frame(i).image == RED).all(-1)
        np.testing.assert_array_equal(read_label_png(out / f"masks/{i:05}.png"), expected)
        np.testing.assert_array_equal(record["queries"][0]["mask"], expected)
        assert record["queries"][1]["present"] is False
    images, rate = read_video(out / "overlay.mp4")
    assert (len(images), rate) == (3, 25)
    assert (summary.frames, summary.complete, summary.interrupted, summary.damaged) == (3, True, False, False)
    assert summary.outputs == {
        "masks": out / "masks",
        "results": out / "results.jsonl",
        "manifest": out / "run.json",
        "overlay": out / "overlay.mp4",
    }


def test_run_json_tells_what_was_run(tmp_path, source):
    out = tmp_path / "out"
    run_job(
        ListStream(frames(2), source, every=2),
        SquareSegmenter(),
        out,
        command=["carvid", "run", "clip.mp4"],
        stream_options={"reader": "pyav"},
    )
    told = read_manifest(out / "run.json")
    assert told["command"] == ["carvid", "run", "clip.mp4"]
    assert told["source"] == {
        "path": str(source),
        "name": "clip.mp4",
        "size_bytes": 18,
        "sha256": hashlib.sha256(b"stands for a video").hexdigest(),
        "kind": "video",
        "frame_rate": "30000/1001",
        "time_base": "1/30000",
        "width": 64,
        "height": 48,
        "pixel_aspect": "1",
    }
    assert told["segmenter"] == {"proposer": {"name": "squares", "sha256": "0" * 64}, "theta": 0.3}
    assert told["options"] == {
        "reader": "pyav",
        "start_frame": 0,
        "stop_frame": None,
        "every": 2,
        "separate": False,
        "overlay": True,
        "overwrite": False,
    }
    assert told["outputs"] == ["masks", "results.jsonl", "run.json", "overlay.mp4"]
    assert (told["frames"], told["complete"], told["error"]) == (2, True, None)
    assert told["started"] <= told["finished"]
    assert set(told["seconds"]) == {"decode", "segment", "segment/clip", "wait", "write", "total"}
    assert told["totals"] == {"squares": 1}
    assert told["seconds"]["segment/clip"] == 0.5  # of this run alone: the segmenter's clock stood at 5
    parts = sum(told["seconds"][stage] for stage in ("decode", "segment", "wait"))
    assert 0 < parts <= told["seconds"]["total"]
    assert 0 < told["seconds"]["write"] <= told["seconds"]["total"]


def test_options_decide_what_is_written(tmp_path, source):
    out = tmp_path / "out"
    options = OutputOptions(separate=True, overlay=False)
    summary = run_job(ListStream(frames(1), source), SquareSegmenter(), out, output=options)
    assert names_under(out) == [
        "masks",
        "masks/1",
        "masks/1/00000.png",
        "masks/2",
        "masks/2/00000.png",
        "results.jsonl",
        "run.json",
    ]
    assert "overlay" not in summary.outputs


def test_overlay_of_a_thinned_stream_plays_in_real_time(tmp_path, source):
    stream = ListStream(frames(8)[::4], source, frame_rate=Fraction(25), every=4)
    run_job(stream, SquareSegmenter(), tmp_path / "out")
    assert read_video(tmp_path / "out" / "overlay.mp4")[1] == Fraction(25, 4)
    indices = [record["index"] for record in read_results(tmp_path / "out" / "results.jsonl")]
    assert indices == [0, 4]


def test_summary_gives_each_querys_share_of_frames(tmp_path, source):
    stream = ListStream(frames(8, [RED, RED, RED, GREEN]), source)
    segmenter = SquareSegmenter(("red", "green", "blue"), (RED, GREEN, BLUE))
    summary = run_job(stream, segmenter, tmp_path / "out")
    assert summary.present_share == (0.75, 0.25, 0.0)
    told = json.loads(json.dumps(summary.to_json()))
    assert told["queries"] == [
        {"query": "red", "present_share": 0.75},
        {"query": "green", "present_share": 0.25},
        {"query": "blue", "present_share": 0.0},
    ]
    assert told["outputs"]["masks"] == str(tmp_path / "out" / "masks")
    assert read_manifest(tmp_path / "out" / "run.json")["present_share"] == [0.75, 0.25, 0.0]


def test_a_query_given_twice_is_reported_twice(tmp_path, source):
    segmenter = SquareSegmenter(("red", "red"), (RED, RED))
    summary = run_job(ListStream(frames(2), source), segmenter, tmp_path / "out")
    assert summary.present_share == (1.0, 1.0)
    (record, _) = read_results(tmp_path / "out" / "results.jsonl")
    assert [query["area_px"] for query in record["queries"]] == [144, 144]


def test_no_query_reaches_a_file_name(tmp_path, source):
    segmenter = SquareSegmenter(NASTY_QUERIES, (RED, GREEN, BLUE))
    options = OutputOptions(separate=True)
    summary = run_job(ListStream(frames(1), source), segmenter, tmp_path / "out", output=options)
    assert [name for name in names_under(tmp_path / "out") if name.startswith("masks/")] == [
        "masks/1",
        "masks/1/00000.png",
        "masks/2",
        "masks/2/00000.png",
        "masks/3",
        "masks/3/00000.png",
    ]
    assert summary.queries == NASTY_QUERIES
    assert read_manifest(tmp_path / "out" / "run.json")["queries"] == list(NASTY_QUERIES)


def test_damage_of_the_source_is_recorded(tmp_path, source):
    damage = (Damage(2, 4, "bad packet"), Damage(7, None, "file ends"))
    summary = run_job(ListStream(frames(2), source, damage=damage), SquareSegmenter(), tmp_path / "out")
    told = [
        {"first_frame": 2, "last_frame": 4, "reason": "bad packet"},
        {"first_frame": 7, "last_frame": None, "reason": "file ends"},
    ]
    assert summary.damaged
    assert summary.complete
    assert summary.to_json()["damage"] == told
    assert read_manifest(tmp_path / "out" / "run.json")["damage"] == told


class RecordedProgress:
    def __init__(self):
        self.calls = []

    def start(self, total):
        self.calls.append(("start", total))

    def observe(self, session):
        self.calls.append("observe")

    def advance(self, frame, result):
        self.calls.append(("advance", frame.index, result.index))

    def finish(self):
        self.calls.append("finish")


def test_progress_is_told_of_each_frame(tmp_path, source):
    progress = RecordedProgress()
    run_job(ListStream(frames(2), source), SquareSegmenter(), tmp_path / "out", progress=progress)
    # The writing thread may be behind the one that segments.
    told = [call for call in progress.calls if call != "observe"]
    assert told == [("start", 2), ("advance", 0, 0), ("advance", 1, 1), "finish"]
    assert progress.calls.count("observe") == 3  # once for each frame, and at the end


def test_progress_is_finished_when_a_run_fails(tmp_path, source):
    progress = RecordedProgress()

    def fail(frame):
        raise InputError("broken")

    with pytest.raises(InputError, match="broken"):
        run_job(
            ListStream(frames(2), source), SquareSegmenter(on_step=fail), tmp_path / "out", progress=progress
        )
    assert progress.calls == [("start", 2), "finish"]


def test_run_json_says_incomplete_while_the_run_goes_on(tmp_path, source):
    seen = []

    def look(frame):
        seen.append(read_manifest(tmp_path / "out" / "run.json"))

    run_job(ListStream(frames(1), source), SquareSegmenter(on_step=look), tmp_path / "out")
    assert [(told["complete"], told["finished"], told["frames"]) for told in seen] == [(False, None, 0)]


def test_a_failure_keeps_whole_frames_and_says_why(tmp_path, source):
    def fail(frame):
        if frame.index == 2:
            raise InputError("frame 2 is damaged")

    with pytest.raises(InputError, match="frame 2"):
        run_job(ListStream(frames(5), source), SquareSegmenter(on_step=fail), tmp_path / "out")
    out = tmp_path / "out"
    assert names_under(out) == ["masks", "masks/00000.png", "masks/00001.png", "results.jsonl", "run.json"]
    assert [record["index"] for record in read_results(out / "results.jsonl")] == [0, 1]
    told = read_manifest(out / "run.json")
    assert (told["complete"], told["frames"], told["error"]) == (False, 2, "InputError: frame 2 is damaged")


@pytest.mark.parametrize("batch", [1, 2, 3, 8])
def test_in_batches_the_same_is_written(tmp_path, source, batch):
    asked = []
    segmenter = SquareSegmenter(on_step=lambda frame: asked.append(frame.index), batch=batch)
    summary = run_job(ListStream(frames(5), source), segmenter, tmp_path / "out")
    assert (summary.frames, summary.complete, asked) == (5, True, [0, 1, 2, 3, 4])
    assert [record["index"] for record in read_results(tmp_path / "out" / "results.jsonl")] == asked


@pytest.mark.parametrize("batch", [1, 3, 8])
def test_frames_before_a_failure_of_the_stream_or_the_segmenter_are_kept(tmp_path, source, batch):
    class Breaking(ListStream):
        def __iter__(self):
            yield from self.frames
            raise InputError("damaged after five")

    with pytest.raises(InputError, match="damaged after five"):
        run_job(Breaking(frames(5), source), SquareSegmenter(batch=batch), tmp_path / "stream")

    def fail(frame):
        if frame.index == 4:
            raise InputError("cannot be segmented")

    with pytest.raises(InputError, match="cannot be segmented"):
        run_job(ListStream(frames(9), source), SquareSegmenter(on_step=fail, batch=batch), tmp_path / "model")
    for folder, count in (("stream", 5), ("model", 4)):
        told = read_manifest(tmp_path / folder / "run.json")
        assert (told["complete"], told["frames"]) == (False, count)
        assert len(list(read_results(tmp_path / folder / "results.jsonl"))) == count


def test_a_stream_without_frames_is_an_input_error(tmp_path, source):
    with pytest.raises(InputError, match=r"clip\.mp4 gave no frame"):
        run_job(ListStream([], source), SquareSegmenter(), tmp_path / "out")
    assert read_manifest(tmp_path / "out" / "run.json")["complete"] is False


def test_existing_output_is_refused_and_replaced_on_demand(tmp_path, source):
    out = tmp_path / "out"
    run_job(ListStream(frames(4), source), SquareSegmenter(), out, output=OutputOptions(separate=True))
    with pytest.raises(OutputError, match="--overwrite"):
        run_job(ListStream(frames(2), source), SquareSegmenter(), out)
    assert len(read_video(out / "overlay.mp4")[0]) == 4
    run_job(ListStream(frames(2), source), SquareSegmenter(), out, output=OutputOptions(overwrite=True))
    assert names_under(out / "masks") == ["00000.png", "00001.png"]
    assert len(read_video(out / "overlay.mp4")[0]) == 2


@pytest.mark.parametrize(
    ("queries", "path", "error"),
    [(256, "clip.mp4", UsageError), (1, "gone.mp4", None), (1, "out/overlay.mp4", OutputError)],
)
def test_what_cannot_be_written_leaves_the_old_output_alone(tmp_path, source, queries, path, error):
    out = tmp_path / "out"
    run_job(ListStream(frames(2), source), SquareSegmenter(), out)
    before = {name: (out / name).stat().st_mtime_ns for name in names_under(out)}
    stream = ListStream(frames(1), tmp_path / path)
    segmenter = SquareSegmenter(("red",) * queries, (RED,) * queries)
    if error is None:
        # A source with no file behind it has no hash, and that is no reason to stop.
        run_job(stream, segmenter, tmp_path / "other")
        assert read_manifest(tmp_path / "other" / "run.json")["source"]["sha256"] is None
    else:
        with pytest.raises(error):
            run_job(stream, segmenter, out, output=OutputOptions(overwrite=True))
    assert {name: (out / name).stat().st_mtime_ns for name in names_under(out)} == before


def noise_frames(n):
    random = np.random.default_rng(0)
    for i in range(n):
        yield Frame(i, None, random.integers(0, 256, (96, 128, 3), dtype=np.uint8), f"{i:05}")


def assert_only_whole_files(out, file_names):
    n_frames = len(list(read_results(out / "results.jsonl")))
    masks = sorted((out / "masks").iterdir())
    # The failing frame may have its mask and not its line.
    assert n_frames <= len(masks) <= n_frames + 1
    assert all(read_label_png(mask).shape == (96, 128) for mask in masks)
    assert (out / "results.jsonl").read_bytes()[-1:] in (b"", b"\n")
    assert sorted(path.name for path in out.iterdir()) == file_names
    assert read_manifest(out / "run.json")["complete"] is False


def test_a_full_disk_is_an_output_error_with_only_whole_files_left(tmp_path, source):
    with small_disk(tmp_path / "disk", "size=256k") as disk:
        with pytest.raises(OutputError, match=r"No space left.*free some space"):
            run_job(ListStream(list(noise_frames(200)), source), SquareSegmenter(), disk / "out")
        assert_only_whole_files(disk / "out", ["masks", "results.jsonl", "run.json"])


def test_a_file_size_limit_is_an_output_error_with_only_whole_files_left(tmp_path, source):
    with file_size_limit(100_000), pytest.raises(OutputError, match=r"overlay\.mp4"):
        run_job(ListStream(list(noise_frames(200)), source), SquareSegmenter(), tmp_path / "out")
    assert_only_whole_files(tmp_path / "out", ["masks", "results.jsonl", "run.json"])


def test_a_read_only_disk_fails_before_the_first_frame(tmp_path, source):
    steps = []
    with small_disk(tmp_path / "disk", "size=64k") as disk:
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        with pytest.raises(OutputError, match="disk"):
            run_job(ListStream(frames(1), source), SquareSegmenter(on_step=steps.append), disk / "out")
    assert steps == []


# --- Ctrl-C

RUN = """
    import sys, time
    from pathlib import Path
    from tests.sinks_cases import ListStream, SquareSegmenter, square_frame
    from carvid.pipeline import run_job

    def slow(frame):
        print("frame", frame.index, flush=True)
        for _ in range(int(sys.argv[2 + frame.index])):
            time.sleep(0.02)

    stream = ListStream([square_frame(i) for i in range(100)], Path(sys.argv[1]).parent / "clip.mp4")
    summary = run_job(stream, SquareSegmenter(on_step=slow), Path(sys.argv[1]))
    print("interrupted" if summary.interrupted else "done", summary.frames, flush=True)
"""


def start_run(out, *ticks):
    """Each frame takes its number of ticks of 20 ms; those without one the last."""
    root = Path(__file__).resolve().parents[1]
    paths = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(RUN), str(out), *map(str, [*ticks, *ticks[-1:] * 100])],
        env={**os.environ, "PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


posix_only = pytest.mark.skipif(os.name != "posix", reason="sends SIGINT to a process")


@posix_only
def test_two_runs_do_not_write_into_one_folder(tmp_path, source):
    out = tmp_path / "out"
    stream, overwrite = ListStream(frames(2), source), OutputOptions(overwrite=True)
    with start_run(out, 3000) as process:
        assert process.stdout.readline() == "frame 0\n"
        before = (out / "run.json").read_bytes()
        for output in (overwrite, OutputOptions()):
            with pytest.raises(OutputError, match=f"is in use: process {process.pid} on"):
                run_job(stream, SquareSegmenter(), out, output=output)
        assert (out / "run.json").read_bytes() == before
        process.kill()
    # What a killed run leaves locks nothing, and is replaced as a whole.
    run_job(stream, SquareSegmenter(), out, output=overwrite)
    assert read_manifest(out / "run.json")["complete"] is True
    assert sorted(path.name for path in out.iterdir()) == [
        "masks",
        "overlay.mp4",
        "results.jsonl",
        "run.json",
    ]


@posix_only
def test_the_first_interrupt_finishes_the_frame_and_closes_the_files(tmp_path):
    out = tmp_path / "out"
    with start_run(out, 20) as run:
        while run.stdout.readline() != "frame 1\n":
            pass
        run.send_signal(signal.SIGINT)
        stdout, stderr = run.communicate(timeout=60)
    assert (run.returncode, stdout, stderr) == (0, "interrupted 2\n", "")
    assert names_under(out) == [
        "masks",
        "masks/00000.png",
        "masks/00001.png",
        "overlay.mp4",
        "results.jsonl",
        "run.json",
    ]
    assert len(read_video(out / "overlay.mp4")[0]) == 2
    assert len(list(read_results(out / "results.jsonl"))) == 2
    told = read_manifest(out / "run.json")
    assert (told["complete"], told["interrupted"], told["frames"], told["error"]) == (False, True, 2, None)


HOLDS = """
    import sys
    from pathlib import Path
    from tests.motion_cases import KnownMasks, drifting
    from tests.sinks_cases import ListStream
    from carvid.frame import Frame
    from carvid.pipeline import run_job
    from carvid.recipe import Recipe
    from carvid.video_session import open_session

    pictures, masks = drifting(40)

    class Stops(ListStream):
        def __iter__(self):
            for frame in super().__iter__():
                if frame.index == 30:
                    print("frame 30", flush=True)
                    sys.stdin.readline()
                yield frame

    frames = [Frame(i, i / 10, picture, f"{i:05d}") for i, picture in enumerate(pictures)]
    stream = Stops(frames, Path(sys.argv[1]).parent / "clip.mp4")
    session = open_session(
        lambda queries: KnownMasks(dict(enumerate(masks)), queries),
        ["the square on the left"],
        Recipe(keyframes=1),
    )
    summary = run_job(stream, session, Path(sys.argv[1]))
    print("interrupted" if summary.interrupted else "done", summary.frames, flush=True)
"""


@posix_only
def test_an_interrupt_writes_the_results_that_are_held_back(tmp_path):
    root = Path(__file__).resolve().parents[1]
    paths = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])
    out = tmp_path / "out"
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOLDS), str(out)],
        env={**os.environ, "PYTHONPATH": paths},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as run:
        assert run.stdout.readline() == "frame 30\n"
        run.send_signal(signal.SIGINT)
        stdout, stderr = run.communicate(input="\n", timeout=60)
    # The detector of shots is not yet certain of the last frames.
    assert (run.returncode, stderr) == (0, "")
    state, frames_written = stdout.split()
    assert state == "interrupted"
    assert 10 <= int(frames_written) <= 30
    assert len(list(read_results(out / "results.jsonl"))) == int(frames_written)


@posix_only
def test_a_frame_that_takes_too_long_is_given_up_and_the_files_closed(tmp_path):
    out = tmp_path / "out"
    with start_run(out, 1, 100_000) as run:
        while run.stdout.readline() != "frame 1\n":
            pass
        run.send_signal(signal.SIGINT)
        stdout, stderr = run.communicate(timeout=60)
    assert (run.returncode, stdout, stderr) == (0, "interrupted 1\n", "")
    assert len(read_video(out / "overlay.mp4")[0]) == 1
    assert len(list(read_results(out / "results.jsonl"))) == 1
    told = read_manifest(out / "run.json")
    assert (told["complete"], told["interrupted"], told["frames"], told["error"]) == (False, True, 1, None)


def interrupted_work(times=1):
    """Goes on after the interrupts, in steps that let signals in."""
    for _ in range(times):
        signal.raise_signal(signal.SIGINT)
    while True:
        time.sleep(0.01)


@posix_only
def test_grace_ends_abandonable_work_and_no_other():
    with first_interrupt(grace_seconds=0.05) as interrupt:
        with pytest.raises(Abandoned), interrupt.abandonable():
            interrupted_work()
        with pytest.raises(Abandoned), interrupt.abandonable():
            raise AssertionError("begun after the grace was over")
    with first_interrupt(grace_seconds=0.05) as interrupt:
        signal.raise_signal(signal.SIGINT)
        for _ in range(20):
            time.sleep(0.01)
    with (
        first_interrupt(grace_seconds=60) as interrupt,
        interrupt.abandonable(),
        pytest.raises(KeyboardInterrupt),
    ):
        interrupted_work(times=2)


@posix_only
def test_an_interrupt_while_the_handler_is_put_back_leaves_nothing_behind(monkeypatch):
    end, presses = interrupt_module._Grace.end, [signal.SIGINT, signal.SIGINT]

    def pressed_meanwhile(grace):
        if presses:
            signal.raise_signal(presses.pop())
        end(grace)

    monkeypatch.setattr(interrupt_module._Grace, "end", pressed_meanwhile)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), first_interrupt(grace_seconds=60):
        pass
    assert not presses
    assert signal.getsignal(signal.SIGINT) is before
    assert "carvid-grace" not in {thread.name for thread in threading.enumerate()}


@posix_only
def test_the_second_interrupt_stops_at_once_and_leaves_nothing_half_written(tmp_path):
    out = tmp_path / "out"
    with start_run(out, 100_000) as run:
        assert run.stdout.readline() == "frame 0\n"
        while run.poll() is None:
            # The second must not be merged with the first, so it is sent until the process has gone.
            run.send_signal(signal.SIGINT)
            try:
                run.wait(timeout=1)
            except subprocess.TimeoutExpired:
                continue
        stderr = run.stderr.read()
    assert stderr.rstrip().endswith("KeyboardInterrupt")
    assert names_under(out) == ["masks", "results.jsonl", "run.json"]
    told = read_manifest(out / "run.json")
    assert (told["complete"], told["interrupted"], told["frames"]) == (False, True, 0)


@posix_only
def test_a_process_told_to_ignore_interrupts_goes_on_ignoring_them():
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with first_interrupt() as interrupt:
            os.kill(os.getpid(), signal.SIGINT)
            assert not interrupt.requested
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, previous)


@posix_only
def test_the_callers_handler_is_back_for_the_second_interrupt_and_afterwards():
    calls = []

    def handler(number, stack_frame):
        calls.append(number)

    previous = signal.signal(signal.SIGINT, handler)
    try:
        with first_interrupt() as interrupt:
            signal.raise_signal(signal.SIGINT)
            assert (interrupt.requested, calls) == (True, [])
            signal.raise_signal(signal.SIGINT)
            assert calls == [signal.SIGINT]
        with first_interrupt():
            pass
        assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, previous)


def test_a_run_in_another_thread_leaves_the_handlers_alone(tmp_path, source):
    before = signal.getsignal(signal.SIGINT)
    summaries = []

    def work():
        summaries.append(run_job(ListStream(frames(2), source), SquareSegmenter(), tmp_path / "out"))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert [summary.complete for summary in summaries] == [True]
    assert signal.getsignal(signal.SIGINT) is before


def test_an_interrupt_while_waiting_for_a_frame_stops_without_it(tmp_path, source):
    steps = []

    class Interrupted(ListStream):
        def __iter__(self):
            yield self.frames[0]
            signal.raise_signal(signal.SIGINT)
            yield self.frames[1]

    stream = Interrupted(frames(2), source)
    summary = run_job(stream, SquareSegmenter(on_step=steps.append), tmp_path / "out")
    assert [frame.index for frame in steps] == [0]
    assert (summary.frames, summary.interrupted, summary.complete) == (1, True, False)


def test_frames_are_not_kept_once_written(tmp_path, source):
    alive = []
    most = 0

    class Lazy(ListStream):
        def __iter__(self):
            for i in range(10):
                frame = square_frame(i)
                alive.append(weakref.ref(frame.image))
                yield frame
                del frame

    def count(frame):
        nonlocal most
        gc.collect()
        most = max(most, sum(ref() is not None for ref in alive))

    run_job(Lazy(frames(1), source), SquareSegmenter(on_step=count), tmp_path / "out")
    assert len(alive) == 10
    # Those that wait, the one that is written, the one in work, and the one that the loop still names.
    assert most <= 3 + WAITING


class TrackedSession(SquareSegmenter):
    """Gives the tracks of `tests.tracked`, whatever is in the frames."""

    def __init__(self):
        super().__init__(tracked.QUERIES)

    def step(self, frame):
        return tracked.results()[frame.index]


def test_of_tracks_the_share_of_frames_is_their_querys(tmp_path, source):
    out = tmp_path / "out"
    stream = ListStream(tracked.frames(), source)
    summary = run_job(stream, TrackedSession(), out, output=OutputOptions(separate=True))
    # The cars are in frames 0, 2 and 3, the dog is in 0 and 1.
    assert summary.present_share == (0.75, 0.0, 0.5)
    assert read_manifest(out / "run.json")["present_share"] == [0.75, 0.0, 0.5]
    assert names_under(out / "masks") == [
        *("1", "1/00000.png", "1/00002.png", "1/00003.png"),
        *("2", "2/00000.png", "2/00001.png"),
        *("3", "3/00002.png"),
    ]
    assert len(read_video(out / "overlay.mp4")[0]) == 4
    found = [[one["id"] for one in record["objects"]] for record in read_results(out / "results.jsonl")]
    assert found == [[1, 2], [2], [1, 3], [1]]
    assert run_job(
        ListStream(frames(1), source), SquareSegmenter(), out, output=OutputOptions(overwrite=True)
    ).complete
    assert names_under(out / "masks") == ["00000.png"]
