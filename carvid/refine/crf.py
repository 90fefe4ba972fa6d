"""Fully connected CRF over a frame's pixels, by mean field on permutohedral lattices.

P. Krähenbühl, V. Koltun, "Efficient Inference in Fully Connected CRFs with Gaussian Edge Potentials",
NeurIPS 2011, with the kernels, normalisation and update of pydensecrf (`addPairwiseGaussian` and
`addPairwiseBilateral` with their defaults: diagonal kernel, symmetric normalisation, Potts).
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from carvid.errors import UsageError
from carvid.refine.lattice import PermutohedralLattice

# As pydensecrf.utils.unary_from_softmax: -log of a probability below it would drown every neighbour.
SMALLEST_PROBABILITY = 1e-5
# Resizing a proposal may round a value to just beyond 0 or 1.
_RANGE_SLACK = 1e-3
# Queries filtered together on a CPU: a few share what a pixel costs, many no longer fit into the cache.
_CHANNELS = 16
# A folder may alternate between upright and lying frames; a video has one size.
_SIZES_KEPT = 2


@dataclass(frozen=True)
class CrfOptions:
    """The CRF's parameters; the defaults are those of CLIP as RNN.

    gaussian_sxy: standard deviation of the smoothness kernel, in pixels.
    gaussian_compat: Potts weight of the smoothness kernel.
    bilateral_sxy: standard deviation of the appearance kernel in position, in pixels.
    bilateral_srgb: standard deviation of the appearance kernel in each of R, G, B, in levels of 0..255.
    bilateral_compat: Potts weight of the appearance kernel.
    bg_factor: exponent of the background's probability; above 1 makes objects larger.
    steps: mean-field steps; 0 leaves the unary's own probabilities.
    """

    gaussian_sxy: float = 1.0
    gaussian_compat: float = 3.0
    bilateral_sxy: float = 67.0
    bilateral_srgb: float = 3.0
    bilateral_compat: float = 4.0
    bg_factor: float = 1.0
    steps: int = 10

    def __post_init__(self) -> None:
        for name in ("gaussian_sxy", "bilateral_sxy", "bilateral_srgb", "bg_factor"):
            if not 0 < getattr(self, name) < float("inf"):
                raise UsageError(f"CRF option {name} is {getattr(self, name)}; expected a positive number")
        for name in ("gaussian_compat", "bilateral_compat", "steps"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise UsageError(f"CRF option {name} is {getattr(self, name)}; expected 0 or more")


class DenseCRF:
    """Sharpens proposals to the edges of an image.

    The smoothness lattice depends on the frame size alone and is kept for the last few sizes; the
    appearance lattice is built once per image (the tensor itself, which must not be changed in place) and
    shared by all queries. float32 throughout. Results
    are on `device`, wherever the inputs are.
    """

    def __init__(self, options: CrfOptions | None = None, *, device: torch.device | str = "cpu") -> None:
        self.options = CrfOptions() if options is None else options
        self.device = torch.device(device)
        self._smoothness: OrderedDict[tuple[int, int], _Kernel] = OrderedDict()
        self._appearance: tuple[Tensor, _Kernel] | None = None

    @torch.no_grad()
    def refine_binary(self, image: Tensor, proposals: Tensor) -> Tensor:
        """One CRF of two labels, query and background, for each query on its own.

        image: (H, W, 3) uint8 RGB. proposals: (N, H, W) in [0, 1], any floating dtype.
        Unary: -log y_k for the query, -bg_factor * log(1 - y_k) for the background, no probability below
        SMALLEST_PROBABILITY. Returns (N, H, W) float32 in [0, 1], the query's marginal Q. ValueError for
        shapes or values that do not fit.

        All queries go through each lattice as channels of one filter, one channel per query: with two
        labels Q_bg = 1 - Q, and filter(1 - Q) = filter(1) - filter(Q).
        """
        values = self._pixel_rows(image, proposals)
        refined = torch.empty(proposals.shape, device=self.device)
        channels = _CHANNELS if self.device.type == "cpu" else max(1, values.shape[1])
        for start in range(0, values.shape[1], channels):
            some = slice(start, start + channels)
            q = self._binary_marginals(image, values[:, some].contiguous())
            refined[some] = q.T.reshape(-1, *proposals.shape[1:])
        return refined

    def _binary_marginals(self, image: Tensor, values: Tensor) -> Tensor:
        """Q of each query (H * W, N) of its probabilities (H * W, N), N > 0."""
        logit = _log_probability(values) - _log_probability((1 - values) ** self.options.bg_factor)
        q = logit.sigmoid()
        if self.options.steps:
            kernels = self._kernels(image)
            for kernel in kernels:
                logit -= kernel.compat * kernel.of_ones
            for _ in range(self.options.steps):
                field = logit
                for kernel in kernels:
                    field = kernel.add_message(field, q, scale=2)
                q = field.sigmoid()
        return q

    @torch.no_grad()
    def refine_labels(self, image: Tensor, proposals: Tensor) -> Tensor:
        """One CRF of N + 1 labels: the background, then every query.

        image: (H, W, 3) uint8 RGB. proposals: (N, H, W) in [0, 1], any floating dtype.
        Unary: -log y_k for each query, -bg_factor * log(1 - max_k y_k) for the background, no probability
        below SMALLEST_PROBABILITY. Returns (N + 1, H, W) float32 in [0, 1], the marginals Q: index 0 is
        the background, they sum to 1 at each pixel. ValueError for shapes or values that do not fit.
        """
        values = self._pixel_rows(image, proposals)
        n, count = values.shape
        strongest = values.amax(1, keepdim=True) if count else values.new_zeros(n, 1)
        background = (1 - strongest) ** self.options.bg_factor
        log_p = _log_probability(torch.cat([background, values], dim=1))
        q = log_p.softmax(1)
        if count and self.options.steps:
            kernels = self._kernels(image)
            for _ in range(self.options.steps):
                field = log_p
                for kernel in kernels:
                    field = kernel.add_message(field, q)
                q = field.softmax(1)
        return q.T.contiguous().view(count + 1, *proposals.shape[1:])

    def _pixel_rows(self, image: Tensor, proposals: Tensor) -> Tensor:
        """(N, H, W) -> (H * W, N) float32 in [0, 1] on `device`, checked against the image."""
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != torch.uint8 or image.numel() == 0:
            raise ValueError(f"image is {tuple(image.shape)} {image.dtype}; expected (H, W, 3) torch.uint8")
        size = tuple(image.shape[:2])
        if proposals.ndim != 3 or tuple(proposals.shape[1:]) != size or not proposals.is_floating_point():
            raise ValueError(
                f"proposals are {tuple(proposals.shape)} {proposals.dtype}; "
                f"expected (N, {size[0]}, {size[1]}) floating point, as the image is {size[0]} x {size[1]}"
            )
        rows = proposals.to(self.device, torch.float32).flatten(1).T.contiguous()
        if rows.numel():
            low, high = (bound.item() for bound in torch.aminmax(rows))
            if not (low >= -_RANGE_SLACK and high <= 1 + _RANGE_SLACK):
                raise ValueError(f"proposals lie in [{low:g}, {high:g}]; expected [0, 1]")
        return rows.clamp(0, 1)

    def _kernels(self, image: Tensor) -> tuple[_Kernel, _Kernel]:
        """Smoothness and appearance; the appearance of the last image is kept, for its other query sets."""
        smoothness = self._smoothness_kernel(*image.shape[:2])
        if self._appearance is None or self._appearance[0] is not image:
            self._appearance = None  # freed before the next one is built: each is large
            self._appearance = (image, self._appearance_kernel(image))
        return smoothness, self._appearance[1]

    def _appearance_kernel(self, image: Tensor) -> _Kernel:
        height, width = image.shape[:2]
        options = self.options
        colours = image.to(self.device, torch.float32).reshape(-1, 3)
        appearance = torch.cat(
            [
                self._positions(height, width) / _divisor(options.bilateral_sxy, colours),
                colours / _divisor(options.bilateral_srgb, colours),
            ],
            dim=1,
        )
        return _Kernel(appearance, options.bilateral_compat)

    def _smoothness_kernel(self, height: int, width: int) -> _Kernel:
        size = height, width
        if size not in self._smoothness:
            positions = self._positions(height, width)
            features = positions / _divisor(self.options.gaussian_sxy, positions)
            self._smoothness[size] = _Kernel(features, self.options.gaussian_compat)
        self._smoothness.move_to_end(size)
        while len(self._smoothness) > _SIZES_KEPT:
            self._smoothness.popitem(last=False)
        return self._smoothness[size]

    def _positions(self, height: int, width: int) -> Tensor:
        """(H * W, 2) float32: x, y of each pixel, row by row."""
        y, x = torch.meshgrid(
            torch.arange(height, dtype=torch.float32, device=self.device),
            torch.arange(width, dtype=torch.float32, device=self.device),
            indexing="ij",
        )
        return torch.stack([x.flatten(), y.flatten()], dim=1)


class _Kernel:
    """One Gaussian kernel between the pixels, symmetrically normalised, and its Potts weight.

    features: (n, d) float32, in units of the standard deviation.
    """

    def __init__(self, features: Tensor, compat: float) -> None:
        self.compat = compat
        self.lattice = PermutohedralLattice(features)
        total = self.lattice.filter(torch.ones_like(features[:, :1]))
        self.norm = (total + 1e-20).rsqrt()  # (n, 1): D^-1/2, D the sums of K's rows

    @cached_property
    def of_ones(self) -> Tensor:
        """D^-1/2 K D^-1/2 of ones, (n, 1)."""
        return self.norm * self.lattice.filter(self.norm)

    def add_message(self, field: Tensor, q: Tensor, *, scale: float = 1) -> Tensor:
        """field + scale * compat * D^-1/2 K D^-1/2 q: a label gains by every similar pixel that bears it."""
        return torch.addcmul(field, self.norm, self.lattice.filter(self.norm * q), value=scale * self.compat)


def _log_probability(p: Tensor) -> Tensor:
    return p.clamp(min=SMALLEST_PROBABILITY).log()


def _divisor(value: float, like: Tensor) -> Tensor:
    # A tensor on the same device: dividing by a number, CUDA multiplies by its rounded inverse instead.
    return like.new_tensor(value)
