"""v and g: draws a visual prompt around each query's proposal, then encodes and classifies it by a CLIP (eq. 4, 5)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from carvid.car.prompts import draw_prompts
from carvid.car.recurrence import Asked
from carvid.errors import UsageError


@dataclass(frozen=True)
class ClassifierTexts:
    """The texts of g, embedded once per video.

    queries: (S, N, d) and negatives: (S, M, d) for S templates, float32 of length 1; M may be 0.
    later: what is read instead from the second step on; None for the same.
    """

    queries: Tensor
    negatives: Tensor
    logit_scale: float
    later: ClassifierTexts | None = None

    def at(self, step: int) -> ClassifierTexts:
        """The texts of a step, counted from 1."""
        return self if step == 1 or self.later is None else self.later


def character_texts(texts: Sequence[str]) -> list[str]:
    """What the authors' released code reads in place of N worded queries from the second step on.

    Returns N rows of N characters: row n has, in the place of query i, character i of text n. Raises UsageError where a
    text has no such character, at which that code ends.
    """
    shortest = min(texts, key=len)
    if len(texts) > len(shortest):
        raise UsageError(
            f"{len(texts)} queries, but {shortest!r} has {len(shortest)} characters, one for each query at most: the "
            "released code ends here. Ask for fewer queries together, or turn the defect off by "
            "--switch no-character-texts"
        )
    return [text[: len(texts)] for text in texts]


def class_probabilities(embeddings: Tensor, texts: ClassifierTexts, live: Sequence[int]) -> Tensor:
    """P_t = softmax over the live queries (eq. 5): (K, K) float32 in [0, 1].

    embeddings: (K, d) float32 of length 1, of the K live queries' prompted images, in the order of `live`. Negatives
    are extra columns of every softmax, not returned. With several templates the softmaxes are summed and softmaxed
    again.
    """
    texts_live = torch.cat([texts.queries[:, list(live)], texts.negatives], 1)  # (S, K + M, d)
    probabilities = (texts.logit_scale * (embeddings @ texts_live.transpose(1, 2))).softmax(-1)
    summed = probabilities.sum(0)
    if len(texts_live) > 1:
        summed = summed.softmax(-1)
    return summed[:, : len(live)]


class FrameClassifier:
    """v and g on one frame. Reuses a query's embedding while its prompted image stays the same."""

    def __init__(
        self,
        image: Tensor,
        texts: ClassifierTexts,
        eta: float,
        prompts: Sequence[str],
        switches: Sequence[str] = (),
    ) -> None:
        """image: (H, W, 3) uint8 RGB. switches: names in `carvid.recipe.variant.SWITCHES`."""
        self._image, self._texts = image, texts
        self._eta, self._prompts, self._switches = eta, prompts, switches
        self._shown: dict[int, Tensor] = {}
        self._embeddings: dict[int, Tensor] = {}

    def draw(self, asked: Asked) -> tuple[list[int], Tensor]:
        """The queries whose prompt is new or changed, and their prompted images (K, H, W, 3) uint8 RGB."""
        masks = asked.proposals > self._eta
        shown, plain = masks.flatten(1), None
        if "blank-unprompted" in self._switches:
            plain = asked.proposals.sum((1, 2)) <= 1
            # Two empty masks may differ in whether a prompt is drawn.
            shown = torch.cat([shown, plain[:, None]], 1)
        fresh = self._fresh(asked.live, shown)
        self._shown.update({asked.live[i]: shown[i] for i in fresh})
        if not fresh:
            return [], self._image.new_empty((0, *self._image.shape))
        drawn = draw_prompts(self._image, masks[fresh], self._prompts, self._switches)
        if plain is not None:
            drawn = torch.where(plain[fresh][:, None, None, None], self._image, drawn)
        return [asked.live[i] for i in fresh], drawn

    def learn(self, queries: Sequence[int], embeddings: Iterable[Tensor]) -> None:
        """Store g's embeddings of the images that `draw` returned for these queries: K of (d,) float32 of length 1."""
        self._embeddings.update(zip(queries, embeddings, strict=True))

    def scores(self, asked: Asked) -> Tensor:
        """P_t^{ii} of each live query: (K,) float32 in [0, 1]."""
        embeddings = torch.stack([self._embeddings[query] for query in asked.live])
        return class_probabilities(embeddings, self._texts.at(asked.step), asked.live).diagonal()

    def _fresh(self, live: Sequence[int], shown: Tensor) -> list[int]:
        """Places in `live`, ascending, of the queries whose row of `shown` (K, n) bool is new or has changed."""
        known = [i for i, query in enumerate(live) if query in self._shown]
        if not known:
            return list(range(len(live)))
        before = torch.stack([self._shown[live[i]] for i in known])
        same = (before == shown[known]).all(1).tolist()
        unchanged = {i for i, is_same in zip(known, same, strict=True) if is_same}
        return [i for i in range(len(live)) if i not in unchanged]


def classify(
    classifiers: Sequence[FrameClassifier], asked: Sequence[Asked], encode: Callable[[Tensor], Tensor]
) -> list[Tensor]:
    """The scores P_t^{ii} of each frame's step, in [0, 1]; the prompted images of all frames are encoded together.

    classifiers, asked: one per frame, in the same order. encode: (K, H, W, 3) uint8 RGB -> (K, d) float32 of length 1.
    """
    drawn = [classifier.draw(step) for classifier, step in zip(classifiers, asked, strict=True)]
    if any(queries for queries, _ in drawn):
        embeddings = iter(encode(torch.cat([images for _, images in drawn])))
        for classifier, (queries, _) in zip(classifiers, drawn, strict=True):
            classifier.learn(queries, islice(embeddings, len(queries)))
    return [classifier.scores(step) for classifier, step in zip(classifiers, asked, strict=True)]
