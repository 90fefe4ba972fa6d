"""`run_bench`: measures the pipeline and gives a report."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from carvid.bench import operations
from carvid.bench.against import against_naive, against_pydensecrf
from carvid.bench.against_speed import Compared, against_exact, against_full, against_small
from carvid.bench.clip import Clip, draw_video, query_texts, read_clip
from carvid.bench.machine import (
    Product,
    describe_machine,
    large_square,
    measure_product,
    peak_memory,
    reset_peak,
)
from carvid.bench.reference_crf import load_pydensecrf
from carvid.bench.report import BenchReport, QueriesReport, Share
from carvid.bench.stages import Measured, Spread, measure_stages
from carvid.car.clip_rnn import planes_size
from carvid.errors import UsageError
from carvid.loading import load_model
from carvid.model import Model
from carvid.recipe import Recipe
from carvid.recipe.refinement import crf_working_size
from carvid.session import Session
from carvid.wording import MOST_QUERIES

AGAINST = ("naive", "pydensecrf", "full", "480p", "exact")
DROPS = ("none", "one", "preset")
DRAWN_SIZE = (854, 480)
DRAWN = "drawn.mp4"
# The number of images with which the classifier's product is measured.
_IMAGES = 4


@dataclass(frozen=True)
class BenchOptions:
    """What to measure.

    recipe: what the model is loaded from. queries: numbers of queries to measure, each 1 to 255.
    size: (width, height) in px; None for the video's own, or DRAWN_SIZE for a drawn clip.
    frames: how many to measure, after one warm-up frame. video: a file or folder; None for a drawn clip.
    drop: none sets theta to 0, so that every query stays; one sets it between the lowest and the second lowest
    score of the first measured frame, so that its first step drops one query; preset keeps the recipe's theta.
    against: what to compare with; names in AGAINST.
    Raises UsageError for values out of range.
    """

    recipe: Recipe
    queries: tuple[int, ...] = (1, 4, 16, 64)
    size: tuple[int, int] | None = None
    frames: int = 3
    video: Path | None = None
    drop: str = "none"
    against: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for count in self.queries:
            if not 1 <= count <= MOST_QUERIES:
                raise UsageError(f"{count} queries; expected 1 to {MOST_QUERIES}")
        if not self.queries:
            raise UsageError("no number of queries; expected at least one, such as 1,4")
        if self.frames < 1:
            raise UsageError(f"{self.frames} frames; expected at least 1")
        if self.size is not None and min(self.size) < 1:
            raise UsageError(f"a size of {self.size[0]}x{self.size[1]}; expected at least 1x1")
        if self.drop not in DROPS:
            raise UsageError(f"drop is {self.drop!r}; expected one of {', '.join(DROPS)}")
        if self.drop == "one" and 1 in self.queries:
            raise UsageError("--drop one needs at least 2 queries: a lone query is never dropped")
        if self.recipe.sam is not None and self.against:
            raise UsageError("--sam and --against exclude each other: the methods compared stop before SAM")
        if "exact" in self.against and self.video is not None and self.size is not None:
            raise UsageError(
                "--against exact runs a video as it is; it cannot be given with --video and --size"
            )
        if unknown := [name for name in self.against if name not in AGAINST]:
            raise UsageError(f"against {unknown[0]!r}; expected some of {', '.join(AGAINST)}")


def run_bench(options: BenchOptions, say: Callable[[str], None] = lambda line: None) -> BenchReport:
    """Measure everything that `options` asks for; `say` is called with a line about each step before it starts.

    Raises UsageError for options that cannot be used, WeightsError for weights that cannot be loaded, and InputError
    for a video that cannot be read.
    """
    # The comparison of guided points with the full grid is left out: it would count as the decoder's time.
    sam_options = replace(options.recipe.sam_options, compared_frames=0)
    recipe = replace(options.recipe, sam_options=sam_options, batch=1)
    if "pydensecrf" in options.against or ("naive" in options.against and recipe.crf):
        load_pydensecrf()
    if "naive" in options.against and recipe.split_things:
        raise UsageError(
            "split_things is on; expected it off, as the straightforward method takes no proposal apart"
        )
    with tempfile.TemporaryDirectory(prefix="carvid-bench-") as folder:
        clip = _clip(options, Path(folder))
        if (
            "naive" in options.against
            and recipe.crf
            and crf_working_size(clip.size, recipe.crf_size) != clip.size
        ):
            raise UsageError(
                f"crf_size is {recipe.crf_size}, and frames are {clip.size[0]}x{clip.size[1]}; expected full, as the "
                "straightforward method refines whole frames"
            )
        say(f"loading {recipe.model}")
        model = load_model(recipe)
        straight = model
        device, dtype = model.proposer.device, model.proposer.number_type
        if "naive" in options.against and (device.type, dtype) != ("cpu", "float32"):
            straight = load_model(replace(recipe, device="cpu", dtype="float32"))
        say("measuring the machine's matrix products")
        products = _products(model, clip)
        best = max(product.flops for product in products)
        runs = []
        for count in options.queries:
            out = Path(folder, f"queries-{count}")
            runs.append(_run(options, model, count, straight, clip, best, out, say))
    return BenchReport(
        machine=describe_machine(device),
        models=(model.proposer.name, model.classifier.name),
        preset=recipe.preset,
        mode=recipe.mode,
        device=str(device),
        dtype=dtype,
        clip=clip.name,
        size=clip.size,
        frames=len(clip.frames) - 1,
        drop=options.drop,
        products=tuple(products),
        runs=tuple(runs),
    )


def _clip(options: BenchOptions, folder: Path) -> Clip:
    if options.video is not None:
        return read_clip(options.video, options.video.name, options.frames, options.size)
    drawn = folder / DRAWN
    draw_video(drawn, options.frames + 1, options.size or DRAWN_SIZE)
    return read_clip(drawn, "drawn clip", options.frames, options.size or DRAWN_SIZE)


def _run(
    options: BenchOptions,
    model: Model,
    count: int,
    straight: Model,
    clip: Clip,
    best: float,
    out: Path,
    say: Callable[[str], None],
) -> QueriesReport:
    queries, device = query_texts(count), model.proposer.device
    reset_peak(device)
    if options.drop != "preset":
        model = model.with_settings(theta=0.0)
    if options.drop == "one":
        model = model.with_settings(theta=_between(model.session(queries), clip))
    session = model.session(queries)
    say(f"{count} queries: {len(clip.frames) - 1} frames after a warm-up frame")
    measured = measure_stages(session, clip.frames, out, device)
    stages = {"decode": clip.decode_seconds, **measured.stages}
    report = QueriesReport(
        queries=count,
        theta=model.recipe.theta,
        stages={name: Spread.of(seconds) for name, seconds in stages.items()},
        segment=Spread.of(measured.segment),
        model=_shares(session, clip, measured, best),
        encoded=measured.encoded,
        dropped=measured.dropped,
        memory=peak_memory(device),
        sam=measured.totals.get("sam"),
    )
    frames = clip.frames[1:]
    if "naive" in options.against:
        say(f"{count} queries: the straightforward method on the same frames")
        report = replace(report, naive=tuple(against_naive(session, straight, frames, device)))
    if "pydensecrf" in options.against:
        say(f"{count} queries: pydensecrf on the same frames")
        binary = model.recipe.mode == "refer"
        compared = against_pydensecrf(frames, measured.results, binary=binary, device=device)
        report = replace(report, crf=tuple(compared))
    return replace(report, speed=tuple(_speed(options, model, queries, clip, out, say)))


def _speed(
    options: BenchOptions,
    model: Model,
    queries: Sequence[str],
    clip: Clip,
    out: Path,
    say: Callable[[str], None],
) -> Iterator[Compared]:
    if "480p" in options.against:
        say("the models' stages on the same frames at 480p")
        yield against_small(model, queries, clip.frames)
    if "full" in options.against:
        say("the same frames whole")
        yield against_full(model, queries, clip.frames)
    if "exact" in options.against:
        say("a run beside an exact one")
        source = out.parent / DRAWN if options.video is None else options.video
        yield against_exact(model, queries, source, len(clip.frames), out)


def _between(session: Session, clip: Clip) -> float:
    """A theta between the lowest and the second lowest score of the first measured frame.

    Raises UsageError where these are equal.
    """
    lowest, second = sorted(query.score for query in session.step(clip.frames[1]).queries)[:2]
    if not lowest < second:
        raise UsageError(f"the two lowest scores are both {lowest:g}: no theta drops exactly one query")
    return float((lowest + second) / 2)


def _products(model: Model, clip: Clip) -> list[Product]:
    """Measure the first matrix product of f's and of g's MLP, and a large square one."""
    device, dtype = model.proposer.device, model.proposer.dtype
    seen, prompted = _shapes(model, clip)
    side = large_square(device)
    sizes = [
        (seen.tokens, seen.width, seen.mlp),
        (_IMAGES * prompted.tokens, prompted.width, prompted.mlp),
        (side, side, side),
    ]
    return [measure_product(*size, device=device, dtype=dtype) for size in sizes]


def _shapes(model: Model, clip: Clip) -> tuple[operations.TowerShape, operations.TowerShape]:
    """The shapes of f on a frame, and of g on a prompted image."""
    width, height = clip.size
    f, g = model.proposer, model.classifier
    seen = planes_size((height, width), model.recipe.size, f.tower.patch_size_px)
    return operations.tower_shape(f.tower, *seen), operations.tower_shape(g.tower, *g.preprocess.size)


def _shares(session: Session, clip: Clip, measured: Measured, best: float) -> dict[str, Share]:
    seen, prompted = _shapes(session.model, clip)
    texts, _ = session.texts
    directions = len(texts.queries) + (1 if len(texts.background) else 0)
    encoded: Sequence[int] = sorted(measured.encoded)
    counts = {
        "trunk": operations.trunk_operations(seen),
        "cam": operations.cam_operations(seen, directions),
        "classifier": operations.classifier_operations(prompted, encoded[len(encoded) // 2]),
    }
    shares = {}
    for stage, count in counts.items():
        flops = count / Spread.of(measured.stages[stage]).median
        shares[stage] = Share(count, flops, flops / best)
    return shares
