"""Random frames of a run, made again and compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from carvid.media.palette import read_label_png, write_label_png
from carvid.media.rle import bounding_box_xywh, decode_rle, encode_rle
from carvid.verify.check import Check
from carvid.verify.verify import verify
from tests.media import packet_spans, write_video, zero
from tests.tiny_sam import make_tiny_sam
from tests.verify_cases import LEFT, QUERIES, copied, draw, edit_json, edit_line, load, run, write_clip


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "in", 4)


@pytest.fixture(scope="module")
def plain(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("plain") / "out"
    run(clip, out, load(keyframes=1))
    return out


def again(folder: Path, count: int = 9, **options: Any) -> Check:
    *_, check = verify(folder, rerun=count, **options)
    assert check.name == "rerun"
    return check


def shrink(line: dict[str, Any]) -> None:
    """Take the topmost row from the first query's mask, in all that the line says of it."""
    one = line["queries"][0]
    mask = decode_rle(one["rle"])
    mask[np.flatnonzero(mask.any(axis=1))[0]] = False
    one |= {
        "rle": encode_rle(mask),
        "area_px": int(mask.sum()),
        "box_xywh": bounding_box_xywh(mask),
    }


def shrink_mask(out: Path, number: int) -> None:
    """Tamper with a frame in such a way that its line and its mask file still agree."""
    edit_line(out / "results.jsonl", number, shrink)
    path = out / "masks" / f"{number:05d}.png"
    labels = read_label_png(path)
    labels[np.flatnonzero((labels == 1).any(axis=1))[0]] *= (
        labels[np.flatnonzero((labels == 1).any(axis=1))[0]] != 1
    )
    write_label_png(path, labels)


def test_every_frame_of_a_run_on_every_frame_is_equal(plain: Path) -> None:
    check = again(plain)
    assert (check.state, check.why) == (
        "ok",
        "4 frames made again; 16 of 16 masks and labels equal; scores equal in 4 of 4",
    )


def test_the_seed_chooses_the_frames(plain: Path, tmp_path: Path) -> None:
    out = copied(plain, tmp_path / "out")
    shrink_mask(out, 2)
    # These choose the frames 0, 1, 2 and 3.
    assert [again(out, 1, seed=seed).state for seed in (5, 3, 7, 0)] == ["ok", "ok", "differs", "ok"]


def test_a_changed_mask_differs_where_all_else_is_as_it_was(plain: Path, tmp_path: Path) -> None:
    out = copied(plain, tmp_path / "out")
    shrink_mask(out, 2)
    check = again(out)
    assert check.state == "differs"
    assert "14 of 16 masks and labels equal; mean IoU 0.99" in check.why
    assert "(frame 2, " in check.why


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("versions", {"carvid": "0.0.1"}, "carvid 0.0.1 then"),
        ("machine", {"processor": "an abacus", "threads": 1, "batch": 1}, "processor an abacus then"),
        ("machine", None, "the processor is not recorded"),
    ],
)
def test_made_with_something_else_a_changed_mask_cannot_be_judged(
    plain: Path, tmp_path: Path, name: str, value: object, why: str
) -> None:
    out = copied(plain, tmp_path / "out")
    edit_json(out / "run.json", lambda told: told.update({name: value}))
    shrink_mask(out, 2)
    check = again(out)
    assert check.state == "unchecked"
    assert "14 of 16 masks and labels equal" in check.why
    assert why in check.why


def test_a_changed_score_differs(plain: Path, tmp_path: Path) -> None:
    out = copied(plain, tmp_path / "out")
    edit_line(out / "results.jsonl", 1, lambda line: line["steps"][0]["scores"].__setitem__(0, 0.5))
    check = again(out)
    assert check.state == "differs"
    assert "scores equal in 3 of 4; frame 1, query 1 in step 1 has the score 0.500000" in check.why


def test_a_changed_setting_makes_other_masks(plain: Path, tmp_path: Path) -> None:
    out = copied(plain, tmp_path / "out")
    edit_json(out / "run.json", lambda told: told["segmenter"]["settings"].update(theta=1.0))
    assert again(out).state == "differs"


@pytest.mark.parametrize(("name", "value"), [("eta", "half"), ("prompts", ["arrow"])])
def test_settings_that_are_none_cannot_be_compared(
    plain: Path, tmp_path: Path, name: str, value: object
) -> None:
    out = copied(plain, tmp_path / "out")
    edit_json(out / "run.json", lambda told: told["segmenter"]["settings"].update({name: value}))
    assert again(out).state == "unchecked"


def test_an_option_that_this_carvid_does_not_know_cannot_be_compared(plain: Path, tmp_path: Path) -> None:
    out = copied(plain, tmp_path / "out")
    edit_json(out / "run.json", lambda told: told["segmenter"].update(sharpness=3))
    check = again(out)
    assert check.state == "unchecked"
    assert "sharpness: 3 before, null now" in check.why


def test_of_key_frames_the_masks_are_compared_and_of_the_others_none(clip: Path, tmp_path: Path) -> None:
    run(clip, tmp_path / "out", load(keyframes=2))
    check = again(tmp_path / "out")
    assert check.state == "ok"
    assert check.why.startswith(
        "3 frames made again; 12 of 12 masks and labels equal; scores equal in 3 of 3; 1 "
    )
    shrink_mask(tmp_path / "out", 2)
    assert again(tmp_path / "out").state == "differs"


def test_where_words_choose_the_other_queries_and_the_scores_are_compared(clip: Path, tmp_path: Path) -> None:
    run(clip, tmp_path / "out", load(keyframes=1), (LEFT, QUERIES[1]))
    check = again(tmp_path / "out")
    assert check.state == "ok"
    assert check.why.startswith(
        "4 frames made again; 4 of 4 masks and labels equal; scores equal in 4 of 4; "
    )
    assert "what words choose, depend on other frames too" in check.why
    edit_line(tmp_path / "out" / "results.jsonl", 1, shrink)
    # That mask was chosen by its words, through the shot.
    assert again(tmp_path / "out").state == "ok"


def test_of_instances_the_scores_are_compared(clip: Path, tmp_path: Path) -> None:
    run(clip, tmp_path / "out", load(instances=True, keyframes=3))
    check = again(tmp_path / "out")
    assert check.state == "ok"
    assert check.why.startswith("2 frames made again; scores equal in 2 of 2; ")


def test_where_no_frame_was_run_by_itself_it_says_so(clip: Path, tmp_path: Path) -> None:
    run(clip, tmp_path / "out", load(instances=True, keyframes=1))
    for i in range(4):
        edit_line(tmp_path / "out" / "results.jsonl", i, lambda line: line.pop("steps"))
    check = again(tmp_path / "out")
    assert check.state == "unchecked"
    assert check.why.startswith("no frame could be compared; ")


def test_a_sam_that_refines_some_frames_is_asked_for_these(clip: Path, tmp_path: Path) -> None:
    sam = make_tiny_sam(tmp_path / "sam")
    options = {"every": 2, "automatic": {"points_per_side": 2}}
    run(clip, tmp_path / "out", load(keyframes=1, sam=str(sam), sam_options=options))
    check = again(tmp_path / "out")
    assert check.state == "ok"
    assert check.why == (
        "2 frames made again; 8 of 8 masks and labels equal; scores equal in 2 of 2; "
        "2 frames that the SAM left out were not made again"
    )


def test_of_a_damaged_video_and_part_of_one_the_same_frames_are_read(tmp_path: Path) -> None:
    video = write_video(tmp_path / "v.mp4", draw(14), gop=5)
    run(video, tmp_path / "part", load(keyframes=1), start_frame=3, every=4)
    check = again(tmp_path / "part")
    assert (check.state, check.why[:20]) == ("ok", "3 frames made again;")
    position, size, _ = packet_spans(video)[6]
    zero(video, position, size)
    assert run(video, tmp_path / "cut", load(keyframes=1), every=2).damaged
    check = again(tmp_path / "cut", 3)
    assert (check.state, check.why[:20]) == ("ok", "3 frames made again;")


def test_a_frame_that_the_source_does_not_have_differs(plain: Path, tmp_path: Path) -> None:
    out = copied(plain, tmp_path / "out")
    edit_line(out / "results.jsonl", 3, lambda line: line.update(index=30))
    check = again(out)
    assert check.state == "differs"
    assert "frame 30: the source gives no such frame" in check.why
