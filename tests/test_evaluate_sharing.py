"""How much work the rows of an ablation share, counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from carvid.car import proposals
from carvid.clip.text_tower import TextTower
from carvid.clip.vision import VisionTower
from carvid.evaluate.ablation import Row, rows_of
from carvid.evaluate.contract import Asked, Sample
from carvid.evaluate.image_folder import PICTURES
from carvid.evaluate.segmenting import Segmenting
from carvid.loading import load_model
from carvid.recipe import Recipe, load_recipe
from carvid.refine.crf import DenseCRF
from tests.benchmark_trees import SIZE, scene, write_image

QUERIES = ("red circle", "blue star")


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts f's trunk passes, one per image, the texts that either CLIP embeds, the texts that f differentiates for a
    CAM, and the lattices built, one per image."""
    found: Counter[str] = Counter()
    trunk, text, weights, lattice = VisionTower.trunk, TextTower.__call__, proposals.cam_weights, DenseCRF.on

    def counted_trunk(self: VisionTower, planes: Any, **options: Any) -> Any:
        found["trunk"] += len(planes)
        return trunk(self, planes, **options)

    def counted_text(self: TextTower, ids: Any) -> Any:
        found["texts"] += len(ids)
        return text(self, ids)

    def counted_weights(tower: Any, state: Any, directions: Any) -> Any:
        found["directions"] += directions.shape[0] * directions.shape[1]
        return weights(tower, state, directions)

    def counted_lattice(self: DenseCRF, image: Any) -> Any:
        found["lattices"] += 1
        return lattice(self, image)

    monkeypatch.setattr(VisionTower, "trunk", counted_trunk)
    monkeypatch.setattr(TextTower, "__call__", counted_text)
    monkeypatch.setattr(proposals, "cam_weights", counted_weights)
    monkeypatch.setattr(DenseCRF, "on", counted_lattice)
    return found


def run(recipe: Recipe, rows: Mapping[str, Mapping[str, Any]], samples: Sequence[Sample], out: Path) -> None:
    task = {"samples": [sample.to_json() for sample in samples]}
    job = Segmenting(PICTURES.name, rows)
    assert job.work(task, out, load_model(recipe), lambda *_: None) == {"failed": {}}


def folders(rows: Sequence[Row]) -> dict[str, Mapping[str, Any]]:
    return {row.folder: row.changes for row in rows}


def test_rows_together_do_once_what_rows_alone_do_each(tmp_path: Path, done: Counter[str]) -> None:
    samples = []
    for i in range(2):
        write_image(tmp_path / f"{i}.png", scene(i))
        samples.append(
            Sample(f"{i}", (str(tmp_path / f"{i}.png"),), SIZE, (Asked("queries", QUERIES, (1, 2)),))
        )
    recipe = load_recipe("shapes-classes", cam="clip-es")
    rows = rows_of(recipe, ["recurrence", "crf", "background"])
    # The whole, 1, 1 and 6 rows.
    assert len(rows) == 9
    run(recipe, folders(rows), samples, tmp_path / "together")
    # Two queries for each CLIP, and 21 background texts for f. f differentiates for the queries and the background's
    # mean: with all texts, with each of three groups, and without one, where the queries are all.
    assert done == {"trunk": 2, "lattices": 2, "texts": 2 * 2 + 21, "directions": 2 * (4 * 3 + 2)}
    done.clear()
    for row in rows:
        run(
            load_recipe("shapes-classes", cam="clip-es", **row.changes), {"": {}}, samples, tmp_path / "alone"
        )
    # 4 rows with all texts, groups of 6, 7 and 8, and two without.
    texts = 9 * 2 * 2 + 4 * 21 + 6 + 7 + 8
    assert done == {
        "trunk": 9 * 2,
        "lattices": 8 * 2,
        "texts": texts,
        "directions": 2 * (7 * 3 + 2 * 2),
    }
