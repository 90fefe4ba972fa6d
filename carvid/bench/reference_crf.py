"""pydensecrf on a frame, used as in the straightforward method: each call builds a CRF with both kernels."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from carvid.errors import UsageError
from carvid.recipe.refinement import CrfOptions
from carvid.refine.crf import SMALLEST_PROBABILITY


@dataclass(frozen=True)
class ReferenceMarginals:
    """q: (N, H, W) float32 in [0, 1], the marginals of the queries, without the background's. seconds: of all calls;
    spatial_seconds: the part of them that built spatial kernels."""

    q: NDArray[np.float32]
    seconds: float
    spatial_seconds: float


def load_pydensecrf() -> Any:
    """The module `pydensecrf.densecrf`. Raises UsageError where it is not installed."""
    try:
        import pydensecrf.densecrf as densecrf
    except ImportError as error:
        raise UsageError(
            f"the comparison needs the module pydensecrf, which cannot be imported ({error}); install pydensecrf2"
        ) from error
    return densecrf


def reference_marginals(
    image: NDArray[np.uint8],
    proposals: NDArray[np.float32],
    *,
    binary: bool,
) -> ReferenceMarginals:
    """The marginals by pydensecrf, with the default `CrfOptions`.

    image: (H, W, 3) uint8 RGB. proposals: (N, H, W) float32 in [0, 1]. binary: solve a CRF of two labels for each query
    (refer), otherwise one of N + 1 labels (semantic); see `carvid.refine.crf.FrameCrf`.
    Raises UsageError where pydensecrf is not installed.
    """
    options = CrfOptions()
    started = time.perf_counter()
    if binary:
        calls = [_infer(image, each[None], options) for each in proposals]
    else:
        calls = [_infer(image, proposals, options)]
    return ReferenceMarginals(
        q=np.concatenate([q for q, _ in calls]),
        seconds=time.perf_counter() - started,
        spatial_seconds=sum(spatial for _, spatial in calls),
    )


def _infer(
    image: NDArray[np.uint8], queries: NDArray[np.float32], options: CrfOptions
) -> tuple[NDArray[np.float32], float]:
    densecrf = load_pydensecrf()
    background = (1 - queries.max(0, keepdims=True)) ** options.bg_factor
    probabilities = np.concatenate([background, queries])
    labels, height, width = probabilities.shape
    field = densecrf.DenseCRF2D(width, height, labels)
    unary = -np.log(np.clip(probabilities.astype(np.float32), SMALLEST_PROBABILITY, 1))
    field.setUnaryEnergy(np.ascontiguousarray(unary.reshape(labels, -1)))
    started = time.perf_counter()
    field.addPairwiseGaussian(sxy=options.gaussian_sxy, compat=options.gaussian_compat)
    spatial = time.perf_counter() - started
    field.addPairwiseBilateral(
        sxy=options.bilateral_sxy,
        srgb=options.bilateral_srgb,
        rgbim=np.ascontiguousarray(image),
        compat=options.bilateral_compat,
    )
    q = np.array(field.inference(options.steps), np.float32).reshape(labels, height, width)
    return q[1:], spatial
