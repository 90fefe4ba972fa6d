from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import carvid.refine.crf as crf_module
from carvid.errors import UsageError
from carvid.recipe.refinement import crf_working_size
from carvid.refine.crf import SMALLEST_PROBABILITY, CrfOptions, DenseCRF
from carvid.refine.lattice import PermutohedralLattice

SAMPLE = Path(__file__).resolve().parents[2] / "shared" / "data" / "davis-sample" / "JPEGImages" / "480p"
DEFAULTS = CrfOptions()


def oracle(image, probabilities, options=DEFAULTS):
    """pydensecrf: image (H, W, 3), probabilities (L, H, W) -> marginals (L, H, W)."""
    densecrf = pytest.importorskip("pydensecrf.densecrf")
    labels, height, width = probabilities.shape
    field = densecrf.DenseCRF2D(width, height, labels)
    unary = -np.log(np.clip(probabilities.astype(np.float32), SMALLEST_PROBABILITY, 1))
    field.setUnaryEnergy(np.ascontiguousarray(unary.reshape(labels, -1)))
    field.addPairwiseGaussian(sxy=options.gaussian_sxy, compat=options.gaussian_compat)
    field.addPairwiseBilateral(
        sxy=options.bilateral_sxy,
        srgb=options.bilateral_srgb,
        rgbim=np.ascontiguousarray(image),
        compat=options.bilateral_compat,
    )
    return np.array(field.inference(options.steps)).reshape(labels, height, width)


def oracle_binary(image, proposals, options=DEFAULTS):
    backgrounds = (1 - proposals) ** options.bg_factor
    pairs = zip(backgrounds, proposals, strict=True)
    return np.stack([oracle(image, np.stack(pair), options)[1] for pair in pairs])


def oracle_labels(image, proposals, options=DEFAULTS):
    background = (1 - proposals.max(0, keepdims=True)) ** options.bg_factor
    return oracle(image, np.concatenate([background, proposals]), options)


def smooth_noise(rng, height, width, cells=5):
    """(H, W) float32 in [0, 1]: random blobs, a few across the frame."""
    coarse = Image.fromarray(rng.random((cells, cells + 1), dtype=np.float32))
    fine = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))
    return (fine - fine.min()) / (np.ptp(fine) or 1)


def drawn_image(kind, height, width):
    rng = np.random.default_rng(7)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    if kind == "gradient":
        channels = [255 * x / width, 255 * y / height, 128 + 0 * x]
    elif kind == "texture":
        stripes = 40 * np.sin(x / 3) * np.cos(y / 5)
        channels = [
            60 + 180 * smooth_noise(rng, height, width, 7).round() + stripes * k for k in (0.5, 0.3, 1)
        ]
    elif kind == "noise":
        channels = list(rng.integers(0, 256, (3, height, width)))
    else:
        channels = [np.full((height, width), level) for level in (200, 30, 90)]
    return np.stack(channels, axis=-1).clip(0, 255).astype(np.uint8)


def drawn_proposals(count, height, width):
    rng = np.random.default_rng(count)
    return np.stack([smooth_noise(rng, height, width) for _ in range(count)])


def refine(image, proposals, options=DEFAULTS, form="binary"):
    crf = DenseCRF(options)
    method = crf.refine_binary if form == "binary" else crf.refine_labels
    return method(torch.from_numpy(image.copy()), torch.from_numpy(proposals)).numpy()


def assert_binary_agrees(image, proposals, options=DEFAULTS):
    ours, theirs = refine(image, proposals, options), oracle_binary(image, proposals, options)
    assert np.mean((ours > 0.5) == (theirs > 0.5)) >= 0.999
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-3)


def assert_labels_agree(image, proposals, options=DEFAULTS):
    ours, theirs = refine(image, proposals, options, "labels"), oracle_labels(image, proposals, options)
    assert np.mean(ours.argmax(0) == theirs.argmax(0)) >= 0.999
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-3)


class TestAgainstPydensecrf:
    @pytest.mark.parametrize("form", [assert_binary_agrees, assert_labels_agree])
    @pytest.mark.parametrize("kind", ["gradient", "texture", "noise", "flat"])
    @pytest.mark.parametrize("size", [(61, 83), (96, 128)])
    def test_drawn_images(self, kind, size, form):
        form(drawn_image(kind, *size), drawn_proposals(3, *size))

    @pytest.mark.parametrize("form", [assert_binary_agrees, assert_labels_agree])
    @pytest.mark.parametrize(
        "options",
        [
            CrfOptions(bg_factor=3),
            CrfOptions(steps=0),
            CrfOptions(steps=1),
            CrfOptions(gaussian_compat=0),
            CrfOptions(bilateral_compat=0),
            CrfOptions(
                gaussian_sxy=3, gaussian_compat=5, bilateral_sxy=20, bilateral_srgb=13, bilateral_compat=9
            ),
        ],
        ids=repr,
    )
    def test_options(self, options, form):
        form(drawn_image("texture", 48, 64), drawn_proposals(2, 48, 64), options)

    def test_probabilities_of_zero_and_one(self):
        image = drawn_image("texture", 48, 64)
        proposals = np.stack([drawn_proposals(1, 48, 64)[0].round(), np.zeros((48, 64), np.float32)])
        assert_binary_agrees(image, proposals)
        assert_labels_agree(image, proposals)

    @pytest.mark.skipif(not SAMPLE.is_dir(), reason="no davis-sample beside the checkout")
    @pytest.mark.parametrize(
        ("video", "size", "queries", "form"),
        [
            ("dog", (854, 480), 1, assert_binary_agrees),
            ("dog", (427, 240), 3, assert_labels_agree),
            ("blackswan", (427, 240), 3, assert_binary_agrees),
            ("bmx-trees", (427, 240), 3, assert_labels_agree),
        ],
    )
    def test_photographs(self, video, size, queries, form):
        image = np.array(Image.open(SAMPLE / video / "00000.jpg").convert("RGB").resize(size))
        form(image, drawn_proposals(queries, *image.shape[:2]))


class TestForms:
    image = torch.from_numpy(drawn_image("texture", 40, 52))
    proposals = torch.from_numpy(drawn_proposals(3, 40, 52))

    def test_queries_do_not_meet_in_the_binary_form(self):
        crf = DenseCRF()
        together = crf.refine_binary(self.image, self.proposals)
        for k in range(3):
            alone = crf.refine_binary(self.image, self.proposals[k : k + 1])
            torch.testing.assert_close(together[k : k + 1], alone, rtol=1e-4, atol=1e-5)

    def test_order_of_queries_is_kept(self):
        crf, order = DenseCRF(), [2, 0, 1]
        for method, offset in ((crf.refine_binary, 0), (crf.refine_labels, 1)):
            straight, shuffled = method(self.image, self.proposals), method(self.image, self.proposals[order])
            torch.testing.assert_close(shuffled[offset:], straight[offset:][order], rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize("bg_factor", [1.0, 2.5])
    def test_one_query_is_the_same_in_both_forms(self, bg_factor):
        crf = DenseCRF(CrfOptions(bg_factor=bg_factor))
        binary = crf.refine_binary(self.image, self.proposals[:1])
        labels = crf.refine_labels(self.image, self.proposals[:1])
        torch.testing.assert_close(binary, labels[1:], rtol=1e-4, atol=1e-5)

    def test_marginals_are_probabilities(self):
        q = DenseCRF().refine_labels(self.image, self.proposals)
        assert q.shape == (4, 40, 52)
        assert q.dtype == torch.float32
        assert q.is_contiguous()
        assert q.min() >= 0
        torch.testing.assert_close(q.sum(0), torch.ones(40, 52))

    @pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
    def test_any_floating_proposals_give_float32(self, dtype):
        given = self.proposals.to(dtype)
        q = DenseCRF().refine_binary(self.image, given)
        assert q.dtype == torch.float32
        assert torch.equal(q, DenseCRF().refine_binary(self.image, given.float()))

    def test_arguments_are_left_as_they_were(self):
        image, proposals = self.image.clone(), self.proposals.clone()
        crf = DenseCRF()
        crf.refine_binary(image, proposals)
        crf.refine_labels(image, proposals)
        assert torch.equal(image, self.image)
        assert torch.equal(proposals, self.proposals)

    def test_no_queries(self):
        crf = DenseCRF()
        none = torch.empty(0, 40, 52)
        assert crf.refine_binary(self.image, none).shape == (0, 40, 52)
        assert torch.equal(crf.refine_labels(self.image, none), torch.ones(1, 40, 52))

    @pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (2, 3)])
    def test_tiny_images(self, size):
        image = drawn_image("noise", *size)
        proposals = np.random.default_rng(0).random((2, *size), dtype=np.float32)
        assert_binary_agrees(image, proposals)
        assert_labels_agree(image, proposals)

    def test_mask_snaps_to_the_edge_of_the_image(self):
        image = torch.full((32, 40, 3), 60, dtype=torch.uint8)
        image[:, 20:] = 180
        proposal = torch.linspace(0.1, 0.9, 40).roll(-4).expand(1, 32, 40).clone()
        proposal[..., -4:] = 0.9  # crosses 1/2 at column 16, four columns early
        mask = DenseCRF().refine_binary(image, proposal)[0] > 0.5
        assert torch.equal(mask, (image[..., 0] == 180))


def test_many_queries_give_what_each_gives_alone():
    rng = np.random.default_rng(3)
    image = torch.from_numpy(rng.integers(0, 256, (20, 30, 3)).astype(np.uint8))
    proposals = torch.from_numpy(rng.random((37, 20, 30)).astype(np.float32))
    assert 2 * crf_module._CHANNELS < 37
    together = DenseCRF().refine_binary(image, proposals)
    assert together.shape == (37, 20, 30)
    for i in range(37):
        alone = DenseCRF().refine_binary(image, proposals[i : i + 1])
        assert torch.allclose(together[i], alone[0], atol=1e-5)


def test_no_steps_leave_the_probabilities_of_the_unary():
    image = torch.from_numpy(drawn_image("noise", 4, 5))
    proposals = torch.tensor([0.0, 0.2, 0.5, 1.0, 0.9]).expand(2, 4, 5).clone()
    proposals[1] *= 0.5
    crf = DenseCRF(CrfOptions(steps=0, bg_factor=2))
    p, p_bg = proposals.clamp(min=1e-5), (1 - proposals).square().clamp(min=1e-5)
    torch.testing.assert_close(crf.refine_binary(image, proposals), p / (p + p_bg))
    p_all = torch.cat([p_bg[:1], p])  # query 0 is the stronger everywhere
    torch.testing.assert_close(crf.refine_labels(image, proposals), p_all / p_all.sum(0))


def test_without_weights_any_number_of_steps_is_none():
    image = torch.from_numpy(drawn_image("noise", 12, 15))
    proposals = torch.from_numpy(drawn_proposals(2, 12, 15))
    idle, none = CrfOptions(gaussian_compat=0, bilateral_compat=0), CrfOptions(steps=0)
    for form in ("refine_binary", "refine_labels"):
        a, b = (getattr(DenseCRF(options), form)(image, proposals) for options in (idle, none))
        torch.testing.assert_close(a, b)


def test_background_factor_enlarges_objects():
    image = torch.from_numpy(drawn_image("texture", 40, 52))
    proposals = torch.from_numpy(drawn_proposals(1, 40, 52))
    areas = [
        int((DenseCRF(CrfOptions(bg_factor=factor)).refine_binary(image, proposals) > 0.5).sum())
        for factor in (0.5, 1, 2)
    ]
    assert areas[0] < areas[1] < areas[2]


class TestLatticesAreShared:
    @pytest.fixture
    def built(self, monkeypatch):
        """The (points, dimensions) of each lattice built, in order."""
        log = []

        class Logged(PermutohedralLattice):
            def __init__(self, features):
                log.append(tuple(features.shape))
                super().__init__(features)

        monkeypatch.setattr(crf_module, "PermutohedralLattice", Logged)
        return log

    @staticmethod
    def run(crf, height, width, queries=2):
        image = drawn_image("texture", height, width)
        proposals = drawn_proposals(queries, height, width)
        q = crf.refine_binary(torch.from_numpy(image), torch.from_numpy(proposals)).numpy()
        np.testing.assert_allclose(q, refine(image, proposals), rtol=0, atol=1e-6)
        return q

    def test_spatial_once_per_size_and_bilateral_once_per_frame(self, built):
        crf = DenseCRF()
        image = torch.from_numpy(drawn_image("texture", 10, 12))
        seen = crf.on(image)
        for form in (seen.refine_binary, seen.refine_labels, seen.refine_binary):
            form(torch.from_numpy(drawn_proposals(5, 10, 12)))
        assert built == [(120, 2), (120, 5)]
        crf.refine_binary(image, torch.from_numpy(drawn_proposals(5, 10, 12)))
        assert built == [(120, 2), (120, 5), (120, 5)]

    def test_nothing_is_built_without_queries_or_steps(self, built):
        image = torch.from_numpy(drawn_image("texture", 10, 12))
        DenseCRF().refine_labels(image, torch.empty(0, 10, 12))
        DenseCRF(CrfOptions(steps=0)).refine_binary(image, torch.rand(2, 10, 12))
        assert built == []

    def test_size_may_change_back_and_forth(self):
        crf = DenseCRF()
        for height, width in ((10, 12), (12, 10), (10, 12), (5, 24), (12, 10)):
            self.run(crf, height, width)

    def test_two_sizes_are_kept_and_no_more(self, built):
        crf = DenseCRF()
        sizes = [(4, 5), (4, 6), (4, 5), (4, 6), (4, 7), (4, 5)]
        for size in sizes:
            crf.refine_binary(torch.from_numpy(drawn_image("noise", *size)), torch.full((1, *size), 0.3))
        assert [points for points, dimensions in built if dimensions == 2] == [20, 24, 28, 20]


class TestSize:
    image = torch.from_numpy(drawn_image("texture", 40, 52))
    proposals = torch.from_numpy(drawn_proposals(3, 40, 52))

    @pytest.mark.parametrize("size", [30, 40, 500])
    @pytest.mark.parametrize("form", ["refine_binary", "refine_labels"])
    def test_a_frame_that_is_at_most_a_third_larger_is_refined_whole(self, size, form):
        sized, whole = (
            getattr(DenseCRF(size=one), form)(self.image, self.proposals) for one in (size, "full")
        )
        assert torch.equal(sized, whole)

    @pytest.mark.parametrize(
        ("whole", "size", "expected"),
        [
            ((1080, 1920), 360, (360, 640)),
            ((1280, 720), 360, (640, 360)),
            ((480, 854), 360, (480, 854)),
            ((481, 854), 360, (360, 639)),
            ((1080, 1920), "full", (1080, 1920)),
            ((2000, 2), 1, (1000, 1)),
        ],
    )
    def test_working_size(self, whole, size, expected):
        assert crf_working_size(whole, size) == expected

    def test_mask_snaps_to_the_edge_of_the_whole_image(self):
        image = torch.full((96, 120, 3), 60, dtype=torch.uint8)
        image[:, 61:] = 180  # not on a pixel's border at a third of the size
        proposal = torch.linspace(0.1, 0.9, 120).roll(-12).expand(1, 96, 120).clone()
        proposal[..., -12:] = 0.9  # crosses 1/2 at column 48, twelve columns early
        right = image[..., 0] == 180
        crf = DenseCRF(size=32)
        assert torch.equal(crf.refine_binary(image, proposal)[0] > 0.5, right)
        assert torch.equal(crf.refine_labels(image, proposal).argmax(0) == 1, right)

    def test_marginals_are_probabilities_of_the_whole_image(self):
        q = DenseCRF(size=20).refine_labels(self.image, self.proposals)
        assert q.shape == (4, 40, 52)
        assert q.dtype == torch.float32
        assert q.min() >= 0
        assert q.max() <= 1
        torch.testing.assert_close(q.sum(0), torch.ones(40, 52))
        q = DenseCRF(size=20).refine_binary(self.image, self.proposals)
        assert q.shape == (3, 40, 52)
        assert q.min() >= 0
        assert q.max() <= 1

    def test_no_queries(self):
        none = torch.empty(0, 40, 52)
        assert DenseCRF(size=20).refine_binary(self.image, none).shape == (0, 40, 52)
        assert torch.equal(DenseCRF(size=20).refine_labels(self.image, none), torch.ones(1, 40, 52))

    def test_what_lies_outside_the_range_is_refused_before_it_is_shrunk(self):
        proposals = self.proposals.clone()
        proposals[0, 7, 7] = 1.5
        with pytest.raises(ValueError, match="proposals lie in"):
            DenseCRF(size=20).refine_binary(self.image, proposals)


@pytest.mark.parametrize(
    ("image", "proposals", "message"),
    [
        (
            torch.zeros(4, 6, 3, dtype=torch.uint8),
            torch.zeros(2, 6, 4),
            r"proposals are \(2, 6, 4\) torch.float32; expected \(N, 4, 6\)",
        ),
        (torch.zeros(4, 6, 3, dtype=torch.uint8), torch.zeros(4, 6), r"proposals are \(4, 6\)"),
        (
            torch.zeros(4, 6, 3, dtype=torch.uint8),
            torch.zeros(2, 4, 6, dtype=torch.bool),
            "torch.bool; expected .* floating point",
        ),
        (torch.zeros(3, 4, 6, dtype=torch.uint8), torch.zeros(2, 4, 6), r"image is \(3, 4, 6\) torch.uint8"),
        (torch.zeros(4, 6, 3), torch.zeros(2, 4, 6), r"torch.float32; expected \(H, W, 3\) torch.uint8"),
        (torch.zeros(0, 6, 3, dtype=torch.uint8), torch.zeros(2, 0, 6), r"image is \(0, 6, 3\)"),
        (
            torch.zeros(4, 6, 3, dtype=torch.uint8),
            torch.full((2, 4, 6), 1.5),
            r"proposals lie in \[1.5, 1.5\]; expected \[0, 1\]",
        ),
        (torch.zeros(4, 6, 3, dtype=torch.uint8), torch.full((1, 4, 6), torch.nan), "proposals lie in"),
    ],
)
def test_what_does_not_fit_is_refused(image, proposals, message):
    for form in ("refine_binary", "refine_labels"):
        with pytest.raises(ValueError, match=message):
            getattr(DenseCRF(), form)(image, proposals)


def test_a_rounding_error_beyond_one_is_taken_as_one():
    image = torch.from_numpy(drawn_image("texture", 6, 8))
    beyond = torch.full((1, 6, 8), 1 + 1e-6)
    assert torch.equal(
        DenseCRF().refine_binary(image, beyond), DenseCRF().refine_binary(image, torch.ones(1, 6, 8))
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("gaussian_sxy", 0.0),
        ("bilateral_sxy", -1.0),
        ("bilateral_srgb", float("nan")),
        ("bg_factor", 0.0),
        ("gaussian_compat", -0.1),
        ("bilateral_compat", float("inf")),
        ("steps", -1),
    ],
)
def test_options_that_cannot_be_used(name, value):
    with pytest.raises(UsageError, match=f"{name} is {value}"):
        replace(DEFAULTS, **{name: value})


def test_options_are_frozen():
    with pytest.raises(FrozenInstanceError):
        DEFAULTS.steps = 3
