"""The drawn world, the embedded model, and `carvid demo`, which measures the pipeline with them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from carvid.clip.load import load_pair
from carvid.clip.names import SHAPES_FOLDER, resolve_pair
from carvid.davis.dataset import read_dataset
from carvid.media.palette import read_label_png
from carvid.recipe import load_recipe
from carvid.recipe.settings import BACKGROUND_TEXTS
from carvid.segmenter import VideoSegmenter
from carvid.shapes.benchmark import Measured, table
from carvid.shapes.drawn_tree import FIRST_CLIP_SEED, write_dataset
from carvid.shapes.scenes import COLOURS, GROUNDS, SHAPES, Thing, draw_scene, draw_thing, moving_clip


def blank(height: int = 60, width: int = 80) -> np.ndarray:
    return np.full((height, width, 3), 128, np.float32)


def thing(shape: str, colour: str = "red", x: float = 40, y: float = 30, radius: float = 20) -> Thing:
    return Thing(colour, shape, x, y, radius, angle_rad=0.0, shade=0.0)


def test_a_square_is_as_large_as_it_says_and_of_its_colour() -> None:
    image = blank()
    mask = draw_thing(image, thing("square"))
    ys, xs = np.nonzero(mask)
    # 0.8 of the radius to each side of the centre.
    assert (xs.min(), xs.max(), ys.min(), ys.max()) == (24, 56, 14, 46)
    assert np.abs(image[30, 40] - COLOURS["red"]).max() < 1
    assert (image[~mask] == 128).mean() > 0.95


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_is_one_connected_thing_about_its_place(shape: str) -> None:
    mask = draw_thing(blank(), thing(shape))
    ys, xs = np.nonzero(mask)
    assert 200 < mask.sum() < 1600
    assert abs(xs.mean() - 40) < 8
    assert abs(ys.mean() - 30) < 8


def test_a_thing_in_front_hides_what_is_behind_it() -> None:
    scene = draw_scene(blank(), ("wall",), (thing("square"), thing("circle", "blue", x=50)))
    behind, front = scene.masks
    assert not (behind & front).any()
    assert front[30, 50]
    assert not behind[30, 50]
    assert behind[30, 26]


def test_a_thing_outside_the_frame_leaves_no_mask() -> None:
    assert not draw_thing(blank(), thing("circle", x=-100)).any()


def test_grounds_are_background_texts() -> None:
    assert set(GROUNDS) <= set(BACKGROUND_TEXTS)


def test_a_clip_moves_and_is_the_same_for_the_same_seed() -> None:
    first, again = (list(moving_clip(FIRST_CLIP_SEED, 4, 60, 106)) for _ in range(2))
    assert all(np.array_equal(one.image, two.image) for one, two in zip(first, again, strict=True))
    assert not np.array_equal(first[0].image, first[3].image)
    other = next(moving_clip(FIRST_CLIP_SEED + 1, 1, 60, 106))
    assert not np.array_equal(first[0].image, other.image)


def test_the_tree_is_a_whole_ref_davis_tree(tmp_path: Path) -> None:
    clips = write_dataset(tmp_path, clips=3, frames=3)
    dataset = read_dataset(tmp_path)
    assert [video.name for video in dataset.videos] == [clip.name for clip in clips]
    for video, clip in zip(dataset.videos, clips, strict=True):
        assert video.truth.object_count == len(clip.expressions)
        assert video.expressions[0] == tuple(f"the {name}" for name in clip.expressions)
        assert video.expressions[2] == clip.expressions
        labels = read_label_png(video.truth.annotation_paths[0])
        assert labels.shape == (240, 426)
        assert len(clip.absent) == 2
        assert not set(clip.absent) & set(clip.expressions)
        # The first absent thing shares a word with something that is there.
        assert set(clip.absent[0].split()) & {word for name in clip.expressions for word in name.split()}
    told = json.loads((tmp_path / "meta_expressions" / "valid" / "absent_expressions.json").read_text())
    assert told == {clip.name: list(clip.absent) for clip in clips}


def test_the_embedded_model_is_small_and_loads_like_any_clip() -> None:
    weights = list(SHAPES_FOLDER.glob("*/model.safetensors"))
    assert len(weights) == 2
    assert sum(path.stat().st_size for path in SHAPES_FOLDER.glob("*/*") if path.is_file()) <= 8_000_000
    f, g = load_pair(*resolve_pair("shapes"), device=torch.device("cpu"), dtype=torch.float32)
    assert f.sha256 != g.sha256
    assert f.preprocess.shortest_edge is None  # squashed, not cropped


def test_the_embedded_model_finds_a_thing_and_misses_one_that_is_not_there() -> None:
    scene = next(moving_clip(FIRST_CLIP_SEED, 1))
    names = [one.name for one in scene.things]
    absent = next(f"{colour} star" for colour in COLOURS if all(colour not in name for name in names))
    segmenter = VideoSegmenter.from_pretrained(
        "shapes", preset="shapes", queries=[f"the {names[0]}", f"the {absent}"], device="cpu"
    )
    result = segmenter.step(scene.image)
    assert result.present.tolist() == [True, False]
    found, there = result.masks[0], scene.masks[0]
    assert (found & there).sum() / (found | there).sum() > 0.7


def test_the_preset_shapes_differs_from_the_default_in_what_it_says() -> None:
    ours, default = load_recipe("shapes"), load_recipe("default")
    assert ours.prompts == ("contour", "gray")
    assert set(default.background) - set(ours.background) == {"tree", "house"}
    assert (ours.eta, ours.lam, ours.mode) == (default.eta, default.lam, default.mode)
    assert (ours.theta, ours.negatives, ours.keep_best) == (0.2, None, False)
    assert (ours.cam, default.cam) == ("gradcam", "clip-es")


def test_the_table_is_markdown() -> None:
    text = table([Measured("whole", 0.8125, 0.75, 0.875, 0.9, 0.95, 1.0)])
    assert text.splitlines()[-1] == "| whole | 0.812 | 0.750 | 0.875 | 0.900 | 95.0% | 100.0% |"


def test_the_demo_runs_scores_and_says_where_the_overlay_lies(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "carvid", "demo", "-o", str(tmp_path / "demo"), "--frames", "3"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    header, _, row, said = done.stdout.splitlines()
    assert header.startswith("| pipeline | J&F |")
    assert float(row.split("|")[2]) > 0.5
    assert (tmp_path / "demo" / "output" / "runs" / "shapes-000" / "overlay.mp4").is_file()
    assert "overlay.mp4" in said
