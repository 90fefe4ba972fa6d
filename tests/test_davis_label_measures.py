"""`carvid eval --consistency` and `--tracks`: what is measured, where it is shown, and that nothing else changes."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from carvid.davis.evaluate import evaluate
from carvid.davis.label_measures import columns_of
from carvid.errors import InputError
from tests.davis_trees import boxes, write_images, write_masks, write_truth

REPOSITORY = Path(__file__).resolve().parents[1]
ONE = boxes(_1=(1, 1))
BOTH = boxes(_1=(1, 1), _2=(7, 11))
SWAPPED = boxes(_2=(1, 1), _1=(7, 11))
# The pictures stand still.
TRUTH = {"cat": [BOTH] * 4, "dog": [ONE] * 5}
COLUMNS = ["HOTA", "DetA", "AssA", "LocA", "IDF1", "IDP", "IDR"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_images(write_truth(tmp_path / "davis", TRUTH), TRUTH)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Set 0 swaps the cats' labels in the last frame, and loses the dog in its last two; set 1 is right."""
    folder = tmp_path / "out" / "valid"
    write_masks(folder / "anno_0", {"cat": [BOTH, BOTH, BOTH, SWAPPED], "dog": [ONE] * 3 + [ONE * 0] * 2})
    write_masks(folder / "anno_1", TRUTH)
    return folder.parent


def carvid_eval(root: Path, out: Path, *options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "carvid", "eval", str(root), str(out), "--workers", "1"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(
        [*command, *map(str, options)], capture_output=True, text=True, env=environment, check=False
    )


def document(out: Path) -> Any:
    return json.loads((out / "scores.json").read_text())


def rows(path: Path) -> list[list[str]]:
    return list(csv.reader(path.read_text().splitlines()))


def test_consistency_is_a_column(root: Path, out: Path, tmp_path: Path) -> None:
    done = carvid_eval(root, out, "--consistency", "--report", tmp_path / "report.html")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].endswith("| F gap | consistency |")
    # Each cat: two pairs of frames of three. The dog: 1, 1, 0, and a pair in which it is in neither frame.
    assert lines[2].endswith(" 66.67 |")
    assert lines[3].endswith(" 100.00 |")
    assert lines[4].startswith("| mean of 2 |")
    assert lines[4].endswith(" 83.33 |")
    assert "HOTA" not in done.stdout
    page = (tmp_path / "report.html").read_text()
    assert page.count("<th scope=col>consistency</th>") == 2
    assert "<tr><td>0</td><td>dog</td><td class=number>66.67</td></tr>" in page
    found = document(out)["labels"]
    assert found["overall"] == {"consistency": pytest.approx(5 / 6)}
    assert found["sets"]["0"]["videos"]["cat"]["consistency_by_label"] == pytest.approx(
        {"1": 2 / 3, "2": 2 / 3}
    )


def test_tracks_are_a_table_and_files(root: Path, out: Path, tmp_path: Path) -> None:
    done = carvid_eval(root, out, "--tracks", "--report", tmp_path / "report.html")
    assert done.returncode == 0, done.stderr
    assert f"| Set | {' | '.join(COLUMNS)} |" in done.stdout
    # 13 detections of 13 in the truth, 11 found, all whole. Label 1 is object 1 in three frames of four, as label 2 is
    # object 2, and the dog in three of three: 9 detections keep their label.
    association = (2 * (3 * 3 / 5 + 1 / 7) + 3 * 3 / 5) / 11
    figures = [(11 / 13 * association) ** 0.5, 11 / 13, association, 1, 9 / 12, 9 / 11, 9 / 13]
    assert f"| 0 | {' | '.join(f'{100 * figure:.2f}' for figure in figures)} |" in done.stdout
    assert "| 1 | 100.00 | 100.00 | 100.00 | 100.00 | 100.00 | 100.00 | 100.00 |" in done.stdout
    assert "consistency" not in done.stdout
    folder = out / "scores" / "labels" / "anno_0"
    assert rows(folder / "global_results-val.csv") == [COLUMNS, [f"{figure:.3f}" for figure in figures]]
    table = rows(folder / "per-sequence_results-val.csv")
    assert table[0] == ["Sequence", *COLUMNS]
    assert [row[0] for row in table[1:]] == ["cat", "dog"]
    assert table[1][-3:] == ["0.750"] * 3
    assert table[2][-3:] == ["0.750", "1.000", "0.600"]
    cat = document(out)["labels"]["sets"]["0"]["videos"]["cat"]
    assert (cat["IDTP"], cat["IDFN"], cat["IDFP"]) == (6, 2, 2)
    assert "<h2>Videos</h2>" in (tmp_path / "report.html").read_text()


def test_the_figures_are_those_of_trackeval_on_the_same_tree(tmp_path: Path) -> None:
    trackeval = pytest.importorskip("trackeval")
    random = np.random.default_rng(1)

    def shifted(labels: np.ndarray) -> np.ndarray:
        return np.roll(labels, random.integers(-2, 3, 2), (0, 1))

    # No void pixels: TrackEval clears them in the prediction only after it has taken the IoU.
    truth = {"cat": [BOTH] * 6, "dog": [ONE] * 4}
    found = {
        "cat": [shifted(SWAPPED if t == 4 else BOTH) for t in range(6)],
        "dog": [shifted(SWAPPED) for _ in range(4)],
    }
    root = write_truth(tmp_path / "davis", truth)
    out = write_masks(tmp_path / "out" / "valid" / "anno_0", found).parents[1]
    scores = evaluate(root, out, workers=1, tracks=True)
    dataset = trackeval.datasets.DAVIS(
        {
            "GT_FOLDER": str(root / "Annotations" / "480p"),
            "TRACKERS_FOLDER": str(out / "valid"),
            "TRACKER_SUB_FOLDER": "",
            "OUTPUT_FOLDER": str(tmp_path / "told"),
            "PRINT_CONFIG": False,
        }
    )
    evaluator = trackeval.Evaluator({"PRINT_RESULTS": False, "PRINT_CONFIG": False, "PLOT_CURVES": False})
    measures = trackeval.metrics
    metrics = [measures.HOTA({"PRINT_CONFIG": False}), measures.Identity({"PRINT_CONFIG": False})]
    results, _ = evaluator.evaluate([dataset], metrics)
    of_videos = results["DAVIS"]["anno_0"]
    for video, name in [("COMBINED_SEQ", None), ("cat", "cat"), ("dog", "dog")]:
        theirs = {**of_videos[video]["general"]["HOTA"], **of_videos[video]["general"]["Identity"]}
        ours = scores.sets[0].label_columns if name is None else columns_of([scores.sets[0].labels[name]])
        assert ours == pytest.approx({column: np.mean(theirs[column]) for column in COLUMNS}, abs=1e-9)
        assert 0.1 < ours["HOTA"] < 0.9


def test_without_the_switches_nothing_is_added(root: Path, out: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    asked = carvid_eval(root, out, "--consistency", "--tracks", "--report", report)
    with_both = document(out), report.read_text()
    plain = carvid_eval(root, out, "--report", report)
    assert asked.returncode == plain.returncode == 0
    assert "consistency" not in plain.stdout
    assert "HOTA" not in plain.stdout
    found = document(out)
    assert "labels" not in found
    assert {key: value for key, value in with_both[0].items() if key != "labels"} == found
    assert "Videos" in with_both[1]
    assert "Videos" not in report.read_text()
    # The figures of the earlier call are gone.
    assert not list((out / "scores" / "labels").rglob("*.csv"))
    # The lines of J and F are the same but for the column.
    lines, plain_lines = asked.stdout.splitlines(), plain.stdout.splitlines()
    for line, other in zip(lines[:5], plain_lines[:5], strict=True):
        assert line.rpartition("|")[0].rpartition("|")[0] + "|" == other
    assert set(plain_lines[5:]) <= set(lines)


def test_worker_processes_measure_the_same(root: Path, out: Path) -> None:
    evaluate(root, out, workers=1, consistency=True, tracks=True)
    alone = document(out)
    evaluate(root, out, workers=2, consistency=True, tracks=True)
    assert document(out) == alone


def test_a_mask_that_follows_the_picture_is_consistent(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    world = np.asarray(Image.fromarray(random.integers(0, 256, (16, 40), np.uint8)).resize((160, 64)))
    y, x = np.mgrid[:64, :160]
    disk = ((y - 32) ** 2 + (x - 70) ** 2 <= 15**2).astype(np.uint8)
    frames = [disk[:, 2 * t : 2 * t + 128] for t in range(4)]
    root = write_truth(tmp_path / "davis", {"pan": frames})
    folder = root / "JPEGImages" / "480p" / "pan"
    folder.mkdir(parents=True)
    for t in range(4):
        Image.fromarray(world[:, 2 * t : 2 * t + 128]).convert("RGB").save(
            folder / f"{t:05d}.jpg", quality=95
        )
    follows = evaluate(root, write_masks(tmp_path / "follows", {"pan": frames}), workers=1, consistency=True)
    still = evaluate(
        root, write_masks(tmp_path / "still", {"pan": frames[:1] * 4}), workers=1, consistency=True
    )
    assert follows.label_columns["consistency"] > 0.97
    assert still.label_columns["consistency"] < 0.92


def test_missing_frames_count_as_empty_masks(root: Path, out: Path) -> None:
    (out / "valid/anno_1/dog/00002.png").unlink()
    scores = evaluate(root, out, sets=[1], missing="empty", workers=1, consistency=True, tracks=True)
    dog = scores.sets[0].labels["dog"]
    assert dog.consistency == pytest.approx({1: 2 / 4})
    assert (dog.tracks.id_hits, dog.tracks.id_misses, dog.tracks.id_false_alarms) == (4, 1, 0)


def test_void_pixels_are_in_no_track(tmp_path: Path) -> None:
    annotation = np.where(BOTH == 2, np.uint8(255), BOTH)
    root = write_truth(tmp_path / "davis", {"cat": [annotation] * 3})
    scores = evaluate(root, write_masks(tmp_path / "out", {"cat": [BOTH] * 3}), workers=1, tracks=True)
    assert scores.label_columns["HOTA"] == scores.label_columns["IDF1"] == 1


def test_a_prediction_without_labels_has_no_consistency(root: Path, tmp_path: Path) -> None:
    empty = {video: [frame * 0 for frame in frames] for video, frames in TRUTH.items()}
    done = carvid_eval(root, write_masks(tmp_path / "empty", empty), "--consistency", "--tracks")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[2].endswith(" – |")
    assert document(tmp_path / "empty")["labels"]["overall"]["consistency"] is None
    table = rows(tmp_path / "empty/scores/labels/anno_0/global_results-val.csv")
    assert table[1] == ["", "0.000", "0.000", "0.000", "1.000", "0.000", "0.000", "0.000"]


def test_consistency_is_refused_where_frames_are_missing(root: Path, out: Path) -> None:
    (root / "JPEGImages/480p/cat/00001.jpg").unlink()
    done = carvid_eval(root, out, "--consistency")
    assert done.returncode == 3
    assert "temporal consistency needs the frames" in done.stderr
    assert "cat/00001.jpg" in done.stderr
    assert "leave --consistency out" in done.stderr
    assert not (out / "scores.json").exists()
    assert carvid_eval(root, out, "--tracks").returncode == 0


def test_consistency_is_refused_in_a_tree_of_annotations_alone(out: Path, tmp_path: Path) -> None:
    root = write_truth(tmp_path / "bare", TRUTH)
    with pytest.raises(InputError, match=r"no folder .*JPEGImages"):
        evaluate(root, out, workers=1, consistency=True)


def test_pictures_that_cannot_be_used_are_named_once(root: Path, out: Path) -> None:
    (root / "JPEGImages/480p/cat/00001.jpg").write_bytes(b"no")
    Image.new("RGB", (15, 12)).save(root / "JPEGImages/480p/dog/00002.jpg")
    with pytest.raises(InputError, match="2 problems") as raised:
        evaluate(root, out, workers=1, consistency=True)
    assert "cat/00001.jpg: not a readable picture" in str(raised.value)
    assert "dog/00002.jpg: 15x12, but the first annotation is 16x12" in str(raised.value)
