"""What may be asked of an export."""

from __future__ import annotations

from dataclasses import dataclass

from carvid.errors import UsageError

TOLERANCE_PX = 0.5
"""Keeps polygons of objects in 854x480 frames below the 1,000 points to which trainers resample them."""


@dataclass(frozen=True)
class ExportOptions:
    """pictures: write the frames' pictures; None: if the format can hold them.
    tolerance_px: how far a polygon may lie from its mask's outline, in px, at least 0; where there are polygons.
    overwrite: replace an earlier export.
    polygons: write masks as polygons in place of run-length codes; coco alone.
    val_share, seed: the share of videos held out for validation, in [0, 1), and what chooses them; yolo-seg alone.
    prefix: where pictures and videos lie below the document root of who serves them; labelstudio alone.
    """

    pictures: bool | None = None
    tolerance_px: float = TOLERANCE_PX
    overwrite: bool = False
    polygons: bool = False
    prefix: str = ""
    val_share: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.tolerance_px < float("inf"):
            raise UsageError(f"the tolerance is {self.tolerance_px} px; it must be 0 or more")
        if not 0 <= self.val_share < 1:
            raise UsageError(
                f"the share of videos for val is {self.val_share}; it must be at least 0 and below 1"
            )


OWN_OPTIONS = {
    "polygons": "--polygons",
    "prefix": "--prefix",
    "val_share": "--val-share",
    "seed": "--seed",
}
"""The options that only some formats have, as fields of `ExportOptions` and as the command line calls them."""
