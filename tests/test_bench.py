"""`carvid bench`: stages, operation counts, rates and comparisons, on small random CLIPs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from typer.testing import CliRunner

from carvid.bench import against
from carvid.bench.against import NaiveFrame
from carvid.bench.bench import BenchOptions, run_bench
from carvid.bench.clip import CLIP_SEED, draw_video, query_texts, read_clip
from carvid.bench.machine import large_square, measure_product, peak_memory
from carvid.bench.report import BenchReport
from carvid.bench.stages import Spread
from carvid.bench.straightforward import Twin
from carvid.bench.table import report_lines
from carvid.cli.bench import bench
from carvid.cli.exits import exits
from carvid.errors import InputError, UsageError
from carvid.recipe import load_recipe
from carvid.shapes.scenes import moving_clip
from tests.media import moving_square, write_video
from tests.tiny_clip import make_tiny_clip
from tests.tiny_sam import make_tiny_sam

CPU = torch.device("cpu")
SIZE = (64, 48)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_clip(tmp_path_factory.mktemp("clip"), seed=6, layers=4, logit_scale=8.0)


@pytest.fixture(scope="module", autouse=True)
def small_products() -> Iterator[None]:
    """A machine's best rate takes large products and seconds; here it is only to be there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("carvid.bench.bench.large_square", lambda device: 64)
        patch.setattr("carvid.bench.machine._SHORTEST_SECONDS", 0.001)
        yield


@pytest.fixture(scope="module")
def report(model: Path) -> BenchReport:
    """Everything at once, with 1 and 3 queries."""
    pytest.importorskip("pydensecrf")
    return measured(model, queries=(1, 3), against=("naive", "pydensecrf"), frames=2)


def measured(model: Path, **options: object) -> BenchReport:
    chosen = {"queries": (3,), "size": SIZE, "frames": 1, **options}
    measure = {
        name: chosen.pop(name) for name in ("queries", "size", "frames", "drop", "against") if name in chosen
    }
    return run_bench(BenchOptions(load_recipe(model=model, device="cpu", **chosen), **measure))


def command(*arguments: object) -> tuple[int, str, str]:
    app = typer.Typer()
    app.command("bench")(exits(bench))
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return done.exit_code, done.stdout, done.stderr


def test_every_stage_of_a_frame_is_timed_apart(report: BenchReport) -> None:
    for run in report.runs:
        assert list(run.stages) == [
            "decode",
            "resize",
            "trunk",
            "cam",
            "affinity",
            "prompts",
            "classifier",
            "crf",
            "result",
            "write",
        ]
        for spread in (*run.stages.values(), run.segment):
            assert spread.frames == 2
            assert 0 < spread.q1 <= spread.median <= spread.q3
        assert run.segment.median > run.stages["trunk"].median + run.stages["crf"].median


def test_without_the_crf_there_is_a_threshold(model: Path) -> None:
    stages = measured(model, crf=False).runs[0].stages
    assert "threshold" in stages
    assert "crf" not in stages


@pytest.mark.parametrize(("points", "fewer"), [("full", False), ("guided", True)])
def test_the_stages_of_sam_are_timed_apart(model: Path, tmp_path: Path, points: str, fewer: bool) -> None:
    sam = make_tiny_sam(tmp_path / "sam")
    (run,) = (found := measured(model, sam=str(sam), sam_points=points, frames=2)).runs
    for stage in ("sam/encoder", "sam/decoder", "sam/filter", "sam/match"):
        assert run.stages[stage].frames == 2
        assert run.stages[stage].q1 > 0
    assert list(run.stages)[-6:] == [
        "sam/encoder",
        "sam/decoder",
        "sam/filter",
        "sam/match",
        "result",
        "write",
    ]
    assert run.sam["frames"] == 3
    assert run.sam["grid_points"] == 3 * 32 * 32
    assert (run.sam["decoded_points"] < run.sam["grid_points"]) is fewer
    assert "of 1,024 points decoded" in "\n".join(report_lines(found))


def test_sam_is_no_part_of_what_is_compared() -> None:
    with pytest.raises(UsageError, match="exclude each other"):
        BenchOptions(load_recipe(sam="random:vit-b"), against=("naive",))


def test_a_crf_on_smaller_frames_is_not_compared_with_the_straightforward_method(model: Path) -> None:
    pytest.importorskip("pydensecrf")
    with pytest.raises(UsageError, match="crf_size is 32, and frames are 96x64; expected full"):
        measured(model, size=(96, 64), against=("naive",), crf_size=32)


def test_a_spread_is_the_median_between_the_quartiles() -> None:
    assert Spread.of([4.0, 1.0, 3.0, 2.0, 5.0]) == Spread(median=3.0, q1=2.0, q3=4.0, frames=5)


def test_shares_are_of_the_best_product_of_the_same_run(report: BenchReport) -> None:
    assert report.flops == max(product.flops for product in report.products)
    assert [(product.rows, product.inner, product.columns) for product in report.products] == [
        (49, 32, 128),
        (4 * 17, 32, 128),
        (64, 64, 64),
    ]
    for run in report.runs:
        assert set(run.model) == {"trunk", "cam", "classifier"}
        for stage, share in run.model.items():
            assert share.flops == pytest.approx(share.operations / run.stages[stage].median)
            assert share.share == pytest.approx(share.flops / report.flops)
    one, three = report.runs
    assert three.model["trunk"].operations == one.model["trunk"].operations
    assert three.model["classifier"].operations == 3 * one.model["classifier"].operations


def test_the_large_product_is_larger_on_an_accelerator() -> None:
    assert large_square(CPU) < large_square(torch.device("cuda"))


def test_a_product_takes_time_in_any_dtype() -> None:
    for dtype in (torch.float32, torch.bfloat16):
        assert 1e6 < measure_product(32, 64, 16, device=CPU, dtype=dtype).flops < 1e14


def test_peak_memory_is_at_least_what_is_held() -> None:
    block = np.ones(50_000_000, np.uint8)
    assert peak_memory(CPU)["host_bytes"] > block.nbytes


def test_by_default_no_query_is_dropped(report: BenchReport) -> None:
    for run in report.runs:
        assert run.theta == 0
        assert run.dropped == (0, 0)
        assert run.encoded == (run.queries, run.queries)


@pytest.mark.parametrize("preset", ["refcoco", "voc", "default"])
def test_drop_one_drops_exactly_one_query_in_the_first_step(model: Path, preset: str) -> None:
    run = measured(model, preset=preset, drop="one", queries=(4,), crf=False, against=("naive",)).runs[0]
    assert run.dropped == (1,)
    assert run.agrees


def test_drop_preset_takes_the_preset_s_theta(model: Path) -> None:
    assert measured(model, preset="voc", drop="preset", crf=False).runs[0].theta == 0.6


@pytest.mark.parametrize("preset", ["refcoco", "voc"])
@pytest.mark.parametrize("drop", ["none", "one", "preset"])
def test_the_straightforward_method_agrees(model: Path, preset: str, drop: str) -> None:
    pytest.importorskip("pydensecrf")
    run = measured(model, preset=preset, drop=drop, against=("naive",)).runs[0]
    (frame,) = run.naive
    assert frame.live_equal
    assert frame.iou >= 0.99
    assert frame.naive_seconds > 0
    assert frame.seconds > 0


def test_bfloat16_is_compared_with_the_method_in_float32(model: Path) -> None:
    run = measured(model, dtype="bfloat16", crf=False, against=("naive",)).runs[0]
    assert run.naive[0].live_equal
    assert 0 < run.naive[0].iou <= 1


@pytest.mark.parametrize(
    ("live_equal", "iou", "agrees"), [(True, 0.99, True), (True, 0.98, False), (False, 1.0, False)]
)
def test_agreement_needs_equal_live_sets_and_masks(live_equal: bool, iou: float, agrees: bool) -> None:
    assert NaiveFrame(1.0, 9.0, live_equal, iou).agrees is agrees


def test_disagreement_is_exit_code_1(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stubborn(Twin):
        def run(self):
            steps, kept, proposals = super().run()
            return steps, kept, 1 - proposals

    monkeypatch.setattr(against, "Twin", Stubborn)
    code, out, _ = command(
        "--model",
        model,
        "--queries",
        "2",
        "--size",
        "64x48",
        "--frames",
        "1",
        "--no-crf",
        "--against",
        "naive",
    )
    assert code == 1
    assert "DO NOT AGREE" in out


@pytest.mark.parametrize("preset", ["refcoco", "voc"])
def test_pydensecrf_agrees_and_its_time_is_told_with_and_without_the_spatial_kernel(
    model: Path, preset: str
) -> None:
    pytest.importorskip("pydensecrf")
    (frame,) = measured(model, preset=preset, against=("pydensecrf",), size=(96, 80)).runs[0].crf
    assert frame.labels_equal >= 0.999
    assert 0 < frame.reference_spatial_seconds < frame.reference_seconds
    assert frame.seconds > 0
    assert frame.spatial_seconds >= 0


def test_the_report_is_a_markdown_table_and_json(report: BenchReport) -> None:
    text = "\n".join(report_lines(report))
    for part in (
        "### 1 query",
        "### 3 queries",
        "| stage",
        "TFLOP to do",
        "| **frame to masks**",
        "64x48, 2 frames",
        "theta 0, so that every query stays",
        "Results agree: live sets equal",
        "spatial kernel counted in neither",
        "How cost grows.",
    ):
        assert part in text
    for block in text.split("\n\n"):
        if block.startswith("|"):
            assert len({line.count("|") for line in block.splitlines()}) == 1
    told = json.loads(json.dumps(report.to_json()))
    assert told["agrees"] is True
    assert told["runs"][1]["queries"] == 3
    assert told["runs"][1]["stages"]["trunk"]["median"] > 0


def test_the_command_prints_json_alone_on_stdout(model: Path, tmp_path: Path) -> None:
    video = write_video(tmp_path / "square.mp4", moving_square(4))
    code, out, err = command(
        "--model", model, "--queries", "1,2", "--frames", "2", "--video", video, "--no-crf", "--json"
    )
    assert code == 0, err
    told = json.loads(out)
    assert [run["queries"] for run in told["runs"]] == [1, 2]
    assert (told["clip"], told["size"], told["frames"]) == ("square.mp4", [64, 48], 2)
    assert "loading" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--size", "big"], "--size is 'big'"),
        (["--size", "64"], "expected WIDTHxHEIGHT"),
        (["--size", "0x4"], "a size of 0x4"),
        (["--queries", "1;2"], "--queries is '1;2'"),
        (["--queries", "0"], "0 queries; expected 1 to 255"),
        (["--frames", "0"], "0 frames"),
        (["--drop", "two"], "drop is 'two'"),
        (["--drop", "one", "--queries", "1,4"], "at least 2 queries"),
        (["--against", "time"], "against 'time'"),
        (["--preset", "none-such"], "no preset"),
    ],
)
def test_what_cannot_be_measured_is_refused(arguments: list[str], message: str) -> None:
    code, out, err = command(*arguments)
    assert code == 2
    assert out == ""
    assert message in err


def test_frames_of_a_video_are_read_scaled_and_counted(tmp_path: Path) -> None:
    video = write_video(tmp_path / "square.mp4", moving_square(4))
    clip = read_clip(video, "square", 9, (32, 20))
    assert [frame.index for frame in clip.frames] == [0, 1, 2, 3]
    assert clip.frames[0].image.shape == (20, 32, 3)
    assert clip.size == (32, 20)
    assert len(clip.decode_seconds) == 3
    with pytest.raises(InputError, match="expected at least two"):
        read_clip(write_video(tmp_path / "one.mp4", moving_square(1)), "one", 3)


def test_the_drawn_clip_has_the_size_asked_for_and_is_the_same_every_time(tmp_path: Path) -> None:
    for name in ("one.mp4", "two.mp4"):
        draw_video(tmp_path / name, 3, (100, 60))
    one, two = (read_clip(tmp_path / name, name, 2) for name in ("one.mp4", "two.mp4"))
    assert one.size == (100, 60)
    for first, second in zip(one.frames, two.frames, strict=True):
        assert np.array_equal(first.image, second.image)


def test_queries_are_all_different() -> None:
    assert len(set(query_texts(255))) == 255
    # The clip's own things come first.
    things = next(moving_clip(CLIP_SEED, 1)).things
    assert query_texts(len(things)) == [f"the {thing.name}" for thing in things]
