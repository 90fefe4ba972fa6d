"""The reference evaluator's numbers on real masks, where they are on this machine."""

import json
import shutil
from pathlib import Path

import pytest

from carvid.davis.evaluate import evaluate

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "davis-protocols"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="no davis-protocols sample")


def differences(found, expected):
    for video, measures in expected.items():
        for measure, lists in measures.items():
            for name, values in lists.items():
                ours = found[video][measure][name]
                assert len(ours) == len(values)
                yield from (abs(a - b) for a, b in zip(ours, values, strict=True))


@pytest.mark.parametrize("protocol", ["identity", "matched"])
def test_equal_to_the_reference_evaluator(tmp_path, protocol):
    expected = json.loads((DATA / "expected.json").read_text())[protocol]
    root = tmp_path / "davis"
    (root / "ImageSets" / "2017").mkdir(parents=True)
    (root / "ImageSets" / "2017" / "val.txt").write_text("".join(f"{video}\n" for video in expected))
    predictions = tmp_path / "out"
    shutil.copytree(DATA / f"prediction-{protocol}", predictions / "valid" / "anno_0")
    evaluate(root, predictions, annotations=DATA / "annotation", workers=1)
    found = json.loads((predictions / "scores.json").read_text())[protocol]["0"]
    assert max(differences(found, expected)) <= 1e-9
