"""The zip that a benchmark's server takes where the truth is not published: grey masks of 0 and 255."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile, ZipInfo

import numpy as np
from PIL import Image

from carvid.evaluate.contract import Sample
from carvid.evaluate.expression_masks import mask_path, refuse_broken
from carvid.evaluate.truth_png import read_labels
from carvid.media.whole_file import Replacement, output_errors

# The earliest that a zip can say; the same masks always give the same bytes.
_TIMESTAMP = (1980, 1, 1, 0, 0, 0)
_UNIX = 3
_READABLE = 0o644 << 16


def write_zip(predictions: Path, samples: Sequence[Sample], path: Path, *, folder: str = "") -> None:
    """Pack the masks <folder>/<video>/<expression>/<frame>.png of all frames under the same names.

    They are written in mode L, 255 where the prediction is not 0, and lie in the zip sorted by name. The zip at `path`
    is written whole or not at all, and replaced if it is there.

    Raises one InputError that lists the masks that are missing, cut short or of another size than their frame;
    OutputError.
    """
    refuse_broken(predictions, folder, samples, frame_names, "refuse")
    names = sorted(
        mask_path(folder, sample, asked, frame)
        for sample in samples
        for asked in sample.asked
        for frame in frame_names(sample)
    )
    replacement = Replacement(path)
    try:
        with output_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            replacement.temporary.touch()
        with replacement.temporary.open("wb") as file, ZipFile(file, "w", ZIP_STORED) as packed:
            for name in names:
                data = _encode(predictions / name)
                entry = ZipInfo(name, _TIMESTAMP)
                entry.create_system, entry.external_attr = _UNIX, _READABLE
                with output_errors(path):
                    packed.writestr(entry, data)
        replacement.commit()
    finally:
        replacement.discard()


def frame_names(sample: Sample) -> tuple[str, ...]:
    """The names of all of a sample's frames, without suffix."""
    return tuple(Path(frame).stem for frame in sample.frames)


def _encode(path: Path) -> bytes:
    mask = np.where(read_labels(path) != 0, np.uint8(255), np.uint8(0))
    encoded = io.BytesIO()
    Image.fromarray(mask).save(encoded, format="PNG")
    return encoded.getvalue()
