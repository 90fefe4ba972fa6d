"""The job of a benchmark's workers: run samples, and pack what is written for them into one file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, ZipFile

from carvid.engines import EngineModel
from carvid.errors import CarvidError, InputError
from carvid.evaluate.benchmarks import runnable
from carvid.evaluate.contract import Painter, Sample
from carvid.evaluate.records import AskedRecord, Record, record_path
from carvid.evaluate.run_samples import Found, SampleRunner
from carvid.evaluate.tasks import ALONE
from carvid.media.palette import encode_label_png
from carvid.media.whole_file import output_errors
from carvid.recipe.option import frozen
from carvid.workers.job import Tell


class Segmenting:
    """See `carvid.workers.job.Job`. A task is {"samples": [...]}, samples as `Sample.to_json` gives them.

    The staged file is a zip. <i>/<path> in it is what goes to <path> below the output folder for the task's i-th
    sample, its record last; with rows, <path> begins with the row's name. The outcome is {"failed": {sample: why}};
    what is in the zip for these does not count.
    """

    def __init__(self, name: str, rows: Mapping[str, Mapping[str, Any]] = ALONE) -> None:
        """name: of what says what is written for a frame; see `carvid.evaluate.benchmarks.runnable`.

        rows: the settings that are other than the recipe's in each row of a table, by the row's name. The samples are
        run once for all rows, which share what f computes of a frame.
        """
        self._name = name
        self._rows = {
            row: {key: frozen(value) for key, value in changes.items()} for row, changes in rows.items()
        }
        self._runner: SampleRunner | None = None

    def describe(self, model: EngineModel) -> dict[str, Any]:
        return dict(model.describe())

    def work(
        self, task: Mapping[str, Any], staged: Path, model: EngineModel, tell: Tell
    ) -> Mapping[str, Any]:
        samples = [Sample.from_json(values) for values in task["samples"]]
        expected = sum(len(sample.frames) for sample in samples)
        failed: dict[str, str] = {}

        def fail(sample: Sample, error: CarvidError) -> None:
            failed[sample.name] = str(error)

        runner = self._runner = self._runner or SampleRunner(model)
        source: Painter = runnable(self._name)
        places = {sample.name: place for place, sample in enumerate(samples)}
        done = [{row: _Done() for row in self._rows} for _ in samples]
        tell(0, expected)
        with _zip(staged) as packed:
            for number, (run, frame, found) in enumerate(runner.run(self._with_rows(samples), fail), start=1):
                place = places[run.name]
                sample = samples[place]
                for row, mine in done[place].items():
                    of_row = {one.name: found[_joined(row, one.name)] for one in sample.asked}
                    mine.add(of_row)
                    for path, labels in source.paint(sample, frame.name, of_row):
                        packed.writestr(f"{place}/{_below(_joined(row, path))}", encode_label_png(labels))
                    if mine.frames == len(sample.frames):
                        path = _joined(row, record_path(sample.name))
                        packed.writestr(f"{place}/{path}", mine.record(sample).to_bytes())
                tell(number, expected)
        return {"failed": failed}

    def _with_rows(self, samples: Sequence[Sample]) -> list[Sample]:
        """The samples with each query set once for each row, in the row's settings."""
        return [
            replace(
                sample,
                asked=tuple(
                    replace(one, name=_joined(row, one.name), settings={**one.settings, **changes})
                    for row, changes in self._rows.items()
                    for one in sample.asked
                ),
            )
            for sample in samples
        ]


def _joined(row: str, name: str) -> str:
    return f"{row}/{name}" if row else name


@dataclass
class _Done:
    """What the frames of a sample came to so far."""

    frames: int = 0
    present: dict[str, list[int]] = field(default_factory=dict)
    scores: dict[str, list[float]] = field(default_factory=dict)

    def add(self, found: Found) -> None:
        self.frames += 1
        for name, result in found.items():
            verdicts = result.queries
            before = self.present.get(name, [0] * len(verdicts)), self.scores.get(name, [0.0] * len(verdicts))
            self.present[name] = [n + one.present for n, one in zip(before[0], verdicts, strict=True)]
            self.scores[name] = [max(s, one.score) for s, one in zip(before[1], verdicts, strict=True)]

    def record(self, sample: Sample) -> Record:
        asked = {
            one.name: AskedRecord(one.queries, tuple(self.present[one.name]), tuple(self.scores[one.name]))
            for one in sample.asked
        }
        return Record(sample.name, self.frames, asked)


@contextmanager
def _zip(staged: Path) -> Iterator[ZipFile]:
    """A zip to write. Raises OutputError where it cannot be written; then there is none."""
    try:
        with output_errors(staged), ZipFile(staged, "w", ZIP_STORED) as packed:
            yield packed
    except BaseException:
        staged.unlink(missing_ok=True)
        raise


def _below(path: str) -> str:
    """The path, if it leads below the folder it is joined to. Raises InputError for one that a data set's names lead
    elsewhere."""
    if any(part in ("", ".", "..") for part in path.split("/")) or "\\" in path:
        raise InputError(f"a file would be written to {path!r}; expected names without .. and empty parts")
    return path
