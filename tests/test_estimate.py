"""What a run will take, from what it has cost: literal seconds."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from carvid.cli.forecast import ENOUGH, Forecast, in_words
from carvid.estimate import Spent, faster, per_frame
from carvid.recipe import load_recipe


def test_every_frame_costs_what_it_cost() -> None:
    exact = load_recipe(speed="exact")
    spent = Spent({"trunk": 20.0, "classifier": 8.0, "crf": 2.0}, frames=5, keys=5)
    assert per_frame(spent, exact, exact, 1080) == pytest.approx(6.0)


def test_a_smaller_look_costs_by_its_area_and_fewer_keys_by_their_share() -> None:
    exact = load_recipe(speed="exact")
    spent = Spent({"trunk": 20.0, "classifier": 8.0}, frames=4, keys=4)
    # At half the side, a quarter of 5 s, and 2 s of g, on one frame in five.
    other = load_recipe(speed="exact", size=540, keyframes=5)
    assert per_frame(spent, exact, other, 1080) == pytest.approx((1.25 + 2) / 5)
    # No frame is enlarged.
    larger = load_recipe(speed="exact", size=2000)
    assert per_frame(spent, exact, larger, 1080) == pytest.approx(7.0)


def test_the_crf_costs_by_the_area_it_works_on() -> None:
    exact = load_recipe(speed="exact")
    spent = Spent({"crf": 9.0, "classifier": 1.0}, frames=1, keys=1)
    other = load_recipe(speed="exact", crf_size=360)
    assert per_frame(spent, exact, other, 1080) == pytest.approx(1 + 1)
    # Frames that are at most a third larger are refined whole.
    assert per_frame(spent, exact, other, 480) == pytest.approx(9 + 1)


def test_frames_between_keys_cost_what_they_cost_and_flow_by_its_area() -> None:
    now = load_recipe(keyframes=5, size=400, flow_size=480)
    spent = Spent({"trunk": 10.0, "motion/flow": 4.0, "motion/refine": 2.0}, frames=12, keys=2)
    assert per_frame(spent, now, now, 480) == pytest.approx(5 * 0.2 + 0.6 * 0.8)
    live = load_recipe(keyframes=10, size=200, flow_size=240)
    assert per_frame(spent, now, live, 480) == pytest.approx(1.25 * 0.1 + 0.3 * 0.9)


def test_auto_keeps_the_share_of_keys_that_it_had() -> None:
    auto = load_recipe()
    spent = Spent({"trunk": 3.0, "motion/flow": 1.7}, frames=20, keys=3)
    assert per_frame(spent, auto, auto, 300) == pytest.approx(4.7 / 20)


def test_after_exact_comes_balanced_and_after_live_nothing() -> None:
    assert faster(load_recipe(speed="exact")).speed == "balanced"
    assert faster(load_recipe()).speed == "live"
    assert faster(load_recipe(speed="live")) is None


def test_it_is_told_once_enough_frames_are_done(capsys: pytest.CaptureFixture[str]) -> None:
    exact = load_recipe(speed="exact")
    session = SimpleNamespace(batch=1, totals={}, seconds={"trunk": 40.0 * ENOUGH})
    forecast = Forecast("clip", exact, short_px=exact.flow_size)
    forecast.start(1000)
    for _ in range(ENOUGH - 1):
        forecast.observe(session)
    assert capsys.readouterr().err == ""
    forecast.observe(session)
    forecast.observe(session)
    told = capsys.readouterr().err
    assert told.count("carvid: this takes about 11 h; --speed balanced, about ") == 1
    fastest = Forecast("camera", load_recipe(speed="live"), short_px=480)
    fastest.start(None)
    session.totals = {"motion": {"frames": 30, "keys": ENOUGH}}
    fastest.observe(session)
    assert "carvid: this takes about 4 s a frame\n" in capsys.readouterr().err


def test_stretches_of_time_have_two_figures() -> None:
    assert [in_words(each) for each in (0.2, 40, 119, 120, 700, 7200, 9000, 40000)] == [
        "0 s", "40 s", "119 s", "2.0 min", "12 min", "2.0 h", "2.5 h", "11 h",
    ]  # fmt: skip
