"""The ranking that the desk keeps: that of `carvid review`, and brought up to date with what was changed."""

from __future__ import annotations

import csv
import sqlite3
import time
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carvid.desk import worst
from carvid.desk.worst import Ranking, _runs
from carvid.errors import InputError
from carvid.review import review_dataset
from carvid.store.agreement import agree
from carvid.store.corrections import Corrections
from carvid.store.database import open_dataset
from carvid.store.ledger import Ledger
from carvid.store.schema import DATABASE
from carvid.store.task import VideoRequest
from tests.desk_cases import FRAMES, make_dataset, square
from tests.test_store_corrections import relabel


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return make_dataset(tmp_path)


def test_it_is_that_of_review(dataset: Path) -> None:
    ranking = Ranking(dataset)
    found = ranking.of_video(1) + ranking.of_video(2)
    of_frame: dict[tuple[int, int], float] = {}
    for number in (1, 2):
        for row in ranking.of_video(number):
            key = number, row["frame"]
            of_frame[key] = max(of_frame.get(key, 0.0), row["suspicion"])
    path = review_dataset(dataset).path
    with Path(path).open(newline="") as file:
        told = {
            (int(row["video_id"]), int(row["frame_index"])): float(row["total"])
            for row in csv.DictReader(file)
        }
    assert of_frame == pytest.approx(told, abs=1e-6)
    assert found[0]["suspicion"] == max(told.values())


def test_what_was_changed_is_ranked_again_as_if_from_the_start(dataset: Path) -> None:
    ranking = Ranking(dataset)
    before = ranking.of_video(1)
    with Corrections(dataset) as corrections:
        for frame in (0, 9, 10, 20, FRAMES - 1):
            corrections.correct(1, frame, 1, square(frame + 2), expected_revision=0)
    again, anew = ranking.of_video(1), Ranking(dataset).of_video(1)
    assert again == anew
    assert again != before


def test_videos_that_nobody_opened_are_ranked_too(dataset: Path) -> None:
    ranking = Ranking(dataset)
    ranking.start()
    try:
        for _ in range(600):
            if ranking.is_ranked(1) and ranking.is_ranked(2):
                break
            time.sleep(0.05)
        assert ranking.of_all()["ranked"] == 2
    finally:
        ranking.close()
    with open_dataset(dataset) as opened:
        totals = ranking.totals(opened, 2)
    assert totals is not None
    assert {number: len(each) for number, each in totals.items()} == {1: FRAMES, 2: FRAMES}
    assert int(np.argmax(totals[1])) == 20


def test_a_correction_that_comes_while_a_video_is_ranked_is_not_forgotten(
    dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = worst.suspicions

    def meanwhile(*args: Any, **options: Any) -> Any:
        monkeypatch.setattr(worst, "suspicions", whole)
        with Corrections(dataset) as corrections:
            corrections.correct(1, 20, 1, square(20), expected_revision=0)
        return whole(*args, **options)

    monkeypatch.setattr(worst, "suspicions", meanwhile)
    ranking = Ranking(dataset)
    ranking.of_video(1)
    assert ranking.of_video(1) == Ranking(dataset).of_video(1)


def test_a_video_that_is_labelled_anew_is_ranked_anew(tmp_path: Path) -> None:
    def settings(sha256: str) -> None:
        with Ledger(tmp_path, "me") as ledger:
            agree(ledger, {"settings": {"theta": 0.3}}, sha256, replace=True)

    settings("before")
    relabel(tmp_path)
    ranking = Ranking(tmp_path)
    before = ranking.of_video(1)
    settings("after")
    relabel(tmp_path, VideoRequest("a.mp4", "/in/a.mp4", ("one", "two")), indices=(0, 1, 2))
    with open_dataset(tmp_path) as dataset:
        assert ranking.totals(dataset, 1) is None
    assert ranking.of_video(1) == Ranking(tmp_path).of_video(1)
    assert len(before) < len(ranking.of_video(1))


def test_a_damaged_video_does_not_keep_the_others_from_being_ranked(dataset: Path) -> None:
    with closing(sqlite3.connect(dataset / DATABASE)) as connection:
        connection.execute(
            "UPDATE annotations SET rle = '!' WHERE video_id = 1 AND frame_index = 3 AND object_id = 1"
        )
        connection.commit()
    ranking = Ranking(dataset)
    ranking.start()
    try:
        for _ in range(600):
            if ranking.is_ranked(2):
                break
            time.sleep(0.05)
        assert not ranking.is_ranked(1)
        assert ranking.of_all()["ranked"] == 1
    finally:
        ranking.close()
    with pytest.raises(InputError):
        ranking.of_video(1)


@given(
    places=st.lists(st.integers(0, 40), unique=True, min_size=1).map(sorted),
    chosen=st.sets(st.integers(0, 60)),
)
def test_runs_are_the_changed_places_and_those_beside_them(places: list[int], chosen: set[int]) -> None:
    changed = {places[i % len(places)] for i in chosen}
    brute = {
        i
        for i in range(len(places))
        if {places[j] for j in (i - 1, i, i + 1) if 0 <= j < len(places)} & changed
    }
    found = list(_runs(np.array(places), changed))
    assert sorted(i for first, last in found for i in range(first, last + 1)) == sorted(brute)
    assert all(first > before + 1 for (_, before), (first, _) in pairwise(found))
