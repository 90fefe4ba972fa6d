"""A headless Chromium for the tests of pages, where there is one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")

needs_browser = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="no Chromium with its driver on this machine"
)

WAIT_SECONDS = 60


@contextmanager
def open_browser(profile: Path, *, size: tuple[int, int] = (1400, 900)) -> Iterator[Any]:
    """A selenium driver; what the pages write to the console is kept for `console`."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM or ""
    arguments = [
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--hide-scrollbars",
    ]
    arguments += [
        f"--user-data-dir={profile}",
        f"--window-size={size[0]},{size[1]}",
        "--force-device-scale-factor=1",
    ]
    for argument in arguments:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        driver.set_script_timeout(WAIT_SECONDS)
        yield driver
    finally:
        driver.quit()


def console(driver: Any) -> list[str]:
    """What was written to the console since this was last asked."""
    return [entry["message"] for entry in driver.get_log("browser")]


def wait_for(driver: Any, condition: str, *values: Any) -> Any:
    """What a JavaScript expression gives, once that is true; arguments[i] are the values."""
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(driver, WAIT_SECONDS, 0.02).until(
        lambda _: driver.execute_script(f"return {condition}", *values), f"waited for {condition} {values}"
    )


def hooks(driver: Any) -> dict[str, str]:
    """What the page tells of itself: the video, the frame that is painted, whether all is saved, and so on."""
    found: dict[str, str] = driver.execute_script("return {...document.documentElement.dataset}")
    return found


def press(driver: Any, keys: str) -> None:
    """Press a shortcut, such as "W" or "Control+Shift+z", where the page has the focus."""
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    *held, key = keys.split("+")
    names = {"Control": Keys.CONTROL, "Shift": Keys.SHIFT, "Alt": Keys.ALT}
    chain = ActionChains(driver, duration=0)
    for each in held:
        chain.key_down(names[each])
    chain.send_keys(getattr(Keys, key.upper()) if len(key) > 1 else key)
    for each in held:
        chain.key_up(names[each])
    chain.perform()


def prefer(driver: Any, scheme: str) -> None:
    """Let the browser say that a person prefers "dark" or "light"."""
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
