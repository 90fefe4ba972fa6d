"""Texts to embeddings, each text once (docs/method.md, shortcut 6)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from carvid.clip.text_tower import TextTower
from carvid.clip.tokenizer import TextTokenizer
from carvid.errors import UsageError

_BATCH = 64
_SHOWN_CHARACTERS = 60


class TextEncoder:
    """Text embeddings of one CLIP. A text is embedded the first time it is asked for, and then kept.

    name: the CLIP's, for messages.
    """

    def __init__(self, name: str, tower: TextTower, tokenizer: TextTokenizer) -> None:
        self._name = name
        self.tower, self.tokenizer = tower, tokenizer
        self._kept: dict[tuple[int, ...], Tensor] = {}

    @property
    def context_length(self) -> int:
        """How many tokens a text may have, start and end included."""
        return len(self.tower.positions)

    @torch.inference_mode(False)
    @torch.no_grad()
    def embed(self, texts: Sequence[str], *, truncate: bool = False, blank: bool = False) -> Tensor:
        """The projected text features of `texts`, L2-normalised.

        A text may be given twice. One longer than the model's context (77 tokens for CLIP, start and end
        included) is refused unless `truncate`, which keeps its first tokens. `blank` admits texts without a word.

        Returns (n, d) float32 on the tower's device, row i for text i.
        Raises UsageError for a text without a word, one longer than the context (showing where it would be cut), and
        one whose characters the vocabulary does not know.
        """
        rows = [self.token_ids(text, truncate=truncate, blank=blank) for text in texts]
        new = [ids for ids in dict.fromkeys(rows) if ids not in self._kept]
        for start in range(0, len(new), _BATCH):
            batch = new[start : start + _BATCH]
            self._kept.update(zip(batch, self._encode(batch).unbind(), strict=True))
        if not rows:
            projection = self.tower.projection
            return torch.zeros(0, len(projection), device=projection.device)
        return torch.stack([self._kept[ids] for ids in rows])

    def token_ids(self, text: str, *, truncate: bool = False, blank: bool = False) -> tuple[int, ...]:
        """The ids of `text` with start and end token, at most `context_length` of them. Raises as `embed`."""
        tokenizer = self.tokenizer
        tokens = tokenizer.encode(text)
        if not tokens.text.strip():
            if blank:
                return tokenizer.bos_id, tokenizer.eos_id
            raise UsageError(f"the text {text!r} is empty: expected words")
        if not tokens.ids or tokenizer.eos_id in tokens.ids:
            # An unknown character becomes the end token in CLIP's vocabulary, which would end the text there.
            raise UsageError(
                f"the text {text!r} holds characters that the vocabulary of {self._name} does not know"
            )
        room = self.context_length - 2
        if len(tokens.ids) > room and not truncate:
            cut = tokens.ends[room - 1] if room > 0 else 0
            raise UsageError(
                f"a text of {len(tokens.ids) + 2} tokens (start and end included) is longer than the "
                f"{self.context_length} of {self._name}; it would be cut here: "
                f"{_show_cut(tokens.text, cut)}. Shorten it, or pass --truncate to keep what stands before the bar"
            )
        return (tokenizer.bos_id, *tokens.ids[:room], tokenizer.eos_id)

    def _encode(self, batch: Sequence[tuple[int, ...]]) -> Tensor:
        # What follows the end token does not matter: attention is causal, and the text is pooled at its first end
        # token or at its highest id. So any id that is neither will do as padding.
        padding = 0 if self.tokenizer.eos_id != 0 else 1
        ids = torch.full((len(batch), max(map(len, batch))), padding, dtype=torch.long)
        for row, tokens in zip(ids, batch, strict=True):
            row[: len(tokens)] = torch.tensor(tokens)
        features = self.tower(ids.to(self.tower.positions.device))
        return torch.nn.functional.normalize(features.float(), dim=-1)


def _show_cut(text: str, cut: int) -> str:
    kept, lost = text[:cut], text[cut:]
    head = "..." if len(kept) > _SHOWN_CHARACTERS else ""
    tail = "..." if len(lost) > _SHOWN_CHARACTERS else ""
    return f"{head}{kept[-_SHOWN_CHARACTERS:]} | {lost[:_SHOWN_CHARACTERS].strip()}{tail}"
