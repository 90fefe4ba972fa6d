"""The page's arithmetic on masks, in a browser, against COCO, scipy and matplotlib."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.path import Path as Outline
from scipy import ndimage

from carvid.media.rle import decode_rle, encode_rle
from tests.browser import needs_browser, open_browser
from tests.desk_cases import (
    TOKEN,
    DeskCaller,
    make_dataset,
    open_desk,
)
from tests.page_cases import visit

pytestmark = needs_browser


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with open_browser(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[DeskCaller]:
    with open_desk(make_dataset(tmp_path)) as opened:
        yield opened


def call_page(driver: Any, module: str, body: str, *values: Any) -> Any:
    """What a function body gives, with `m` a module of the page and `v` the values."""
    return driver.execute_async_script(
        "const done = arguments[arguments.length - 1], v = arguments[1];"
        f"import(arguments[0]).then((m) => {{ {body} }}).then(done, (error) => done({{error: String(error)}}))",
        f"/page/{module}",
        list(values),
    )


@pytest.fixture
def masks() -> list[np.ndarray]:
    """Masks of many kinds: none, all, noise, rings with holes, parts that touch by a corner."""
    random = np.random.default_rng(5)
    found = [np.zeros((7, 9), np.bool_), np.ones((7, 9), np.bool_)]
    for share in (0.02, 0.2, 0.5, 0.8, 0.98):
        for _ in range(6):
            height, width = random.integers(1, 40, 2)
            found.append(random.random((height, width)) < share)
    y, x = np.mgrid[:60, :80]
    found.append((np.hypot(y - 30, x - 40) < 25) & (np.hypot(y - 30, x - 40) > 12))
    return found


def test_the_pages_masks_are_those_of_coco(browser: Any, desk: DeskCaller, masks: list[np.ndarray]) -> None:
    visit(browser, desk.origin, TOKEN)
    codes = [encode_rle(mask) for mask in masks]
    found = call_page(
        browser,
        "rle.js",
        "return v[0].map((code) => { const mask = m.decode(code); return [Array.from(mask.bits), m.encode(mask)]; })",
        codes,
    )
    assert "error" not in found
    for mask, code, (bits, again) in zip(masks, codes, found, strict=True):
        np.testing.assert_array_equal(np.reshape(bits, mask.shape), mask)
        assert again == code


def test_holes_and_parts_are_those_of_scipy(browser: Any, desk: DeskCaller, masks: list[np.ndarray]) -> None:
    visit(browser, desk.origin, TOKEN)
    script = (
        "const { decode, encode } = m; return import('/page/masks.js').then((p) => v[0].map((code) => {"
        " const holes = decode(code), part = decode(code); p.fillHoles(holes); p.keepLargest(part);"
        " return [encode(holes), encode(part)]; }))"
    )
    found = call_page(browser, "rle.js", script, [encode_rle(mask) for mask in masks])
    assert "error" not in found
    for mask, (holes, part) in zip(masks, found, strict=True):
        np.testing.assert_array_equal(decode_rle(holes), ndimage.binary_fill_holes(mask))
        labels, count = ndimage.label(mask, np.ones((3, 3)))
        sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
        kept = decode_rle(part)
        assert kept.sum() == (sizes.max() if count else 0)
        assert len(np.unique(labels[kept])) <= 1
        assert not (kept & ~mask).any()


def test_a_polygon_holds_the_pixels_whose_centres_lie_in_it(browser: Any, desk: DeskCaller) -> None:
    visit(browser, desk.origin, TOKEN)
    random = np.random.default_rng(2)
    height, width = 40, 60
    centres = np.stack(np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5), -1).reshape(-1, 2)
    outlines = []
    for _ in range(12):
        angles = np.sort(random.uniform(0, 2 * np.pi, random.integers(3, 9)))
        radius = random.uniform(5, 35, len(angles))
        outlines.append(np.stack([30 + radius * np.cos(angles), 20 + radius * np.sin(angles)], -1))
    found = call_page(
        browser,
        "masks.js",
        "return v[0].map((points) => { const mask = m.blankMask(60, 40);"
        " m.fillPolygon(mask, points.map(([x, y]) => ({ x, y })), 1); return Array.from(mask.bits); })",
        [outline.tolist() for outline in outlines],
    )
    assert "error" not in found
    for outline, bits in zip(outlines, found, strict=True):
        inside = Outline(outline).contains_points(centres).reshape(height, width)
        np.testing.assert_array_equal(np.reshape(bits, (height, width)), inside)
