"""Scoring predictions on disk: what is written, what is refused, and what is told."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from carvid.davis.evaluate import evaluate
from carvid.davis.markdown import markdown
from carvid.errors import InputError, OutputError, UsageError
from carvid.media.palette import voc_palette, write_label_png
from tests.davis_trees import boxes, write_masks, write_truth

REPOSITORY = Path(__file__).resolve().parents[1]
ONE = boxes(_1=(1, 1))
BOTH = boxes(_1=(1, 1), _2=(7, 11))
SWAPPED = boxes(_2=(1, 1), _1=(7, 11))
HALF = boxes(_1=(1, 1))  # object 2 of BOTH is not found
TRUTH = {"cat": [BOTH] * 4, "dog": [ONE] * 5}
GOOD = {"cat": [BOTH] * 4, "dog": [ONE] * 5}


@pytest.fixture
def root(tmp_path):
    return write_truth(tmp_path / "davis", TRUTH)


@pytest.fixture
def out(tmp_path):
    """Set 0 swaps the cats' labels, set 1 is right, set 2 misses a cat."""
    folder = tmp_path / "out"
    for index, cats in enumerate([SWAPPED, BOTH, HALF]):
        write_masks(folder / "valid" / f"anno_{index}", {"cat": [cats] * 4, "dog": [ONE] * 5})
    return folder


def score(root, out, **options):
    return evaluate(root, out, workers=1, **options)


def document(out):
    return json.loads((out / "scores.json").read_text())


def rows(path):
    return list(csv.reader(path.read_text().splitlines()))


def test_averages_over_objects_sets_and_protocols(root, out):
    scores = score(root, out)
    by_set = [
        [one.protocols[name].averages.jf_mean for name in ("identity", "matched")] for one in scores.sets
    ]
    # Three objects, each 0 or 1.
    assert by_set == pytest.approx(np.array([[1 / 3, 1], [1, 1], [2 / 3, 2 / 3]]))
    assert scores.overall["identity"].averages.jf_mean == pytest.approx(2 / 3)
    assert scores.overall["matched"].averages.jf_mean == pytest.approx(8 / 9)
    cat, dog = scores.sets[2].protocols["identity"].videos
    assert (cat.averages.jf_mean, dog.averages.jf_mean) == (0.5, 1)
    assert cat.frame_ids == ("00001", "00002")
    assert scores.refusals == ()


def test_scores_json(root, out):
    score(root, out)
    found = document(out)
    cat = found["identity"]["2"]["cat"]
    assert cat["J"] == {"M": [1, 0], "R": [1, 0], "D": [0, 0]}
    assert cat["F"] == {"M": [1, 0], "R": [1, 0], "D": [0, 0]}
    assert set(found["matched"]) == {"0", "1", "2"}
    assert found["averages"]["matched"]["overall"]["J&F-Mean"] == pytest.approx(8 / 9)
    assert found["averages"]["identity"]["sets"]["0"]["J-Recall"] == pytest.approx(1 / 3)
    assert found["gap"]["0"]["J&F-Mean"] == pytest.approx(2 / 3)
    assert found["gap"]["overall"]["J-Mean"] == pytest.approx(2 / 9)
    assert found["missing_frames_scored_as_empty"] == {"0": 0, "1": 0, "2": 0}


def test_matched_lists_keep_the_reference_order_and_say_whose_they_are(root, tmp_path):
    # Object 1 is found by label 2 in full, object 2 by label 1 in three of four frames.
    frames = [SWAPPED, SWAPPED, SWAPPED, boxes(_2=(1, 1))]
    out = write_masks(tmp_path / "bare", {"cat": frames, "dog": [ONE] * 5})
    score(root, out)
    cat = document(out)["matched"]["0"]["cat"]
    assert (cat["labels"], cat["objects"], cat["J"]["M"]) == ([1, 2], [2, 1], [0.75, 1])
    table = rows(out / "scores/matched/anno_0/per-sequence_results-val.csv")
    assert table[1:3] == [["cat_1", "0.750", "0.750"], ["cat_2", "1.000", "1.000"]]


def test_csv_files_in_the_reference_columns(root, out):
    score(root, out)
    folder = out / "scores" / "identity" / "anno_2"
    assert (folder / "global_results-val.csv").read_text() == (
        "J&F-Mean,J-Mean,J-Recall,J-Decay,F-Mean,F-Recall,F-Decay\n0.667,0.667,0.667,0.000,0.667,0.667,0.000\n"
    )
    assert (folder / "per-sequence_results-val.csv").read_text() == (
        "Sequence,J-Mean,F-Mean\ncat_1,1.000,1.000\ncat_2,0.000,0.000\ndog_1,1.000,1.000\n"
    )
    written = sorted(path.relative_to(out).as_posix() for path in out.rglob("*.csv"))
    assert len(written) == 12
    assert written[-1] == "scores/matched/anno_2/per-sequence_results-val.csv"


def test_markdown_shows_both_protocols_and_the_gap(root, out):
    lines = markdown(score(root, out)).splitlines()
    assert lines[0].startswith("| Set | J&F identity | J&F matched | J&F gap |")
    assert lines[2].startswith("| 0 | 33.33 | 100.00 | +66.67 |")
    assert lines[5].startswith("| mean of 3 | 66.67 | 88.89 | +22.22 |")
    assert any(line.startswith("| identity | 66.67 | 66.67 |") for line in lines)
    assert "2 videos, 3 objects, expression sets 0, 1, 2" in lines[-1]


def test_bootstrap_interval_over_videos(root, out):
    interval = score(root, out, sets=[2]).overall["identity"].interval
    # Drawn twice, the dog gives 1 and the cat 1/2; each comes up in a quarter of all draws.
    assert interval.jf_mean == interval.j_mean == (0.5, 1)
    assert interval == score(root, out, sets=[2]).overall["identity"].interval
    assert score(root, out, videos=["dog"]).overall["identity"].interval is None


def test_only_some_videos_and_sets(root, out):
    scores = score(root, out, sets=[2, 1], videos=["dog"])
    assert [one.index for one in scores.sets] == [1, 2]
    assert list(document(out)["identity"]["1"]) == ["dog"]


def test_a_bare_folder_of_videos_is_set_0(root, tmp_path):
    scores = score(root, write_masks(tmp_path / "bare", GOOD))
    assert [one.index for one in scores.sets] == [0]
    assert scores.overall["identity"].averages.jf_mean == 1


def test_worker_processes_find_the_same(root, out):
    alone = score(root, out) and document(out)
    evaluate(root, out, workers=2)
    assert document(out) == alone


def test_what_was_scored_is_hashed_by_name_and_content(root, out):
    def hashes():
        score(root, out)
        found = document(out)
        return found["annotations"]["sha256"], found["predictions"]["1"]["sha256"]

    truth, before = hashes()
    assert set(truth) == set(before) == {"cat", "dog"}
    assert len(before["cat"]) == 64
    assert hashes() == (truth, before)
    write_label_png(out / "valid/anno_1/cat/00002.png", SWAPPED)
    changed_truth, after = hashes()
    assert changed_truth == truth
    assert after["dog"] == before["dog"]
    assert after["cat"] != before["cat"]


def test_scores_are_always_computed_anew(root, out):
    assert score(root, out, sets=[1]).overall["identity"].averages.jf_mean == 1
    write_masks(out / "valid" / "anno_1", {"cat": [SWAPPED] * 4})
    assert score(root, out, sets=[1]).overall["identity"].averages.jf_mean == pytest.approx(1 / 3)
    assert not list(out.glob("scores/*/anno_0"))


def test_a_refusal_leaves_no_old_figure_behind(root, out):
    score(root, out)
    (out / "valid/anno_0/cat/00001.png").unlink()
    with pytest.raises(InputError):
        score(root, out)
    assert not (out / "scores.json").exists()
    assert not list(out.rglob("*.csv"))


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda video: (video / "00001.png").unlink(), "missing in .*cat: 00001.png"),
        (
            lambda video: write_label_png(video / "00009.png", BOTH),
            "extra in .*cat, without annotation: 00009.png",
        ),
        (lambda video: write_label_png(video / "00002.png", BOTH[:, :-1]), "00002.png: 15x12, .* 16x12"),
        (
            lambda video: Image.new("RGB", (16, 12), (1, 2, 3)).save(video / "00002.png"),
            "00002.png: an RGB PNG",
        ),
        (
            lambda video: Image.new("RGBA", (16, 12)).save(video / "00003.png"),
            "00003.png: a PNG of mode RGBA",
        ),
        (lambda video: (video / "00000.png").write_bytes(b"no"), "00000.png: not a readable PNG"),
    ],
    ids=["missing", "extra", "size", "colours", "alpha", "damaged"],
)
def test_refused_naming_the_file(root, out, spoil, expected):
    spoil(out / "valid" / "anno_1" / "cat")
    with pytest.raises(InputError, match=expected) as raised:
        score(root, out)
    assert raised.value.exit_code == 3
    assert "anno_1" in str(raised.value)


def test_all_that_is_wrong_is_named_at_once(root, out):
    for index in (0, 1):
        write_label_png(out / f"valid/anno_{index}/cat/00002.png", BOTH[:5])
    write_label_png(out / "valid/anno_2/dog/00000.png", BOTH[:6])
    with pytest.raises(InputError, match="3 problems") as raised:
        evaluate(root, out, workers=2)
    for name in ("anno_0/cat/00002.png", "anno_1/cat/00002.png", "anno_2/dog/00000.png"):
        assert name in str(raised.value)


def test_missing_frames_scored_as_empty_and_counted(root, out):
    for frame in ("00000", "00001"):
        (out / f"valid/anno_1/cat/{frame}.png").unlink()
    scores = score(root, out, sets=[1], missing="empty")
    assert scores.sets[0].missing_frames == 2
    assert scores.sets[0].protocols["matched"].videos[0].averages.j.mean == 0.5
    assert "2 missing prediction frames of set 1 were scored as empty." in markdown(scores)
    assert document(out)["missing_frames_scored_as_empty"] == {"1": 2}


def test_an_extra_frame_is_refused_even_so(root, out):
    write_label_png(out / "valid/anno_1/cat/00009.png", BOTH)
    with pytest.raises(InputError, match=r"00009\.png"):
        score(root, out, missing="empty")


def test_rgb_in_the_palettes_colours_scores_like_the_palette(root, out):
    Image.fromarray(voc_palette()[BOTH]).save(out / "valid/anno_1/cat/00001.png")
    assert score(root, out, sets=[1]).overall["identity"].averages.jf_mean == 1


def test_a_label_above_the_object_count_refuses_identity_alone(root, out):
    score(root, out)
    write_label_png(out / "valid/anno_1/cat/00002.png", boxes(_1=(1, 1), _2=(7, 11), _3=(7, 1)))
    scores = score(root, out)
    assert len(scores.refusals) == 1
    for part in ("set 1, identity", "object count (2)", "cat/00002.png (label 3)"):
        assert part in scores.refusals[0]
        assert part in markdown(scores)
    identity, matched = (scores.sets[1].protocols[name] for name in ("identity", "matched"))
    assert identity.averages is None
    assert matched.averages.jf_mean == 1
    assert scores.overall["identity"].averages is None
    found = document(out)
    assert set(found["identity"]) == {"0", "2"}
    assert found["refused"] == list(scores.refusals)
    assert "refused" in found["averages"]["identity"]["overall"]
    assert not list(out.glob("scores/identity/anno_1/*.csv"))
    assert list(out.glob("scores/matched/anno_1/*.csv"))


def test_more_than_twenty_proposals_are_an_error(root, out):
    write_label_png(out / "valid/anno_1/cat/00002.png", np.where(BOTH == 2, np.uint8(21), BOTH))
    with pytest.raises(
        InputError, match=r"above the 20 proposals allowed in cat: cat/00002\.png \(label 21\)"
    ):
        score(root, out, sets=[1])


def test_a_video_of_one_frame_is_scored_by_matched_alone(tmp_path):
    root = write_truth(tmp_path / "davis", {"short": [BOTH]})
    scores = score(root, write_masks(tmp_path / "bare", {"short": [BOTH]}))
    assert scores.overall["matched"].averages.jf_mean == 1
    assert "short has 1 frame" in scores.refusals[0]


@pytest.mark.parametrize("frames", [1, 2])
def test_a_video_too_short_for_identity_is_left_out_and_the_others_are_scored(tmp_path, frames):
    videos = {"cat": [BOTH] * 4, "short": [BOTH] * frames}
    root = write_truth(tmp_path / "davis", videos)
    out = write_masks(tmp_path / "bare", {"cat": [SWAPPED] * 4, "short": [BOTH] * frames})
    scores = score(root, out, report=tmp_path / "report.html")
    told = f"identity: short has {frames} frame(s), of which the first and the last are dropped"
    assert (scores.refusals, scores.left_out) == ((), (told,))
    assert [video.video for video in scores.sets[0].protocols["identity"].videos] == ["cat"]
    assert scores.overall["identity"].averages.jf_mean == 0
    assert scores.overall["matched"].averages.jf_mean == 1
    found = document(out)
    assert found["left_out"] == [told]
    # Of different videos, the two have no gap.
    assert found["gap"] == {"0": None, "overall": None}
    assert f"Left out: 1 videos. {told}" in markdown(scores)
    page = (tmp_path / "report.html").read_text()
    assert told in page
    assert "short, set 0, frame 00000" in page
    assert (out / "scores/identity/anno_0/per-sequence_results-val.csv").read_text().count("short") == 0


def test_a_damaged_annotation_is_named_once(root, out):
    (root / "Annotations/480p/cat/00002.png").write_bytes(b"no")
    write_label_png(root / "Annotations/480p/cat/00003.png", BOTH[:5])
    with pytest.raises(InputError, match="2 problems") as raised:
        score(root, out)
    assert "00003.png: 16x5, but the first annotation is 16x12" in str(raised.value)


@pytest.mark.parametrize(
    ("options", "error", "expected"),
    [
        ({"sets": [3]}, InputError, "anno_3"),
        ({"sets": [5]}, UsageError, "0, 1, 2 and 3"),
        ({"videos": ["bird"]}, InputError, "video bird is not in"),
        ({"split": "train"}, InputError, r"train\.txt"),
    ],
)
def test_options_that_do_not_fit(root, out, options, error, expected):
    with pytest.raises(error, match=expected):
        score(root, out, **options)


def test_no_workers(root, out):
    with pytest.raises(UsageError, match="at least 1"):
        evaluate(root, out, workers=0)


def test_predictions_that_are_not_there(root, tmp_path):
    with pytest.raises(InputError, match="no folder"):
        score(root, tmp_path / "nowhere")
    (tmp_path / "void").mkdir()
    with pytest.raises(InputError, match="no predictions in"):
        score(root, tmp_path / "void")


def test_a_place_that_cannot_be_written(root, out):
    (out / "scores").write_text("a file where the folder goes")
    with pytest.raises(OutputError):
        score(root, out)


def test_scoring_does_not_import_torch(root, out):
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "carvid", "eval", root, out, "--workers", "1"],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=True,
    )
    imported = [line.rpartition("|")[2].strip() for line in done.stderr.splitlines()]
    assert "carvid.measures.pair" in imported
    assert "torch" not in imported


def test_the_benchmark_script_measures_any_pair_of_folders(root, out):
    command = [sys.executable, REPOSITORY / "scripts" / "bench_eval.py", root / "Annotations" / "480p"]
    done = subprocess.run(
        [*command, out / "valid" / "anno_0", "--workers", "1"],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    assert (found["videos"], found["frames"], found["frame_objects"]) == (2, 9, 13)
    assert found["jf_mean"] == {"identity": pytest.approx(1 / 3), "matched": 1}
    assert found["seconds"] > 0
    assert found["peak_memory_mib"] > 1
