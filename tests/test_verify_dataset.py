"""A dataset, as it was labelled and with something in it changed."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from carvid.annotate.annotate import annotate
from carvid.errors import UsageError
from carvid.media.rle import decode_rle, encode_rle
from carvid.recipe import load_recipe
from carvid.store.corrections import Corrections
from carvid.store.schema import DATABASE
from carvid.verify.check import Check
from carvid.verify.verify import verify
from tests.verify_cases import HEIGHT, LEFT, QUERIES, WIDTH, copied, states, write_clip

SOURCE, MASKS = "video 1 (.) source", "video 1 (.) masks"
FINE = {
    "weights of the classifier": "ok",
    "weights of the proposer": "ok",
    "settings": "ok",
    SOURCE: "ok",
    MASKS: "ok",
}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "in", 4)


def label(clip: Path, dataset: Path, queries: tuple[str, ...], **options: Any) -> Path:
    annotate(
        str(clip),
        dataset,
        load_recipe(model="shapes", device="cpu", size=224, crf=False, **options),
        queries=queries,
    )
    return dataset


@pytest.fixture(scope="module")
def plain(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return label(clip, tmp_path_factory.mktemp("plain") / "dataset", QUERIES, keyframes=1)


@pytest.fixture(scope="module")
def words(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return label(clip, tmp_path_factory.mktemp("words") / "dataset", (QUERIES[0], LEFT))


def checks(folder: Path, **options: Any) -> dict[str, Check]:
    return {check.name: check for check in verify(folder, **options)}


def change(dataset: Path, statement: str, *values: Any) -> None:
    with closing(sqlite3.connect(dataset / DATABASE)) as connection, connection:
        assert connection.execute(statement, values).rowcount == 1


def one_mask(dataset: Path) -> np.ndarray:
    """The model's mask of object 1 in frame 2."""
    with closing(sqlite3.connect(dataset / DATABASE)) as connection:
        ((counts,),) = connection.execute(
            "SELECT rle FROM annotations WHERE frame_index = 2 AND object_id = 1 AND revision = 0"
        )
    return decode_rle({"size": [HEIGHT, WIDTH], "counts": counts})


def test_all_of_an_untouched_dataset_is_ok(plain: Path, words: Path) -> None:
    for dataset in (plain, words):
        found = checks(dataset)
        assert states(found.values()) == FINE
        assert found[MASKS].why == "8 in 4 frames: codes, areas and boxes agree"


MASK = "WHERE frame_index = 2 AND object_id = 1 AND revision = 0"


@pytest.mark.parametrize(
    ("statement", "values", "differs", "why"),
    [
        (f"UPDATE annotations SET area_px = 7 {MASK}", (), MASKS, "frame 2, object 1 has 7 px"),
        (f"UPDATE annotations SET box_x = 0 {MASK}", (), MASKS, "frame 2, object 1 has"),
        (f"UPDATE annotations SET rle = '0' {MASK}", (), MASKS, "run-length code of 0 pixels"),
        (f"UPDATE annotations SET rle = 'x' {MASK}", (), MASKS, "run-length code"),
        (f"UPDATE annotations SET width = 9 {MASK}", (), MASKS, f"[{HEIGHT}, 9] px"),
        (f"UPDATE annotations SET area_px = -1 {MASK}", (), MASKS, "annotations.area_px is -1"),
        (
            f"UPDATE annotations SET label_rle = ? {MASK}",
            (encode_rle(np.ones((HEIGHT, WIDTH), np.bool_))["counts"],),
            MASKS,
            "has a label beyond its mask",
        ),
        (f"DELETE FROM annotations {MASK}", (), MASKS, "has masks of the objects [2], expected [1, 2]"),
        ("DELETE FROM frames WHERE frame_index = 3", (), MASKS, "there are 3 frames, 4 are recorded"),
        (
            "UPDATE settings SET json = replace(json, '\"eta\": 0.5', '\"eta\": 0.25')",
            (),
            "settings",
            "SHA-256",
        ),
        ("UPDATE videos SET sha256 = ?", ("0" * 64,), SOURCE, f"{'0' * 64} is recorded"),
        ("UPDATE videos SET size_bytes = 1", (), SOURCE, "1 are recorded"),
    ],
)
def test_what_was_changed_differs_and_nothing_else(
    plain: Path, tmp_path: Path, statement: str, values: tuple[Any, ...], differs: str, why: str
) -> None:
    dataset = copied(plain, tmp_path / "dataset")
    change(dataset, statement, *values)
    found = checks(dataset)
    assert states(found.values()) == {**FINE, differs: "differs"}
    assert why in found[differs].why


def test_settings_of_an_earlier_carvid_have_the_hash_that_it_made(plain: Path, tmp_path: Path) -> None:
    """It knew fewer options, and so left them out of the hash."""
    dataset = copied(plain, tmp_path / "dataset")
    change(dataset, "UPDATE settings SET sha256 = ?", "0" * 64)
    assert checks(dataset)["settings"].state == "differs"
    change(dataset, "UPDATE meta SET value = '0.0.1' WHERE key = 'carvid'")
    assert checks(dataset)["settings"].state == "unchecked"


def test_corrections_by_hand_are_counted_and_left_alone(plain: Path, tmp_path: Path) -> None:
    dataset = copied(plain, tmp_path / "dataset")
    with Corrections(dataset) as hand:
        hand.correct(1, 2, 1, np.ones((HEIGHT, WIDTH), np.bool_), expected_revision=0)
    found = checks(dataset, rerun=4)
    assert states(found.values()) == {**FINE, "rerun": "ok"}
    assert found[MASKS].why.endswith("; 1 corrected by hand, left alone")


def test_a_video_that_is_not_labelled_has_nothing_to_check(plain: Path, tmp_path: Path) -> None:
    dataset = copied(plain, tmp_path / "dataset")
    change(dataset, "UPDATE videos SET status = 'failed', error = 'no decodable frame'")
    found = checks(dataset)
    assert found["video 1 (.)"].state == "unchecked"
    assert MASKS not in found


def test_a_source_is_given_for_a_run_alone(plain: Path) -> None:
    with pytest.raises(UsageError, match="--source"):
        verify(plain, source=plain)


def test_frames_made_again_are_equal(plain: Path) -> None:
    again = checks(plain, rerun=3)["rerun"]
    assert (again.state, again.why) == (
        "ok",
        "3 frames made again; 12 of 12 masks and labels equal; scores equal in 3 of 3",
    )


def test_a_mask_that_agrees_with_itself_is_found_by_making_it_again(plain: Path, tmp_path: Path) -> None:
    dataset = copied(plain, tmp_path / "dataset")
    mask = one_mask(dataset)
    y, x = np.argwhere(mask)[len(np.argwhere(mask)) // 2]
    mask[y, x] = False
    change(
        dataset,
        f"UPDATE annotations SET rle = ?, label_rle = NULL, area_px = area_px - 1 {MASK}",
        encode_rle(mask)["counts"],
    )
    assert states(verify(dataset)) == FINE
    again = checks(dataset, rerun=4)["rerun"]
    # A dataset does not tell with which versions it was labelled.
    assert again.state == "unchecked"
    assert "14 of 16 masks and labels equal; mean IoU 0.9999" in again.why
    assert "(video 1, frame 2, label 1)" in again.why
    assert "versions of packages are not recorded" in again.why


def test_where_words_choose_key_frames_and_scores_are_compared(words: Path) -> None:
    again = checks(words, rerun=9)["rerun"]
    assert again.state == "ok"
    # Of the first query, which is CLIP's alone.
    assert again.why.startswith(
        "2 frames made again; 2 of 2 masks and labels equal; scores equal in 2 of 2; "
    )
    assert "2 frames whose masks were carried from key frames were not made again" in again.why
    assert "in 2 of 2 frames not every object's mask was compared" in again.why


def test_without_the_weights_or_the_source_nothing_is_made_again(plain: Path, tmp_path: Path) -> None:
    dataset = copied(plain, tmp_path / "dataset")
    change(dataset, "UPDATE videos SET sha256 = ?", "0" * 64)
    again = checks(dataset, rerun=1)["rerun"]
    assert again.state == "unchecked"
    assert "frames of 1 videos whose sources are not here as recorded" in again.why
    with closing(sqlite3.connect(dataset / DATABASE)) as connection:
        ((text,),) = connection.execute("SELECT json FROM settings")
    told = json.loads(text)
    told["models"]["proposer"]["sha256"] = "0" * 64
    change(dataset, "UPDATE settings SET json = ?", json.dumps(told))
    found = checks(dataset, rerun=1)
    assert found["weights of the proposer"].state == found["settings"].state == "differs"
    assert found["rerun"].why == "the weights are not all here as recorded"
