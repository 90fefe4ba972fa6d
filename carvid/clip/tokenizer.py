"""Text to token ids: CLIP's byte-pair encoding from local files, and a stand-in for random weights."""

from __future__ import annotations

import html
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import ftfy
import regex
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.models import BPE

from carvid.errors import WeightsError
from carvid.paths import is_file
from carvid.weights.damage import refused
from carvid.weights.files import MERGES, TOKENIZER, TOKENIZER_CONFIG, VOCABULARY, read_json

BOS, EOS = "<|startoftext|>", "<|endoftext|>"

_WORD_END = "</w>"

# How CLIP cuts a text into words (CLIP, simple_tokenizer.py), whitespace dropped, but without its special tokens.
# By `regex` as there: that of tokenizers knows other letters, and "ignore case" takes a long s for the s of "'s".
_WORDS = regex.compile(
    r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+",
    regex.IGNORECASE,
)


@dataclass(frozen=True)
class Tokens:
    """A text's tokens, without the start and end tokens.

    text: as the tokenizer reads it, mended and in lower case, say.
    ids: token ids.
    ends: for each token, how many characters of `text` lie before its end.
    """

    text: str
    ids: tuple[int, ...]
    ends: tuple[int, ...]


class TextTokenizer(Protocol):
    """What `TextEncoder` needs of a tokenizer."""

    @property
    def bos_id(self) -> int:
        """The start token's id."""

    @property
    def eos_id(self) -> int:
        """The end token's id, at which CLIP pools a text."""

    @property
    def vocabulary_size(self) -> int:
        """One more than the highest id."""

    def encode(self, text: str) -> Tokens:
        """All tokens of `text`, however many; nothing in `text` is special."""


class BpeTokenizer:
    """CLIP's byte-pair encoding, from tokenizer.json or from vocab.json and merges.txt in `folder`.

    Only the vocabulary and the merges of tokenizer.json are used. The rest is CLIP's own, so nothing is cut or
    padded silently, and "<|endoftext|>" in a query is text like any other. Raises WeightsError if the files are
    missing or damaged.
    """

    def __init__(self, folder: Path) -> None:
        with refused(f"the vocabulary in {folder} cannot be read"):
            vocabulary, merges = _read(folder)
        config = (
            read_json(folder / TOKENIZER_CONFIG) if is_file(folder / TOKENIZER_CONFIG, WeightsError) else {}
        )
        bos, eos = _content(config.get("bos_token"), BOS), _content(config.get("eos_token"), EOS)
        for token in (bos, eos):
            if token not in vocabulary:
                raise WeightsError(f"the vocabulary in {folder} has no {token}: expected a CLIP tokenizer")
        self.bos_id, self.eos_id = vocabulary[bos], vocabulary[eos]
        self.vocabulary_size = max(vocabulary.values()) + 1
        with refused(f"the vocabulary in {folder} makes no byte-pair encoding"):
            bpe = BPE(vocab=vocabulary, merges=merges, end_of_word_suffix=_WORD_END, unk_token=eos)
        self._tokenizer = Tokenizer(bpe)
        self._tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)

    def encode(self, text: str) -> Tokens:
        """All tokens of `text`, however many; nothing in `text` is special."""
        read = as_clip_reads(text)
        words = list(_WORDS.finditer(read))
        ids: list[int] = []
        ends: list[int] = []
        for word, encoding in zip(
            words,
            self._tokenizer.encode_batch([word[0] for word in words], add_special_tokens=False),
            strict=True,
        ):
            ids += encoding.ids
            ends += [word.start() + end for _, end in encoding.offsets]
        return Tokens(read, tuple(ids), tuple(ends))


def as_clip_reads(text: str) -> str:
    """`text` as OpenAI's tokenizer reads it: encoding errors mended (ftfy), HTML's entities replaced twice, as
    web pages often escape them twice, each run of whitespace one space, lower case."""
    mended = html.unescape(html.unescape(ftfy.fix_text(text))).strip()
    return str(regex.sub(r"\s+", " ", mended)).strip().lower()


class WordHashTokenizer:
    """One token per word, its id a checksum: for random weights, for which any vocabulary will do.

    It needs no file and gives the same ids on every machine.
    """

    def __init__(self, vocabulary_size: int) -> None:
        self.vocabulary_size = vocabulary_size
        self.bos_id = vocabulary_size - 2
        self.eos_id = vocabulary_size - 1

    def encode(self, text: str) -> Tokens:
        """A token for each word or punctuation mark of `text`."""
        words = list(re.finditer(r"\w+|[^\w\s]", text))
        ids = tuple(zlib.crc32(word[0].lower().encode()) % self.bos_id for word in words)
        return Tokens(text, ids, tuple(word.end() for word in words))


def _read(folder: Path) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """The vocabulary and the merges in `folder`, checked."""
    if is_file(folder / TOKENIZER, WeightsError):
        path = folder / TOKENIZER
        content = read_json(path)
        model = content.get("model")
        if not isinstance(model, dict) or model.get("end_of_word_suffix") != _WORD_END:
            raise WeightsError(
                f"{path} is not a byte-pair encoding with {_WORD_END}: expected a CLIP tokenizer"
            )
        vocabulary, lines = model.get("vocab"), model.get("merges")
        if isinstance(vocabulary, dict):
            # The start and end tokens may be listed beside the vocabulary only.
            added = content.get("added_tokens") or []
            vocabulary = vocabulary | {token["content"]: token["id"] for token in added}
    else:
        path = folder / VOCABULARY
        if not (is_file(path, WeightsError) and is_file(folder / MERGES, WeightsError)):
            raise WeightsError(
                f"{folder} holds no vocabulary: expected {TOKENIZER}, or {VOCABULARY} and {MERGES}"
            )
        vocabulary = read_json(path)
        text = (folder / MERGES).read_text(encoding="utf-8")
        lines = [line for line in text.split("\n") if line and not line.startswith("#version")]
    if not vocabulary or not isinstance(vocabulary, dict) or not isinstance(lines, list):
        raise WeightsError(f"{path} is not a vocabulary: expected tokens with their numbers, and merges")
    if not all(isinstance(number, int) and 0 <= number < 2**32 for number in vocabulary.values()):
        raise WeightsError(f"{path} is not a vocabulary: expected a whole number for every token")
    return vocabulary, [_merge(line, vocabulary, path) for line in lines]


def _merge(line: object, vocabulary: Mapping[str, int], path: Path) -> tuple[str, str]:
    # A merge is "a b" or ["a", "b"]
    pair = line.split(" ") if isinstance(line, str) else line
    if isinstance(pair, list) and len(pair) == 2 and all(isinstance(part, str) for part in pair):
        first, second = pair
        if first in vocabulary and second in vocabulary and first + second in vocabulary:
            return first, second
    raise WeightsError(f"the merge {line!r} beside {path} is not two tokens that together make a third")


def _content(token: object, default: str) -> str:
    # tokenizer_config.json holds a special token as a string or as {"content": "..."}
    content = token.get("content") if isinstance(token, dict) else token
    return content if isinstance(content, str) else default
