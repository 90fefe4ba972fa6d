"""A desk in this process, over a small dataset of real videos."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from carvid.desk.api import desk_routes
from carvid.desk.desk import Desk
from carvid.media.rle import Rle, encode_rle
from carvid.recipe import Recipe, load_recipe
from carvid.serve.lent_model import LentModel
from carvid.serve.server import address_of, application, listen
from carvid.service.routes import service_routes
from tests.labelled import Labelled, write_dataset
from tests.media import write_video
from tests.serving import Answer, Caller, running
from tests.tiny_sam import make_tiny_sam

TOKEN = "a-token-of-24-characters"
FRAMES, HEIGHT, WIDTH = 30, 48, 64
SIDE = 12


@dataclass(frozen=True)
class DeskCaller:
    """Calls a desk as its page does: with the token and the origin."""

    desk: Desk
    port: int

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str) -> Answer:
        return Caller(self.port).call("GET", path, headers={"Authorization": f"Bearer {TOKEN}"})

    def post(self, path: str, data: Any, headers: Mapping[str, str] | None = None) -> Answer:
        own = {"Authorization": f"Bearer {TOKEN}", "Origin": self.origin}
        return Caller(self.port).call("POST", path, headers={**own, **(headers or {})}, data=data)


def square(t: int) -> np.ndarray:
    """(H, W) bool: a square that moves 1 px to the right with each frame."""
    mask = np.zeros((HEIGHT, WIDTH), np.bool_)
    mask[16 : 16 + SIDE, 8 + t : 8 + t + SIDE] = True
    return mask


def picture(t: int) -> np.ndarray:
    """(H, W, 3) uint8 RGB: the square on a ground with some texture; the top left corner tells the frame."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    ground = (80 + 40 * np.sin(x / 3) * np.cos(y / 4)).astype(np.uint8)
    image = np.stack([ground, ground, 255 - ground], axis=-1)
    stripes = np.where((x + y - t)[..., None] % 6 < 3, (230, 60, 30), (200, 160, 20))
    image[square(t)] = stripes[square(t)]
    image[:8, :8] = 8 * t
    return image


def make_dataset(folder: Path, *, count: int = 2, frames: int = FRAMES) -> Path:
    """Videos of 30 frames; "the square" is labelled well but in frame 20, "a dog" in no frame."""
    videos = []
    for number in range(1, count + 1):
        path = write_video(folder / f"{number}.mp4", [picture(t) for t in range(frames)])
        masks = np.array([[square(t), square(t) & False] for t in range(frames)])
        if frames > 20:
            masks[20, 0] = np.roll(square(20), 15, axis=0)
        videos.append(Labelled(path.name, path, ("the square", "a dog"), masks))
    return write_dataset(folder / "dataset", videos)


def shapes_with_sam(folder: Path) -> Recipe:
    """The embedded model, and a tiny SAM without training that is asked at few points, so that it takes no time."""
    recipe = load_recipe(model="shapes", device="cpu", sam=str(make_tiny_sam(folder)))
    options = recipe.sam_options
    few = replace(options, automatic=replace(options.automatic, points_per_side=2))
    return replace(recipe, sam_options=few)


@contextmanager
def open_desk(dataset: Path, model: LentModel | None = None) -> Iterator[DeskCaller]:
    """A desk on a free port, as `carvid serve` has it."""
    desk = Desk(dataset, model)
    address = address_of("127.0.0.1", 0)
    listening = listen(address)
    port = listening.getsockname()[1]
    app = application([*service_routes(model, []), *desk_routes(desk)], address.hosts(port), TOKEN)
    try:
        with running(app, listening):
            yield DeskCaller(desk, port)
    finally:
        desk.close()


def change(frame: int, mask: np.ndarray | None, *, number: int = 1, revision: int = 0) -> dict[str, Any]:
    code: Rle | None = None if mask is None else encode_rle(mask)
    return {"frame": frame, "object": number, "revision": revision, "rle": code}
