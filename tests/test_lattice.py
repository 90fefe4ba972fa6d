from __future__ import annotations

import math
from collections import defaultdict

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from carvid.refine.lattice import PermutohedralLattice
from carvid.refine.simplex import enclosing_simplices

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def twin_vertices(feature):
    """The d + 1 lattice points around one point, as {integer coordinates: weight}, written out plainly.

    float32, operation by operation, since which of two neighbouring simplices a point on their border
    is given to decides which vertices exist.
    """
    one = np.float32
    d = len(feature)
    deviation = one(math.sqrt(2 / 3) * (d + 1))
    elevated = [one(0)] * (d + 1)
    total = one(0)
    for j in range(d, 0, -1):
        scaled = one(feature[j - 1]) * one(float(deviation) / math.sqrt((j + 1) * j))
        elevated[j] = total - one(j) * scaled
        total = total + scaled
    elevated[0] = total

    nearest = [int(np.rint(e * one(1 / (d + 1)))) * (d + 1) for e in elevated]
    residue = [e - one(m) for e, m in zip(elevated, nearest, strict=True)]
    order = sorted(range(d + 1), key=lambda i: -residue[i])  # largest first; sorted() is stable
    excess = sum(nearest) // (d + 1)
    for _ in range(-excess):  # below the plane: the largest residue moves up a cell, and is the smallest
        order.append(order.pop(0))
        nearest[order[-1]] += d + 1
    for _ in range(excess):
        order.insert(0, order.pop())
        nearest[order[0]] -= d + 1

    height = [(elevated[i] - one(nearest[i])) * one(1 / (d + 1)) for i in order]  # descending
    vertices = {}
    for r in range(d + 1):
        key = [m + r for m in nearest]
        for i in order[d + 1 - r :]:
            key[i] -= d + 1
        weight = height[d - r] - height[d - r + 1] if r else height[d] + (one(1) - height[0])
        vertices[tuple(key)] = weight
    return vertices


def twin_filter(features, values):
    """Splat, blur, slice over a dict of lattice points."""
    d = len(features[0])
    simplices = [twin_vertices(feature) for feature in features]
    lattice = defaultdict(lambda: np.zeros(values.shape[1]))
    for simplex, value in zip(simplices, values, strict=True):
        for key, weight in simplex.items():
            lattice[key] = lattice[key] + weight * value
    for axis in range(d + 1):
        blurred = {}
        for key in lattice:
            ahead = tuple(k + d if i == axis else k - 1 for i, k in enumerate(key))
            behind = tuple(k - d if i == axis else k + 1 for i, k in enumerate(key))
            blurred[key] = lattice[key] + 0.5 * sum(lattice[k] for k in (ahead, behind) if k in lattice)
        lattice = blurred
    alpha = 1 / (1 + 2.0**-d)
    return np.array([alpha * sum(w * lattice[key] for key, w in s.items()) for s in simplices])


def random_problem(seed, n, d, c, spread):
    generator = torch.Generator().manual_seed(seed)
    return (
        (torch.rand(n, d, generator=generator) - 0.5) * spread,
        torch.randn(n, c, generator=generator),
    )


problems = st.builds(
    random_problem,
    st.integers(0, 2**32 - 1),
    n=st.integers(1, 12),
    d=st.integers(1, 6),
    c=st.integers(1, 5),
    spread=st.sampled_from([0.0, 0.3, 2.0, 10.0, 300.0]),
)


@given(problems)
@settings(deadline=None, max_examples=60)
def test_filter_equals_the_dictionary_twin(problem):
    features, values = problem
    expected = twin_filter(features.numpy(), values.numpy())
    np.testing.assert_allclose(PermutohedralLattice(features).filter(values), expected, rtol=1e-5, atol=1e-5)


@given(
    st.lists(st.tuples(*[st.integers(-4, 4)] * 3), min_size=1, max_size=10),
    st.sampled_from([1.0, 0.5, 1 / 3]),
)
@settings(deadline=None, max_examples=60)
def test_points_on_a_grid_where_residues_tie_equal_the_twin(points, spacing):
    features = torch.tensor(points, dtype=torch.float32) * spacing
    values = torch.arange(1.0, len(points) + 1)[:, None]
    expected = twin_filter(features.numpy(), values.numpy())
    np.testing.assert_allclose(PermutohedralLattice(features).filter(values), expected, rtol=1e-5, atol=1e-5)


def test_keys_beyond_32_bits_equal_the_twin():
    features, values = random_problem(seed=1, n=30, d=4, c=2, spread=4000.0)
    features[15:] = features[:15] + 0.4  # neighbours in the blur, not only lone points
    expected = twin_filter(features.numpy(), values.numpy())
    np.testing.assert_allclose(PermutohedralLattice(features).filter(values), expected, rtol=1e-5, atol=1e-5)


def test_one_point_in_one_dimension():
    # The point is vertex (0, 0); (1, -1) exists beside it, with weight 0. Along axis 0: 1, 1/2; along
    # axis 1: 1 + 1/4; alpha is 2/3.
    lattice = PermutohedralLattice(torch.zeros(1, 1))
    assert lattice.filter(torch.ones(1, 1)).item() == pytest.approx(5 / 4 * 2 / 3)


@given(problems)
@settings(deadline=None, max_examples=40)
def test_simplex_encloses_its_point(problem):
    features, _ = problem
    n, d = features.shape
    cell, position, barycentric = enclosing_simplices(features)
    assert torch.equal(cell.sum(0), torch.zeros(n))
    assert torch.equal(position.sort(0).values, torch.arange(d + 1)[:, None].expand(d + 1, n))
    assert barycentric.min() >= -1e-4
    torch.testing.assert_close(barycentric.sum(0), torch.ones(n), rtol=0, atol=1e-4)
    # The weighted vertices come back to the point: distances between points are kept, up to the scale.
    vertices = [(d + 1) * cell + r - (d + 1) * (position < r) for r in range(d + 1)]
    points = sum(weight * vertex for weight, vertex in zip(barycentric, vertices, strict=True)).T
    scale = math.sqrt(2 / 3) * (d + 1)
    torch.testing.assert_close(
        torch.cdist(points, points), scale * torch.cdist(features, features), rtol=1e-3, atol=5e-3
    )


@pytest.mark.parametrize(("d", "spacing"), [(1, 0.05), (2, 0.15)])
def test_impulse_response_is_close_to_a_gaussian(d, spacing):
    side = torch.arange(-30, 31) * spacing
    features = torch.cartesian_prod(*[side] * d).reshape(-1, d) + 0.123
    middle = len(features) // 2
    impulse = torch.zeros(len(features), 1)
    impulse[middle] = 1
    response = PermutohedralLattice(features).filter(impulse)[:, 0]
    gaussian = torch.exp(-((features - features[middle]) ** 2).sum(1) / 2)
    scale = (response @ gaussian) / (gaussian @ gaussian)
    assert (response / scale - gaussian).abs().max() < 0.15
    assert torch.corrcoef(torch.stack([response, gaussian]))[0, 1] > 0.99


@pytest.mark.parametrize("device", DEVICES)
class TestFilterIsALinearOperator:
    n, d = 3000, 5

    @pytest.fixture
    def features(self, device):
        return random_problem(seed=2, n=self.n, d=self.d, c=1, spread=4.0)[0].to(device)

    @pytest.fixture
    def values(self, device):
        return random_problem(seed=3, n=self.n, d=1, c=3, spread=1.0)[1].to(device)

    def test_linear(self, features, values):
        lattice = PermutohedralLattice(features)
        a, b = values[:, :1], values[:, 1:2]
        torch.testing.assert_close(
            lattice.filter(2 * a - 3 * b), 2 * lattice.filter(a) - 3 * lattice.filter(b), rtol=1e-4, atol=1e-4
        )

    def test_channels_do_not_mix(self, features, values):
        lattice = PermutohedralLattice(features)
        apart = torch.cat([lattice.filter(values[:, k : k + 1]) for k in range(3)], dim=1)
        torch.testing.assert_close(lattice.filter(values), apart, rtol=1e-5, atol=1e-5)

    def test_order_of_points_does_not_matter(self, features, values):
        shuffle = torch.randperm(self.n, generator=torch.Generator().manual_seed(4)).to(features.device)
        straight = PermutohedralLattice(features).filter(values)
        shuffled = PermutohedralLattice(features[shuffle]).filter(values[shuffle])
        torch.testing.assert_close(shuffled, straight[shuffle], rtol=1e-4, atol=1e-4)

    def test_normalised_filter_keeps_constants_and_bounds(self, features, values):
        lattice = PermutohedralLattice(features)
        weight = lattice.filter(torch.ones_like(values))
        constant = lattice.filter(torch.full_like(values, 7)) / weight
        torch.testing.assert_close(constant, torch.full_like(values, 7))
        smooth = lattice.filter(values) / weight
        assert smooth.min() >= values.min()
        assert smooth.max() <= values.max()

    def test_layout_of_values_does_not_matter(self, features, values):
        lattice = PermutohedralLattice(features)
        strided = values.T.contiguous().T
        assert not strided.is_contiguous()
        assert torch.equal(lattice.filter(strided), lattice.filter(values))

    def test_twice_the_same(self, features, values):
        a, b = PermutohedralLattice(features), PermutohedralLattice(features)
        assert torch.equal(a.filter(values), b.filter(values))


def test_points_far_apart_do_not_meet():
    features, values = random_problem(seed=5, n=40, d=3, c=2, spread=3.0)
    far = torch.cat([features, features + 500])
    both = PermutohedralLattice(far).filter(torch.cat([values, torch.zeros_like(values)]))
    torch.testing.assert_close(both[:40], PermutohedralLattice(features).filter(values), rtol=1e-4, atol=1e-4)
    assert torch.equal(both[40:], torch.zeros_like(values))


def test_points_in_one_place_share_their_sum():
    features = torch.tensor([[0.2, 0.7], [0.2, 0.7], [0.2, 0.7]])
    out = PermutohedralLattice(features).filter(torch.tensor([[1.0], [2.0], [4.0]]))
    single = PermutohedralLattice(features[:1]).filter(torch.tensor([[7.0]]))
    torch.testing.assert_close(out, single.expand(3, 1))


def test_no_channels():
    assert PermutohedralLattice(torch.zeros(4, 2)).filter(torch.empty(4, 0)).shape == (4, 0)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (torch.zeros(4), r"features are \(4,\) torch.float32; expected \(n, d\) float32"),
        (torch.zeros(4, 2, dtype=torch.float64), "torch.float64; expected"),
        (torch.zeros(0, 2), r"\(0, 2\)"),
        (torch.zeros(2, 0), r"\(2, 0\)"),
        (torch.tensor([[0.0], [math.nan]]), "largest feature is nan; expected finite"),
        (torch.tensor([[0.0], [-math.inf]]), "largest feature is inf; expected finite"),
        (torch.tensor([[2.0**21]]), "expected finite, below 1048576"),
        (torch.eye(6) * 2.0**19, "more than a 64-bit key can tell apart"),
    ],
)
def test_features_that_cannot_be_used(features, message):
    with pytest.raises(ValueError, match=message):
        PermutohedralLattice(features)


@pytest.mark.parametrize(
    "values", [torch.zeros(3, 1), torch.zeros(4), torch.zeros(4, 1, dtype=torch.float64)]
)
def test_values_that_do_not_fit(values):
    with pytest.raises(ValueError, match=r"expected \(4, c\) float32"):
        PermutohedralLattice(torch.zeros(4, 2)).filter(values)
