"""An output folder of a run, as it was written and with something in it changed."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from carvid.errors import InputError, UsageError
from carvid.media.palette import read_label_png, write_label_png
from carvid.media.rle import encode_rle
from carvid.verify.check import Check
from carvid.verify.verify import verify
from tests.tiny_clip import make_tiny_clip
from tests.verify_cases import (
    HEIGHT,
    LEFT,
    QUERIES,
    WIDTH,
    StopAfter,
    copied,
    edit_json,
    edit_line,
    load,
    run,
    states,
    write_clip,
)

RESULTS, LINES = "results.jsonl", "lines of results.jsonl"
FINE = {
    "run": "ok",
    "source": "ok",
    "weights of the proposer": "ok",
    "weights of the classifier": "ok",
    "settings": "ok",
    RESULTS: "ok",
    LINES: "ok",
    "masks": "ok",
}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "in", 4)


@pytest.fixture(scope="module")
def plain(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("plain") / "out"
    run(clip, out, load(keyframes=1))
    # Otherwise most of what is tampered with below would not show.
    lines = [json.loads(line) for line in (out / RESULTS).read_text().splitlines()]
    assert all(line["queries"][0]["area_px"] > 100 for line in lines)
    return out


def checks(folder: Path, **options: Any) -> dict[str, Check]:
    return {check.name: check for check in verify(folder, **options)}


def test_all_of_an_untouched_run_is_ok(plain: Path) -> None:
    assert states(verify(plain)) == FINE


@pytest.mark.parametrize("separate", [False, True])
@pytest.mark.parametrize(
    ("options", "queries"),
    [({"keyframes": 2}, QUERIES), ({}, (QUERIES[0], LEFT, QUERIES[0])), ({"instances": True}, QUERIES)],
    ids=["carried", "words", "instances"],
)
def test_other_kinds_of_runs_agree_with_themselves(
    clip: Path, tmp_path: Path, options: dict[str, Any], queries: tuple[str, ...], separate: bool
) -> None:
    run(clip, tmp_path / "out", load(**options), queries, separate=separate)
    assert states(verify(tmp_path / "out")) == FINE


def flip_pixel(out: Path) -> None:
    path = out / "masks" / "00002.png"
    labels = read_label_png(path)
    labels[0, 0] = 1
    write_label_png(path, labels)


def same_pixels(out: Path) -> None:
    """The same labels, packed otherwise."""
    path = out / "masks" / "00001.png"
    data = path.read_bytes()
    write_label_png(path, read_label_png(path))
    assert path.read_bytes() == data
    path.write_bytes(data + b"\0")


def remove_mask(out: Path) -> None:
    (out / "masks" / "00003.png").unlink()


def add_mask(out: Path) -> None:
    shutil.copy(out / "masks" / "00003.png", out / "masks" / "00004.png")


def smaller_mask(out: Path) -> None:
    write_label_png(out / "masks" / "00000.png", np.zeros((5, 5), np.uint8))


def no_image(out: Path) -> None:
    (out / "masks" / "00000.png").write_bytes(b"no image")


def change_setting(out: Path) -> None:
    edit_json(out / "run.json", lambda told: told["segmenter"]["settings"].update(eta=0.4))


def change_query(out: Path) -> None:
    edit_json(out / "run.json", lambda told: told["queries"].__setitem__(0, "the red star"))


def change_score(out: Path) -> None:
    edit_line(out / RESULTS, 1, lambda line: line["queries"][0].update(score=0.75))


def change_area(out: Path) -> None:
    edit_line(out / RESULTS, 1, lambda line: line["queries"][0].update(area_px=1))


def change_box(out: Path) -> None:
    edit_line(out / RESULTS, 1, lambda line: line["queries"][0].update(box_xywh=[0, 0, 2, 2]))


def change_code(out: Path) -> None:
    def empty(line: dict[str, Any]) -> None:
        line["queries"][0] |= {
            "rle": encode_rle(np.zeros((HEIGHT, WIDTH), np.bool_)),
            "area_px": 0,
            "box_xywh": None,
        }

    edit_line(out / RESULTS, 1, empty)


def drop_line(out: Path) -> None:
    lines = (out / RESULTS).read_text().splitlines(keepends=True)
    (out / RESULTS).write_text("".join(lines[:-1]))


def cut_line(out: Path) -> None:
    (out / RESULTS).write_bytes((out / RESULTS).read_bytes()[:-9])


def no_record(out: Path) -> None:
    edit_line(out / RESULTS, 2, lambda line: line.pop("name"))


def no_results(out: Path) -> None:
    (out / RESULTS).unlink()


@pytest.mark.parametrize(
    ("tamper", "differs", "why"),
    [
        (flip_pixel, {"masks"}, "00002.png has not the recorded SHA-256"),
        (same_pixels, {"masks"}, "00001.png has not the recorded SHA-256"),
        (remove_mask, {"masks"}, "00003.png cannot be read (No such file or directory)"),
        (add_mask, {"masks"}, "holds 5 mask files, results.jsonl names 4"),
        (smaller_mask, {"masks"}, "00000.png has 5x5 px, its line 284x160"),
        (no_image, {"masks"}, "00000.png is not an image"),
        (change_setting, {"settings"}, "is recorded"),
        (change_query, {"settings", LINES}, "is recorded"),
        (change_score, {RESULTS}, "is recorded"),
        (change_area, {RESULTS, LINES}, "is recorded"),
        (change_box, {RESULTS, LINES}, "is recorded"),
        (change_code, {RESULTS, "masks"}, "is recorded"),
        (drop_line, {RESULTS, LINES, "masks"}, "is recorded"),
        (cut_line, {RESULTS, LINES, "masks"}, "is recorded"),
        (no_record, {RESULTS, LINES}, "is recorded"),
        (no_results, {RESULTS, LINES, "masks"}, "cannot be read"),
    ],
)
def test_what_was_changed_differs_and_nothing_else(
    plain: Path, tmp_path: Path, tamper: Callable[[Path], None], differs: set[str], why: str
) -> None:
    out = copied(plain, tmp_path / "out")
    tamper(out)
    found = checks(out)
    expected = {**FINE, **dict.fromkeys(differs, "differs")}
    if tamper is no_record:
        # Its mask file is then that of no frame.
        expected["masks"] = "differs"
    assert states(found.values()) == expected
    first = next(check for check in found.values() if check.state == "differs")
    assert why in first.why


def test_a_changed_or_missing_source_is_told(clip: Path, plain: Path, tmp_path: Path) -> None:
    source = copied(clip, tmp_path / "in")
    assert checks(plain, source=source)["source"].state == "ok"
    (source / "00001.jpg").write_bytes((source / "00002.jpg").read_bytes())
    changed = checks(plain, source=source)["source"]
    assert changed.state == "differs"
    assert "are recorded" in changed.why or "is recorded" in changed.why
    gone = checks(plain, source=tmp_path / "gone")["source"]
    assert (gone.state, gone.why) == ("unchecked", f"there is nothing at {tmp_path / 'gone'}")


def test_weights_are_found_where_they_were_and_by_their_hash(clip: Path, tmp_path: Path) -> None:
    weights = make_tiny_clip(tmp_path / "model", seed=5, patch=16, logit_scale=6.0)
    run(clip, tmp_path / "out", load(proposer=str(weights), keyframes=1), stop_frame=1)
    assert states(verify(tmp_path / "out")) == FINE
    shutil.rmtree(weights)
    make_tiny_clip(weights, seed=6, patch=16, logit_scale=6.0)
    found = checks(tmp_path / "out", rerun=1)
    assert found["weights of the proposer"].state == "differs"
    assert str(weights) in found["weights of the proposer"].why
    assert found["weights of the classifier"].state == "ok"
    assert (found["rerun"].state, found["rerun"].why) == (
        "unchecked",
        "the weights are not all here as recorded",
    )
    shutil.rmtree(weights)
    assert checks(tmp_path / "out")["weights of the proposer"].state == "unchecked"


def test_random_weights_have_the_hash_of_how_they_are_drawn(plain: Path, tmp_path: Path) -> None:
    out = copied(plain, tmp_path / "out")
    source = "random weights, vit-b16, seed 0"
    weights = {
        "name": "random:clip-b16",
        "source": source,
        "sha256": hashlib.sha256(source.encode()).hexdigest(),
    }
    edit_json(out / "run.json", lambda told: told["segmenter"]["models"].update(proposer=weights))
    assert checks(out)["weights of the proposer"].state == "ok"
    weights["source"] = "random weights, vit-b16, seed 1"
    edit_json(out / "run.json", lambda told: told["segmenter"]["models"].update(proposer=weights))
    assert checks(out)["weights of the proposer"].state == "differs"


def test_an_interrupted_run_is_ok_as_far_as_it_went(clip: Path, tmp_path: Path) -> None:
    summary = run(clip, tmp_path / "out", load(keyframes=1), progress=StopAfter(2))
    assert summary.interrupted
    found = checks(tmp_path / "out", rerun=1)
    assert states(found.values()) == {**FINE, "rerun": "ok"}
    assert found["run"].why == f"interrupted after {summary.frames} frames, as recorded"


def test_of_a_killed_run_the_lines_and_masks_are_checked(plain: Path, tmp_path: Path) -> None:
    out = copied(plain, tmp_path / "out")

    def unfinished(told: dict[str, Any]) -> None:
        told |= {"complete": False, "finished": None, "frames": 0, "results_sha256": None}

    edit_json(out / "run.json", unfinished)
    # The last line was not written whole; its mask was.
    cut_line(out)
    assert states(verify(out)) == {**FINE, "run": "unchecked", RESULTS: "unchecked"}
    flip_pixel(out)
    assert checks(out)["masks"].state == "differs"


def test_of_a_run_killed_at_its_start_nothing_is_missing(plain: Path, tmp_path: Path) -> None:
    out = copied(plain, tmp_path / "out")

    def begun(told: dict[str, Any]) -> None:
        told |= {"complete": False, "finished": None, "frames": 0, "results_sha256": None}

    edit_json(out / "run.json", begun)
    no_results(out)
    shutil.rmtree(out / "masks")
    expected = {**FINE, **dict.fromkeys(("run", RESULTS, LINES), "unchecked")}
    del expected["masks"]
    assert states(verify(out)) == expected


def test_what_an_earlier_carvid_did_not_record_cannot_be_checked(plain: Path, tmp_path: Path) -> None:
    out = copied(plain, tmp_path / "out")

    def older(told: dict[str, Any]) -> None:
        for name in ("schema_version", "machine", "results_sha256", "settings_sha256"):
            del told[name]
        del told["source"]["path"]

    edit_json(out / "run.json", older)
    for i in range(4):
        edit_line(out / RESULTS, i, lambda line: line.pop("masks"))
    found = checks(out)
    unchecked = dict.fromkeys(("source", "settings", RESULTS, "masks"), "unchecked")
    assert states(found.values()) == {**FINE, **unchecked}
    assert "an earlier carvid wrote it" in found["masks"].why
    flip_pixel(out)
    assert checks(out)["masks"].state == "differs"


@pytest.mark.parametrize("version", [2, "1", None])
def test_a_newer_schema_version_is_refused(plain: Path, tmp_path: Path, version: object) -> None:
    out = copied(plain, tmp_path / "out")
    edit_json(out / "run.json", lambda told: told.update(schema_version=version))
    with pytest.raises(InputError, match="update carvid"):
        verify(out)


def test_what_is_no_folder_of_carvids_is_refused(clip: Path, tmp_path: Path) -> None:
    for folder in (tmp_path / "gone", clip, clip / "00000.jpg"):
        with pytest.raises(InputError):
            verify(folder)
    with pytest.raises(UsageError, match="at least 1 frame"):
        verify(clip, rerun=0)
