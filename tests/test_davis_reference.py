"""Our figures are those of the official DAVIS 2017 evaluator (github.com/davisvideochallenge/davis2017-evaluation).

The literal figures in `tests/davis_cases.py` were computed once, for the maps drawn there, with the formulas of that
package's metrics.py, evaluation.py and utils.py; on the masks that ship with the package those formulas gave its own
figures to the last bit. Three things hold the literals up:

- our evaluator gives them, always;
- `tests/davis_twin.py`, an independent and plain version of the formulas, gives them too, always;
- the twin and our evaluator give the package's own figures for real masks, where those are beside the checkout.

One thing is not copied: the package counts the frames of the decay in 8 bits, which wraps past 256 frames.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from carvid.davis.evaluate import evaluate
from tests import davis_twin
from tests.davis_cases import CASES
from tests.davis_trees import write_masks, write_truth

PROTOCOLS = ("identity", "matched")
EXACT = {"rel": 0, "abs": 1e-9}
DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "davis-protocols"
needs_samples = pytest.mark.skipif(not DATA.is_dir(), reason="no davis-protocols sample beside the checkout")


def by_object(lists):
    """Mean, recall and decay of J and F per object, from {"J": {"M": [...], ...}, "F": ...}."""
    return [list(row) for row in zip(*(lists[m][s] for m in "JF" for s in "MRD"), strict=True)]


def by_case(of_protocol):
    cases = [(name, protocol) for name in CASES for protocol in PROTOCOLS]
    return pytest.mark.parametrize(("name", "protocol"), cases)(of_protocol)


@by_case
def test_our_figures_are_the_official_ones(tmp_path, name, protocol):
    case = CASES[name]
    expected = getattr(case, protocol)
    root = write_truth(tmp_path / "davis", {"video": case.annotations})
    out = write_masks(tmp_path / "out", {"video": case.predictions})
    scores = evaluate(root, out, workers=1)
    found = json.loads((out / "scores.json").read_text())[protocol]
    if expected is None:
        assert found == {}
        assert protocol in scores.refusals[0]
    else:
        assert np.array(by_object(found["0"]["video"])) == pytest.approx(np.array(expected), **EXACT)


@by_case
def test_the_twins_figures_are_the_official_ones(name, protocol):
    case = CASES[name]
    expected = getattr(case, protocol)
    found = davis_twin.evaluate(case.annotations, case.predictions, protocol)
    if expected is None:
        assert found is None
    else:
        assert np.array(found) == pytest.approx(np.array(expected), **EXACT)


@pytest.mark.parametrize(
    ("protocol", "j_decay", "f_decay"),
    [("identity", 0.102310231023, 0.0528040782429), ("matched", 0.107024988213, 0.0552549651801)],
)
def test_the_official_decay_past_256_frames_is_not_copied(protocol, j_decay, f_decay):
    case = CASES["more than 256 frames"]
    ((*_, j, _, _, f),) = getattr(case, protocol)
    ((*_, wrapped_j, _, _, wrapped_f),) = davis_twin.evaluate(
        case.annotations, case.predictions, protocol, wrap=True
    )
    assert (wrapped_j, wrapped_f) == pytest.approx((j_decay, f_decay), **EXACT)
    assert j > 6 * wrapped_j
    assert f > 6 * wrapped_f


@needs_samples
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_our_figures_for_real_masks_are_the_official_ones(tmp_path, protocol):
    expected = json.loads((DATA / "expected.json").read_text())[protocol]
    root = tmp_path / "davis"
    (root / "ImageSets" / "2017").mkdir(parents=True)
    (root / "ImageSets" / "2017" / "val.txt").write_text("".join(f"{video}\n" for video in expected))
    predictions = tmp_path / "out"
    shutil.copytree(DATA / f"prediction-{protocol}", predictions / "valid" / "anno_0")
    evaluate(root, predictions, annotations=DATA / "annotation", workers=1)
    found = json.loads((predictions / "scores.json").read_text())[protocol]["0"]
    assert set(found) == set(expected)
    for video, lists in expected.items():
        ours = np.array(by_object(found[video]))
        assert ours == pytest.approx(np.array(by_object(lists)), **EXACT), video


def read_masks(folder):
    return [np.asarray(Image.open(path)) for path in sorted(folder.glob("*.png"))]


@needs_samples
@pytest.mark.parametrize(
    ("protocol", "video"),
    [("identity", "bmx-trees"), ("identity", "kite-surf"), ("matched", "shooting")],
)
def test_the_twins_figures_for_real_masks_are_the_official_ones(protocol, video):
    expected = json.loads((DATA / "expected.json").read_text())[protocol][video]
    found = davis_twin.evaluate(
        read_masks(DATA / "annotation" / video), read_masks(DATA / f"prediction-{protocol}" / video), protocol
    )
    assert np.array(found) == pytest.approx(np.array(by_object(expected)), **EXACT)
