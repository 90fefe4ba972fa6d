"""Compare what carvid reads with what PyAV and, if installed, the ffmpeg program decode, frame by frame.

    python scripts/check_media.py FOLDER [FOLDER ...]

Prints a Markdown table with a row for each file directly in the folders. "same" counts the frames of carvid's that
equal a frame of PyAV's in timestamp and picture; "off by" is the largest mean difference between two pictures, in grey
levels; "first only in PyAV" is the number of the first frame that carvid leaves out. Frames without timestamps are
compared in order.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from carvid.errors import CarvidError
from carvid.stream import Damage, open_frames
from carvid.stream.container import UNREADABLE, open_container
from carvid.stream.orientation import UPRIGHT, turned
from carvid.stream.video_pyav import turn_of


@dataclass
class Compared:
    """The comparison of one file. carvid, pyav, same: numbers of frames. error, pyav_error: what each raised."""

    carvid: int = 0
    pyav: int = 0
    same: int = 0
    off_by: float = 0.0
    missing: int | None = None
    damage: tuple[Damage, ...] = ()
    error: str = ""
    pyav_error: str = ""

    def row(self, name: str, ffmpeg: str) -> str:
        pyav = f"{self.pyav} ({self.pyav_error})" if self.pyav_error else str(self.pyav)
        remark = self.error or "; ".join(map(str, self.damage))
        missing = "" if self.missing is None else str(self.missing)
        cells = [name, self.carvid, pyav, ffmpeg, self.same, f"{self.off_by:.1f}", missing, remark]
        return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


def plain_frames(path: Path) -> Iterator[tuple[float | None, NDArray[np.uint8]]]:
    """Seconds and upright RGB of each frame that PyAV decodes, errors concealed, in the stream that carvid reads."""
    container, stream = open_container(path)
    with container:
        time_base: Fraction = stream.time_base
        for frame in container.decode(stream):
            image: Any = frame.to_ndarray(format="rgb24")
            seconds = None if frame.pts is None else float(frame.pts * time_base)
            yield seconds, turned(image, turn_of(frame) or UPRIGHT)


def compare(path: Path) -> Compared:
    """Read a file both ways, in step."""
    found = Compared()
    plain = plain_frames(path)
    try:
        with open_frames(path) as stream:
            for frame in stream:
                found.carvid += 1
                for image in _until(plain, found, frame.index, frame.pts_seconds):
                    if image.shape != frame.image.shape:
                        break
                    off_by = float(np.abs(image.astype(np.int16) - frame.image).mean())
                    found.off_by = max(found.off_by, off_by)
                    found.same += off_by == 0
            found.damage = stream.damage
    except CarvidError as error:
        found.error = str(error).replace(str(path), path.name)
    for _ in _until(plain, found, None, None):
        found.missing = found.pyav - 1 if found.missing is None else found.missing
    return found


def _until(
    plain: Iterator[tuple[float | None, NDArray[np.uint8]]],
    found: Compared,
    index: int | None,
    seconds: float | None,
) -> Iterator[NDArray[np.uint8]]:
    """PyAV's frame at `seconds` (number `index` if None), counting those before it; all frames if `index` is None."""
    try:
        for at, image in plain:
            found.pyav += 1
            if index is None:
                yield image
            elif at == seconds if seconds is not None else found.pyav > index:
                yield image
                return
            elif found.missing is None:
                found.missing = found.pyav - 1
    except (*UNREADABLE, CarvidError) as error:
        found.pyav_error = type(error).__name__


def ffmpeg_count(path: Path) -> str:
    """How many frames the ffmpeg program writes, and "+ n errors" if it reports any; "" where it is not installed."""
    program = shutil.which("ffmpeg")
    if program is None:
        return ""
    command = [program, "-nostdin", "-v", "error", "-i", f"file:{path}", "-map", "0:v:0"]
    done = subprocess.run(
        [*command, "-fps_mode", "passthrough", "-f", "framemd5", "-"],
        capture_output=True,
        text=True,
        check=False,
    )
    count = sum(not line.startswith("#") for line in done.stdout.splitlines())
    errors = len(done.stderr.splitlines())
    return f"{count} + {errors} errors" if errors else str(count)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    print("| file | carvid | PyAV | ffmpeg | same | off by | first only in PyAV | damage or error |")
    print("|---|---|---|---|---|---|---|---|")
    for folder in parser.parse_args().folders:
        for path in sorted(path for path in folder.iterdir() if path.is_file()):
            print(compare(path).row(path.name, ffmpeg_count(path)), flush=True)


if __name__ == "__main__":
    main()
