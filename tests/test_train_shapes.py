"""`scripts/train_shapes.py`: every stage runs, learns, and leaves a CLIP that carvid loads."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"


@pytest.fixture(scope="module", autouse=True)
def scripts_to_be_found() -> None:
    sys.path.insert(0, str(SCRIPTS))


def small(stage):
    """The stage with few images a step."""
    return replace(stage, steps=2, batch=min(stage.batch, 3), start=None)


@pytest.fixture(autouse=True)
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    from shapes_training import sampling

    few = tuple(replace(size, batch=4) for size in sampling.WINDOW_SIZES)
    monkeypatch.setattr(sampling, "WINDOW_SIZES", few)


def test_every_stage_but_the_first_begins_with_an_earlier_one() -> None:
    from train_shapes import STAGES

    known: list[str] = []
    for stage in STAGES:
        assert (stage.start is None) == (not known)
        assert stage.start is None or stage.start in known
        known.append(stage.name)
    assert len(set(known)) == len(known)


@pytest.mark.parametrize("number", range(7))
def test_a_stage_runs_and_leaves_a_clip(number: int, tmp_path: Path) -> None:
    from train_shapes import STAGES, train

    from carvid.clip.load import load_clip
    from carvid.clip.names import resolve_spec

    assert len(STAGES) == 7
    stage = small(STAGES[number])
    threads = torch.get_num_threads()
    try:
        train(stage, tmp_path)
    finally:
        torch.set_num_threads(threads)
    spec = resolve_spec(str(tmp_path / stage.name), stage.role)
    clip = load_clip(spec, role=stage.role, device=torch.device("cpu"), dtype=torch.float32)
    assert clip.tower.patch_size_px == 16
    assert torch.isfinite(clip.texts.embed(["the red car"])).all()


def test_merges_are_the_same_in_every_run_and_make_each_word_one_token(tmp_path: Path) -> None:
    from shapes_training.words import learn_merges, write_tokenizer
    from transformers import CLIPTokenizer

    assert learn_merges({"aab": 2, "ab": 1}) == [("a", "b</w>"), ("a", "ab</w>")]
    for name in ("one", "two"):
        write_tokenizer(tmp_path / name)
    assert (tmp_path / "one/merges.txt").read_bytes() == (tmp_path / "two/merges.txt").read_bytes()
    ids = CLIPTokenizer.from_pretrained(tmp_path / "one")("the red car").input_ids
    assert len(ids) == 5  # start, three words, end


def test_a_stage_keeps_the_tokens_of_the_one_it_starts_from(tmp_path: Path) -> None:
    from shapes_training.words import TOKENIZER_FILES
    from train_shapes import STAGES, train

    train(replace(small(STAGES[0]), steps=1), tmp_path)
    vocabulary = tmp_path / STAGES[0].name / "vocab.json"
    numbers = json.loads(vocabulary.read_text())
    numbers["left</w>"], numbers["right</w>"] = numbers["right</w>"], numbers["left</w>"]
    vocabulary.write_text(json.dumps(numbers))
    train(replace(small(STAGES[1]), steps=1, start=STAGES[0].name), tmp_path)
    for name in TOKENIZER_FILES:
        first, second = (tmp_path / stage.name / name for stage in STAGES[:2])
        assert first.read_bytes() == second.read_bytes()


def test_a_window_has_its_own_thing_first_and_a_mask_for_each() -> None:
    from shapes_training.sampling import PATCH, WINDOW_SIZES, Windows, squash

    windows = Windows(np.random.default_rng(0), wide=1.775, pool=2)
    for size in WINDOW_SIZES:
        scene = windows(size)
        assert scene.image.shape[:2] == (PATCH * size.side, round(PATCH * size.side * 1.775))
        assert len(scene.masks) == len(scene.things)
        assert scene.masks[0].any()
        assert size.smallest_px <= scene.things[0].radius_px <= size.largest_px
        square = squash(scene, PATCH * size.side)
        assert square.image.shape == (PATCH * size.side, PATCH * size.side, 3)
        share = square.masks.mean((1, 2)) - scene.masks.mean((1, 2))
        assert np.abs(share).max() < 0.02
