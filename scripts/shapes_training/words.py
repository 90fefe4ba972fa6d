"""The texts: the names of things, their wordings, the tokenizer learned on them, and their embeddings."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

from numpy.random import Generator
from torch import Tensor
from torch.nn import functional as F
from transformers import CLIPModel, CLIPTokenizer

from carvid.recipe.settings import BACKGROUND_TEXTS
from carvid.shapes.scenes import COLOURS, SHAPES

# A scene may hold a tree or a house, so for this model these two are things, never background.
NEGATIVES = [text for text in BACKGROUND_TEXTS if text not in SHAPES]
FULL = [f"{colour} {shape}" for colour in COLOURS for shape in SHAPES]
NAMES = FULL + list(SHAPES)

# Wordings listed twice are drawn twice as often.
# fmt: off
WORDINGS = [
    "{}", "{}", "the {}", "the {}", "a {}", "a {}", "a photo of a {}.", "a clean origami {}.", "a clean origami {}.",
    "This is a photo of a {}", "There is a {} in the scene", "There is the {} in the scene", "the {} in the video",
    "a photo of a {} in the scene", "a photo of a small {}.", "a photo of a medium {}.", "a photo of a large {}.",
]
OTHER_WORDS = (
    "left right top bottom near far big little thing object shape colour in on of and with without front behind"
).split()
# fmt: on
TOKENIZER_FILES = ("vocab.json", "merges.txt", "tokenizer_config.json")
BOS, EOS = "<|startoftext|>", "<|endoftext|>"


def write_tokenizer(folder: Path) -> None:
    """A CLIP tokenizer (vocab.json, merges.txt) whose merges are learned on the wordings alone."""
    corpus = [word.replace("{}", name) for word in WORDINGS for name in (*NAMES, *BACKGROUND_TEXTS)]
    corpus += OTHER_WORDS
    words = Counter(word for text in corpus for word in text.lower().replace(".", " .").split())
    alphabet = sorted(_byte_alphabet())
    merges = learn_merges(words)
    tokens = alphabet + [letter + "</w>" for letter in alphabet] + ["".join(pair) for pair in merges]
    vocabulary = {token: i for i, token in enumerate(dict.fromkeys([*tokens, BOS, EOS]))}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    special = {
        "bos_token": BOS,
        "eos_token": EOS,
        "unk_token": EOS,
        "pad_token": EOS,
    }
    settings = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, **special}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=1))


def learn_merges(words: Mapping[str, int]) -> list[tuple[str, str]]:
    """Byte-pair merges, the most frequent pair first and of equal ones the first by name, until each word is one token.

    Written out because the order of equal pairs must not change from run to run: weights know tokens by number.
    """
    spelt = {word: (*word[:-1], word[-1] + "</w>") for word in words}
    merges = []
    while True:
        pairs: Counter[tuple[str, str]] = Counter()
        for word, parts in spelt.items():
            for pair in pairwise(parts):
                pairs[pair] += words[word]
        if not pairs:
            return merges
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        spelt = {word: _merged(parts, best) for word, parts in spelt.items()}


def _merged(parts: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    out: list[str] = []
    for part in parts:
        if out and (out[-1], part) == pair:
            out[-1] += part
        else:
            out.append(part)
    return tuple(out)


def _byte_alphabet() -> list[str]:
    """The printable stand-ins of the 256 bytes that byte-level BPE uses."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return [chr(b) for b in plain] + [chr(256 + i) for i in range(256 - len(plain))]


class Texts:
    """Embeds texts, each in a random wording."""

    def __init__(self, model: CLIPModel, tokenizer: CLIPTokenizer, rng: Generator) -> None:
        self.model, self.tokenizer, self.rng = model, tokenizer, rng

    def __call__(self, texts: list[str], wording: str | None = None) -> Tensor:
        pick = [wording or WORDINGS[int(self.rng.integers(len(WORDINGS)))] for _ in texts]
        worded = [w.replace("{}", text) for w, text in zip(pick, texts, strict=True)]
        batch = self.tokenizer(worded, padding=True, return_tensors="pt")
        out = self.model.get_text_features(
            input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]
        )
        return F.normalize(getattr(out, "pooler_output", out), dim=-1)
