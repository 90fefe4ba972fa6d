"""What follows the recurrence: the parameters of the dense CRF, of the SAM ensemble, and of carrying queries over."""

from __future__ import annotations

from dataclasses import dataclass, field

from carvid.errors import UsageError
from carvid.recipe.option import check_fields, option

# The heading of these options in `--help`.
REFINEMENT = "Refinement"

POINTS = ("full", "guided")


@dataclass(frozen=True)
class CrfOptions:
    """The dense CRF's parameters; the defaults are those of CLIP as RNN."""

    #: Standard deviation of the smoothness kernel, in px.
    gaussian_sxy: float = 1.0
    #: Potts weight of the smoothness kernel.
    gaussian_compat: float = 3.0
    #: Standard deviation of the appearance kernel in position, in px.
    bilateral_sxy: float = 67.0
    #: Standard deviation of the appearance kernel in each of R, G, B, in levels of 0..255.
    bilateral_srgb: float = 3.0
    #: Potts weight of the appearance kernel.
    bilateral_compat: float = 4.0
    #: Exponent of the background's probability; above 1 makes objects larger.
    bg_factor: float = 1.0
    #: Mean-field steps; 0 leaves the unary's own probabilities.
    steps: int = 10

    def __post_init__(self) -> None:
        check_fields(self, prefix="CRF option ")
        for name in ("gaussian_sxy", "bilateral_sxy", "bilateral_srgb", "bg_factor"):
            if not 0 < getattr(self, name) < float("inf"):
                raise UsageError(f"CRF option {name} is {getattr(self, name)}; expected a positive number")
        for name in ("gaussian_compat", "bilateral_compat", "steps"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise UsageError(f"CRF option {name} is {getattr(self, name)}; expected 0 or more")


@dataclass(frozen=True)
class AutomaticMaskOptions:
    """SamAutomaticMaskGenerator's options, under its names and with its defaults."""

    #: Points along a side of the image's grid.
    points_per_side: int = option(32, low=1)
    #: Points decoded at a time.
    points_per_batch: int = option(64, low=1)
    #: A mask stays if its predicted IoU is above; 0 keeps all.
    pred_iou_thresh: float = option(0.88, low=0, high=1)
    #: A mask stays if the IoU of itself cut higher and lower is at least this; 0 keeps all.
    stability_score_thresh: float = option(0.95, low=0, high=1)
    #: How much higher and lower, in logits.
    stability_score_offset: float = option(1.0, low=0)
    #: Box IoU above which the mask with the lower predicted IoU is a duplicate.
    box_nms_thresh: float = option(0.7, low=0, high=1)
    #: Layers of crops looked at besides the image; layer i has 4^i.
    crop_n_layers: int = option(0, low=0)
    #: Box IoU above which the mask from the larger crop is a duplicate.
    crop_nms_thresh: float = option(0.7, low=0, high=1)
    #: Overlap of the crops of layer 1, as a share of the image's shorter side.
    crop_overlap_ratio: float = option(512 / 1500, low=0, high=1)
    #: Layer i has points_per_side / this^i points along a side of each crop.
    crop_n_points_downscale_factor: int = option(1, low=1)
    #: Holes and islands below this are filled and removed, in px; 0 leaves masks as they are.
    min_mask_region_area: int = option(0, low=0)

    def __post_init__(self) -> None:
        check_fields(self)
        if self.crop_overlap_ratio == 1:
            raise UsageError("crop_overlap_ratio is 1; expected from 0 to below 1")


@dataclass(frozen=True)
class SamOptions:
    """How the ensemble asks SAM, and when it believes it."""

    #: full: every point of the grid; guided: only those in some mask or near it.
    points: str = option(
        "full",
        choices=POINTS,
        group=REFINEMENT,
        help="full: ask SAM at every point of its grid; guided: only near the masks.",
    )
    #: How near, for guided, as a share of the frame's longer side.
    margin: float = option(0.05, low=0, high=1)
    #: Run on every K-th frame only; the frames between keep the CRF's masks.
    every: int = option(1, low=1, group=REFINEMENT, help="Run SAM on one frame of so many.")
    #: Guided: on how many of the first frames the full grid is decoded too and the agreement reported.
    compared_frames: int = option(1, low=0)
    #: A SAM mask belongs to a CRF mask when their IoM is above this.
    phi_iom: float = option(0.7, low=0, high=1)
    #: The union of a CRF mask's SAM masks replaces it when their IoU is above this.
    phi_iou: float = option(0.7, low=0, high=1)
    automatic: AutomaticMaskOptions = field(default_factory=AutomaticMaskOptions)

    def __post_init__(self) -> None:
        check_fields(self, prefix="sam_")


@dataclass(frozen=True)
class CarryOptions:
    """When queries that were dropped are asked again."""

    #: On every K-th frame.
    every: int
    #: Also where the picture changes by more than this from one frame to the next, in grey levels of 0..255, the mean
    #: over a thumbnail: then a scene was cut.
    cut: float = option(20.0, low=0)

    def __post_init__(self) -> None:
        if not isinstance(self.every, int) or isinstance(self.every, bool) or self.every < 1:
            raise UsageError(f"carry is {self.every!r}; expected a whole number from 1")
        check_fields(self, prefix="carry.")
