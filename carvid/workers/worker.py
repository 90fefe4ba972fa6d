"""A worker process: loads the model once, then does the tasks it is given, one at a time.

It speaks JSON lines. It reads the set-up (`Setup`) first, then one task at a time with the path of its file. It writes
messages, each with a "kind": download, where weights have to be fetched first (with what and how much); ready (with the
description of model and job) or refused; then for each task progress
(frames, expected) and finally done (with the outcome), failed (the task cannot be done) or unwritable (the file cannot
be written).
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, TextIO

from carvid.engines import EngineModel, load_engine
from carvid.errors import CarvidError, OutputError
from carvid.recipe import Recipe, recipe_from_json
from carvid.weights import downloads
from carvid.weights.downloads import Download
from carvid.workers.job import Job


@dataclass(frozen=True)
class Setup:
    """What a worker starts with.

    job: what makes the worker's `carvid.workers.job.Job`, as module:name. options: its keywords, as plain data.
    index: the worker's number, from 0. threads: how many it may compute with at most.
    """

    recipe: Recipe
    job: str
    options: Mapping[str, Any]
    index: int
    threads: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Setup:
        return cls(**{**values, "recipe": recipe_from_json(values["recipe"])})

    def make_job(self) -> Job:
        module, name = self.job.split(":")
        job: Job = getattr(import_module(module), name)(**self.options)
        return job


def main() -> None:
    """Work until the input ends, as it also does when the process that started this one ends."""
    out = _protocol_output()
    lines = _input_lines()
    setup = Setup.from_json(json.loads(lines.get()))
    job = setup.make_job()
    downloads.watch(_Told(out))
    try:
        model = load_model(setup)
    except CarvidError as error:
        _say(out, kind="refused", error=type(error).__name__, message=str(error))
        return
    _say(out, kind="ready", description=job.describe(model))
    while True:
        message = json.loads(lines.get())
        work(job, message["task"], Path(message["staged"]), model, partial(_say, out))


def load_model(setup: Setup) -> EngineModel:
    """Raises UsageError, WeightsError."""
    import torch

    torch.set_num_threads(min(setup.threads, torch.get_num_threads()))
    recipe = setup.recipe
    # The workers are spread over the GPUs of the machine.
    if recipe.device == "auto" and torch.cuda.is_available():
        recipe = replace(recipe, device=f"cuda:{setup.index % torch.cuda.device_count()}")
    return load_engine(recipe)


def work(
    job: Job, task: Mapping[str, Any], staged: Path, model: EngineModel, say: Callable[..., None]
) -> None:
    """Do a task into `staged`; `say` is called with the fields of each message as keywords."""

    def tell(frames: int, expected: int | None) -> None:
        say(kind="progress", frames=frames, expected=expected)

    try:
        outcome = job.work(task, staged, model, tell)
    except OutputError as error:
        say(kind="unwritable", message=str(error))
    except CarvidError as error:
        say(kind="failed", message=str(error))
    else:
        say(kind="done", outcome=dict(outcome))


class _Told:
    """Passes on what is about to be fetched (`carvid.weights.downloads.Watch`)."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def begin(self, download: Download) -> None:
        _say(self._out, kind="download", download=download.to_json())

    def advance(self, repository: str, done: int, total: int) -> None:
        """Nothing: a download's progress is not passed on."""

    def end(self) -> None:
        """Nothing."""


def _protocol_output() -> TextIO:
    # What a library prints must not get between the messages, so it goes to standard error.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return out


def _input_lines() -> queue.SimpleQueue[str]:
    """Lines of standard input, read by a thread, so that its end also ends the process in the middle of its work."""
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()

    def read() -> None:
        for line in sys.stdin:
            lines.put(line)
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    return lines


def _say(out: TextIO, **message: object) -> None:
    # ASCII, as a path that is not UTF-8 can be written as JSON in no other way.
    out.write(json.dumps(message) + "\n")
    out.flush()
