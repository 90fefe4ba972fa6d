"""The checks of an output folder of `carvid run`."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from carvid.errors import InputError
from carvid.paths import is_dir, is_file
from carvid.sinks.output import MANIFEST, MASKS, RESULTS
from carvid.sinks.results import read_results
from carvid.sinks.run_record import read_manifest
from carvid.verify.check import DIFFERS, OK, UNCHECKED, Check, Faults
from carvid.verify.run_frames import file_faults, file_names, line_faults
from carvid.verify.settings_hash import check_run_settings
from carvid.verify.source_hash import check_source
from carvid.verify.weights_hash import FoundWeights, find_weights


class RunFolder:
    """An output folder, read once.

    source: where the source lies, as recorded or as given. weights: found by `checks`, as is `has_source`.
    """

    def __init__(self, folder: Path, source: Path | None = None) -> None:
        """source: where the source lies now; None for where run.json says.

        Raises InputError where there is no run.json that can be read.
        """
        self.folder = folder
        self.manifest: Mapping[str, Any] = read_manifest(folder / MANIFEST)
        told = self.manifest.get("source")
        self._told: Mapping[str, Any] = told if isinstance(told, dict) else {}
        recorded = self._told.get("path")
        self.source = source or (Path(recorded) if isinstance(recorded, str) else None)
        self.weights: tuple[FoundWeights, ...] = ()
        self.has_source = False

    @property
    def segmenter(self) -> Mapping[str, Any]:
        """How the model described itself; empty where the record is damaged."""
        found = self.manifest.get("segmenter")
        return found if isinstance(found, dict) else {}

    @property
    def options(self) -> Mapping[str, Any]:
        """How the stream was opened and what was written; empty where the record is damaged."""
        found = self.manifest.get("options")
        return found if isinstance(found, dict) else {}

    @property
    def queries(self) -> list[str]:
        """The queries, in order; none where the record is damaged."""
        found = self.manifest.get("queries")
        return [each for each in found if isinstance(each, str)] if isinstance(found, list) else []

    def checks(self) -> Iterator[Check]:
        """Check source, weights, settings, results.jsonl and masks, in this order."""
        yield self._state()
        source = check_source("source", self.source, self._told.get("size_bytes"), self._told.get("sha256"))
        self.has_source = source.state == OK
        yield source
        self.weights = find_weights(self.segmenter)
        yield from (each.check for each in self.weights)
        yield check_run_settings(self.manifest)
        yield self._results()
        yield from self._frames()

    def _state(self) -> Check:
        """How far the run got. A run that was cut short is as it was recorded, so nothing differs."""
        frames, told = self.manifest.get("frames"), self.manifest
        if told.get("complete"):
            return Check("run", OK, f"complete, {frames} frames")
        if told.get("finished") is None:
            return Check("run", UNCHECKED, "run.json was not finished: the run still goes on, or was killed")
        ended = "interrupted" if told.get("interrupted") else "failed"
        return Check("run", OK, f"{ended} after {frames} frames, as recorded")

    def _results(self) -> Check:
        recorded, path = self.manifest.get("results_sha256"), self.folder / RESULTS
        if recorded is None:
            return Check(RESULTS, UNCHECKED, "run.json has no hash of it")
        try:
            with path.open("rb") as file:
                digest = hashlib.sha256()
                while block := file.read(1 << 20):
                    digest.update(block)
        except OSError as error:
            return Check(RESULTS, DIFFERS, f"{path} cannot be read ({error.strerror or error})")
        if digest.hexdigest() != recorded:
            return Check(
                RESULTS, DIFFERS, f"{path} has the SHA-256 {digest.hexdigest()}, {recorded} is recorded"
            )
        return Check(RESULTS, OK)

    def _frames(self) -> Iterator[Check]:
        """Of all lines and their mask files, one frame in memory at a time."""
        if self._has_no_lines():
            yield Check(f"lines of {RESULTS}", UNCHECKED, "there is no such file, as no frame was written")
            return
        lines, masks = Faults(), Faults()
        folder, separate = self.folder / MASKS, bool(self.options.get("separate"))
        frames = files = hashed = 0
        last = -1
        try:
            for line in read_results(self.folder / RESULTS):
                frames += 1
                try:
                    lines.add(line_faults(line, self.queries))
                    if line["index"] <= last:
                        lines.add([f"frame {line['index']} comes after frame {last}"])
                    last = line["index"]
                    masks.add(file_faults(line, folder, separate=separate))
                    files += len(file_names(line, separate=separate))
                    hashed += "masks" in line
                except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
                    lines.add([f"line {frames} is no record of a frame ({error!r})"])
        except InputError as error:
            lines.add([str(error)])
        if self.manifest.get("finished") is not None and frames != self.manifest.get("frames"):
            lines.add([f"it has {frames} frames, run.json says {self.manifest.get('frames')}"])
        yield lines.check(
            f"lines of {RESULTS}", f"{frames} frames: queries, areas and boxes agree with the masks' codes"
        )
        masks.add(self._strangers(files))
        if hashed < frames and not masks.count:
            why = (
                "the files agree with results.jsonl, but it has no hashes of them: an earlier carvid wrote it"
            )
            yield Check("masks", UNCHECKED, why)
        elif not frames and not masks.count:
            yield Check("masks", UNCHECKED, "there are none")
        else:
            yield masks.check("masks", f"{files} files: hashes, sizes and labels agree with results.jsonl")

    def _has_no_lines(self) -> bool:
        """Whether the run ended before it made results.jsonl: on a full disk, say, or killed at its very start."""
        told = self.manifest
        is_said = "schema_version" in told and told.get("results_sha256") is None and not told.get("frames")
        return is_said and not is_file(self.folder / RESULTS, InputError)

    def _strangers(self, expected: int) -> Iterator[str]:
        """Mask files that no line names. Memory does not grow with their number."""
        folder = self.folder / MASKS
        if not is_dir(folder, InputError):
            return
        found = sum(1 for _ in _mask_files(folder))
        # A run that ends with an error or is killed may have written masks of the next frame, and not its line.
        ended = self.manifest.get("complete") or self.manifest.get("interrupted")
        if found <= expected or not ended or self.manifest.get("error") is not None:
            return
        yield f"{folder} holds {found} mask files, results.jsonl names {expected}"


def _mask_files(folder: Path) -> Iterator[str]:
    """The PNG files in the folder of masks and in its numbered folders."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith(".png"):
                    yield entry.path
                elif entry.name.isdecimal() and entry.is_dir():
                    with os.scandir(entry.path) as own:
                        yield from (each.path for each in own if each.name.endswith(".png"))
    except OSError as error:
        raise InputError(f"cannot look into {folder}: {error.strerror or error}") from error
