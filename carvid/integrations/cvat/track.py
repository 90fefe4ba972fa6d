"""What CVAT calls a tracking function: a mask drawn in one frame, carried to the next ones by optical flow.

cvat-cli function create-native "carvid tracker" --function-module carvid.integrations.cvat.track
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from carvid.integrations.cvat.detect import PACKAGE
from carvid.integrations.other_package import needed
from carvid.motion.edges import refine
from carvid.motion.flow import Flow, flows, grey
from carvid.motion.propagate import ENDS, Carried, at_key, carry
from carvid.recipe import Recipe
from carvid.stream.image_file import to_rgb

if TYPE_CHECKING:
    import PIL.Image

# A mask that is less sure than this is drawn anew from what has become of it, or it would blur away.
_RENEW = 0.5


def create(flow_size: int = 0) -> TrackingFunction:
    """A tracking function for `cvat-cli function ... --function-module carvid.integrations.cvat.track`.

    flow_size: search the flow on pictures whose shorter side is at most this many px; 0 for a recipe's default.
    Raises UsageError where cvat-sdk is not installed.
    """
    default = Recipe.flow_size
    assert isinstance(default, int)
    return TrackingFunction(flow_size or default)


@dataclass(frozen=True, eq=False)
class Seen:
    """A frame. image: (H, W, 3) uint8 RGB. grey: (H, W) uint8."""

    image: NDArray[np.uint8]
    grey: NDArray[np.uint8]


@dataclass(eq=False)
class Tracked:
    """A shape where it was seen last. masks: its one mask."""

    seen: Seen
    masks: Carried


class TrackingFunction:
    """CVAT's `TrackingFunction`, for masks. Each frame is taken to follow the one where the shape was seen last."""

    def __init__(self, flow_size: int) -> None:
        self._cvat = needed("cvat_sdk.auto_annotation", PACKAGE)
        self._code = needed("cvat_sdk.masks", PACKAGE)
        self._flow_size = flow_size
        self._last: tuple[Seen, Seen, Flow] | None = None
        self.spec = self._cvat.TrackingFunctionSpec(supported_shape_types={"mask"})

    def preprocess_image(self, context: Any, image: PIL.Image.Image) -> Seen:
        pixels = to_rgb(image, upright=False)
        return Seen(pixels, grey(pixels))

    def init_tracking_state(self, context: Any, pp_image: Seen, shape: Any) -> Tracked:
        height, width = pp_image.grey.shape
        mask = self._code.decode_mask(shape.points, image_width=width, image_height=height)
        return Tracked(pp_image, at_key(mask[None].astype(np.float32)))

    def track(self, context: Any, pp_image: Seen, state: Tracked) -> Any:
        """The shape in the next frame; None where it cannot be found there, and the state stays at where it was."""
        here = carry(state.masks, self._flow(state.seen, pp_image))
        soft = refine(pp_image.image, here.masks, here.confidence)
        mask = soft[0] > 0.5
        if here.trust[0] < ENDS or not mask.any():
            return None
        if here.trust[0] < _RENEW:
            here = at_key(mask[None].astype(np.float32))
        state.seen, state.masks = pp_image, here
        return self._cvat.TrackableShape(type="mask", points=self._code.encode_mask(mask))

    def _flow(self, before: Seen, now: Seen) -> Flow:
        """From a frame to the one before; the shapes of a frame share it."""
        if self._last is None or self._last[0] is not before or self._last[1] is not now:
            self._last = before, now, flows(before.grey, now.grey, self._flow_size)[1]
        return self._last[2]
