"""Options of what follows the recurrence: the dense CRF and the SAM ensemble."""

from __future__ import annotations

from dataclasses import dataclass, field

from carvid.errors import UsageError
from carvid.recipe.option import Size, check_fields, option

# The heading of these options in `--help`.
REFINEMENT = "Refinement"

POINTS = ("full", "guided")


@dataclass(frozen=True)
class CrfOptions:
    """The dense CRF's parameters; the defaults are those of CLIP as RNN. Raises UsageError for values out of range."""

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
    #: Exponent of the background's probability; values above 1 make objects larger.
    bg_factor: float = 1.0
    #: Mean-field steps; 0 keeps the probabilities of the unary term.
    steps: int = 10

    def __post_init__(self) -> None:
        check_fields(self, prefix="CRF option ")
        for name in ("gaussian_sxy", "bilateral_sxy", "bilateral_srgb", "bg_factor"):
            if not 0 < getattr(self, name) < float("inf"):
                raise UsageError(f"CRF option {name} is {getattr(self, name)}; expected a positive number")
        for name in ("gaussian_compat", "bilateral_compat", "steps"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise UsageError(f"CRF option {name} is {getattr(self, name)}; expected 0 or more")


def crf_working_size(whole: tuple[int, int], size: Size) -> tuple[int, int]:
    """(h, w) at which an image (H, W) is refined: shrunk until its shorter side is `size`, but as it is where that is
    at most a third larger."""
    short = min(whole)
    if size == "full" or 3 * short <= 4 * size:
        return whole
    height, width = (max(1, round(side * size / short)) for side in whole)
    return height, width


@dataclass(frozen=True)
class AutomaticMaskOptions:
    """Options of segment-anything's SamAutomaticMaskGenerator, with its names and defaults."""

    #: Points along each side of the grid laid over the image.
    points_per_side: int = option(32, low=1)
    #: Points decoded at a time.
    points_per_batch: int = option(64, low=1)
    #: A mask is kept if its predicted IoU is above this; 0 keeps all.
    pred_iou_thresh: float = option(0.88, low=0, high=1)
    #: A mask is kept if its stability, the IoU of its logits cut higher and cut lower, is at least this; 0 keeps all.
    stability_score_thresh: float = option(0.95, low=0, high=1)
    #: How much higher and lower the logits are cut for the stability.
    stability_score_offset: float = option(1.0, low=0)
    #: Of two masks whose boxes have an IoU above this, the one with the lower predicted IoU is dropped.
    box_nms_thresh: float = option(0.7, low=0, high=1)
    #: Layers of crops segmented besides the whole image; layer i has 4^i crops.
    crop_n_layers: int = option(0, low=0)
    #: Of two masks whose boxes have an IoU above this, the one from the larger crop is dropped.
    crop_nms_thresh: float = option(0.7, low=0, high=1)
    #: Overlap of the crops of layer 1, as a share of the image's shorter side.
    crop_overlap_ratio: float = option(512 / 1500, low=0, high=1)
    #: In layer i the grid of a crop has points_per_side / this^i points along each side.
    crop_n_points_downscale_factor: int = option(1, low=1)
    #: Holes smaller than this area, in px, are filled and islands removed; 0 changes nothing.
    min_mask_region_area: int = option(0, low=0)

    def __post_init__(self) -> None:
        check_fields(self)
        if self.crop_overlap_ratio == 1:
            raise UsageError("crop_overlap_ratio is 1; expected from 0 to below 1")


@dataclass(frozen=True)
class SamOptions:
    """Where and when the ensemble runs SAM, and when a SAM mask counts. Raises UsageError for values out of range."""

    #: full: every point of the grid; guided: only the points in or near some mask.
    points: str = option(
        "full",
        choices=POINTS,
        group=REFINEMENT,
        help="full: run SAM at every point of its grid; guided: only at points in or near the masks.",
    )
    #: How near a mask a point must be for `guided`, as a share of the frame's longer side.
    margin: float = option(0.05, low=0, high=1)
    #: Run SAM on every K-th frame only; the others keep the CRF's masks.
    every: int = option(1, low=1, group=REFINEMENT, help="K: run SAM on every K-th frame only.")
    #: With `guided`: on how many frames, from the first, to run the full grid too and report the agreement.
    compared_frames: int = option(1, low=0)
    #: A SAM mask belongs to a CRF mask when their IoM is above this.
    phi_iom: float = option(0.7, low=0, high=1)
    #: The union of a CRF mask's SAM masks replaces it when their IoU is above this.
    phi_iou: float = option(0.7, low=0, high=1)
    automatic: AutomaticMaskOptions = field(default_factory=AutomaticMaskOptions)

    def __post_init__(self) -> None:
        check_fields(self, prefix="sam_")
