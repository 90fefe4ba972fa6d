"""The page in a real browser, over a real server and a real dataset: what a person does, and what comes out of it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.path import Path as Outline

from carvid.desk.ask_again import asked_masks, clicked_mask
from carvid.desk.carry import carried_masks
from carvid.media.rle import decode_rle
from carvid.serve.lent_model import LentModel
from carvid.shapes.scenes import moving_clip
from carvid.store.database import open_dataset
from carvid.store.reviewed import touched
from tests.browser import console, hooks, needs_browser, open_browser, prefer, press, wait_for
from tests.desk_cases import (
    FRAMES,
    HEIGHT,
    TOKEN,
    WIDTH,
    DeskCaller,
    make_dataset,
    open_desk,
    shapes_with_sam,
    square,
)
from tests.labelled import Labelled, write_dataset
from tests.media import write_video
from tests.page_cases import Stage, at, newest, saved, states, stroked, visit
from tests.serving import Caller
from tests.test_cli_serve import serving

pytestmark = needs_browser

ROOT = Path(__file__).resolve().parents[1]
SIZE = 240, 426
COUNT = 8


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with open_browser(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[DeskCaller]:
    with open_desk(make_dataset(tmp_path)) as opened:
        yield opened


def run_carvid(*arguments: object) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "carvid", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_from_a_drawn_clip_to_a_corrected_export(browser: Any, tmp_path: Path) -> None:
    """Label, find the worst frame, repair it, propagate, accept, undo, reload, export: pixel by pixel."""
    (tmp_path / "clips").mkdir()
    write_video(tmp_path / "clips" / "fish.mp4", [scene.image for scene in moving_clip(3, COUNT, *SIZE)])
    dataset = tmp_path / "labels"
    run_carvid(
        "annotate",
        tmp_path / "clips",
        "-q",
        "the red fish",
        "--model",
        "shapes",
        "--device",
        "cpu",
        "-o",
        dataset,
    )
    before = newest(dataset)
    with serving(dataset) as (process, port, token):
        url = f"http://127.0.0.1:{port}"
        # The worst frame, from another one.
        worst = worst_frame(port, token)
        visit(browser, url, token, frame=(worst + 1) % COUNT)
        press(browser, "w")
        at(browser, worst)
        # Repaired with the brush: a stroke in the corner.
        press(browser, "b")
        stage = Stage(browser, *SIZE)
        radius = float(browser.find_element("id", "brush-size").get_attribute("value"))
        points = stage.stroke((40, 200), (80, 190), (120, 210))
        saved(browser)
        drawn = before[worst] | stroked(points, radius, *SIZE)
        np.testing.assert_array_equal(newest(dataset)[worst], drawn)
        # Propagated both ways, seen as a preview, and accepted as one step.
        expected = {worst: drawn}
        with open_dataset(dataset) as opened:
            for direction in ("forward", "backward"):
                for row in carried_masks(opened, 1, worst, 1, direction, None):
                    if "rle" in row:
                        expected[row["frame"]] = decode_rle(row["rle"])
        press(browser, "Alt+t")
        wait_for(
            browser,
            "document.documentElement.dataset.busy === 'no'"
            " && document.documentElement.dataset.preview === arguments[0]",
            str(len(expected) - 1),
        )
        np.testing.assert_array_equal(newest(dataset)[(worst + 1) % COUNT], before[(worst + 1) % COUNT])
        press(browser, "Enter")
        wait_for(browser, "document.documentElement.dataset.preview === undefined")
        saved(browser)
        for frame, mask in newest(dataset).items():
            np.testing.assert_array_equal(mask, expected.get(frame, before[frame]), err_msg=str(frame))
        # Accepted; and a stroke in another frame that is taken back.
        press(browser, "a")
        saved(browser)
        press(browser, "home")
        at(browser, 0)
        stage.stroke((200, 20), (260, 30))
        saved(browser)
        assert (newest(dataset)[0] != expected.get(0, before[0])).any()
        press(browser, "Control+z")
        saved(browser)
        browser.refresh()
        at(browser, 0)
        assert hooks(browser)["saved"] == "yes"
        assert console(browser) == []
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    with open_dataset(dataset) as opened:
        assert touched(opened, 1)[worst, 1] == "corrected"
    run_carvid("export", dataset, "--to", "coco", "-o", tmp_path / "coco", "--no-images")
    coco = json.loads((tmp_path / "coco" / "annotations" / "instances_default.json").read_text())
    frames = (
        {image["id"]: image["frame_index"] for image in coco["images"]}
        if "frame_index" in coco["images"][0]
        else {
            image["id"]: place
            for place, image in enumerate(sorted(coco["images"], key=lambda each: each["id"]))
        }
    )
    exported = {frames[each["image_id"]]: decode_rle(each["segmentation"]) for each in coco["annotations"]}
    assert set(exported) == set(range(COUNT))
    for frame, mask in exported.items():
        np.testing.assert_array_equal(mask, expected.get(frame, before[frame]), err_msg=str(frame))


def worst_frame(port: int, token: str) -> int:
    headers = {"Authorization": f"Bearer {token}"}
    return int(Caller(port).call("GET", "/api/videos/1/worst", headers=headers).json["frames"][0]["frame"])


def test_every_way_of_stepping_paints_the_frame_it_names(browser: Any, desk: DeskCaller) -> None:
    visit(browser, desk.origin, TOKEN, frame=5)
    for key, frame in (
        ("right", 6), (".", 7), ("left", 6), ("Shift+right", 16), ("Shift+left", 6), ("end", 29), ("home", 0),
        ("right", 1),
    ):  # fmt: skip
        press(browser, key.replace("right", "arrow_right").replace("left", "arrow_left"))
        at(browser, frame)
        # The corner of the picture on the screen has eight times the frame's index as its grey level.
        grey = browser.execute_script(
            "const c = document.getElementById('frame-canvas'), s = document.getElementById('stage');"
            "const k = Math.min(s.clientWidth / arguments[0], s.clientHeight / arguments[1]);"
            "const x = (s.clientWidth - arguments[0] * k) / 2 + 4 * k;"
            "const y = (s.clientHeight - arguments[1] * k) / 2 + 4 * k;"
            "const copy = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });"
            "copy.drawImage(c, -Math.round(x), -Math.round(y)); return copy.getImageData(0, 0, 1, 1).data[1]",
            WIDTH,
            HEIGHT,
        )
        assert round(grey / 8) == frame
    press(browser, "w")
    at(browser, 20)
    assert console(browser) == []


def test_verdicts_by_keyboard(browser: Any, desk: DeskCaller) -> None:
    visit(browser, desk.origin, TOKEN, frame=3)
    press(browser, "a")
    at(browser, 4)
    press(browser, "r")
    at(browser, 5)
    press(browser, "2")
    wait_for(browser, "document.documentElement.dataset.object === '2'")
    press(browser, "s")
    at(browser, 6)
    saved(browser)
    with open_dataset(desk.desk.dataset) as dataset:
        assert touched(dataset, 1) == {(3, 1): "accepted", (4, 1): "rejected", (5, 2): "skipped"}
    press(browser, "Shift+a")
    at(browser, 7)
    saved(browser)
    with open_dataset(desk.desk.dataset) as dataset:
        assert {place for place, state in touched(dataset, 1).items() if state == "accepted"} >= {
            (6, 1),
            (6, 2),
        }


def test_a_mask_is_drawn_by_keyboard_alone(browser: Any, desk: DeskCaller) -> None:
    visit(browser, desk.origin, TOKEN, frame=8)
    press(browser, "b")
    press(browser, "k")
    before = newest(desk.desk.dataset)[8]
    press(browser, "[")
    for _ in range(3):
        press(browser, "arrow_up")
    press(browser, "Shift+arrow_right")
    press(browser, "space")
    saved(browser)
    after = newest(desk.desk.dataset)[8]
    # The pointer begins at the middle pixel of the picture.
    radius = float(browser.find_element("id", "brush-size").get_attribute("value"))
    drawn = stroked([(WIDTH / 2 + 10.5, HEIGHT / 2 - 2.5)], radius, HEIGHT, WIDTH)
    np.testing.assert_array_equal(after, before | drawn)
    assert (drawn & ~before).any()
    press(browser, "escape")
    press(browser, "Control+z")
    saved(browser)
    np.testing.assert_array_equal(newest(desk.desk.dataset)[8], before)
    press(browser, "Control+y")
    saved(browser)
    np.testing.assert_array_equal(newest(desk.desk.dataset)[8], after)
    assert console(browser) == []


def test_next_unreviewed_passes_over_nothing(browser: Any, desk: DeskCaller) -> None:
    """After each verdict the page goes on by itself; the mask it went to is the next one without a verdict."""
    visit(browser, desk.origin, TOKEN, frame=3)
    for frame in (3, 4, 5):
        press(browser, "n")
        wait_for(
            browser, "document.getElementById('toast').textContent.includes(arguments[0])", f"frame {frame},"
        )
        assert (hooks(browser)["frame"], hooks(browser)["object"]) == (str(frame), "1")
        press(browser, "a")
        at(browser, frame + 1)
    saved(browser)
    assert states(desk.desk.dataset) == {(3, 1): "accepted", (4, 1): "accepted", (5, 1): "accepted"}
    # One that is left without a verdict is left behind.
    press(browser, "n")
    wait_for(browser, "document.getElementById('toast').textContent.startsWith('Not reviewed: frame 6,')")
    press(browser, "n")
    wait_for(browser, "document.documentElement.dataset.object === '2'")
    assert hooks(browser)["frame"] == "6"


def test_a_propagation_is_undone_in_the_frame_it_was_made_from(browser: Any, desk: DeskCaller) -> None:
    visit(browser, desk.origin, TOKEN, frame=12)
    press(browser, "b")
    Stage(browser, HEIGHT, WIDTH).stroke((50, 40))
    saved(browser)
    drawn = newest(desk.desk.dataset)
    assert (drawn[12] != square(12)).any()
    press(browser, "t")
    wait_for(
        browser,
        "document.documentElement.dataset.busy === 'no' && document.documentElement.dataset.preview !== undefined",
    )
    press(browser, "enter")
    wait_for(browser, "document.documentElement.dataset.preview === undefined")
    saved(browser)
    assert (newest(desk.desk.dataset)[13] != drawn[13]).any()
    assert hooks(browser)["frame"] == "12"
    press(browser, "Control+z")
    saved(browser)
    for frame, mask in newest(desk.desk.dataset).items():
        np.testing.assert_array_equal(mask, drawn[frame], err_msg=str(frame))


def test_after_the_mouse_the_keys_belong_to_the_picture(browser: Any, desk: DeskCaller) -> None:
    visit(browser, desk.origin, TOKEN, frame=4)
    browser.find_element("id", "video-2").click()
    wait_for(browser, "document.documentElement.dataset.video === '2'")
    at(browser, 0)
    press(browser, "2")
    wait_for(browser, "document.documentElement.dataset.object === '2'")
    press(browser, "end")
    at(browser, FRAMES - 1)
    for place in ("opacity", "go-on", "lock-1", "scrub"):
        browser.find_element("id", place).click()
        assert browser.execute_script("return document.activeElement.id") == "stage", place
        press(browser, "home")
        at(browser, 0)
    # The boxes keep the keyboard until Escape.
    for place in ("frame-number", "video-filter"):
        browser.find_element("id", place).click()
        assert browser.execute_script("return document.activeElement.id") == place
        press(browser, "escape")
        assert browser.execute_script("return document.activeElement.id") == "stage"
    browser.find_element("id", "go-on").click()


def test_a_propagation_is_one_step_that_can_be_undone_from_any_of_its_frames(
    browser: Any, desk: DeskCaller
) -> None:
    before = newest(desk.desk.dataset)
    visit(browser, desk.origin, TOKEN, frame=12)
    press(browser, "t")
    wait_for(browser, "document.documentElement.dataset.preview === arguments[0]", str(FRAMES - 13))
    # Nothing is written while it is looked at, and nothing is left of what is cancelled.
    press(browser, "escape")
    wait_for(browser, "document.documentElement.dataset.preview === undefined")
    with open_dataset(desk.desk.dataset) as dataset:
        assert dataset.corrected(1) == 0
    press(browser, "t")
    wait_for(
        browser,
        "document.documentElement.dataset.busy === 'no'"
        " && document.documentElement.dataset.preview === arguments[0]",
        str(FRAMES - 13),
    )
    press(browser, "enter")
    wait_for(browser, "document.documentElement.dataset.preview === undefined")
    saved(browser)
    with open_dataset(desk.desk.dataset) as dataset:
        assert dataset.corrected(1) == FRAMES - 13
    press(browser, "end")
    at(browser, FRAMES - 1)
    for key, corrected in (("Control+z", 0), ("Control+y", FRAMES - 13), ("Control+z", 0)):
        press(browser, key)
        saved(browser)
        with open_dataset(desk.desk.dataset) as dataset:
            assert dataset.corrected(1) == corrected
    for frame, mask in newest(desk.desk.dataset).items():
        np.testing.assert_array_equal(mask, before[frame])
    assert console(browser) == []


def test_a_polygon_is_drawn_with_the_mouse(browser: Any, desk: DeskCaller) -> None:
    visit(browser, desk.origin, TOKEN, frame=9)
    press(browser, "p")
    stage = Stage(browser, HEIGHT, WIDTH)
    corners = [stage.stroke(place)[0] for place in ((40, 5), (60, 8), (50, 30))]
    press(browser, "enter")
    saved(browser)
    centres = np.stack(np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5), -1).reshape(-1, 2)
    inside = Outline(corners).contains_points(centres).reshape(HEIGHT, WIDTH)
    np.testing.assert_array_equal(newest(desk.desk.dataset)[9], square(9) | inside)
    corners = [stage.stroke(place)[0] for place in ((15, 14), (30, 14), (30, 34), (15, 34))]
    press(browser, "Shift+enter")
    saved(browser)
    cut = Outline(corners).contains_points(centres).reshape(HEIGHT, WIDTH)
    np.testing.assert_array_equal(newest(desk.desk.dataset)[9], (square(9) | inside) & ~cut)


def test_the_model_is_asked_again_and_a_sam_at_a_click(browser: Any, tmp_path: Path) -> None:
    recipe = shapes_with_sam(tmp_path / "sam")
    scenes = list(moving_clip(3, 2, *SIZE))
    path = write_video(tmp_path / "a.mp4", [scene.image for scene in scenes])
    empty = np.zeros((2, 1, *SIZE), np.bool_)
    dataset = write_dataset(tmp_path / "dataset", [Labelled("a.mp4", path, ("a thing",), empty)])
    with open_desk(dataset, LentModel(recipe)) as desk:
        visit(browser, desk.origin, TOKEN)
        press(browser, "q")
        wait_for(browser, "document.getElementById('ask-dialog').open")
        phrase = browser.find_element("id", "ask-query")
        assert phrase.get_attribute("value") == "a thing"
        phrase.clear()
        phrase.send_keys("the red fish")
        browser.find_element("id", "ask-send").click()
        wait_for(browser, "document.documentElement.dataset.preview === '1'")
        wait_for(browser, "document.documentElement.dataset.busy === 'no'")
        press(browser, "enter")
        wait_for(browser, "document.documentElement.dataset.preview === undefined")
        saved(browser)
        sent = {"object": 1, "query": "the red fish", "theta": None, "first": 0, "last": 0}
        row, _ = asked_masks(desk.desk, 1, sent)
        found = newest(dataset)[0]
        np.testing.assert_array_equal(found, decode_rle(row["rle"]))
        assert found.any()
        # A click; a tiny SAM without training gives some mask or none.
        press(browser, "c")
        ((x, y),) = Stage(browser, *SIZE).stroke((213, 120))
        wait_for(browser, "document.documentElement.dataset.busy === 'no'")
        clicked = clicked_mask(desk.desk, 1, {"frame": 0, "points": [{"x": x, "y": y, "inside": True}]})
        wait_for(
            browser, "performance.getEntriesByType('resource').some((one) => one.name.endsWith('/clicks'))"
        )
        press(browser, "enter")
        saved(browser)
        np.testing.assert_array_equal(newest(dataset)[0], decode_rle(clicked["rle"]))
    assert console(browser) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_its_words_can_be_read_in_light_and_in_dark(browser: Any, desk: DeskCaller, scheme: str) -> None:
    """Every text in sight has a contrast of at least 4.5 with what lies behind it (WCAG 2.2, 1.4.3)."""
    prefer(browser, scheme)
    visit(browser, desk.origin, TOKEN)
    assert hooks(browser)["theme"] == scheme
    texts = browser.execute_script(CONTRASTS)
    assert len(texts) > 30
    assert [each for each in texts if each[1] < 4.5] == []


# Text, and its contrast with the first background behind it; disabled controls need none.
CONTRASTS = """
const rgba = (text) => (text.match(/[\\d.]+/g) ?? []).map(Number);
const over = (top, below) => top.slice(0, 3).map((c, i) => c * (top[3] ?? 1) + below[i] * (1 - (top[3] ?? 1)));
const light = (rgb) => rgb.map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
  .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
function behind(element) {
  const layers = [];
  for (let at = element; at; at = at.parentElement) {
    const colour = rgba(getComputedStyle(at).backgroundColor);
    if ((colour[3] ?? 1) > 0) layers.push(colour);
    if (colour.length === 3 || colour[3] === 1) break;
  }
  return layers.reduceRight((below, top) => over(top, below), [255, 255, 255]);
}
const found = [];
for (const element of document.querySelectorAll("body *")) {
  const text = [...element.childNodes].filter((n) => n.nodeType === 3).map((n) => n.data.trim()).join("");
  if (!text || element.disabled || !element.checkVisibility({ visibilityProperty: true })) continue;
  if (element.closest(".sr, #stage, svg")) continue;
  const back = behind(element);
  const [a, b] = [light(over(rgba(getComputedStyle(element).color), back)), light(back)];
  found.push([text, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)]);
}
return found;
"""


def test_without_a_video_that_is_done_every_command_says_so(browser: Any, tmp_path: Path) -> None:
    masks = np.array([[square(0)]])
    videos = [
        Labelled(f"{state}.mp4", tmp_path / f"{state}.mp4", ("the square",), masks, status=state)
        for state in ("waiting", "failed")
    ]
    with open_desk(write_dataset(tmp_path / "dataset", videos)) as desk:
        browser.get("about:blank")
        console(browser)
        browser.get(f"{desk.origin}/#token={TOKEN}")
        wait_for(browser, "document.getElementById('video-count').textContent.startsWith('2 videos')")
        for key in ("a", "t", "w", "n", "b", "k", "1", "m", "f", "Shift+s", "Control+z"):
            browser.execute_script("document.getElementById('toast').textContent = ''")
            press(browser, key)
            wait_for(browser, "document.getElementById('toast').textContent === 'Open a video first.'")
        assert not browser.find_element("id", "undo").is_enabled()
        assert not browser.find_element("id", "redo").is_enabled()
        assert console(browser) == []


def test_while_the_model_is_busy_the_page_says_that_it_waits(browser: Any, tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", [scene.image for scene in moving_clip(3, 1, *SIZE)])
    empty = np.zeros((1, 1, *SIZE), np.bool_)
    dataset = write_dataset(tmp_path / "dataset", [Labelled("a.mp4", path, ("the red fish",), empty)])
    lent = LentModel(shapes_with_sam(tmp_path / "sam"))
    with open_desk(dataset, lent) as desk:
        visit(browser, desk.origin, TOKEN)
        lent.get()
        with lent.turn:
            press(browser, "q")
            wait_for(browser, "document.getElementById('ask-dialog').open")
            browser.find_element("id", "ask-send").click()
            wait_for(
                browser, "/waiting for the model/i.test(document.getElementById('preview-text').textContent)"
            )
            press(browser, "escape")
            wait_for(browser, "document.getElementById('preview-bar').hidden")
            press(browser, "c")
            Stage(browser, *SIZE).stroke((213, 120))
            wait_for(browser, "/waiting for the model/i.test(document.getElementById('toast').textContent)")
            press(browser, "escape")
        # Nobody listens to the first two any more; the next is answered.
        press(browser, "q")
        wait_for(browser, "document.getElementById('ask-dialog').open")
        browser.find_element("id", "ask-send").click()
        wait_for(browser, "document.documentElement.dataset.preview === '1'")
        press(browser, "escape")
    assert console(browser) == []
