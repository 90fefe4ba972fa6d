"""`--variant released` beside the numbers that the authors' released code gave, stage by stage.

Each stage is compared on the released code's own input to it where that is known, so that a difference shows where it
arises. What the switches do is proved without these numbers in test_variant_stages.py
and test_variant_prompts.py.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from typer.testing import CliRunner

from carvid.car.affinity import box_mask, min_max, refine_cams
from carvid.car.classifier import class_probabilities
from carvid.car.clip_rnn import frame_planes
from carvid.car.prompts import draw_prompts
from carvid.car.proposals import BatchProposer
from carvid.cli import app
from carvid.clip.preprocess import preprocess
from carvid.loading import load_model
from carvid.model import Model
from carvid.recipe import load_recipe
from carvid.refine.crf import wrapped_picture
from carvid.session import SeenFrames, Session

RELEASED = Path(__file__).resolve().parents[2] / "shared" / "data" / "car-released"
INDEX = RELEASED / "index.json"
CASES = {each["file"]: each for each in json.loads(INDEX.read_text())} if INDEX.exists() else {}

pytestmark = pytest.mark.skipif(not CASES, reason="the released code's numbers are not here")

# A proposal's pixel this near to eta may fall on either side in float32.
NEAR = 1e-5


@lru_cache
def model_of(pair: str, setting: str) -> Model:
    weights = RELEASED / "weights" / pair
    recipe = load_recipe(
        setting, variant="released", proposer=weights / "f", classifier=weights / "g", device="cpu"
    )
    return load_model(recipe)


class Case:
    """One picture, one pair of CLIPs and one setting: the released code's numbers, and our session on the same."""

    def __init__(self, file: str) -> None:
        about = CASES[file]
        self.numbers = np.load(RELEASED / file)
        self.steps: list[dict[str, Any]] = about["steps"]
        self.refer = about["setting"] == "refcoco"
        self.path = RELEASED / about["image"]
        self.image = np.array(Image.open(self.path).convert("RGB"))
        self.session: Session = model_of(about["pair"], about["setting"]).session(about["queries"])
        self.recipe = self.session.recipe
        self.seen: SeenFrames = self.session.see(self.image)
        (self.proposer,) = self.session._rnn.proposer.on(self.seen.features, self.size)

    @property
    def size(self) -> tuple[int, int]:
        return (self.image.shape[0], self.image.shape[1])

    def of(self, name: str) -> Tensor:
        return torch.from_numpy(self.numbers[name])

    def wording(self, t: int) -> BatchProposer:
        return self.proposer.wordings[min(t, 2) - 1]

    def masks(self, t: int) -> NDArray[np.bool_]:
        return np.unpackbits(self.numbers[f"t{t}_masks"], axis=-1, count=self.size[1]).astype(bool)

    def lead(self) -> NDArray[np.float32]:
        """(H, W): by how much our strongest marginal is above the next one."""
        with torch.inference_mode():
            ((seen, found),) = self.session._recur(self.seen)
            assert seen.crf is not None
            first, second = seen.crf.refine_labels(found.proposals).topk(2, 0).values
        return (first - second).numpy()

    def proposals(self, t: int) -> Tensor:
        """The released code's proposals of step t, out of its refined CAMs."""
        maps = self.of(f"t{t}_cam_refined")[None]
        return torch.nn.functional.interpolate(maps, self.size, mode="bilinear", align_corners=False)[0]


@pytest.fixture(params=CASES, scope="module")
def case(request: pytest.FixtureRequest) -> Case:
    with torch.inference_mode():
        return Case(request.param)


def near(ours: Tensor, theirs: Tensor, tolerance: float) -> None:
    torch.testing.assert_close(ours, theirs, rtol=0, atol=tolerance)


@torch.inference_mode()
def test_f_reads_the_same_pictures_positions_and_texts(case: Case) -> None:
    proposer = case.session.model.proposer
    planes = frame_planes(torch.from_numpy(case.image)[None], proposer, case.recipe.size)
    near(planes[0, :, :2], case.of("f_input_first_rows"), 1e-6)
    tower = proposer.tower
    rows, columns = (side // tower.patch_size_px for side in planes.shape[2:])
    positions = torch.cat([tower._rounded(tower.class_position)[None], tower._positions(rows, columns)])
    assert torch.equal(positions[:, :8].half(), case.of("position_embedding_first_channels"))
    near(case.session._rnn.f_texts[0].background, case.of("background_embeddings"), 1e-6)
    for t, step in enumerate(case.steps, 1):
        texts = case.session._rnn.f_texts[min(t, 2) - 1]
        near(texts.queries[step["live"]], case.of(f"t{t}_query_embeddings"), 1e-6)


@torch.inference_mode()
def test_f_makes_the_same_scores_cams_and_proposals(case: Case) -> None:
    for t, step in enumerate(case.steps, 1):
        f, live = case.wording(t), step["live"]
        theirs = case.of(f"t{t}_scores")
        logits = f._logits[0, live]
        if case.refer:
            ours = torch.stack([logits, f._background_logit.expand(len(live))], 1).softmax(1)
            near(ours, torch.stack([theirs[:, 0], theirs[:, 1:].sum(1)], 1), 2e-5)
        else:
            ours = torch.cat([logits, f._background_logit]).softmax(0)
            near(ours, torch.cat([theirs[0, : len(live)], theirs[0, len(live) :].sum()[None]]), 2e-5)
        cams = min_max(f._cams(slice(None), live, with_background=True)).view(1, *case.of(f"t{t}_cam").shape)
        near(cams[0], case.of(f"t{t}_cam"), 4e-5)
        assert f._affinity is not None
        switches = case.recipe.switches
        near(
            refine_cams(cams, f._affinity, case.recipe.lam, switches)[0],
            case.of(f"t{t}_cam_refined"),
            1e-4,
        )
        near(case.proposer.propose(live, t)[:, ::4, ::4], case.of(f"t{t}_proposals_every_4th"), 1e-4)


@torch.inference_mode()
def test_the_same_boxes(case: Case) -> None:
    for t, _ in enumerate(case.steps, 1):
        cams = case.of(f"t{t}_cam")
        boxes = torch.zeros(cams.shape, dtype=torch.bool)
        for query, x0, y0, x1, y1 in case.numbers[f"t{t}_boxes"].tolist():
            boxes[query, y0:y1, x0:x1] = True
        assert torch.equal(box_mask(cams, case.recipe.lam, case.recipe.switches), boxes)


@torch.inference_mode()
def test_masks_turn_over_only_at_eta(case: Case) -> None:
    for t, step in enumerate(case.steps, 1):
        theirs = case.masks(t)
        assert np.array_equal(case.proposals(t).numpy() > case.recipe.eta, theirs)
        ours = case.proposer.propose(step["live"], t).numpy()
        assert (np.abs(ours - case.recipe.eta)[(ours > case.recipe.eta) != theirs] < NEAR).all()


@torch.inference_mode()
def test_the_same_prompted_pictures_and_probabilities(case: Case) -> None:
    image = torch.from_numpy(case.image)
    g = case.session.model.classifier
    for t, step in enumerate(case.steps, 1):
        masks = torch.from_numpy(case.masks(t))
        blank = case.proposals(t).sum((1, 2)) <= 1
        prompted = draw_prompts(image, masks, case.recipe.prompts, case.recipe.switches)
        shown = [one.numpy() for one, empty in zip(prompted, blank, strict=True) if not empty]
        assert [hashlib.sha256(one.tobytes()).hexdigest() for one in shown] == step["prompted_sha256"]
        if t == 1:
            assert np.array_equal(np.stack(shown) - case.image, case.numbers["t1_prompted_minus_image"])
        prompted[blank] = image
        embeddings = g.tower.embed(preprocess(prompted, g.preprocess), last_block=False)
        texts = case.session._rnn.g_texts.at(t)
        near(
            class_probabilities(embeddings, texts, step["live"]),
            case.of(f"t{t}_probabilities"),
            2e-5,
        )


@torch.inference_mode()
def test_the_same_crf(case: Case) -> None:
    picture = np.array(Image.open(case.path.with_name(f"crf_{case.path.name}")).convert("RGB"))
    assert np.array_equal(wrapped_picture(torch.from_numpy(case.image)).numpy(), picture)
    (crf,) = (each.crf for each in case.seen.each)
    assert crf is not None
    last = case.steps[-1]
    proposals = case.proposals(len(case.steps))[[last["live"].index(query) for query in last["kept"]]]
    if case.refer:
        marginals = crf.refine_binary(proposals)
        marginals = torch.stack([1 - marginals, marginals], 1)
    else:
        marginals = crf.refine_labels(proposals)
    near((255 * marginals).round(), case.of("crf_marginals_255").float(), 1)


def test_the_same_live_sets_scores_and_masks_from_picture_to_end(case: Case) -> None:
    result = case.session.segment(case.seen)
    assert [step.live for step in result.evidence.steps] == [tuple(step["live"]) for step in case.steps]
    # Where a pixel at eta turned over, g was shown another picture.
    for ours, theirs in zip(result.evidence.steps, case.steps, strict=True):
        assert np.allclose(ours.scores, theirs["scores"], rtol=0, atol=0.04)
    masks = np.stack([each.mask for each in result.objects])
    assert (masks != case.numbers["final_masks"].astype(bool)).sum() <= 1
    kept = case.steps[-1]["kept"]
    scores = [each.score if i in kept else 0.0 for i, each in enumerate(result.objects)]
    assert np.allclose(scores, case.numbers["final_scores"], rtol=0, atol=0.04)
    if not case.refer:
        differs = result.label_map != case.numbers["benchmark_labels"]
        # On some processors a pixel where two labels tie, as far as their marginals are the same, turns over.
        assert differs.sum() <= 1
        assert (case.lead()[differs] < 2 / 255).all()


@pytest.mark.parametrize("setting", ["refcoco", "voc"])
def test_from_the_command_line(tmp_path: Path, setting: str) -> None:
    about = next(each for each in CASES.values() if each["setting"] == setting and each["pair"] == "a")
    weights = RELEASED / "weights" / "a"
    folder = tmp_path / "picture"
    folder.mkdir()
    picture = folder / "00000.png"
    picture.write_bytes((RELEASED / about["image"]).read_bytes())
    words = ["run", str(folder), *about["queries"], "--variant", "released", "--preset", setting]
    clips = ["--proposer", str(weights / "f"), "--classifier", str(weights / "g"), "--device", "cpu"]
    out = tmp_path / "out"
    told = CliRunner().invoke(app, [*words, *clips, "--separate", "--out", str(out)])
    assert told.exit_code == 0, told.output
    ours = np.stack([np.array(Image.open(path)) > 0 for path in sorted(out.glob("masks/*/00000.png"))])
    alone = Case(about["file"])
    theirs = alone.numbers["final_masks"].astype(bool)
    alone.numbers.close()
    if setting == "refcoco":
        assert np.array_equal(ours, theirs)
    # What a tie may turn over is told above.
    assert np.array_equal(ours, np.stack([each.mask for each in alone.session.segment(alone.seen).objects]))
