"""meta_expressions.json, in which Ref-YouTube-VOS and MeViS list videos, their frames and expressions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from carvid.data_files import read_json
from carvid.errors import InputError
from carvid.evaluate.contract import Asked
from carvid.evaluate.stored_size import stored_size
from carvid.paths import is_file


@dataclass(frozen=True)
class Expression:
    """id: its number in the video, as text. text: as published, spaces at its ends included. told: its other keys."""

    id: str
    text: str
    told: Mapping[str, Any]

    @property
    def asked(self) -> Asked:
        return Asked(self.id, (self.text,), (1,))


@dataclass(frozen=True)
class ListedVideo:
    """frames: names without suffix, in order. expressions: in the order of their numbers; at least one."""

    name: str
    frames: tuple[str, ...]
    expressions: tuple[Expression, ...]


def read_meta_expressions(path: Path, problems: list[str]) -> dict[str, ListedVideo]:
    """The videos of a file by name, in its order; those without expressions are left out, as nothing is asked of them.

    Appends to `problems` what is wrong, one sentence each.
    """
    values = told_json(path, problems)
    if values is None:
        return {}
    videos = values.get("videos") if isinstance(values, dict) else None
    if not isinstance(videos, dict):
        problems.append(f'{path} holds no object "videos"')
        return {}
    found: dict[str, ListedVideo] = {}
    for name, told in videos.items():
        try:
            video = ListedVideo(_plain(name), _frames(told["frames"]), _expressions(told["expressions"]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            reason = f"no {error}" if isinstance(error, KeyError) else str(error)
            problems.append(
                f"{path}, video {name!r}: {reason}; expected frames and expressions by their number"
            )
            continue
        if video.expressions:
            found[name] = video
    return found


def told_json(path: Path, problems: list[str]) -> Any:
    """What a JSON file holds; None, and a sentence in `problems`, where it cannot be read or holds null."""
    try:
        return read_json(path)
    except InputError as error:
        problems.append(str(error))
        return None


def find_frames(
    images: Path, video: ListedVideo, problems: list[str]
) -> tuple[tuple[str, ...], tuple[int, int]] | None:
    """The paths of a video's frames, <images>/<video>/<frame>.jpg, and the (H, W) in px that all of them have.

    None, and sentences in `problems`, where one is missing, is no image, or has another size than the first.
    """
    folder = images / video.name
    if not folder.is_dir():
        problems.append(f"no folder {folder}")
        return None
    before = len(problems)
    paths = [folder / f"{frame}.jpg" for frame in video.frames]
    size: tuple[int, int] | None = None
    for path in paths:
        if not is_file(path, InputError):
            problems.append(f"no frame {path}")
            continue
        try:
            height, width = stored_size(path)
        except InputError as error:
            problems.append(str(error))
            continue
        size = size or (height, width)
        if (height, width) != size:
            problems.append(
                f"{path} is {width}x{height} px; expected {size[1]}x{size[0]}, as the frames before it"
            )
    if size is None or len(problems) > before:
        return None
    return tuple(map(str, paths)), size


def _frames(told: Any) -> tuple[str, ...]:
    if not isinstance(told, list) or not told:
        raise ValueError("its frames are no list of names")
    frames = tuple(map(_plain, told))
    if len(set(frames)) < len(frames):
        raise ValueError("a frame is listed twice")
    return frames


def _expressions(told: Any) -> tuple[Expression, ...]:
    expressions = []
    for name, values in told.items():
        text = values["exp"]
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"expression {name} is {text!r}, which is no text")
        others = {key: value for key, value in values.items() if key != "exp"}
        expressions.append(Expression(_plain(name), text, others))
    return tuple(sorted(expressions, key=_by_number))


def _by_number(expression: Expression) -> tuple[int, str]:
    return (int(expression.id) if expression.id.isdecimal() else 0, expression.id)


def _plain(name: Any) -> str:
    """A name that becomes that of a file or folder."""
    if not isinstance(name, str) or not name or name in (".", "..") or any(c in name for c in "/\\\0"):
        raise ValueError(f"{name!r} is not the name of a file or folder alone")
    return name
