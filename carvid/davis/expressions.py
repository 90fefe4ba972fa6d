"""The referring expressions of Ref-DAVIS 2017 (Khoreva et al., ACCV 2018), in the two forms they are published in.

Four sets: each of two annotators wrote one after seeing the first frame only, and one after the whole video.
"""

from __future__ import annotations

import codecs
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from carvid.data_files import read_json
from carvid.errors import InputError
from carvid.paths import is_dir, is_file
from carvid.wording import not_text

TEXT_FOLDER = "davis_text_annotations"
TEXT_FILES = (
    ("Davis17_annot1.txt", "utf-8-sig"),
    ("Davis17_annot1_full_video.txt", "utf-8-sig"),
    ("Davis17_annot2.txt", "latin-1"),
    ("Davis17_annot2_full_video.txt", "latin-1"),
)
"""File and encoding of each expression set, set 0 first."""

EXPRESSION_SETS = len(TEXT_FILES)
MISSPELT_VIDEOS = {"clasic-car": "classic-car", "dog-scale": "dogs-scale", "motor-bike": "motorbike"}
"""Video names as the text files spell them -> as the tree spells them."""

META_SPLIT_FOLDERS = {"val": ("val", "valid")}
"""The converted form calls the validation split "valid"."""


@dataclass(frozen=True)
class Expressions:
    """The expressions read, and where from.

    by_set: expression set -> video -> object id (from 1) -> expression.
    sources: expression set -> the file it was read from.
    frames: video -> the frame names that meta_expressions.json lists; empty for the text form.
    """

    by_set: Mapping[int, Mapping[str, Mapping[int, str]]]
    sources: Mapping[int, Path]
    frames: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def of(self, index: int, video: str) -> Mapping[int, str]:
        """Object id -> expression, for a video in an expression set; empty when it has none."""
        return self.by_set[index].get(video, {})


def find_expressions(
    root: Path, split: str, sets: Sequence[int], videos: Collection[str], problems: list[str]
) -> Expressions | None:
    """The expressions of some videos, from the text files or else from meta_expressions.json.

    Appends what is wrong to `problems`, one sentence each. None where neither form exists.
    """
    texts = root / TEXT_FOLDER
    if is_dir(texts, InputError):
        return _read_texts(texts, sets, videos, problems)
    folders = META_SPLIT_FOLDERS.get(split, (split,))
    metas = [root / "meta_expressions" / folder / "meta_expressions.json" for folder in folders]
    for path in metas:
        if is_file(path, InputError):
            return _read_meta(path, sets, videos, problems)
    problems.append(f"no expressions: neither the folder {texts} nor the file {metas[-1]}")
    return None


def _read_texts(
    folder: Path, sets: Sequence[int], videos: Collection[str], problems: list[str]
) -> Expressions:
    by_set: dict[int, dict[str, dict[int, str]]] = {}
    sources = {}
    for index in sets:
        name, encoding = TEXT_FILES[index]
        path = sources[index] = folder / name
        by_set[index] = {}
        if not is_file(path, InputError):
            problems.append(f"no file {path} (expression set {index})")
            continue
        try:
            data = path.read_bytes()
            # A byte order mark is what an editor writes that has saved a file anew.
            text = data.decode("utf-8-sig" if data.startswith(codecs.BOM_UTF8) else encoding)
        except UnicodeDecodeError as error:
            problems.append(f"{path} is not UTF-8 (byte {error.start})")
            continue
        except OSError as error:
            problems.append(f"cannot read {path}: {error.strerror or error}")
            continue
        # Not splitlines(): Latin-1 text may hold a byte that Unicode calls a line end (0x85).
        for number, line in enumerate(text.replace("\r", "").split("\n"), 1):
            if line.strip():
                _add_line(line, f"{path}:{number}", videos, by_set[index], problems)
    return Expressions(by_set, sources)


def _add_line(
    line: str, place: str, videos: Collection[str], found: dict[str, dict[int, str]], problems: list[str]
) -> None:
    parts = line.split(maxsplit=2)
    video = MISSPELT_VIDEOS.get(parts[0], parts[0])
    if len(parts) < 2 or not (parts[1].isascii() and parts[1].isdigit()):
        problems.append(f'{place}: expected: video object_id "expression", found: {line.strip()!r}')
        return
    if video not in videos:
        return
    _add(found.setdefault(video, {}), int(parts[1]), "".join(parts[2:]), f"{place}: {video}", problems)


def _add(of_video: dict[int, str], object_id: int, text: str, place: str, problems: list[str]) -> None:
    expression = text.strip()
    if len(expression) > 1 and expression[0] == expression[-1] == '"':
        expression = expression[1:-1].strip()
    if not expression:
        problems.append(f"{place}, object {object_id}: the expression is empty")
    elif wrong := not_text(expression):
        problems.append(f"{place}, object {object_id}: the expression {expression!r} {wrong}")
    elif object_id in of_video:
        problems.append(f"{place}, object {object_id}: a second expression in the same set")
    else:
        of_video[object_id] = expression


def _read_meta(path: Path, sets: Sequence[int], videos: Collection[str], problems: list[str]) -> Expressions:
    """{"videos": {name: {"expressions": {"0": {"exp", "obj_id"}, ...}, "frames": [...]}}}: the expressions of
    an object, in the order of their keys, are those of sets 0, 1, 2, 3."""
    by_set: dict[int, dict[str, dict[int, str]]] = {index: {} for index in sets}
    frames: dict[str, tuple[str, ...]] = {}
    result = Expressions(by_set, dict.fromkeys(sets, path), frames)
    try:
        listed = read_json(path)["videos"]
        for video in videos:
            if video not in listed:
                problems.append(f"{path} has no video {video}")
                continue
            frames[video] = tuple(map(str, listed[video].get("frames", ())))
            for object_id, texts in _by_object(listed[video]["expressions"]).items():
                if len(texts) != EXPRESSION_SETS:
                    problems.append(
                        f"{path}: object {object_id} of {video} has {len(texts)} expressions, "
                        f"expected {EXPRESSION_SETS}, one per set"
                    )
                    continue
                for index in sets:
                    place = f"{path}: {video}"
                    _add(by_set[index].setdefault(video, {}), object_id, texts[index], place, problems)
    except InputError as error:
        problems.append(str(error))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        problems.append(f"{path} is not in the form of meta_expressions.json ({error!r})")
    return result


def _by_object(expressions: Mapping[str, Mapping[str, Any]]) -> dict[int, list[str]]:
    grouped: dict[int, list[str]] = {}
    for key in sorted(expressions, key=int):
        entry = expressions[key]
        grouped.setdefault(int(entry["obj_id"]), []).append(str(entry["exp"]))
    return grouped
