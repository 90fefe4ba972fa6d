"""Which files hold a network in Hugging Face format, and which of them are refused. Knows nothing of tensors."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from carvid.errors import WeightsError
from carvid.media.json_text import load_json
from carvid.paths import is_file
from carvid.weights.names import Family

CONFIG = "config.json"
PREPROCESSOR = "preprocessor_config.json"
SAFETENSORS = "model.safetensors"
SAFETENSORS_INDEX = "model.safetensors.index.json"
PICKLE = "pytorch_model.bin"
TOKENIZER = "tokenizer.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
VOCABULARY = "vocab.json"
MERGES = "merges.txt"


# Half precision, saved beside model.safetensors or instead of it. The shards of a model do not match.
_VARIANT = re.compile(r"model\.(?!safetensors\b)[\w-]+\.safetensors", re.ASCII)


@dataclass(frozen=True)
class ModelFiles:
    """The names of a model's files inside one folder or repository.

    weights: one file, or the index of a sharded model (which names its shards).
    others: configuration, preprocessing and, for a CLIP, vocabulary.
    """

    weights: str
    others: tuple[str, ...]

    @property
    def sharded(self) -> bool:
        """Whether `weights` is an index of shards."""
        return self.weights == SAFETENSORS_INDEX


def choose_files(names: Collection[str], family: Family, *, where: str, pickle: bool) -> ModelFiles:
    """Choose what to read among the file `names` of `where`: safetensors, or a pickle if `pickle` allows it.

    A variant such as model.fp16.safetensors is chosen if it is the only one.
    Raises WeightsError, which names what is missing or the pickle that was refused.
    """
    if CONFIG not in names:
        raise WeightsError(f"{where} holds no {CONFIG}: expected {family.model} in Hugging Face format")
    tokenizer = [name for name in (TOKENIZER, TOKENIZER_CONFIG, VOCABULARY, MERGES) if name in names]
    if family.vocabulary and not has_vocabulary(names):
        raise WeightsError(f"{where} holds no vocabulary: expected {TOKENIZER}, or {VOCABULARY} and {MERGES}")
    others = (CONFIG, *(name for name in (PREPROCESSOR,) if name in names), *tokenizer)
    for weights in (SAFETENSORS, SAFETENSORS_INDEX, *((PICKLE,) if pickle else ())):
        if weights in names:
            return ModelFiles(weights, others)
    variants = sorted(name for name in names if _VARIANT.fullmatch(name))
    if len(variants) == 1:
        return ModelFiles(variants[0], others)
    if variants:
        raise WeightsError(
            f"{where} holds {', '.join(variants)}: expected {SAFETENSORS}, or one of them alone"
        )
    if PICKLE not in names:
        raise WeightsError(f"{where} holds no weights: expected {SAFETENSORS} or {SAFETENSORS_INDEX}")
    raise WeightsError(
        f"{where} holds its weights only as {PICKLE}, which is a pickle: pass --allow-pickle to read it "
        f"(tensors only, weights_only=True), or convert it to {SAFETENSORS}"
    )


def check_pickle(path: Path, *, allow_pickle: bool) -> None:
    """Raises WeightsError if `path` is a pickle and pickles are not allowed."""
    if path.suffix.lower() != ".safetensors" and not allow_pickle:
        raise WeightsError(
            f"{path} is a pickle: pass --allow-pickle to read its tensors (weights_only=True), or convert it "
            "to safetensors"
        )


def has_vocabulary(names: Collection[str]) -> bool:
    """Whether `names` hold a tokenizer: tokenizer.json, or vocab.json with merges.txt."""
    return TOKENIZER in names or (VOCABULARY in names and MERGES in names)


def names_in(folder: Path) -> frozenset[str]:
    """The names of the readable files directly in `folder` (a dangling link is none). Raises WeightsError."""
    try:
        return frozenset(path.name for path in folder.iterdir() if is_file(path, WeightsError))
    except OSError as error:
        raise WeightsError(f"cannot list {folder}: {error}") from error


def shards_of(index: Path) -> tuple[str, ...]:
    """The shard names in a safetensors index, sorted. Raises WeightsError for a damaged index."""
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise WeightsError(f"{index} is not an index of safetensors: expected a weight_map of tensor names")
    shards = sorted({str(shard) for shard in weight_map.values()})
    for shard in shards:
        # A path in the index could reach any file of the machine.
        if Path(shard).name != shard or "\\" in shard or not shard.endswith(".safetensors"):
            raise WeightsError(f"{index} names the shard {shard!r}: expected a .safetensors file beside it")
    return tuple(shards)


def weight_files(folder: Path, files: ModelFiles) -> tuple[Path, ...]:
    """The paths of the weights themselves, each shard on its own. Raises WeightsError where one is missing."""
    shards = shards_of(folder / files.weights) if files.sharded else (files.weights,)
    for shard in shards:
        if not is_file(folder / shard, WeightsError):
            raise WeightsError(f"{folder} lacks {shard}, which its {files.weights} names")
    return tuple(folder / shard for shard in shards)


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in `path`. Raises WeightsError if it holds anything else."""
    try:
        content = load_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"cannot read {path}: {error}") from error
    if not isinstance(content, dict):
        raise WeightsError(f"{path} holds a JSON {type(content).__name__}: expected an object")
    return content


def sha256_of(paths: Iterable[Path]) -> str:
    """The SHA-256 of one file; of several, that of the lines `HASH  NAME` sha256sum prints, sorted by name."""
    lines = []
    for path in sorted(paths, key=lambda path: path.name):
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        lines.append((digest.hexdigest(), path.name))
    if len(lines) == 1:
        return lines[0][0]
    return hashlib.sha256("".join(f"{digest}  {name}\n" for digest, name in lines).encode()).hexdigest()
