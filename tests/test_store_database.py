"""The database of a dataset: written by the ledger, read by others, shared by leases."""

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from carvid.annotate.leases import WORK, Presence
from carvid.errors import InputError, OutputError, UsageError
from carvid.evidence import Evidence
from carvid.result import FrameResult, ObjectResult
from carvid.store.agreement import agree, changed_sources, register, requests_of, settings_of
from carvid.store.checks import NUMBER
from carvid.store.database import open_dataset
from carvid.store.ledger import Ledger
from carvid.store.rows import FrameRow, Query, VideoObject
from carvid.store.schema import DATABASE
from carvid.store.staging import StagingWriter
from carvid.store.status import read_status
from carvid.store.task import Outcome, VideoRequest
from carvid.stream.source import Damage
from tests.sinks_cases import file_size_limit, small_disk

ROOT = Path(__file__).resolve().parents[1]

A = VideoRequest("a.mp4", "/in/a.mp4", ("the red car", "a dog"))
B = VideoRequest("b/a.mp4", "/in/b/a.mp4", ("a dog",), 3, 9)
OUTCOME = Outcome(
    "ab" * 32, 1234, 4, 3, "30000/1001", 2, [{"first_frame": 2, "last_frame": None, "reason": "cut"}]
)


def grid(*rows):
    return np.array([[character == "#" for character in row] for row in rows])


CAR = grid("....", ".##.", ".##.")
DOG = grid("....", "..##", "..##")
NONE = grid("....", "....", "....")


def result(index, masks, scores, *, labels=None, proposals=None, theta=0.3):
    masks = np.stack(masks)
    if labels is None:
        labels = np.zeros(masks.shape[1:], np.uint8)
        for i in reversed(range(len(masks))):
            labels[masks[i]] = i + 1
    return FrameResult(
        index=index,
        pts_seconds=index / 25,
        name=f"{index:05d}",
        label_map=labels,
        objects=tuple(
            ObjectResult(i, "", mask, float(np.float32(score)), score >= theta)
            for i, (mask, score) in enumerate(zip(masks, scores, strict=True), start=1)
        ),
        evidence=Evidence((), lambda: np.stack(masks if proposals is None else proposals).astype(np.float32)),
    )


def label(ledger, task, results, outcome=OUTCOME):
    staged = ledger.path.parent / f"{task.video_id}.staged"
    with StagingWriter(staged, task.video_id, task.query_ids, 0.5) as writer:
        for each in results:
            writer.write(each)
    committed = ledger.commit(task, staged, outcome)
    staged.unlink()
    return committed


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path, "me") as ledger:
        register(ledger, [A, B])
        yield ledger


def test_what_is_written_is_read_back_in_order(tmp_path, ledger):
    agree(ledger, {"settings": {"eta": 0.5}}, "hash")
    task = ledger.claim(60)
    assert (task.video_id, task.source, task.queries, task.query_ids) == (1, "/in/a.mp4", A.queries, (1, 2))
    weak = 0.75 * CAR
    weak[1, 1] = 0.25  # a pixel of four that the proposal, cut at eta, lacks
    assert label(
        ledger,
        task,
        [result(0, [CAR, DOG], [0.5, 0.25], proposals=[weak, DOG]), result(4, [NONE, NONE], [0.125, 0.0])],
    )
    with open_dataset(tmp_path) as dataset:
        first, second = dataset.videos()
        assert (first.id, first.path, first.source, first.status) == (1, "a.mp4", "/in/a.mp4", "done")
        assert (first.sha256, first.size_bytes, first.frame_count) == ("ab" * 32, 1234, 2)
        assert (first.width, first.height, first.frame_rate) == (4, 3, Fraction(30000, 1001))
        assert first.damage == (Damage(2, None, "cut"),)
        assert (second.status, second.start_frame, second.stop_frame) == ("waiting", 3, 9)
        assert list(dataset.queries(1)) == [Query(1, "the red car"), Query(2, "a dog")]
        assert list(dataset.queries(2)) == [Query(2, "a dog")]
        assert list(dataset.queries()) == [Query(1, "the red car"), Query(2, "a dog")]
        assert dataset.settings() == {"settings": {"eta": 0.5}}
        assert dataset.meta()["schema_version"] == "5"
        assert list(dataset.objects(1)) == [
            VideoObject(1, Query(1, "the red car")),
            VideoObject(2, Query(2, "a dog")),
        ]
        assert list(dataset.objects(2)) == list(dataset.annotations(2)) == []
        (start, (car, dog)), (end, (no_car, no_dog)) = dataset.annotations(1)
        assert [start, end] == list(dataset.frames(1))
        assert start == FrameRow(1, 0, "00000", 0.0, 4, 3)
        assert (end.frame_index, end.pts_seconds) == (4, 0.16)
        assert [(each.object_id, each.query_id) for each in (car, dog)] == [(1, 1), (2, 2)]
        assert (car.revision, car.source, car.created) == (0, "model", None)
        assert list(dataset.annotations(1, between=(4, 4))) == [(end, (no_car, no_dog))]
        assert list(dataset.annotations(1, between=(3, 3))) == []
        np.testing.assert_array_equal(car.mask(), CAR)
        np.testing.assert_array_equal(dog.mask(), DOG)
        np.testing.assert_array_equal(car.label_mask(), CAR)
        np.testing.assert_array_equal(dog.label_mask(), DOG & ~CAR)
        assert (car.box_xywh, car.area_px, car.score, car.present) == ((1, 1, 2, 2), 4, 0.5, True)
        assert (dog.present, dog.proposal_iou) == (False, 1.0)
        assert car.proposal_iou == 0.75
        assert (no_car.box_xywh, no_car.area_px, no_car.proposal_iou) == (None, 0, None)
        assert not no_dog.mask().any()


def test_queries_come_in_the_order_of_the_video_whatever_their_ids(tmp_path):
    with Ledger(tmp_path, "me") as ledger:
        register(ledger, [VideoRequest("1", "/1", ("a", "b")), VideoRequest("2", "/2", ("b", "a"))])
        ledger.claim(60)
        label(ledger, ledger.claim(60), [result(0, [CAR, DOG], [0.5, 0.25])])
    with open_dataset(tmp_path) as dataset:
        assert [query.text for query in dataset.queries(2)] == ["b", "a"]
        ((_, (first, second)),) = dataset.annotations(2)
        assert (first.query_id, first.score, second.query_id, second.score) == (2, 0.5, 1, 0.25)
        assert [(each.id, each.query.text) for each in dataset.objects(2)] == [(1, "b"), (2, "a")]


def test_a_reader_sees_the_dataset_as_it_was_when_opened_and_cannot_write(tmp_path, ledger):
    with open_dataset(tmp_path) as dataset:
        label(ledger, ledger.claim(60), [result(0, [CAR, DOG], [1, 1])])
        assert [video.status for video in dataset.videos()] == ["waiting", "waiting"]
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            dataset._connection.execute("DELETE FROM videos")
    assert read_status(tmp_path).counts == {"waiting": 1, "running": 0, "done": 1, "failed": 0}


def test_a_video_is_given_out_once_and_committed_by_its_holder_alone(tmp_path, ledger):
    with Ledger(tmp_path, "other") as other:
        mine, theirs = ledger.claim(60), other.claim(60)
        assert (mine.video_id, theirs.video_id) == (1, 2)
        assert ledger.claim(60) is other.claim(60) is None
        assert not label(ledger, theirs, [result(0, [CAR], [1])])
        assert not ledger.fail(theirs, "no")
        assert not ledger.release(theirs)
        assert other.release(theirs)
        assert ledger.claim(60).video_id == 2
        assert other.counts() == {"waiting": 0, "running": 2, "done": 0, "failed": 0}
        assert other.lease_owners() == ("me",)


def test_a_lease_runs_out_unless_it_is_renewed(tmp_path, ledger):
    with Ledger(tmp_path, "other") as other:
        lost = ledger.claim(-1)
        kept = ledger.claim(-1)
        assert ledger.renew(60, {kept: 7}) == set()
        assert read_status(tmp_path).running == (("a.mp4", 0), ("b/a.mp4", 7))
        assert other.recover() == 1
        assert ledger.renew(60, {kept: 7, lost: 1}) == {lost}
        assert other.claim(60).video_id == lost.video_id
        assert not label(ledger, lost, [result(0, [CAR, DOG], [1, 1])])
        assert label(other, lost, [result(0, [CAR, DOG], [1, 1])])
        # Merging what is merged already changes nothing.
        assert not label(other, lost, [result(0, [DOG, CAR], [1, 1])])
        with open_dataset(tmp_path) as dataset:
            np.testing.assert_array_equal(next(dataset.annotations(1))[1][0].mask(), CAR)


def test_failed_videos_are_told_and_may_be_tried_again(tmp_path, ledger):
    ledger.fail(ledger.claim(60), "nonsense")
    assert read_status(tmp_path).failed == (("a.mp4", "nonsense"),)
    assert ledger.claim(60).video_id == 2
    assert ledger.retry_failed() == 1
    assert ledger.claim(60).video_id == 1


def test_registering_again_adds_what_is_new(ledger):
    new = VideoRequest("c.mp4", "/in/c.mp4", ("a cat",))
    assert register(ledger, [new, A, B]) == []
    assert list(requests_of(ledger).values()) == [A, B, new]


def test_other_queries_are_refused_or_replace_the_labels_of_that_video_alone(tmp_path, ledger):
    for _ in range(2):
        task = ledger.claim(60)
        label(ledger, task, [result(0, [CAR] * len(task.queries), [1] * len(task.queries))])
    changed = VideoRequest("a.mp4", "/in/a.mp4", ("a dog", "a cat"))
    new = VideoRequest("c.mp4", "/in/c.mp4", ("a cat",))
    assert register(ledger, [changed, B, new]) == [(A, changed)]
    assert list(requests_of(ledger).values()) == [A, B]
    register(ledger, [changed, B, new], replace=True)
    assert list(requests_of(ledger).values()) == [changed, B, new]
    with open_dataset(tmp_path) as dataset:
        assert [video.status for video in dataset.videos()] == ["waiting", "done", "waiting"]
        assert list(dataset.frames(1)) == []
        assert len(list(dataset.frames(2))) == 1


def test_other_settings_are_refused_or_replace_all_labels(tmp_path, ledger):
    assert agree(ledger, {"a": 1}, "one") is None
    assert agree(ledger, {"a": 1, "device": "other"}, "one") is None
    label(ledger, ledger.claim(60), [result(0, [CAR, DOG], [1, 1])])
    assert agree(ledger, {"a": 2}, "two") == {"a": 1}
    assert settings_of(ledger) == {"a": 1}
    held = ledger.claim(60)
    with pytest.raises(UsageError, match="another process"):
        agree(ledger, {"a": 2}, "two", replace=True)
    ledger.release(held)
    agree(ledger, {"a": 2}, "two", replace=True)
    assert settings_of(ledger) == {"a": 2}
    assert ledger.counts()["waiting"] == 2


def test_a_file_that_changed_is_told_or_labelled_again(tmp_path):
    for name in ("a.mp4", "b.mp4", "gone.mp4"):
        (tmp_path / name).write_bytes(b"1234")
    with Ledger(tmp_path, "me") as ledger:
        names = ("a.mp4", "b.mp4", "gone.mp4", "waits.mp4")
        register(ledger, [VideoRequest(name, str(tmp_path / name), ("q",)) for name in names])
        for _ in range(3):
            label(ledger, ledger.claim(60), [result(0, [CAR], [1])], replace(OUTCOME, size_bytes=4))
        assert changed_sources(ledger) == []
        (tmp_path / "b.mp4").write_bytes(b"12345")
        (tmp_path / "gone.mp4").unlink()
        assert changed_sources(ledger) == ["b.mp4: 4 bytes before, 5 now"]
        assert ledger.counts()["done"] == 3
        changed_sources(ledger, replace=True)
        assert ledger.counts()["done"] == 2
        assert ledger.claim(60).path == "b.mp4"


def test_names_that_are_not_utf8_come_back_as_they_were(tmp_path):
    source = os.fsdecode(b"/in/\xff.mp4")
    with Ledger(tmp_path, "me") as ledger:
        register(ledger, [VideoRequest("\\xff.mp4", source, ("q",))])
        assert register(ledger, [VideoRequest("\\xff.mp4", source, ("q",))]) == []
        assert ledger.claim(60).source == source
    with open_dataset(tmp_path) as dataset:
        assert [video.source for video in dataset.videos()] == [source]


def test_a_folder_with_any_name_holds_a_dataset(tmp_path):
    folder = tmp_path / "50% é ?mode=memory#x"
    folder.mkdir()
    with Ledger(folder, "me") as ledger:
        register(ledger, [A])
    assert [path.name for path in folder.iterdir()] == [DATABASE]
    assert read_status(folder).counts["waiting"] == 1


def test_what_is_no_dataset_of_this_version_is_refused_unchanged(tmp_path):
    with pytest.raises(InputError, match=r"holds no annotations\.sqlite"):
        open_dataset(tmp_path)
    path = tmp_path / DATABASE
    path.write_bytes(b"something else" * 100)
    for opening in (lambda: open_dataset(tmp_path), lambda: Ledger(tmp_path, "me")):
        with pytest.raises(InputError, match="is not a database of carvid annotate"):
            opening()
    assert path.read_bytes() == b"something else" * 100
    path.unlink()
    with Ledger(tmp_path, "me"), sqlite3.connect(path) as connection:
        connection.execute("UPDATE meta SET value = '7' WHERE key = 'schema_version'")
    connection.close()
    for opening in (lambda: open_dataset(tmp_path), lambda: Ledger(tmp_path, "me")):
        with pytest.raises(
            InputError, match="schema version 7, of a newer carvid; this one reads up to version 5"
        ):
            opening()


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ("UPDATE videos SET status = 'text'", "videos.status is 'text', expected one of waiting, running"),
        ("UPDATE videos SET source = 7 WHERE id = 1", "videos.source is 7, expected a text or bytes"),
        ("UPDATE videos SET frame_rate = '1/0'", "videos.frame_rate is '1/0', expected a positive fraction"),
        ("UPDATE videos SET stop_frame = 2", "the frames of video 2 start at 3 and stop at 2"),
        ("UPDATE videos SET damage = '{'", "videos.damage is no JSON"),
        ("UPDATE videos SET damage = '{}'", "videos.damage is a JSON dict, not a list"),
        ("UPDATE videos SET damage = '[1]'", "damage.first_frame is NULL, expected a whole number from 0"),
        ("UPDATE settings SET json = replace(hex(zeroblob(10000)), '00', '[')", "nested too deeply"),
        ("UPDATE settings SET json = '7'", "settings.json is a JSON int, not a dict"),
        ("UPDATE meta SET value = x'ff' WHERE key = 'carvid'", "meta.value is b'.xff', expected a text"),
        ("UPDATE queries SET text = CAST(x'ff' AS TEXT) WHERE id = 1", "Could not decode to UTF-8 column"),
        ("DELETE FROM queries WHERE id = 2", "queries.id is NULL, expected a whole number from 1"),
        (
            "DELETE FROM video_queries WHERE position = 1",
            "queries.id is NULL, expected a whole number from 1",
        ),
        (
            "UPDATE frames SET width = 1000000000",
            "frames.width is 1000000000, expected a whole number from 1",
        ),
        ("UPDATE frames SET width = 5", "annotations.object_id is NULL, expected a whole number from 1"),
        ("UPDATE frames SET pts_seconds = 9e999", "frames.pts_seconds is inf, expected a number"),
        ("DELETE FROM annotations WHERE object_id = 2", r"frame 0 of video 1 has masks of the objects \[1\]"),
        ("UPDATE annotations SET score = 'high'", "annotations.score is 'high', expected a number, or NULL"),
        ("UPDATE annotations SET box_x = NULL", "object 1 of 4 px has the box"),
        ("UPDATE annotations SET rle = '!'", "run-length code with the character '!'"),
        ("ALTER TABLE frames RENAME COLUMN height TO tall", "no such column"),
        ("UPDATE sqlite_master SET sql = CAST(x'd5' AS TEXT) WHERE name = 'objects'", "annotations.sqlite"),
    ],
)
def test_a_damaged_database_is_refused_where_it_is_read(tmp_path, ledger, damage, told):
    agree(ledger, {"settings": {"theta": 0.5}}, "hash")
    label(ledger, ledger.claim(60), [result(0, [CAR, DOG], [1, 1])])
    ledger.close()
    with sqlite3.connect(tmp_path / DATABASE) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(damage)
    connection.close()

    def read():
        read_status(tmp_path)
        with open_dataset(tmp_path) as dataset:
            dataset.meta()
            dataset.setting("settings", "theta", NUMBER)
            for _, annotations in dataset.annotations(1):
                assert all(annotation.mask().shape == (3, 4) for annotation in annotations)

    with pytest.raises(InputError, match=told):
        read()


def test_a_damaged_database_is_refused_where_labelling_goes_on(tmp_path, ledger):
    with ledger.transaction() as connection:
        connection.execute("DELETE FROM video_queries")
    with pytest.raises(
        InputError, match=r"annotations\.sqlite: video 1 has no queries; restore it from a copy"
    ):
        ledger.claim(60)
    assert ledger.counts()["waiting"] == 2
    with ledger.transaction() as connection:
        connection.execute("UPDATE videos SET path = x'ff'")
    for read in (requests_of, lambda ledger: ledger.claim(60)):
        with pytest.raises(InputError, match=r"videos\.path is b'.xff', expected a text"):
            read(ledger)


def test_the_database_says_what_it_is(tmp_path, ledger):
    with sqlite3.connect(tmp_path / DATABASE) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("SELECT value FROM meta WHERE key = 'schema_version'").fetchone() == ("5",)
    connection.close()


def test_a_process_killed_in_a_transaction_leaves_what_was_before(tmp_path):
    code = """
        import os, signal
        from pathlib import Path
        from carvid.store.agreement import register
        from carvid.store.ledger import Ledger
        from carvid.store.task import VideoRequest
        ledger = Ledger(Path(os.sys.argv[1]), "child")
        register(ledger, [VideoRequest("a", "/a", ("q",))])
        with ledger.transaction() as connection:
            connection.execute("UPDATE videos SET status = 'done'")
            os.kill(os.getpid(), signal.SIGKILL)
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == -signal.SIGKILL
    assert read_status(tmp_path).counts["waiting"] == 1
    with Ledger(tmp_path, "me") as ledger:
        assert ledger.claim(60).path == "a"


def test_a_disk_that_is_full_is_told_and_loses_nothing(tmp_path, ledger):
    task = ledger.claim(60)
    size = (tmp_path / (DATABASE + "-wal")).stat().st_size
    many = [VideoRequest(f"{i}.mp4", f"/in/{i}.mp4", ("q" * 500,)) for i in range(200)]
    with (
        file_size_limit(size + 8192),
        pytest.raises(OutputError, match=r"cannot write .*annotations\.sqlite"),
    ):
        register(ledger, many)
    assert list(requests_of(ledger).values()) == [A, B]
    with file_size_limit(8192), pytest.raises(OutputError, match=r"cannot write .*1\.staged"):
        label(ledger, task, [result(i, [CAR, DOG], [1, 1]) for i in range(10_000)])
    assert not (tmp_path / "1.staged").exists()
    assert list(requests_of(ledger).values()) == [A, B]
    assert label(ledger, task, [result(0, [CAR, DOG], [1, 1])])


def test_a_disk_too_full_to_open_the_database_is_told_as_such(tmp_path):
    with Ledger(tmp_path, "me") as ledger:
        register(ledger, [A])
    for n_bytes in (0, 4096, 16384):
        with (
            file_size_limit(n_bytes),
            pytest.raises(OutputError, match=r"cannot write .*annotations\.sqlite"),
        ):
            Ledger(tmp_path, "me")
    assert read_status(tmp_path).counts["waiting"] == 1


def test_a_dataset_on_a_read_only_disk_can_be_read(tmp_path):
    with small_disk(tmp_path / "disk", "size=1m") as disk:
        with Ledger(disk, "me") as ledger:
            register(ledger, [A])
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        assert read_status(disk).counts["waiting"] == 1
        with pytest.raises(OutputError, match="cannot write"):
            Presence(disk).__enter__()


def test_a_process_is_present_until_it_ends_however_it_ends(tmp_path):
    code = """
        import sys, time
        from pathlib import Path
        from carvid.annotate.leases import Presence
        with Presence(Path(sys.argv[1])) as presence:
            (presence.folder / "1.sqlite").write_bytes(b"half")
            print(presence.owner, flush=True)
            time.sleep(600)
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        other = process.stdout.readline().strip()
        with Presence(tmp_path) as mine, Presence(tmp_path) as third:
            mine.sweep()
            assert mine.dead([other, third.owner, mine.owner, "never"]) == ("never",)
            assert (tmp_path / WORK / other / "1.sqlite").exists()
            process.kill()
            process.wait()
            assert mine.dead([other, third.owner]) == (other,)
            mine.sweep()
            assert sorted(path.stem for path in (tmp_path / WORK).iterdir()) == sorted(
                [mine.owner, third.owner] * 2
            )
    assert list(tmp_path.iterdir()) == []
