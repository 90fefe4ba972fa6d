"""Whatever is drawn on the page arrives: two people, lost servers, closed tabs, videos labelled anew."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from carvid.store.corrections import Corrections
from carvid.store.schema import DATABASE
from tests.browser import console, hooks, needs_browser, open_browser, press, wait_for
from tests.desk_cases import (
    FRAMES,
    HEIGHT,
    TOKEN,
    WIDTH,
    DeskCaller,
    make_dataset,
    open_desk,
    square,
)
from tests.page_cases import Stage, at, newest, saved, states, stroked, visit
from tests.test_cli_serve import serving

pytestmark = needs_browser

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with open_browser(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[DeskCaller]:
    with open_desk(make_dataset(tmp_path)) as opened:
        yield opened


def test_two_people_at_one_mask(browser: Any, desk: DeskCaller) -> None:
    """A stale edit shows both versions; whichever is chosen, the other stays in the dataset."""
    for choice, wins in (("conflict-keep", "theirs"), ("conflict-use", "mine")):
        frame = 10 if wins == "theirs" else 12
        visit(browser, desk.origin, TOKEN, frame=frame)
        theirs = np.roll(square(frame), 9, axis=0)
        with Corrections(desk.desk.dataset) as corrections:
            corrections.correct(1, frame, 1, theirs, expected_revision=0)
        press(browser, "b")
        stage = Stage(browser, HEIGHT, WIDTH)
        points = stage.stroke((50, 40))
        radius = float(browser.find_element("id", "brush-size").get_attribute("value"))
        mine = square(frame) | stroked(points, radius, HEIGHT, WIDTH)
        wait_for(browser, "document.getElementById('conflict-dialog').open")
        np.testing.assert_array_equal(newest(desk.desk.dataset)[frame], theirs)
        browser.find_element("id", choice).click()
        wait_for(browser, "!document.getElementById('conflict-dialog').open")
        saved(browser)
        np.testing.assert_array_equal(newest(desk.desk.dataset)[frame], theirs if wins == "theirs" else mine)
    # The browser itself tells of the refused writes, and of nothing else.
    assert all("409" in line for line in console(browser))


def test_a_video_that_was_labelled_anew_meanwhile(browser: Any, desk: DeskCaller) -> None:
    """What was drawn on the earlier masks is kept where that is chosen; then the video is loaded again."""
    visit(browser, desk.origin, TOKEN, frame=6)
    with closing(sqlite3.connect(desk.desk.dataset / DATABASE)) as connection:
        connection.execute("INSERT INTO labellings VALUES (1, 1)")
        connection.commit()
    press(browser, "b")
    points = Stage(browser, HEIGHT, WIDTH).stroke((50, 40))
    radius = float(browser.find_element("id", "brush-size").get_attribute("value"))
    wait_for(browser, "document.getElementById('conflict-dialog').open")
    np.testing.assert_array_equal(newest(desk.desk.dataset)[6], square(6))
    browser.find_element("id", "conflict-use").click()
    wait_for(browser, "document.getElementById('messages').textContent.includes('labelled anew')")
    saved(browser)
    mine = square(6) | stroked(points, radius, HEIGHT, WIDTH)
    np.testing.assert_array_equal(newest(desk.desk.dataset)[6], mine)
    # It goes on with what is there now.
    at(browser, 6)
    press(browser, "a")
    at(browser, 7)
    saved(browser)
    assert all("409" in line for line in console(browser))


def test_what_was_drawn_while_the_server_was_away_is_sent_when_it_is_back(
    browser: Any, tmp_path: Path
) -> None:
    dataset = make_dataset(tmp_path, count=1)
    token = tmp_path / "token"
    token.write_text("a-token-for-both-servers")
    with serving(dataset, "--token-file", token) as (process, port, _):
        visit(browser, f"http://127.0.0.1:{port}", "a-token-for-both-servers", frame=2)
        process.send_signal(signal.SIGKILL)
        process.wait()
        press(browser, "b")
        stage = Stage(browser, HEIGHT, WIDTH)
        points = stage.stroke((50, 40), (56, 40))
        wait_for(browser, "document.documentElement.dataset.saved === 'no'")
        np.testing.assert_array_equal(newest(dataset)[2], square(2))
        again = [sys.executable, "-m", "carvid", "serve", str(dataset), "--no-browser", "--port", str(port)]
        server = subprocess.Popen(
            [*again, "--token-file", str(token)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        try:
            saved(browser)
            radius = float(browser.find_element("id", "brush-size").get_attribute("value"))
            expected = square(2) | stroked(points, radius, HEIGHT, WIDTH)
            np.testing.assert_array_equal(newest(dataset)[2], expected)
        finally:
            server.kill()
            server.communicate()
    console(browser)


def test_the_address_of_a_server_started_again_is_taken_in_the_open_tab(browser: Any, tmp_path: Path) -> None:
    """Only the fragment changes: the page takes the new token, sends what is unsent, and goes to the place named."""
    dataset = make_dataset(tmp_path, count=1)
    with serving(dataset) as (process, port, token):
        visit(browser, f"http://127.0.0.1:{port}", token, frame=2)
        process.send_signal(signal.SIGKILL)
        process.wait()
        press(browser, "b")
        points = Stage(browser, HEIGHT, WIDTH).stroke((50, 40), (56, 40))
        wait_for(browser, "document.documentElement.dataset.saved === 'no'")
    radius = float(browser.find_element("id", "brush-size").get_attribute("value"))
    again = [sys.executable, "-m", "carvid", "serve", str(dataset), "--no-browser", "--port", str(port)]
    server = subprocess.Popen(again, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        other = server.stdout.readline().split("#token=")[1].split()[0]
        assert other != token
        # The old token is refused by now.
        wait_for(browser, "document.getElementById('saved').dataset.state === 'refused'")
        browser.execute_script("location.hash = `token=${arguments[0]}&video=1&frame=9`", other)
        at(browser, 9)
        saved(browser)
        np.testing.assert_array_equal(newest(dataset)[2], square(2) | stroked(points, radius, HEIGHT, WIDTH))
        assert browser.execute_script("return location.hash") == ""
    finally:
        server.kill()
        server.communicate()
    console(browser)


def test_what_a_closed_tab_left_unsent_is_taken_over_and_shown(browser: Any, desk: DeskCaller) -> None:
    """While the other tab lives, the page says that it holds something; when it is gone, that is sent."""
    visit(browser, desk.origin, TOKEN, frame=2)
    first = browser.current_window_handle
    # Nothing that this tab sends arrives.
    browser.execute_script("window.fetch = () => Promise.reject(new TypeError('no network'))")
    press(browser, "b")
    points = Stage(browser, HEIGHT, WIDTH).stroke((50, 40), (56, 40))
    radius = float(browser.find_element("id", "brush-size").get_attribute("value"))
    drawn = square(2) | stroked(points, radius, HEIGHT, WIDTH)
    wait_for(browser, "document.getElementById('saved').dataset.state === 'waiting'")
    browser.switch_to.new_window("tab")
    try:
        browser.get(f"{desk.origin}/#token={TOKEN}&video=1&frame=2")
        at(browser, 2)
        wait_for(browser, "document.getElementById('saved').textContent.includes('Another tab')")
        assert hooks(browser)["saved"] == "no"
        np.testing.assert_array_equal(newest(desk.desk.dataset)[2], square(2))
        second = browser.current_window_handle
        browser.switch_to.window(first)
        browser.close()
        browser.switch_to.window(second)
        saved(browser)
        np.testing.assert_array_equal(newest(desk.desk.dataset)[2], drawn)
        wait_for(browser, "document.querySelector('#object-list .facts').textContent.includes('corrected')")
        assert browser.execute_script("return localStorage.length") <= 1
    finally:
        console(browser)


def test_a_batch_is_kept_but_for_the_masks_that_others_changed(browser: Any, desk: DeskCaller) -> None:
    before = newest(desk.desk.dataset)
    theirs = np.roll(square(20), 9, axis=0)
    visit(browser, desk.origin, TOKEN, frame=17)
    press(browser, "t")
    wait_for(
        browser,
        "document.documentElement.dataset.busy === 'no' && document.documentElement.dataset.preview === '12'",
    )
    with Corrections(desk.desk.dataset) as corrections:
        corrections.correct(1, 20, 1, theirs, expected_revision=0)
    press(browser, "enter")
    wait_for(browser, "document.getElementById('conflict-dialog').open")
    # Nothing is called accepted that is not.
    assert "accepted" not in browser.execute_script("return document.getElementById('toast').textContent")
    browser.find_element("id", "conflict-rest").click()
    wait_for(browser, "document.getElementById('toast').textContent.includes('accepted: 11 frames')")
    saved(browser)
    found = newest(desk.desk.dataset)
    np.testing.assert_array_equal(found[20], theirs)
    assert states(desk.desk.dataset) == {(frame, 1): "corrected" for frame in range(18, FRAMES)}
    # The rest can still be undone, and theirs stays.
    press(browser, "Control+z")
    saved(browser)
    for frame, mask in newest(desk.desk.dataset).items():
        np.testing.assert_array_equal(mask, theirs if frame == 20 else before[frame], err_msg=str(frame))
    assert all("409" in line for line in console(browser))
