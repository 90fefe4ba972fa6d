"""Draws the scenes of the embedded `shapes` model: coloured things on named backgrounds, with exact masks.

Training scenes and moving clips are drawn by the same code and differ only in their seeds. Images are (H, W, 3)
uint8 RGB unless stated otherwise, masks (H, W) bool, coordinates in pixels with y downwards.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (208, 32, 36),
    "green": (24, 158, 52),
    "blue": (34, 62, 204),
    "yellow": (238, 214, 36),
    "purple": (132, 40, 158),
    "orange": (240, 132, 22),
    "white": (244, 244, 240),
    "black": (22, 22, 26),
}
SHAPES = ("circle", "square", "triangle", "star", "car", "tree", "house", "fish")
GROUNDS = ("grass", "water", "wall", "road", "ground", "sky")
# The background above the horizon, for scenes with one.
_ABOVE = {"grass": "sky", "water": "sky", "road": "sky", "ground": "wall"}
_GROUND_RGB = {
    "grass": (104, 136, 78),
    "water": (74, 118, 142),
    "wall": (176, 160, 146),
    "road": (106, 106, 110),
    "ground": (142, 112, 84),
    "sky": (152, 188, 220),
}

Polygon = NDArray[np.float64]


@dataclass(frozen=True)
class Thing:
    """One object: `colour` and `shape` name it, the other fields say where it is and how it looks.

    x_px, y_px: its centre; radius_px: half its extent; angle_rad: its rotation; shade: contrast of the light
    across it, as a share of its colour; light_rad: the direction towards the light; tint: added to its RGB colour.
    """

    colour: str
    shape: str
    x_px: float
    y_px: float
    radius_px: float
    angle_rad: float
    shade: float = 0.15
    light_rad: float = 0.0
    tint: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @property
    def name(self) -> str:
        return f"{self.colour} {self.shape}"


@dataclass(frozen=True)
class Scene:
    """A drawn image. things: from back to front. masks: (N, H, W) bool, their visible parts. grounds: backgrounds."""

    image: NDArray[np.uint8]
    things: tuple[Thing, ...]
    masks: NDArray[np.bool_]
    grounds: tuple[str, ...]


def _regular(corners: int, inner: float = 1.0, turn: float = -np.pi / 2) -> Polygon:
    """A regular polygon in the unit circle, (n, 2); with `inner` < 1, a star with `corners` points."""
    count = corners if inner == 1.0 else 2 * corners
    angles = turn + np.arange(count) * 2 * np.pi / count
    radii = np.where(np.arange(count) % 2 == 0, 1.0, inner)
    return np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1)


def _ellipse(x: float, y: float, rx: float, ry: float) -> Polygon:
    angles = np.arange(40) * 2 * np.pi / 40
    return np.stack([x + rx * np.cos(angles), y + ry * np.sin(angles)], axis=1)


def _parts(shape: str) -> list[tuple[float, Polygon]]:
    """The polygons of a shape, in units of its radius, each with a factor for the brightness of the colour."""
    box = np.array([[-0.8, -0.8], [0.8, -0.8], [0.8, 0.8], [-0.8, 0.8]])
    if shape == "circle":
        return [(1.0, _ellipse(0, 0, 0.9, 0.9))]
    if shape == "square":
        return [(1.0, box)]
    if shape == "triangle":
        return [(1.0, _regular(3) * [1.0, 1.0])]
    if shape == "star":
        return [(1.0, _regular(5, inner=0.45))]
    if shape == "car":
        body = np.array([[-1.0, 0.4], [-1.0, -0.05], [-0.6, -0.12], [-0.35, -0.55], [0.35, -0.55]])
        body = np.concatenate([body, [[0.62, -0.12], [1.0, 0.0], [1.0, 0.4]]])
        wheels = [(0.72, _ellipse(x, 0.42, 0.23, 0.23)) for x in (-0.52, 0.52)]
        return [(1.0, body), *wheels]
    if shape == "tree":
        trunk = np.array([[-0.14, 0.1], [0.14, 0.1], [0.18, 1.0], [-0.18, 1.0]])
        crown = [(1.0, _ellipse(x, y, 0.45, 0.42)) for x, y in ((-0.32, -0.1), (0.32, -0.1), (0.0, -0.52))]
        return [(0.78, trunk), *crown]
    if shape == "house":
        walls = np.array([[-0.68, -0.15], [0.68, -0.15], [0.68, 0.85], [-0.68, 0.85]])
        roof = np.array([[-0.92, -0.15], [0.0, -0.95], [0.92, -0.15]])
        door = np.array([[-0.14, 0.3], [0.18, 0.3], [0.18, 0.85], [-0.14, 0.85]])
        return [(1.0, walls), (0.84, roof), (0.7, door)]
    if shape == "fish":
        tail = np.array([[-0.45, 0.0], [-1.0, -0.45], [-0.85, 0.0], [-1.0, 0.45]])
        fin = np.array([[-0.1, -0.3], [0.15, -0.62], [0.35, -0.28]])
        return [(0.88, tail), (0.88, fin), (1.0, _ellipse(0.2, 0, 0.78, 0.42))]
    raise ValueError(f"unknown shape {shape!r}; expected one of {', '.join(SHAPES)}")


def _noise(rng: Generator, height: int, width: int, cell: int) -> NDArray[np.float32]:
    """Smooth noise (height, width) in about [-1, 1], with features of `cell` px."""
    coarse = rng.uniform(-1, 1, (height // cell + 2, width // cell + 2)).astype(np.float32)
    smooth: NDArray[np.float32] = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return smooth


def _texture(rng: Generator, ground: str, height: int, width: int) -> NDArray[np.float32]:
    """One background: (height, width, 3) float32 RGB."""
    rows = np.arange(height, dtype=np.float32)[:, None] + float(rng.uniform(0, 40))
    columns = np.arange(width, dtype=np.float32)[None, :] + float(rng.uniform(0, 80))
    base = np.array(_GROUND_RGB[ground], np.float32) + rng.uniform(-12, 12, 3).astype(np.float32)
    light = 8.0 * _noise(rng, height, width, 64)
    if ground == "grass":
        light += 9.0 * _noise(rng, height, width, 3)
    elif ground == "water":
        light += 9.0 * np.sin(rows / 4.0 + 2.0 * _noise(rng, height, width, 24)) + 0.0 * columns
    elif ground == "wall":
        course = np.floor(rows / 16.0)
        mortar = (rows % 16.0 < 2.0) | ((columns + 16.0 * (course % 2)) % 32.0 < 2.0)
        light -= 22.0 * mortar.astype(np.float32)
    elif ground == "road":
        light += 4.0 * _noise(rng, height, width, 2)
        light += 50.0 * ((np.abs(rows % 120.0 - 60.0) < 2.5) & (columns % 60.0 < 30.0)).astype(np.float32)
    elif ground == "ground":
        light += 11.0 * _noise(rng, height, width, 6)
    elif ground == "sky":
        light += 14.0 * np.clip(_noise(rng, height, width, 40), 0, 1)
    return base[None, None, :] + light[:, :, None]


def draw_background(rng: Generator, height: int, width: int) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """A background of one texture, or of two and a horizon: (H, W, 3) float32 RGB, and the names of its textures."""
    ground = GROUNDS[int(rng.integers(len(GROUNDS)))]
    image = _texture(rng, ground, height, width)
    if ground in _ABOVE and rng.random() < 0.5:
        above = _ABOVE[ground]
        horizon = int(rng.uniform(0.2, 0.5) * height)
        image[:horizon] = _texture(rng, above, height, width)[:horizon]
        return image, (ground, above)
    return image, (ground,)


def _fill(polygon: Polygon, height: int, width: int) -> NDArray[np.float32]:
    """How much of each pixel the polygon covers: (H, W) float32 in [0, 1]."""
    cover = np.zeros((height, width), np.uint8)
    # 4 fractional bits place the corners between pixels.
    cv2.fillPoly(cover, [np.round(polygon * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    return cover.astype(np.float32) / 255.0


def draw_thing(image: NDArray[np.float32], thing: Thing) -> NDArray[np.bool_]:
    """Draw `thing` on `image` (H, W, 3) float32 RGB in place; returns the mask of pixels it covers at least half."""
    height, width = image.shape[:2]
    cos, sin = np.cos(thing.angle_rad), np.sin(thing.angle_rad)
    turn = np.array([[cos, sin], [-sin, cos]])
    reach = int(np.ceil(1.3 * thing.radius_px)) + 2
    x0, x1 = max(0, int(thing.x_px) - reach), min(width, int(thing.x_px) + reach + 1)
    y0, y1 = max(0, int(thing.y_px) - reach), min(height, int(thing.y_px) + reach + 1)
    mask = np.zeros((height, width), bool)
    if x0 >= x1 or y0 >= y1:
        return mask
    ys, xs = np.mgrid[y0:y1, x0:x1].astype(np.float32)
    along = (xs - thing.x_px) * np.cos(thing.light_rad) + (ys - thing.y_px) * np.sin(thing.light_rad)
    light = 1.0 + thing.shade * np.clip(along / thing.radius_px, -1, 1)
    colour = np.array(COLOURS[thing.colour], np.float32) + np.array(thing.tint, np.float32)
    total = np.zeros((y1 - y0, x1 - x0), np.float32)
    view = image[y0:y1, x0:x1]
    for brightness, outline in _parts(thing.shape):
        placed = outline @ turn * thing.radius_px + [thing.x_px - x0, thing.y_px - y0]
        cover = _fill(placed, y1 - y0, x1 - x0)
        paint = np.clip(colour * brightness * light[:, :, None], 0, 255)
        view += cover[:, :, None] * (paint - view)
        total = np.maximum(total, cover)
    mask[y0:y1, x0:x1] = total >= 0.5
    return mask


def draw_scene(background: NDArray[np.float32], grounds: tuple[str, ...], things: tuple[Thing, ...]) -> Scene:
    """Draw `things` in order, later ones in front; each mask is the part still visible. background: float32 RGB."""
    image = background.copy()
    masks = np.zeros((len(things), *image.shape[:2]), bool)
    for i, thing in enumerate(things):
        masks[i] = draw_thing(image, thing)
        masks[:i] &= ~masks[i]
    return Scene(np.clip(np.round(image), 0, 255).astype(np.uint8), things, masks, grounds)


def random_thing(
    rng: Generator, height: int, width: int, colour: str, shape: str, smallest: float, largest: float
) -> Thing:
    """A thing with a random place, rotation and radius: `smallest` to `largest`, as a share of the shorter side."""
    radius = float(rng.uniform(smallest, largest)) * min(height, width)
    return Thing(
        colour=colour,
        shape=shape,
        x_px=float(rng.uniform(0.7 * radius, width - 0.7 * radius)),
        y_px=float(rng.uniform(0.7 * radius, height - 0.7 * radius)),
        radius_px=radius,
        angle_rad=float(rng.uniform(-0.6, 0.6)),
        shade=float(rng.uniform(0.0, 0.22)),
        light_rad=float(rng.uniform(0, 2 * np.pi)),
        tint=tuple(rng.uniform(-12, 12, 3).tolist()),
    )


def place_things(
    rng: Generator,
    height: int,
    width: int,
    count: int,
    *,
    smallest: float = 0.14,
    largest: float = 0.34,
    names: Collection[str] | None = None,
) -> tuple[Thing, ...]:
    """Up to `count` things with different names, often sharing a word, that overlap only a little.

    names: what they may be; None for all colours and shapes.
    """
    colours, shapes = list(COLOURS), list(SHAPES)
    things: list[Thing] = []
    for _ in range(20 * count):
        if len(things) == count:
            break
        # With a shared colour or shape, both words of a query matter.
        share = things[-1] if things and rng.random() < 0.5 else None
        keep_colour = share is not None and rng.random() < 0.5
        colour = share.colour if share and keep_colour else colours[int(rng.integers(8))]
        shape = share.shape if share and not keep_colour else shapes[int(rng.integers(8))]
        thing = random_thing(rng, height, width, colour, shape, smallest, largest)
        crowded = any(
            np.hypot(thing.x_px - other.x_px, thing.y_px - other.y_px)
            < 0.75 * (thing.radius_px + other.radius_px)
            for other in things
        )
        known = names is None or thing.name in names
        if known and not crowded and all(thing.name != other.name for other in things):
            things.append(thing)
    return tuple(things)


def moving_clip(
    seed: int, frames: int, height: int = 240, width: int = 426, *, most: int = 3
) -> Iterator[Scene]:
    """A clip of `frames` scenes: 1 to `most` things drift, turn and bounce off the border of a still background."""
    rng = np.random.default_rng(seed)
    background, grounds = draw_background(rng, height, width)
    things = list(place_things(rng, height, width, int(rng.integers(1, most + 1))))
    speed = rng.uniform(-2.2, 2.2, (len(things), 2))
    spin = rng.uniform(-0.015, 0.015, len(things))
    for _ in range(frames):
        yield draw_scene(background, grounds, tuple(things))
        for i, thing in enumerate(things):
            margin = 0.7 * thing.radius_px
            x, y = thing.x_px + speed[i, 0], thing.y_px + speed[i, 1]
            if not margin <= x <= width - margin:
                speed[i, 0] *= -1
            if not margin <= y <= height - margin:
                speed[i, 1] *= -1
            if not -0.6 <= thing.angle_rad + spin[i] <= 0.6:
                spin[i] *= -1
            things[i] = replace(
                thing,
                x_px=thing.x_px + float(speed[i, 0]),
                y_px=thing.y_px + float(speed[i, 1]),
                angle_rad=thing.angle_rad + float(spin[i]),
            )
