"""Random frames of a run, segmented again."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

from carvid.engines import EngineModel
from carvid.errors import InputError, UsageError
from carvid.frame import Frame
from carvid.media.rle import decode_rle
from carvid.recipe.record import differences
from carvid.sinks.output import MASKS, RESULTS
from carvid.sinks.results import read_results
from carvid.verify.agreement_again import NAME, Agreement, Outcome, is_equal
from carvid.verify.asked_again import AloneEngine, Made, frame_of, load_again, made_otherwise, sample
from carvid.verify.check import OK, UNCHECKED, Check
from carvid.verify.run_folder import RunFolder
from carvid.verify.run_frames import read_labels
from carvid.video_session import open_session


def rerun_run(run: RunFolder, count: int, seed: int, device: str | None) -> Check:
    """Make `count` random frames of a run again and compare them.

    run: after its `checks`. device: see `load_again`.
    """
    if not all(each.check.state == OK for each in run.weights):
        return Check(NAME, UNCHECKED, "the weights are not all here as recorded")
    if not run.has_source or run.source is None:
        return Check(NAME, UNCHECKED, "the source is not here as recorded")
    notes: list[str] = []
    try:
        picked = sample(_alone(run, notes), count, random.Random(seed))
        if not picked:
            return Check(
                NAME, UNCHECKED, "; ".join(["there is no frame that can be made again by itself", *notes])
            )
        model = load_again(run.segmenter, run.weights, device)
        with closing(open_session(model.session, run.queries, model.recipe)) as session:
            changed = differences(run.segmenter, session.describe())
        if changed:
            return Check(
                NAME, UNCHECKED, f"the recorded settings come back otherwise: {'; '.join(changed[:3])}"
            )
        return _compared(run, model, sorted(picked, key=lambda line: int(line["index"])), notes)
    except (UsageError, InputError) as error:
        return Check(NAME, UNCHECKED, str(error))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return Check(NAME, UNCHECKED, f"run.json or {RESULTS} is damaged ({error!r})")


def _alone(run: RunFolder, notes: list[str]) -> Iterator[dict[str, Any]]:
    """The lines of frames that the engine was run on. notes: gets why there are others."""
    sam = run.segmenter.get("sam")
    some = sam is not None and sam["options"].get("every", 1) != 1
    carried = unrefined = 0
    for line in read_results(run.folder / RESULTS, masks=False):
        if not line.get("key", True):
            carried += 1
        elif some and not any("sam" in one for one in line["queries"]):
            unrefined += 1
        else:
            yield line
    if carried:
        notes.append(f"{carried} frames whose masks were carried from key frames were not made again")
    if unrefined:
        notes.append(f"{unrefined} frames that the SAM left out were not made again")


def _compared(run: RunFolder, model: EngineModel, lines: list[dict[str, Any]], notes: list[str]) -> Check:
    engine, agreement = AloneEngine(model, run.queries), Agreement()
    left_out = 0
    for line in lines:
        stored = _stored(run, line)
        left_out += len(stored.masks) < len(line["queries"])
        if stored.is_empty:
            continue
        where, made = f"frame {line['index']}", Outcome()
        # A frame that a jump into the video gives should be the one that reading on gives; if in doubt, read on.
        for from_start in (False, True):
            if not from_start and run.manifest.get("damage"):
                continue
            frame = _frame(run, line, from_start=from_start)
            if frame is None or frame.name != line["name"]:
                if from_start:
                    agreement.miss(where, f"the source gives no such frame with the name {line['name']!r}")
                continue
            made = _made(engine.run(frame), stored)
            if from_start or is_equal(stored, made):
                agreement.add(where, stored, made)
                break
    if left_out:
        notes.append(
            f"in {left_out} of {len(lines)} frames not every query's mask was compared: tracks, and what words choose, "
            "depend on other frames too"
        )
    otherwise = made_otherwise(run.manifest, run.segmenter.get("device"), model.describe().get("device"))
    return agreement.check(otherwise, notes)


def _frame(run: RunFolder, line: Mapping[str, Any], *, from_start: bool) -> Frame | None:
    assert run.source is not None
    options = run.options
    return frame_of(
        run.source,
        line["index"],
        reader=options.get("reader", "pyav"),
        start=options.get("start_frame", 0),
        every=options.get("every", 1),
        from_start=from_start,
    )


def _stored(run: RunFolder, line: Mapping[str, Any]) -> Outcome:
    """What of a line can be made again from its frame alone."""
    steps = None
    if "steps" in line:
        steps = [dict(zip(step["live"], step["scores"], strict=True)) for step in line["steps"]]
    if "objects" in line:
        return Outcome(steps=steps)
    masks = {
        f"query {i}": decode_rle(one["rle"]) for i, one in enumerate(line["queries"], 1) if "words" not in one
    }
    if len(masks) == len(line["queries"]) and not run.options.get("separate"):
        labels = read_labels((run.folder / MASKS / f"{line['name']}.png").read_bytes())
        masks |= {f"label {i}": labels == i for i in range(1, len(line["queries"]) + 1)}
    return Outcome(masks, steps=steps)


def _made(made: Made, stored: Outcome) -> Outcome:
    masks = {f"query {i}": made.result.query_masks[place] for i, place in enumerate(made.places, 1)}
    masks |= {f"label {i}": made.result.label_map == i for i in range(1, len(made.places) + 1)}
    return Outcome({name: masks[name] for name in stored.masks}, steps=made.steps)
