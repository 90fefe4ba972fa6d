"""Pictures without labels, as `carvid images` runs them: the samples are a folder's images, and nothing is scored."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from carvid.errors import InputError
from carvid.evaluate.contract import Asked, Sample
from carvid.evaluate.records import read_record
from carvid.media.whole_file import write_whole
from carvid.paths import is_dir
from carvid.result import FrameResult
from carvid.stream.folder import is_image_name, natural_key, suffix_list
from carvid.stream.image_file import UNREADABLE, image_size
from carvid.wording import checked_queries

MASKS = "masks"
RESULTS = "results.jsonl"
_ASKED = "queries"


class _Pictures:
    """See `carvid.evaluate.contract.Painter`."""

    name = "images"

    def paint(
        self, sample: Sample, frame: str, found: Mapping[str, FrameResult]
    ) -> Iterator[tuple[str, NDArray[np.uint8]]]:
        """The label map: per pixel the place, from 1, of the query that responds most; 0 for none."""
        yield f"{MASKS}/{sample.name}.png", found[_ASKED].query_map


PICTURES = _Pictures()


def read_pictures(folder: Path, queries: Sequence[str]) -> tuple[Sample, ...]:
    """The images in a folder and in the folders below it, in natural order (2 before 10), all asked for the same.

    A sample is named by its image's path below the folder without suffix, or with it where two would be named alike.
    Hidden files and folders are left out. An image whose size cannot be read has the size (0, 0), and will fail.
    Raises UsageError for queries that cannot be used, InputError where there is no folder, no image, or a folder that
    cannot be listed.
    """
    asked = Asked(_ASKED, checked_queries(queries), tuple(range(1, len(queries) + 1)))
    if not is_dir(folder, InputError):
        raise InputError(f"no folder {folder}: expected one that holds images")
    files = sorted(_images(folder), key=lambda path: natural_key(str(path.relative_to(folder))))
    if not files:
        raise InputError(f"the folder {folder} holds no image; expected files ending in {suffix_list()}")
    plain = [path.relative_to(folder).with_suffix("").as_posix() for path in files]
    alike = {name for name, times in Counter(plain).items() if times > 1}
    return tuple(
        Sample(
            path.relative_to(folder).as_posix() if name in alike else name,
            (str(path.absolute()),),
            _size(path),
            (asked,),
            upright=True,
        )
        for path, name in zip(files, plain, strict=True)
    )


def write_results(out: Path, samples: Sequence[Sample]) -> None:
    """Write results.jsonl: for each sample that is done a line with its image and what was said of each query."""
    lines = []
    for sample in samples:
        record = read_record(out, sample.name)
        if record is None:
            continue
        of = record.asked[_ASKED]
        said = [
            {"query": query, "present": bool(frames), "score": score}
            for query, frames, score in zip(of.queries, of.present_frames, of.scores, strict=True)
        ]
        line = {"image": sample.frames[0], "mask": f"{MASKS}/{sample.name}.png", "queries": said}
        lines.append(json.dumps(line, ensure_ascii=False) + "\n")
    write_whole(out / RESULTS, "".join(lines).encode("utf-8", "surrogateescape"))


def _images(folder: Path) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise InputError(f"the folder {error.filename} cannot be listed: {error.strerror}") from error

    for place, below, names in os.walk(folder, onerror=refuse):
        below[:] = [name for name in below if not name.startswith(".")]
        yield from (Path(place, name) for name in names if is_image_name(name))


def _size(path: Path) -> tuple[int, int]:
    try:
        return image_size(path)
    except UNREADABLE:
        return 0, 0
