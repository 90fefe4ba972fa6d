"""`carvid annotate --piece`: the frames of a piece, and the same labels whoever labels which piece."""

from __future__ import annotations

import os
import random
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from carvid.annotate.annotate import annotate
from carvid.annotate.label import Labelling, StreamOptions, label_video
from carvid.engines import EngineModel, load_engine
from carvid.errors import InputError, UsageError
from carvid.frame import Frame
from carvid.recipe import Recipe, load_recipe
from carvid.recipe.record import differences
from carvid.result import FrameResult
from carvid.store.agreement import register
from carvid.store.ledger import Ledger
from carvid.store.pieces import Pieces
from carvid.store.schema import DATABASE, LABELS
from carvid.store.status import read_status
from carvid.store.task import Outcome, Task, VideoRequest
from carvid.workers.ray_workforce import CarvidWorker
from carvid.workers.worker import Setup
from tests.annotate_cases import run_annotate, start_annotate, wait_until
from tests.media import moving_square, packet_spans, truncate, write_folder, write_video, zero
from tests.motion_cases import KnownMasks

QUERIES = ("the red square", "a green circle")
B_FRAMES = {"bf": "3", "b_strategy": "0"}


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return load_recipe(model="shapes", crf=False, device="cpu", batch=1, keyframes=1)


@pytest.fixture(scope="module")
def model(recipe: Recipe) -> EngineModel:
    return load_engine(recipe)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 frames, with a key frame in every 10."""
    return write_video(tmp_path_factory.mktemp("clip") / "a.mp4", moving_square(20), options=B_FRAMES)


class Labelled:
    """What labelling a source gave: its outcomes and the rows of each table, those of all pieces together."""

    def __init__(self, outcomes: Sequence[Outcome], files: Sequence[Path]) -> None:
        self.outcomes = outcomes
        self.rows: dict[str, list[Any]] = {table: [] for table in LABELS}
        for file in files:
            with closing(sqlite3.connect(file)) as connection:
                for table, rows in self.rows.items():
                    found = connection.execute(f"SELECT * FROM {table}").fetchall()
                    rows += [row for row in found if row not in rows]


def labelled(
    source: Path, model: EngineModel, stream: StreamOptions, numbers: Sequence[int | None], folder: Path
) -> Labelled:
    tasks = [Task(1, source.name, str(source), 1, None, (1, 2), QUERIES, number) for number in numbers]
    files = [folder / f"{number}.sqlite" for number in numbers]
    outcomes = [
        label_video(task, model, stream, file, lambda *_: None)
        for task, file in zip(tasks, files, strict=True)
    ]
    return Labelled(outcomes, files)


@pytest.mark.parametrize("every", [1, 3])
def test_pieces_have_the_frames_of_the_whole(
    tmp_path: Path, model: EngineModel, clip: Path, every: int
) -> None:
    folder = write_folder(tmp_path / "folder", moving_square(20))
    for source in (clip, folder):
        whole = labelled(source, model, StreamOptions(every=every), [None], tmp_path)
        pieces = labelled(source, model, StreamOptions(every=every, piece=4), range(6), tmp_path)
        assert pieces.rows == whole.rows
        # 19 frames from frame 1 on: 4, 4, 4, 4, 3 and none, or 7 with every third.
        counts = {1: [4, 4, 4, 4, 3, 0], 3: [4, 3, 0, 0, 0, 0]}[every]
        assert [outcome.frame_count for outcome in pieces.outcomes] == counts
        (of_whole,) = whole.outcomes
        assert pieces.outcomes[0] == replace(of_whole, frame_count=4)
        assert {outcome.size_bytes for outcome in pieces.outcomes} == {of_whole.size_bytes}
        assert [outcome.sha256 for outcome in pieces.outcomes[1:]] == [None] * 5
        assert [outcome.no_frame is None for outcome in pieces.outcomes] == [count > 0 for count in counts]


def test_a_piece_begins_and_ends_with_a_key_frame(
    tmp_path: Path, recipe: Recipe, model: EngineModel, clip: Path
) -> None:
    sparse = load_engine(replace(recipe, keyframes=5))
    pieces = labelled(clip, sparse, StreamOptions(piece=8), range(3), tmp_path)
    keys = [index for _, index, *_, is_key, _, _ in pieces.rows["frames"] if is_key]
    assert keys == [1, 6, 8, 9, 14, 16, 17, 19]


class Bright(KnownMasks):
    """An engine whose masks are the bright pixels of each colour."""

    def steps(self, frames: Sequence[Frame]) -> Iterator[FrameResult]:
        for frame in frames:
            self._masks = {frame.index: frame.image.transpose(2, 0, 1)[: len(self.queries)] > 128}
            yield from super().steps([frame])


class BrightModel:
    recipe = load_recipe(model="shapes", keyframes=1)

    def session(self, queries: Sequence[str]) -> Bright:
        return Bright({}, queries)

    def describe(self) -> Mapping[str, Any]:
        return {}


def sources(folder: Path) -> list[VideoRequest]:
    """Whole and damaged videos, with ranges."""
    rng = np.random.default_rng(0)
    noisy = [
        (picture // 2 + rng.integers(0, 99, picture.shape)).astype(np.uint8) for picture in moving_square(40)
    ]
    clip = write_video(folder / "whole.mp4", noisy, options=B_FRAMES)
    holed = write_video(folder / "holed.mp4", noisy, options=B_FRAMES)
    position, size, _ = packet_spans(holed)[13]
    zero(holed, position + size // 2, size // 4)
    broken = write_video(folder / "broken.mp4", noisy, options={"bf": "0"})
    position, size, _ = packet_spans(broken)[25]
    data = bytearray(broken.read_bytes())
    data[position + 60 : position + size] = rng.bytes(size - 60)
    broken.write_bytes(data)
    cut = write_video(folder / "cut.mkv", noisy)
    truncate(cut, cut.stat().st_size * 3 // 5)
    images = write_folder(folder / "images", noisy[:14])
    for i in (3, 4, 9, 13):
        (images / f"{i:05d}.png").write_bytes(b"no image")
    return [
        *(VideoRequest(each.name, str(each), QUERIES) for each in (clip, holed, broken, cut, images)),
        VideoRequest("range", str(clip), QUERIES, 3, 29),
        VideoRequest("damaged range", str(holed), QUERIES, 12, 33),
        VideoRequest("behind the end", str(cut), QUERIES, 39),
        VideoRequest("nowhere", str(folder / "nowhere"), QUERIES),
    ]


def label_all(
    folder: Path, requests: Sequence[VideoRequest], model: EngineModel, stream: StreamOptions
) -> Path:
    """Label a dataset in this process, up to three tasks begun at a time, finished in a random order."""
    choose = random.Random(0)
    folder.mkdir()
    with Ledger(folder, "me") as ledger:
        register(ledger, requests)
        turns = ledger if stream.piece is None else Pieces(ledger, stream.piece, stream.every)
        held: list[Task] = []
        while not ledger.is_settled():
            held += [task for task in (turns.claim(60) for _ in range(3 - len(held))) if task is not None]
            task = held.pop(choose.randrange(len(held)))
            staged = folder / "staged"
            try:
                outcome = label_video(task, model, stream, staged, lambda *_: None)
            except InputError as error:
                turns.fail(task, str(error))
            else:
                turns.commit(task, staged, outcome)
    return folder


@pytest.mark.parametrize(("every", "piece"), [(1, 4), (1, 7), (3, 2)])
def test_a_dataset_in_pieces_is_the_one_of_whole_videos(tmp_path: Path, every: int, piece: int) -> None:
    requests, model = sources(tmp_path), BrightModel()
    whole = label_all(tmp_path / "1", requests, model, StreamOptions(every=every))
    pieces = label_all(tmp_path / "2", requests, model, StreamOptions(every=every, piece=piece))
    states = [status for (status,) in rows_of(whole, "SELECT status FROM videos")]
    assert states == ["done"] * 7 + ["failed"] * 2
    for table in ("videos", "pieces", *LABELS):
        assert rows_of(pieces, f"SELECT * FROM {table}") == rows_of(whole, f"SELECT * FROM {table}")


def test_an_actor_labels_a_piece_as_a_process_does(
    tmp_path: Path, recipe: Recipe, model: EngineModel, clip: Path
) -> None:
    stream = StreamOptions(piece=6)
    actor = CarvidWorker(Setup(recipe, "carvid.annotate.label:Labelling", asdict(stream), 0, 1).to_json())
    actor._model = model
    task = Task(1, "a.mp4", str(clip), 1, None, (1, 2), QUERIES, 2)
    messages = list(actor.work(task.to_json()))
    (tmp_path / "sent").write_bytes(b"".join(each["bytes"] for each in messages if each["kind"] == "part"))
    local = labelled(clip, model, stream, [2], tmp_path)
    assert Labelled([Outcome(**messages[-1]["outcome"])], [tmp_path / "sent"]).__dict__ == local.__dict__
    assert [row[1] for row in local.rows["frames"]] == [13, 14, 15, 16, 17, 18]


def test_the_size_of_pieces_is_part_of_what_the_labels_are_made_with(model: EngineModel) -> None:
    whole, five, six = (Labelling(piece=piece).describe(model) for piece in (None, 5, 6))
    assert differences(five, six) == ["stream.piece: 5 before, 6 now"]
    # A dataset older than pieces was labelled without.
    del whole["stream"]["piece"]
    assert differences(whole, Labelling().describe(model)) == []
    assert differences(whole, six) == ["stream.piece: null before, 6 now"]


def test_what_cannot_be_cut_is_refused_at_once(tmp_path: Path, recipe: Recipe, clip: Path) -> None:
    def refused(videos: Path, recipe: Recipe) -> str:
        with pytest.raises(UsageError) as told:
            annotate(str(videos), tmp_path / "out", recipe, queries=QUERIES, stream=StreamOptions(piece=5))
        assert not (tmp_path / "out").exists()
        return str(told.value)

    with pytest.raises(UsageError, match="piece is 0; expected at least 1 frame"):
        StreamOptions(piece=0)
    assert "leave out --piece or --instances" in refused(clip, replace(recipe, instances=True))
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "b.mp4")
        assert "b.mp4 can be read only once" in refused(tmp_path / "b.mp4", recipe)


def rows_of(dataset: Path, statement: str) -> list[Any]:
    with closing(sqlite3.connect(dataset / DATABASE)) as connection:
        return connection.execute(statement).fetchall()


def content(dataset: Path) -> dict[str, list[Any]]:
    """All that a dataset holds about its videos and labels."""
    return {
        table: rows_of(dataset, f"SELECT * FROM {table}")
        for table in ("settings", "videos", "pieces", *LABELS)
    }


def done_pieces(dataset: Path) -> set[tuple[int, int]]:
    """Video and number of each piece that is labelled, of videos that are not done."""
    try:
        with closing(sqlite3.connect(f"file:{dataset / DATABASE}?mode=ro", uri=True)) as connection:
            return set(connection.execute("SELECT video_id, number FROM pieces WHERE status = 'done'"))
    except sqlite3.OperationalError:
        # The tables are not made yet.
        return set()


@pytest.mark.slow
def test_the_labels_are_the_same_with_more_workers_and_after_a_kill(tmp_path: Path) -> None:
    videos = tmp_path / "in"
    videos.mkdir()
    write_video(videos / "long.mp4", moving_square(100), options=B_FRAMES)
    write_video(videos / "short.mp4", moving_square(12), options=B_FRAMES)
    arguments = [
        "--no-crf",
        "--keyframes",
        "1",
        "--piece",
        "6",
        *(word for q in QUERIES for word in ("-q", q)),
    ]
    model, one, three, killed = Path("shapes"), tmp_path / "one", tmp_path / "three", tmp_path / "killed"
    for dataset, workers in ((one, "1"), (three, "3")):
        ran = run_annotate(videos, dataset, model, *arguments, "--workers", workers)
        assert ran.returncode == 0, ran.stderr
    with start_annotate(videos, killed, model, *arguments) as process:
        wait_until(lambda: bool(done_pieces(killed)))
        process.kill()
        process.communicate()
    done = done_pieces(killed)
    assert done
    assert read_status(killed).running[0][0] == "long.mp4"
    with closing(sqlite3.connect(killed / DATABASE)) as connection:
        connection.execute("CREATE TABLE begun (video_id INTEGER, number INTEGER)")
        connection.execute(
            "CREATE TRIGGER note AFTER INSERT ON pieces"
            " BEGIN INSERT INTO begun VALUES (NEW.video_id, NEW.number); END"
        )
    ran = run_annotate(videos, killed, model, *arguments, "--workers", "2")
    assert ran.returncode == 0, ran.stderr
    begun = rows_of(killed, "SELECT * FROM begun")
    assert len(begun) == len(set(begun))
    assert not done & set(begun)
    expected = content(one)
    assert len(expected["frames"]) == 112
    assert expected["pieces"] == []
    assert content(three) == expected
    assert content(killed) == expected
