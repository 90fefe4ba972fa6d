"""A fully connected CRF over a frame's pixels, solved by mean field on permutohedral lattices.

P. Krähenbühl, V. Koltun, "Efficient Inference in Fully Connected CRFs with Gaussian Edge Potentials",
NeurIPS 2011, with the kernels, normalisation and update of pydensecrf (`addPairwiseGaussian` and
`addPairwiseBilateral` with their defaults: diagonal kernel, symmetric normalisation, Potts).
"""

from __future__ import annotations

from collections import OrderedDict
from functools import cached_property
from threading import Lock

import torch
from torch import Tensor

from carvid.recipe.option import Size
from carvid.recipe.refinement import CrfOptions, crf_working_size
from carvid.refine.guided import Guide, shrunk
from carvid.refine.lattice import PermutohedralLattice

# As in pydensecrf.utils.unary_from_softmax: -log of a smaller probability would outweigh every neighbour.
SMALLEST_PROBABILITY = 1e-5
# Resizing a proposal may round a value slightly past 0 or 1.
_RANGE_SLACK = 1e-3
# Queries filtered together on a CPU: a few share the cost of a pixel, but many no longer fit in the cache.
_CHANNELS = 16
# A folder of images may alternate between portrait and landscape; a video has one size.
_SIZES_KEPT = 2
# Half the side of the windows in which marginals follow the picture's colours, in px of the shrunk picture.
_RADIUS_PX = 4
# How much colours may vary in a window that is taken for flat: a variance, for colours in [0, 1].
_FLAT = 1e-3


# The mean colour of the pictures that older models were trained on: blue, green, red.
_MEAN_BGR = (104.008, 116.669, 122.675)


def wrapped_picture(image: Tensor) -> Tensor:
    """The picture that the authors' released code hands to the CRF, for an image (H, W, 3) uint8 RGB.

    (H, W, 3) uint8, blue first: less the mean, cut towards 0 and modulo 256. What is a little darker than the mean
    comes out nearly white, what is a little lighter nearly black, so there are edges that the image does not have.
    """
    below = image.flip(-1).float() - torch.tensor(_MEAN_BGR, device=image.device)
    return below.to(torch.int32).remainder(256).to(torch.uint8)


class DenseCRF:
    """Refines proposals to the edges in images.

    It keeps only the smoothness lattices of the last few image sizes, so threads may share it. It computes in float32;
    results are on `device`, wherever the inputs are.

    size: images and proposals are shrunk until their shorter side has so many px, and the marginals enlarged along the
        image's edges by a guided filter. Images that are at most a third larger are refined whole: shrinking would
        gain little. `full` for whole images of any size, as in the paper.
    """

    def __init__(
        self, options: CrfOptions | None = None, *, size: Size = "full", device: torch.device | str = "cpu"
    ) -> None:
        self.options = CrfOptions() if options is None else options
        self.size = size
        self.device = torch.device(device)
        self._smoothness: OrderedDict[tuple[int, int], _Kernel] = OrderedDict()
        self._lock = Lock()

    def on(self, image: Tensor) -> FrameCrf:
        """The CRF of one image (H, W, 3) uint8 RGB, which must not be changed afterwards.

        Raises ValueError for another shape or dtype.
        """
        return FrameCrf(self, image)

    def refine_binary(self, image: Tensor, proposals: Tensor) -> Tensor:
        """`FrameCrf.refine_binary` on an image used only once."""
        return self.on(image).refine_binary(proposals)

    def refine_labels(self, image: Tensor, proposals: Tensor) -> Tensor:
        """`FrameCrf.refine_labels` on an image used only once."""
        return self.on(image).refine_labels(proposals)

    def smoothness(self, height: int, width: int) -> _Kernel:
        """The kernel of positions alone, for images of `height` x `width` px."""
        size = height, width
        with self._lock:
            if size not in self._smoothness:
                positions = self._positions(height, width)
                features = positions / _divisor(self.options.gaussian_sxy, positions)
                self._smoothness[size] = _Kernel(features, self.options.gaussian_compat)
            self._smoothness.move_to_end(size)
            while len(self._smoothness) > _SIZES_KEPT:
                self._smoothness.popitem(last=False)
            return self._smoothness[size]

    def appearance(self, image: Tensor, share: float = 1) -> _Kernel:
        """The kernel of positions and colours of an image (H, W, 3) RGB, uint8 or in its levels.

        share: the image's size as a share of the whole image's. The kernel shrinks by the square root of it: neither as
        wide as on the whole image nor as wide in px is as good (scripts/bench_refine.py).
        """
        height, width = image.shape[:2]
        options = self.options
        colours = image.to(self.device, torch.float32).reshape(-1, 3)
        appearance = torch.cat(
            [
                self._positions(height, width) / _divisor(options.bilateral_sxy * share**0.5, colours),
                colours / _divisor(options.bilateral_srgb, colours),
            ],
            dim=1,
        )
        return _Kernel(appearance, options.bilateral_compat)

    def _positions(self, height: int, width: int) -> Tensor:
        """(H * W, 2) float32: x and y of each pixel in px, row by row."""
        y, x = torch.meshgrid(
            torch.arange(height, dtype=torch.float32, device=self.device),
            torch.arange(width, dtype=torch.float32, device=self.device),
            indexing="ij",
        )
        return torch.stack([x.flatten(), y.flatten()], dim=1)


class FrameCrf:
    """The CRF of one image; its appearance lattice is built when first needed and shared by all query sets."""

    def __init__(self, crf: DenseCRF, image: Tensor) -> None:
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != torch.uint8 or image.numel() == 0:
            raise ValueError(f"image is {tuple(image.shape)} {image.dtype}; expected (H, W, 3) torch.uint8")
        self._crf, self._image = crf, image
        self._whole = (image.shape[0], image.shape[1])
        self._size = crf_working_size(self._whole, crf.size)

    @cached_property
    def _kernels(self) -> tuple[_Kernel, _Kernel]:
        """Smoothness and appearance."""
        image = self._image
        if self._size != self._whole:
            image = self._guide.small_image
        share = min(self._size) / min(self._whole)
        return self._crf.smoothness(*self._size), self._crf.appearance(image, share)

    @cached_property
    def _guide(self) -> Guide:
        return Guide(self._image.to(self._crf.device), self._size, radius_px=_RADIUS_PX, flat=_FLAT)

    @torch.no_grad()
    def refine_binary(self, proposals: Tensor) -> Tensor:
        """Solve a CRF of two labels, query and background, for each query separately.

        proposals: (N, H, W) in [0, 1], any floating dtype.
        Unary: -log y_k for the query, -bg_factor * log(1 - y_k) for the background, with probabilities of at least
        SMALLEST_PROBABILITY. Returns (N, H, W) float32 in [0, 1], the query's marginal Q. Raises ValueError for
        another shape, an integer dtype or values outside [0, 1].

        All queries go through each lattice as channels of one filter, one channel per query, because with two
        labels Q_bg = 1 - Q and filter(1 - Q) = filter(1) - filter(Q).
        """
        values = self._pixel_rows(proposals)
        device = self._crf.device
        refined = torch.empty(len(proposals), *self._size, device=device)
        channels = _CHANNELS if device.type == "cpu" else max(1, values.shape[1])
        for start in range(0, values.shape[1], channels):
            some = slice(start, start + channels)
            q = self._binary_marginals(values[:, some].contiguous())
            refined[some] = q.T.reshape(-1, *self._size)
        return refined if self._size == self._whole else self._guide.enlarge(refined)

    def _binary_marginals(self, values: Tensor) -> Tensor:
        """Q of each query, (H * W, N), from its probabilities (H * W, N), N > 0."""
        logit = _log_probability(values) - _log_probability((1 - values) ** self._crf.options.bg_factor)
        q = logit.sigmoid()
        if self._crf.options.steps:
            kernels = self._kernels
            for kernel in kernels:
                logit -= kernel.compat * kernel.of_ones
            for _ in range(self._crf.options.steps):
                field = logit
                for kernel in kernels:
                    field = kernel.add_message(field, q, scale=2)
                q = field.sigmoid()
        return q

    @torch.no_grad()
    def refine_labels(self, proposals: Tensor) -> Tensor:
        """Solve one CRF of N + 1 labels: the background, then every query.

        proposals: (N, H, W) in [0, 1], any floating dtype.
        Unary: -log y_k for each query, -bg_factor * log(1 - max_k y_k) for the background, with probabilities of at
        least SMALLEST_PROBABILITY. Returns (N + 1, H, W) float32 in [0, 1], the marginals Q, which sum to 1 at each
        pixel; index 0 is the background. Raises ValueError for another shape, an integer dtype or values outside
        [0, 1].
        """
        values = self._pixel_rows(proposals)
        n, count = values.shape
        strongest = values.amax(1, keepdim=True) if count else values.new_zeros(n, 1)
        background = (1 - strongest) ** self._crf.options.bg_factor
        log_p = _log_probability(torch.cat([background, values], dim=1))
        q = log_p.softmax(1)
        if count and self._crf.options.steps:
            kernels = self._kernels
            for _ in range(self._crf.options.steps):
                field = log_p
                for kernel in kernels:
                    field = kernel.add_message(field, q)
                q = field.softmax(1)
        shares = q.T.contiguous().view(count + 1, *self._size)
        if self._size == self._whole:
            return shares
        shares = self._guide.enlarge(shares)
        # Cutting values below 0 and above 1 off may have left a sum above 1.
        return shares / shares.sum(0)

    def _pixel_rows(self, proposals: Tensor) -> Tensor:
        """(N, H, W) -> (h * w, N) float32 in [0, 1] on `device`, at the CRF's size, checked against the image."""
        size = self._whole
        if proposals.ndim != 3 or tuple(proposals.shape[1:]) != size or not proposals.is_floating_point():
            raise ValueError(
                f"proposals are {tuple(proposals.shape)} {proposals.dtype}; "
                f"expected (N, {size[0]}, {size[1]}) floating point, as the image is {size[0]} x {size[1]}"
            )
        values = proposals.to(self._crf.device, torch.float32)
        if values.numel():
            low, high = (bound.item() for bound in torch.aminmax(values))
            if not (low >= -_RANGE_SLACK and high <= 1 + _RANGE_SLACK):
                raise ValueError(f"proposals lie in [{low:g}, {high:g}]; expected [0, 1]")
        if self._size != self._whole:
            values = shrunk(values, self._size)
        return values.flatten(1).clamp(0, 1).T.contiguous()


class _Kernel:
    """One Gaussian kernel between n pixels, symmetrically normalised, and its Potts weight.

    features: (n, d) float32, in units of the kernel's standard deviation. compat: the Potts weight.
    """

    def __init__(self, features: Tensor, compat: float) -> None:
        self.compat = compat
        self.lattice = PermutohedralLattice(features)
        total = self.lattice.filter(torch.ones_like(features[:, :1]))
        self.norm = (total + 1e-20).rsqrt()  # (n, 1): D^-1/2, where D holds the row sums of K

    @cached_property
    def of_ones(self) -> Tensor:
        """D^-1/2 K D^-1/2 of ones, (n, 1)."""
        return self.norm * self.lattice.filter(self.norm)

    def add_message(self, field: Tensor, q: Tensor, *, scale: float = 1) -> Tensor:
        """field + scale * compat * D^-1/2 K D^-1/2 q: a label gains from every similar pixel that has it."""
        return torch.addcmul(field, self.norm, self.lattice.filter(self.norm * q), value=scale * self.compat)


def _log_probability(p: Tensor) -> Tensor:
    return p.clamp(min=SMALLEST_PROBABILITY).log()


def _divisor(value: float, like: Tensor) -> Tensor:
    # A tensor on the same device: given a plain number, CUDA multiplies by its rounded inverse instead of dividing.
    return like.new_tensor(value)
