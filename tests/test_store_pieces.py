"""Videos in pieces: whose turn it is, where the video ends, and what is joined."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from carvid.errors import InputError, UsageError
from carvid.store.agreement import agree, changed_sources, register
from carvid.store.corrections import Corrections
from carvid.store.database import open_dataset
from carvid.store.ledger import Ledger
from carvid.store.pieces import Pieces
from carvid.store.schema import DATABASE
from carvid.store.staging import StagingWriter
from carvid.store.status import read_status
from carvid.store.task import Outcome, Task, VideoRequest
from carvid.stream.source import Damage
from tests.test_store_database import CAR, DOG, label, result

LONG = VideoRequest("long.mp4", "/in/long.mp4", ("the red car", "a dog"))
SHORT = VideoRequest("short.mp4", "/in/short.mp4", ("a dog",))
N = 4
EMPTY: tuple[int, ...] = ()


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path, "me") as ledger:
        register(ledger, [LONG])
        yield ledger


@pytest.fixture
def pieces(ledger: Ledger) -> Pieces:
    return Pieces(ledger, N, 1)


def claim(pieces: Pieces) -> Task:
    task = pieces.claim(60)
    assert task is not None
    return task


def deliver(
    pieces: Pieces,
    ledger: Ledger,
    task: Task,
    frames: Sequence[int],
    damage: Sequence[tuple[int, int | None]] = (),
    size: int | None = 1234,
) -> bool:
    """Commit these frames as those of the piece."""
    staged = ledger.path.parent / "staged"
    with StagingWriter(staged, task.video_id, task.query_ids, 0.5) as writer:
        for i in frames:
            writer.write(result(i, [CAR, DOG][: len(task.queries)], [0.5, 0.25][: len(task.queries)]))
    outcome = Outcome(
        sha256=None if task.piece else "ab" * 32,
        size_bytes=size,
        width=4 if frames else None,
        height=3 if frames else None,
        frame_rate="25/1" if frames else None,
        frame_count=len(frames),
        damage=[{"first_frame": first, "last_frame": last, "reason": "cut"} for first, last in damage],
        no_frame=None if frames else f"nothing in piece {task.piece}",
    )
    return pieces.commit(task, staged, outcome)


def rows(ledger: Ledger, table: str) -> list[Any]:
    return ledger.connection.execute(f"SELECT * FROM {table}").fetchall()


def states(folder: Path) -> list[str]:
    with open_dataset(folder) as dataset:
        return [video.status for video in dataset.videos()]


def test_pieces_in_any_order_are_joined_to_what_the_whole_video_is(
    tmp_path: Path, ledger: Ledger, pieces: Pieces
) -> None:
    tasks = [claim(pieces) for _ in range(3)]
    assert [(task.piece, task.start_frame, task.stop_frame) for task in tasks] == [
        (0, 0, None),
        (1, 0, None),
        (2, 0, None),
    ]
    deliver(pieces, ledger, tasks[2], [8, 9], damage=[(6, 8)])
    deliver(pieces, ledger, tasks[0], [0, 1, 2, 3])
    with open_dataset(tmp_path) as dataset:
        # Nobody sees half a video.
        assert list(dataset.annotations(1)) == list(dataset.frames(1)) == list(dataset.objects(1)) == []
    assert read_status(tmp_path).running == (("long.mp4", 6),)
    assert pieces.labelled(1) == 6
    deliver(pieces, ledger, tasks[1], [4, 5], damage=[(6, 8)])
    assert rows(ledger, "pieces") == []
    (tmp_path / "whole").mkdir()
    with Ledger(tmp_path / "whole", "me") as whole:
        register(whole, [LONG])
        task = whole.claim(60)
        assert task is not None
        damage = [{"first_frame": 6, "last_frame": 8, "reason": "cut"}]
        results = [result(i, [CAR, DOG], [0.5, 0.25]) for i in (0, 1, 2, 3, 4, 5, 8, 9)]
        assert label(whole, task, results, Outcome("ab" * 32, 1234, 4, 3, "25/1", 8, damage))
        for table in ("videos", "frames", "objects", "annotations", "pieces"):
            assert rows(ledger, table) == rows(whole, table)


def test_needed_pieces_come_first_then_videos_then_what_may_lie_behind_the_end(
    ledger: Ledger, pieces: Pieces
) -> None:
    register(ledger, [SHORT])
    assert pieces.waiting(9) == 2
    first = claim(pieces)
    # Whether the video has a second piece is not known yet.
    assert pieces.waiting(9) == 9
    second = claim(pieces)
    third = claim(pieces)
    assert [(task.video_id, task.piece) for task in (first, second, third)] == [(1, 0), (2, 0), (1, 1)]
    deliver(pieces, ledger, second, [0, 1, 2, 3])
    # The piece after a full one is needed, to find the end.
    needed = claim(pieces)
    assert (needed.video_id, needed.piece) == (2, 1)
    deliver(pieces, ledger, needed, EMPTY)
    assert ledger.counts()["done"] == 1
    perhaps = claim(pieces)
    assert (perhaps.video_id, perhaps.piece) == (1, 2)
    # A piece with frames after it is needed too; so is each before the last.
    deliver(pieces, ledger, perhaps, [8, 9])
    pieces.release(third)
    assert pieces.waiting(9) == 1
    assert claim(pieces).piece == 1
    assert pieces.claim(60) is None


def test_a_range_is_cut_from_its_start_and_has_no_piece_behind_its_stop(
    tmp_path: Path,
) -> None:
    with Ledger(tmp_path, "me") as ledger:
        register(ledger, [VideoRequest("r.mp4", "/in/r.mp4", ("a dog",), 3, 20)])
        pieces = Pieces(ledger, 4, 2)
        tasks = [claim(pieces) for _ in range(3)]
        assert pieces.claim(60) is None
        for task, frames in zip(tasks, ([3, 5, 7, 9], [11, 13, 15, 17], [19]), strict=True):
            deliver(pieces, ledger, task, frames)
    with open_dataset(tmp_path) as dataset:
        (video,) = dataset.videos()
        assert (video.status, video.frame_count) == ("done", 9)


def test_what_was_labelled_behind_the_end_counts_for_nothing(
    tmp_path: Path, ledger: Ledger, pieces: Pieces
) -> None:
    tasks = [claim(pieces) for _ in range(4)]
    # The file was still written to: a later piece found frames.
    deliver(pieces, ledger, tasks[2], [8, 9], size=2000)
    deliver(pieces, ledger, tasks[1], [4])
    pieces.fail(tasks[3], "a crash")
    assert states(tmp_path) == ["running"]
    deliver(pieces, ledger, tasks[0], [0, 1, 2, 3])
    with open_dataset(tmp_path) as dataset:
        (video,) = dataset.videos()
        assert (video.status, video.frame_count, video.error) == ("done", 5, None)
        assert [frame.frame_index for frame in dataset.frames(1)] == [0, 1, 2, 3, 4]
    assert len(rows(ledger, "annotations")) == 10


def test_a_piece_that_fails_fails_the_video_once_it_is_known_to_be_needed(
    tmp_path: Path, ledger: Ledger, pieces: Pieces
) -> None:
    tasks = [claim(pieces) for _ in range(3)]
    deliver(pieces, ledger, tasks[2], [8, 9, 10, 11])
    assert pieces.fail(tasks[1], "a crash")
    assert states(tmp_path) == ["running"]
    # Nothing more is begun.
    assert (pieces.claim(60), pieces.waiting(9)) == (None, 0)
    deliver(pieces, ledger, tasks[0], [0, 1, 2, 3])
    assert read_status(tmp_path).failed == (("long.mp4", "a crash"),)
    assert [rows(ledger, table) for table in ("pieces", "frames", "objects", "annotations")] == [[]] * 4
    assert pieces.claim(60) is None
    ledger.retry_failed()
    assert claim(pieces).piece == 0


@pytest.mark.parametrize(
    ("delivered", "error"),
    [
        ([(EMPTY, [(0, None)], 7)], "nothing in piece 0"),
        ([(EMPTY, [(0, 5)], 7), (EMPTY, [(4, 5)], 7)], "nothing in piece 0"),
        ([([0, 1, 2, 3], [], 7), ([4], [], 8)], "its size changed while it was labelled: 7, 8 bytes"),
    ],
)
def test_a_video_without_a_frame_or_one_that_changed_has_failed(
    tmp_path: Path,
    ledger: Ledger,
    pieces: Pieces,
    delivered: list[tuple[Sequence[int], list[tuple[int, int | None]], int]],
    error: str,
) -> None:
    for frames, damage, size in delivered:
        assert deliver(pieces, ledger, claim(pieces), frames, damage, size)
    assert read_status(tmp_path).failed == (("long.mp4", error),)
    assert rows(ledger, "frames") == rows(ledger, "pieces") == []


def test_a_video_may_begin_with_a_piece_that_has_no_frame(
    tmp_path: Path, ledger: Ledger, pieces: Pieces
) -> None:
    deliver(pieces, ledger, claim(pieces), EMPTY, [(0, 4)])
    deliver(pieces, ledger, claim(pieces), [5], [(0, 4)])
    with open_dataset(tmp_path) as dataset:
        (video,) = dataset.videos()
        assert (video.width, video.height, video.sha256) == (4, 3, "ab" * 32)
        assert video.damage == (Damage(0, 4, "cut"),)


def test_a_piece_is_given_out_once_and_what_comes_too_late_is_discarded(
    tmp_path: Path, ledger: Ledger, pieces: Pieces
) -> None:
    with Ledger(tmp_path, "other") as other:
        theirs = Pieces(other, N, 1)
        lost = pieces.claim(-1)
        assert lost is not None
        kept = claim(theirs)
        assert (lost.piece, kept.piece) == (0, 1)
        pieces.renew(-1, {lost: 3})
        assert theirs.renew(60, {kept: 2, lost: 9}) == {lost}
        assert read_status(tmp_path).running == (("long.mp4", 5),)
        assert ledger.lease_owners() == ("other",)
        assert other.recover() == 1
        assert states(tmp_path) == ["running"]
        assert not deliver(pieces, ledger, lost, [0, 1])
        assert not pieces.fail(lost, "no")
        assert not pieces.release(lost)
        assert claim(theirs).piece == 0
        assert other.recover(["other"]) == 2
        assert states(tmp_path) == ["waiting"]
        assert rows(ledger, "pieces") == []


def test_what_is_done_stays_when_its_process_is_gone(tmp_path: Path, ledger: Ledger, pieces: Pieces) -> None:
    deliver(pieces, ledger, claim(pieces), [0, 1, 2, 3])
    claim(pieces)
    with Ledger(tmp_path, "other") as other:
        assert other.recover(["me"]) == 1
        assert read_status(tmp_path).counts["waiting"] == 1
        assert read_status(tmp_path).running == (("long.mp4", 4),)
        theirs = Pieces(other, N, 1)
        assert claim(theirs).piece == 1


def test_labels_are_replaced_only_when_nobody_is_making_them(ledger: Ledger, pieces: Pieces) -> None:
    agree(ledger, {"a": 1}, "one")
    deliver(pieces, ledger, claim(pieces), [0, 1, 2, 3])
    held = claim(pieces)
    with pytest.raises(UsageError, match="another process is labelling"):
        agree(ledger, {"a": 2}, "two", replace=True)
    pieces.release(held)
    agree(ledger, {"a": 2}, "two", replace=True)
    assert rows(ledger, "pieces") == rows(ledger, "frames") == rows(ledger, "annotations") == []
    assert claim(pieces).piece == 0


def test_a_file_that_changed_between_two_pieces_is_told_or_begun_again(tmp_path: Path) -> None:
    source = tmp_path / "a.mp4"
    source.write_bytes(b"1234")
    with Ledger(tmp_path, "me") as ledger:
        register(ledger, [VideoRequest("a.mp4", str(source), ("a dog",))])
        pieces = Pieces(ledger, N, 1)
        deliver(pieces, ledger, claim(pieces), [0, 1, 2, 3], size=4)
        assert changed_sources(ledger) == []
        source.write_bytes(b"12345")
        assert changed_sources(ledger) == ["a.mp4: 4 bytes before, 5 now"]
        assert claim(pieces).piece == 1
        ledger.recover(["me"])
        changed_sources(ledger, replace=True)
        assert claim(pieces).piece == 0


def test_corrections_stay_when_a_video_is_labelled_again_in_pieces(
    tmp_path: Path, ledger: Ledger, pieces: Pieces
) -> None:
    deliver(pieces, ledger, claim(pieces), [0, 1])
    with Corrections(tmp_path) as corrections:
        assert corrections.correct(1, 1, 1, DOG, expected_revision=0) == 1
    agree(ledger, {"a": 1}, "one")
    agree(ledger, {"a": 2}, "two", replace=True)
    deliver(pieces, ledger, claim(pieces), [0, 1])
    with open_dataset(tmp_path) as dataset:
        assert dataset.corrected(1) == 1


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ("UPDATE pieces SET status = 'waiting'", "pieces.status is 'waiting', expected one of running, done"),
        ("UPDATE pieces SET number = -1", "pieces.number is -1, expected a whole number from 0"),
        ("UPDATE pieces SET damage = '{'", "pieces.damage is no JSON"),
    ],
)
def test_a_damaged_table_is_refused(
    tmp_path: Path, ledger: Ledger, pieces: Pieces, damage: str, told: str
) -> None:
    deliver(pieces, ledger, claim(pieces), [0, 1, 2, 3])
    with closing(sqlite3.connect(tmp_path / DATABASE)) as connection:
        connection.execute(damage)
        connection.commit()
    with pytest.raises(InputError, match=told):
        deliver(pieces, ledger, claim(pieces), [4])
