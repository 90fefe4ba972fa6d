"""What tests of the page do in a browser, and twins of what it draws."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from carvid.store.database import open_dataset
from carvid.store.reviewed import touched
from tests.browser import console, wait_for


def visit(driver: Any, url: str, token: str, video: int = 1, frame: int = 0) -> None:
    """Open the page anew at a frame."""
    driver.get("about:blank")
    # What the page before this one wrote when its server ended.
    console(driver)
    driver.get(f"{url}/#token={token}&video={video}&frame={frame}")
    at(driver, frame)


def at(driver: Any, frame: int) -> None:
    """Wait until that frame is painted, with its masks."""
    wait_for(driver, "document.documentElement.dataset.frame === String(arguments[0])", frame)


def saved(driver: Any) -> None:
    """Wait until the page says that everything is saved; what was pressed before has reached it by then."""
    wait_for(driver, "new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0, true)))")
    wait_for(driver, "document.documentElement.dataset.saved === 'yes'")


class Stage:
    """The picture on the page, fitted: where its pixels lie on the screen."""

    def __init__(self, driver: Any, height: int, width: int) -> None:
        self._driver = driver
        self.element = driver.find_element("id", "stage")
        box = driver.execute_script(
            "const s = arguments[0]; return [s.clientWidth, s.clientHeight]", self.element
        )
        self.scale = min(box[0] / width, box[1] / height)
        self.left, self.top = (box[0] - width * self.scale) / 2, (box[1] - height * self.scale) / 2
        self.middle = box[0] // 2, box[1] // 2

    def nearest(self, x: float, y: float) -> tuple[tuple[int, int], tuple[float, float]]:
        """The screen's pixel next to a place of the picture, and where in the picture that is."""
        there = round(self.left + x * self.scale), round(self.top + y * self.scale)
        return there, ((there[0] - self.left) / self.scale, (there[1] - self.top) / self.scale)

    def stroke(self, *points: tuple[float, float]) -> list[tuple[float, float]]:
        """Press at the first place, move over the others, and let go; returns the places in the picture."""
        from selenium.webdriver.common.action_chains import ActionChains

        chain = ActionChains(self._driver, duration=0)
        found = []
        for i, (x, y) in enumerate(points):
            there, here = self.nearest(x, y)
            chain.move_to_element_with_offset(
                self.element, there[0] - self.middle[0], there[1] - self.middle[1]
            )
            if i == 0:
                chain.click_and_hold()
            found.append(here)
        chain.release().perform()
        return found


def stroked(points: list[tuple[float, float]], radius: float, height: int, width: int) -> np.ndarray:
    """Twin: the pixels whose centres lie within the radius of the line through the points."""
    y, x = np.mgrid[:height, :width] + 0.5
    found = np.zeros((height, width), np.bool_)
    for (ax, ay), (bx, by) in zip(points, points[1:] or points, strict=False):
        length = max((bx - ax) ** 2 + (by - ay) ** 2, 1e-12)
        along = np.clip(((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / length, 0, 1)
        found |= (x - ax - along * (bx - ax)) ** 2 + (y - ay - along * (by - ay)) ** 2 <= radius**2
    return found


def newest(dataset: Path, video: int = 1, number: int = 1) -> dict[int, np.ndarray]:
    """Frame -> the newest mask of an object."""
    with open_dataset(dataset) as opened:
        return {
            frame.frame_index: next(each.mask() for each in found if each.object_id == number)
            for frame, found in opened.annotations(video)
        }


def states(dataset: Path) -> dict[tuple[int, int], str]:
    """What was done to the masks of video 1, by frame and object."""
    with open_dataset(dataset) as opened:
        return touched(opened, 1)
