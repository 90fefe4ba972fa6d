"""Every fast path of the method against its straightforward twin, on small random CLIPs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from carvid.bench.straightforward import Twin, affinity_matrix
from carvid.car.affinity import Affinity, box_mask, min_max, refine_cams
from carvid.car.classifier import FrameClassifier, class_probabilities, classify
from carvid.car.clip_rnn import frame_planes, planes_size
from carvid.car.gradcam import cam_weights, run_last_block
from carvid.car.prompts import draw_prompts
from carvid.car.proposals import FrameFeatures, MaskProposer, ProposalOptions, ProposalTexts, look
from carvid.car.recurrence import Asked
from carvid.clip.vision import attend
from carvid.frame import Frame
from carvid.recipe import load_recipe
from carvid.segmenter import VideoSegmenter
from carvid.stopwatch import Stopwatch
from tests.tiny_clip import make_tiny_clip

WORDS = [
    f"{colour} {shape}"
    for shape in ("car", "star", "fish")
    for colour in ("red", "blue", "white", "green", "black", "old")
]
QUERIES = {1: WORDS[:1], 3: WORDS[:3], 17: WORDS[:17]}
IMAGE = np.random.default_rng(1).integers(0, 256, (45, 70, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("clips")
    f = make_tiny_clip(root / "f", seed=1, layers=4, logit_scale=8.0)
    g = make_tiny_clip(root / "g", seed=2, patch=16, width=48, layers=2, logit_scale=14.0)
    deep = make_tiny_clip(root / "deep", seed=3, layers=10, hidden_act="gelu")
    return {"f": f, "g": g, "deep": deep}


def segmenter(
    folders: dict[str, Path], queries: list[str], f: str = "f", **options: object
) -> VideoSegmenter:
    chosen = {"preset": "refcoco", "crf": False, "device": "cpu", **options}
    return VideoSegmenter.from_pretrained(
        proposer=folders[f], classifier=folders["g"], queries=queries, **chosen
    )


def twin_of(fast: VideoSegmenter, image: np.ndarray = IMAGE) -> Twin:
    return Twin.of(fast.model, fast.recipe, fast.texts, image)


def close(fast: torch.Tensor, slow: torch.Tensor, tolerance: float = 1e-4) -> None:
    """Within `tolerance` of the largest value."""
    assert fast.shape == slow.shape
    assert float((fast - slow).abs().max()) <= tolerance * max(float(slow.abs().max()), 1e-12)


def propose(fast: VideoSegmenter, live: list[int], image: np.ndarray = IMAGE) -> torch.Tensor:
    (one,) = fast._rnn.proposer.on(fast.see(image).features, image.shape[:2])
    return one.propose(live)


@pytest.mark.parametrize("mode", ["refer", "semantic"])
@pytest.mark.parametrize("cam", ["clip-es", "gradcam"])
@pytest.mark.parametrize("count", [1, 3, 17])
def test_proposals_equal_autograd(folders: dict[str, Path], mode: str, cam: str, count: int) -> None:
    fast = segmenter(folders, QUERIES[count], mode=mode, cam=cam)
    live = list(range(count))
    close(propose(fast, live), twin_of(fast).proposals(live))


@pytest.mark.parametrize("mode", ["refer", "semantic"])
def test_proposals_of_a_subset_equal_autograd(folders: dict[str, Path], mode: str) -> None:
    fast = segmenter(folders, QUERIES[17], mode=mode)
    live = [1, 4, 5, 12]
    close(propose(fast, live), twin_of(fast).proposals(live))


@pytest.mark.parametrize("size", [32, 40])
def test_proposals_at_a_working_size_equal_autograd(folders: dict[str, Path], size: int) -> None:
    fast = segmenter(folders, QUERIES[3], size=size)
    small, whole = propose(fast, [0, 1, 2]), propose(segmenter(folders, QUERIES[3]), [0, 1, 2])
    close(small, twin_of(fast).proposals([0, 1, 2]))
    assert small.shape == whole.shape == (3, 45, 70)
    assert not torch.equal(small, whole)


def test_a_frame_no_larger_than_the_working_size_is_seen_as_it_is(folders: dict[str, Path]) -> None:
    whole = propose(segmenter(folders, QUERIES[3]), [0, 1, 2])
    assert torch.equal(propose(segmenter(folders, QUERIES[3], size=45), [0, 1, 2]), whole)


def test_the_proposers_input_is_shrunk_to_the_working_size_and_stretched_to_whole_patches() -> None:
    assert planes_size((1080, 1920), "full", 16) == (1088, 1920)
    assert planes_size((1080, 1920), 336, 16) == (336, 608)  # 597.3 wide, stretched
    assert planes_size((1920, 1080), 336, 16) == (608, 336)
    assert planes_size((1080, 1920), 224, 32) == (224, 416)
    assert planes_size((480, 854), 480, 16) == (480, 864)
    assert planes_size((240, 426), 480, 16) == (240, 432)
    assert planes_size((1, 5000), 32, 16) == (16, 5008)


@pytest.mark.parametrize("mode", ["refer", "semantic"])
def test_only_the_last_eight_blocks_make_the_affinity(folders: dict[str, Path], mode: str) -> None:
    fast = segmenter(folders, QUERIES[3], f="deep", mode=mode)
    close(propose(fast, [0, 1, 2]), twin_of(fast).proposals([0, 1, 2]))


@pytest.mark.parametrize("mode", ["refer", "semantic"])
def test_without_background_texts_a_lone_query_takes_the_gradient_of_its_similarity(
    folders: dict[str, Path], mode: str
) -> None:
    fast = segmenter(folders, QUERIES[1], mode=mode, background=[])
    proposal = propose(fast, [0])
    assert float(proposal.max()) == pytest.approx(1, abs=0.2)
    close(proposal, twin_of(fast).proposals([0]))


@pytest.mark.parametrize("mode", ["refer", "semantic"])
def test_a_cam_that_is_all_zero_is_made_again_without_background(folders: dict[str, Path], mode: str) -> None:
    """Few patches, so that for some queries all of them lie on the wrong side."""
    image = IMAGE[:16, :16]
    fast = segmenter(folders, QUERIES[17], mode=mode)
    slow, live = twin_of(fast, image), list(range(17))
    empty = [q for q in live if float(slow.cam(q, live, slow.f_background)[0].max()) == 0]
    rescued = [q for q in empty if float(slow.cam(q, live, slow.f_background[:0])[0].max()) > 0]
    assert rescued
    proposals = propose(fast, live, image)
    close(proposals, slow.proposals(live))
    assert proposals[rescued].amax((1, 2)).min() > 0


@pytest.mark.parametrize("rows", [1, 7, 54, 55, 256])  # 54 patches, and CLS
@pytest.mark.parametrize("gradient_bytes", [1, 256 * 2**20])
def test_per_text_products_equal_the_jacobian(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch, rows: int, gradient_bytes: int
) -> None:
    """J^T t of arbitrary texts against autograd through the last block with all heads' attention at once."""
    monkeypatch.setattr("carvid.clip.vision.STRIP_ROWS", rows)
    monkeypatch.setattr("carvid.car.gradcam.TOKEN_ROWS", rows)
    monkeypatch.setattr("carvid.car.gradcam.GRADIENT_BYTES", gradient_bytes)
    fast = segmenter(folders, QUERIES[1])
    tower = fast.model.proposer.tower
    x, attention = tower.trunk(frame_planes(torch.from_numpy(IMAGE)[None], fast.model.proposer, "full"))
    texts = torch.randn(9, 24, generator=torch.Generator().manual_seed(0))
    state = run_last_block(tower, x, attention, 4)
    last = tower.blocks[-1]
    a = last.norm1(x).detach().requires_grad_()
    q, k, v = last.project(a)
    y = x + last.merge((q @ k.transpose(2, 3)).softmax(-1) @ v)
    y = y + last.mlp(y)
    z = torch.nn.functional.normalize(tower.post_norm(y)[:, 1:].mean(1) @ tower.projection.T, dim=-1)
    expected = [torch.autograd.grad(z[0] @ text, a, retain_graph=True)[0][0, 1:].mean(0) for text in texts]
    close(cam_weights(tower, state, texts[None])[0], torch.stack(expected))


def in_float64(part):  # type: ignore[no-untyped-def]
    """A tower, or a part of it, with all its tensors in float64."""
    if isinstance(part, torch.Tensor):
        return part.double()
    if isinstance(part, tuple):
        return tuple(in_float64(each) for each in part)
    if is_dataclass(part) and not isinstance(part, type):
        return type(part)(**{field.name: in_float64(getattr(part, field.name)) for field in fields(part)})
    return part


@pytest.mark.parametrize("refer", [False, True])
@pytest.mark.parametrize("digits", range(1, 13))
def test_a_saturated_query_keeps_its_cam(folders: dict[str, Path], digits: int, refer: bool) -> None:
    """Shares s of 1 - 10^-1 .. 1 - 10^-12 at CLIP's logit scale, against autograd in float64."""
    scale = 100.0
    clip = segmenter(folders, QUERIES[1]).model.proposer
    tower = clip.tower
    x, _ = tower.trunk(frame_planes(torch.from_numpy(IMAGE)[None], clip, "full"), affinity=False)
    state = run_last_block(tower, x, None, 1)
    # Through the last block, whose input is what the fast path has.
    exact = in_float64(tower)
    last = exact.blocks[-1]
    a = last.norm1(x.double()).detach().requires_grad_()
    q, k, v = last.project(a)
    y = x.double() + last.merge((q @ k.transpose(2, 3)).softmax(-1) @ v)
    y = y + last.mlp(y)
    z = torch.nn.functional.normalize(exact.post_norm(y)[:, 1:].mean(1) @ exact.projection.T, dim=-1)[0]
    # Two queries and three background texts, at these cosines to z; query 0 is ahead by `digits` orders of magnitude.
    cosines = torch.tensor([0.1 + (digits + 0.7) * np.log(10) / scale, 0.1, 0.09, 0.095, 0.1]).double()
    sides = torch.randn(5, 24, generator=torch.Generator().manual_seed(digits)).double()
    sides = torch.nn.functional.normalize(sides - (sides @ z.detach())[:, None] * z.detach(), dim=-1)
    texts = (cosines[:, None] * z.detach() + (1 - cosines**2).sqrt()[:, None] * sides).float()

    rivals = texts[2:] if refer else texts[1:]
    shares = (scale * torch.cat([texts[:1], rivals]).double() @ z).softmax(0)
    others = shares[1:].sum()
    assert 10.0 ** -(digits + 1) < float(others.detach()) < 10.0**-digits
    # s = 1 - the others' shares, which has no cancellation in its gradient
    (gradient,) = torch.autograd.grad(-others, a)
    expected = min_max((a[0, 1:] @ gradient[0, 1:].mean(0)).relu().detach())
    assert expected.max() == 1

    known = ProposalTexts(texts[:2], texts[2:], scale)
    options = ProposalOptions(refer, affinity=False, lam=0.5)
    features = FrameFeatures(state, (6, 9))
    (one,) = MaskProposer(tower, [known], options).on(features, (6, 9))
    fast = one.propose((0, 1))[0]
    close(fast.flatten().double(), expected)


@pytest.mark.parametrize("strip_rows", [1, 7, 256])
def test_attention_in_strips_equals_all_heads_at_once(
    monkeypatch: pytest.MonkeyPatch, strip_rows: int
) -> None:
    monkeypatch.setattr("carvid.clip.vision.STRIP_ROWS", strip_rows)
    q, k, v = torch.randn(3, 2, 4, 20, 8, generator=torch.Generator().manual_seed(0))
    weights = (q @ k.transpose(2, 3)).softmax(-1)
    attention = torch.ones(2, 19, 19)
    close(attend(q, k, v, attention), weights @ v, 1e-6)
    close(attention, 1 + weights.mean(1)[:, 1:, 1:], 1e-6)


def test_no_more_than_one_head_of_attention_is_held(folders: dict[str, Path]) -> None:
    """From pixels to the products J^T t nothing is larger than the attention averaged over heads, (n, n)."""

    class Largest(TorchDispatchMode):
        elements = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            made = func(*args, **(kwargs or {}))
            for tensor in tree_leaves(made):
                self.elements = max(self.elements, tensor.numel() if isinstance(tensor, torch.Tensor) else 0)
            return made

    tower, texts = segmenter(folders, QUERIES[1]).model.proposer.tower, torch.randn(1, 9, 24)
    with torch.inference_mode(), Largest() as largest:
        cam_weights(tower, look(tower, torch.randn(1, 3, 160, 160)).state, texts)
    assert largest.elements == (20 * 20) ** 2


def test_a_batch_of_frames_equals_frames_alone(folders: dict[str, Path]) -> None:
    fast = segmenter(folders, QUERIES[3])
    images = [IMAGE, IMAGE[::-1].copy()]
    planes = frame_planes(torch.from_numpy(np.stack(images)), fast.model.proposer, "full")
    together = look(fast.model.proposer.tower, planes)
    proposers = fast._rnn.proposer.on(together, IMAGE.shape[:2])
    for one, image in zip(proposers, images, strict=True):
        close(one.propose([0, 1, 2]), propose(fast, [0, 1, 2], image))


@pytest.mark.parametrize("mode", ["refer", "semantic"])
@pytest.mark.parametrize("batch", [2, 3])
def test_frames_in_a_batch_give_what_they_give_alone(folders: dict[str, Path], mode: str, batch: int) -> None:
    rng = np.random.default_rng(8)
    sizes = [(45, 70), (45, 70), (30, 40), (45, 70), (45, 70), (45, 70), (45, 70)]
    images = [rng.integers(0, 256, (*size, 3)).astype(np.uint8) for size in sizes]
    alone = segmenter(folders, QUERIES[3], mode=mode, theta=0.3)
    together = segmenter(folders, QUERIES[3], mode=mode, theta=0.3, batch=batch)
    results = list(together.run(images))
    assert [result.index for result in results] == list(range(7))
    assert len({step.live for result in results for step in result.evidence.steps}) > 1
    for result, expected in zip(results, alone.run(images), strict=True):
        assert [step.live for step in result.evidence.steps] == [
            step.live for step in expected.evidence.steps
        ]
        assert np.abs(result.evidence.proposals - expected.evidence.proposals).max() < 1e-4
        assert np.abs(result.scores - expected.scores).max() < 1e-4
        assert (result.label_map != expected.label_map).mean() < 0.01


@pytest.mark.parametrize("batch", [1, 4])
def test_frames_before_a_damaged_one_are_given_before_its_error(folders: dict[str, Path], batch: int) -> None:
    def damaged() -> Iterator[np.ndarray]:
        yield from (IMAGE, IMAGE, IMAGE)
        raise ValueError("damaged")

    results = segmenter(folders, QUERIES[1], batch=batch).run(damaged())
    assert [next(results).index for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="damaged"):
        next(results)


def test_a_batch_that_does_not_fit_is_halved_and_stays_so(folders: dict[str, Path]) -> None:
    fast = segmenter(folders, QUERIES[3], theta=0.3, batch=8)
    images = np.random.default_rng(3).integers(0, 256, (9, 45, 70, 3)).astype(np.uint8)
    expected = [segmenter(folders, QUERIES[3], theta=0.3).step(image) for image in images]
    see, tried = fast.model.see, []

    def small_memory(batch: list[Frame], watch: Stopwatch) -> object:
        tried.append(len(batch))
        if len(batch) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return see(batch, watch)

    fast.model.see = small_memory  # type: ignore[method-assign,assignment]
    results = list(fast.run(list(images)))
    assert tried == [8, 4, 2, 2, 2, 2, 1]
    assert fast.batch == 2
    assert [result.index for result in results] == list(range(9))
    for result, one in zip(results, expected, strict=True):
        assert np.abs(result.scores - one.scores).max() < 1e-4


def test_one_frame_that_does_not_fit_is_an_error(folders: dict[str, Path]) -> None:
    fast = segmenter(folders, QUERIES[3], batch=4)

    def no_memory(batch: list[Frame], watch: Stopwatch) -> object:
        raise torch.OutOfMemoryError("CUDA out of memory")

    fast.model.see = no_memory  # type: ignore[method-assign,assignment]
    with pytest.raises(torch.OutOfMemoryError):
        fast.step(IMAGE)


def test_one_look_serves_several_query_sets(folders: dict[str, Path]) -> None:
    fast = segmenter(folders, QUERIES[3], crf=True)
    other = fast.with_queries(QUERIES[17][5:7])
    seen = fast.see(IMAGE)
    for one in (fast, other):
        shared, alone = one.segment(seen), one.step(IMAGE)
        assert np.array_equal(shared.label_map, alone.label_map)
        assert np.array_equal(shared.scores, alone.scores)


def test_affinity_equals_the_explicit_matrix() -> None:
    attention = torch.rand(30, 30, generator=torch.Generator().manual_seed(0)) ** 4 + 1e-3
    maps = torch.rand(5, 30, generator=torch.Generator().manual_seed(1))
    close(Affinity(attention[None]).spread(maps[None])[0], maps @ affinity_matrix(attention).T, 1e-5)


def test_boxes_cover_every_contour_of_the_cut_map() -> None:
    cam = torch.tensor([[[0.0, 0.6, 0, 0, 0], [0.9, 0.0, 0, 0, 0], [0, 0, 0, 0, 1.0]]])
    expected = torch.tensor([[[1, 1, 0, 0, 0], [1, 1, 0, 0, 0], [0, 0, 0, 0, 1]]]).bool()
    assert torch.equal(box_mask(cam, 0.5), expected)
    assert not box_mask(torch.zeros(1, 3, 5), 0.5).any()


def test_a_map_of_zeros_stays_zero_through_the_affinity() -> None:
    attention = torch.rand(6, 6) + 0.1
    zeros = torch.zeros(1, 1, 2, 3)
    assert torch.equal(refine_cams(zeros, Affinity(attention[None]), 0.5), zeros)


def test_min_max_spans_zero_to_one_and_a_constant_map_is_zero() -> None:
    assert min_max(torch.tensor([[2.0, 4.0, 3.0], [5.0, 5.0, 5.0]])).tolist() == [[0, 1, 0.5], [0, 0, 0]]


@pytest.mark.parametrize(
    "prompts", [("circle", "blur"), ("blur", "gray"), ("rectangle",), ("contour", "black")]
)
def test_class_probabilities_equal_a_fresh_encoding_of_each_prompted_image(
    folders: dict[str, Path], prompts: tuple[str, ...]
) -> None:
    fast = segmenter(
        folders, QUERIES[3], prompts=prompts, negatives=["grass", "sky"], templates=["{}", "a photo of a {}."]
    )
    slow, live = twin_of(fast), [0, 1, 2]
    masks = slow.proposals(live)
    drawn = draw_prompts(torch.from_numpy(IMAGE), masks > fast.recipe.eta, prompts)
    for image, mask in zip(drawn, masks, strict=True):
        assert np.array_equal(image.numpy(), slow.prompted((mask > fast.recipe.eta).numpy()))
    expected = slow.probabilities(masks, live)
    close(class_probabilities(fast._rnn.encode(drawn, fast.stopwatch), fast.texts[1], live), expected)


@pytest.mark.parametrize("mode", ["refer", "semantic"])
@pytest.mark.parametrize("count", [1, 3, 17])
@pytest.mark.parametrize("theta", [0.0, 0.04, 0.3, 1.0])
def test_the_sequence_of_live_sets_equals_the_straightforward_loop(
    folders: dict[str, Path], mode: str, count: int, theta: float
) -> None:
    for eta in np.linspace(0.5, 0.55, 40):
        fast = segmenter(folders, QUERIES[count], mode=mode, theta=theta, eta=float(eta))
        slow = twin_of(fast)
        steps, kept, proposals = slow.run()
        # A pixel within rounding of eta may fall on either side, and the prompted image with it.
        if slow.margin > 5e-6:
            break
    assert slow.margin > 5e-6
    result = fast.step(IMAGE)
    assert [step.live for step in result.evidence.steps] == [live for live, _ in steps]
    for step, (_, scores) in zip(result.evidence.steps, steps, strict=True):
        assert step.scores == pytest.approx(scores, rel=1e-4)
    close(torch.from_numpy(result.evidence.proposals[kept]), proposals)
    assert result.present.tolist() == [
        steps[-1][1][steps[-1][0].index(q)] >= theta if q in kept else False for q in range(count)
    ]


def test_everything_rejected_keeps_the_best_query_for_the_mask_and_reports_its_score(
    folders: dict[str, Path],
) -> None:
    paper = segmenter(folders, QUERIES[3], theta=1.0).step(IMAGE)
    ours = segmenter(folders, QUERIES[3], theta=1.0, preset="default").step(IMAGE)
    for result in (paper, ours):
        best = int(result.scores.argmax())
        assert not result.present.any()
        assert len(result.evidence.steps) == 1
        assert result.scores.tolist() == pytest.approx(result.evidence.steps[0].scores)
        assert result.evidence.proposals[best].max() > 0
        assert result.evidence.proposals[[q for q in range(3) if q != best]].max() == 0
    assert paper.masks[int(paper.scores.argmax())].any()
    assert not ours.masks.any()
    assert not ours.label_map.any()


def test_refer_mode_encodes_each_query_once_however_many_steps_follow(folders: dict[str, Path]) -> None:
    fast = segmenter(folders, QUERIES[17], theta=0.04)
    encoded: list[int] = []
    encode = fast._rnn.encode

    def counted(drawn: torch.Tensor, watch: Stopwatch) -> torch.Tensor:
        encoded.append(len(drawn))
        return encode(drawn, watch)

    fast._rnn.encode = counted  # type: ignore[method-assign]
    assert len(fast.step(IMAGE).evidence.steps) > 1
    assert encoded == [17]


def test_an_embedding_is_reused_while_the_mask_stays_the_same(folders: dict[str, Path]) -> None:
    fast = segmenter(folders, QUERIES[3])
    calls: list[int] = []

    def encode(images: torch.Tensor) -> torch.Tensor:
        calls.append(len(images))
        return fast._rnn.encode(images, fast.stopwatch)

    one = FrameClassifier(torch.from_numpy(IMAGE), fast.texts[1], 0.5, ["circle"])
    masks = torch.zeros(3, *IMAGE.shape[:2])
    masks[:, 5:20, 5:30] = 1
    (first,) = classify([one], [Asked((0, 1, 2), masks.clone())], encode)
    masks[1, 20:30] = 1
    classify([one], [Asked((0, 1, 2), masks)], encode)
    (again,) = classify([one], [Asked((0, 2), masks[[0, 2]])], encode)
    assert calls == [3, 1]
    assert again.scores.shape == (2,)
    assert first.scores.shape == (3,)


def test_what_a_chunk_holds_does_not_change_the_proposals(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    fast = segmenter(folders, QUERIES[17])
    whole = propose(fast, list(range(17)))
    monkeypatch.setattr("carvid.car.gradcam.GRADIENT_BYTES", 1)
    close(propose(fast, list(range(17))), whole, 1e-5)


def test_settings_of_a_preset_are_replaced_by_keywords(folders: dict[str, Path]) -> None:
    fast = segmenter(folders, QUERIES[1], eta=0.2, prompts=["gray"])
    assert fast.recipe == replace(
        load_recipe("refcoco", proposer=folders["f"], classifier=folders["g"], device="cpu"),
        eta=0.2,
        prompts=("gray",),
        crf=False,
    )
