"""v and g: draws a visual prompt around each query's proposal, then encodes and classifies it by a CLIP (eq. 4, 5)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from carvid.car.apart import Bools, nearest_kept, pieces
from carvid.car.prompts import draw_prompts
from carvid.car.recurrence import Answer, Asked
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
    return _probabilities(embeddings, texts, live)[:, : len(live)]


def _probabilities(embeddings: Tensor, texts: ClassifierTexts, live: Sequence[int]) -> Tensor:
    """`class_probabilities` of any R images, with the columns of the M negatives: (R, K + M)."""
    texts_live = torch.cat([texts.queries[:, list(live)], texts.negatives], 1)  # (S, K + M, d)
    probabilities = (texts.logit_scale * (embeddings @ texts_live.transpose(1, 2))).softmax(-1)
    summed = probabilities.sum(0)
    if len(texts_live) > 1:
        summed = summed.softmax(-1)
    return summed


class FrameClassifier:
    """v and g on one frame. Reuses a query's embeddings while its prompted image stays the same."""

    def __init__(
        self,
        image: Tensor,
        texts: ClassifierTexts,
        eta: float,
        prompts: Sequence[str],
        switches: Sequence[str] = (),
        *,
        split: bool = False,
    ) -> None:
        """image: (H, W, 3) uint8 RGB. switches: names in `carvid.recipe.variant.SWITCHES`. split: take proposals
        apart (`carvid.car.apart`) and prompt each piece. If some piece suits no text better than its query, negatives
        included, the pieces stay that suit no other live query better; otherwise the proposal stays whole."""
        self._image, self._texts, self._split = image, texts, split
        self._eta, self._prompts, self._switches = eta, prompts, switches
        self._shown: dict[int, Tensor] = {}
        self._pieces: dict[int, Bools] = {}
        # Of a query's prompted image, and of those of its pieces.
        self._embeddings: dict[int, list[Tensor]] = {}

    def draw(self, asked: Asked) -> tuple[list[int], Tensor]:
        """The queries whose prompt is new or changed, and their prompted images (K, H, W, 3) uint8 RGB.

        Where a proposal is in pieces, its query is there several times: for the whole, and then for each piece.
        """
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
        places, shapes = fresh, masks[fresh]
        if self._split:
            on_host = shapes.cpu().numpy()
            found = [pieces(mask) for mask in on_host]
            self._pieces.update(zip((asked.live[i] for i in fresh), found, strict=True))
            places = [i for i, mine in zip(fresh, found, strict=True) for _ in range(1 + len(mine))]
            rows = [each for mask, mine in zip(on_host, found, strict=True) for each in (mask, *mine)]
            shapes = torch.from_numpy(np.stack(rows)).to(masks.device)
        drawn = draw_prompts(self._image, shapes, self._prompts, self._switches)
        if plain is not None:
            drawn = torch.where(plain[places][:, None, None, None], self._image, drawn)
        return [asked.live[i] for i in places], drawn

    def learn(self, queries: Sequence[int], embeddings: Iterable[Tensor]) -> None:
        """Store g's embeddings of the images that `draw` returned for these queries: K of (d,) float32 of length 1."""
        self._embeddings.update({query: [] for query in queries})
        for query, embedding in zip(queries, embeddings, strict=True):
            self._embeddings[query].append(embedding)

    def answer(self, asked: Asked) -> Answer:
        """The scores of the live queries, and their proposals, without the pieces that are given up."""
        rows = [embedding for query in asked.live for embedding in self._embeddings[query]]
        probabilities = _probabilities(torch.stack(rows), self._texts.at(asked.step), asked.live)
        counts = [len(self._embeddings[query]) for query in asked.live]
        firsts = [sum(counts[:i]) for i in range(len(counts))]
        scores = probabilities[firsts, range(len(firsts))]
        if max(counts) == 1:
            return Answer(scores, asked.proposals)
        scores, proposals = scores.clone(), asked.proposals.clone()
        live = len(asked.live)
        for i, (query, first, count) in enumerate(zip(asked.live, firsts, counts, strict=True)):
            of_pieces = probabilities[first + 1 : first + count]
            sure = of_pieces.argmax(1) == i
            if not sure.any():
                continue
            scores[i] = of_pieces[sure, i].max()
            # A negative alone gives up no piece: small pieces of the thing itself are often taken for background.
            kept = of_pieces[:, i] >= of_pieces[:, :live].amax(1)
            stays = torch.from_numpy(nearest_kept(self._pieces[query], kept.tolist())).to(proposals.device)
            proposals[i] *= stays
        return Answer(scores, proposals)

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
) -> list[Answer]:
    """The answer to each frame's step; the prompted images of all frames are encoded together.

    classifiers, asked: one per frame, in the same order. encode: (K, H, W, 3) uint8 RGB -> (K, d) float32 of length 1.
    """
    drawn = [classifier.draw(step) for classifier, step in zip(classifiers, asked, strict=True)]
    if any(queries for queries, _ in drawn):
        embeddings = iter(encode(torch.cat([images for _, images in drawn])))
        for classifier, (queries, _) in zip(classifiers, drawn, strict=True):
            classifier.learn(queries, islice(embeddings, len(queries)))
    return [classifier.answer(step) for classifier, step in zip(classifiers, asked, strict=True)]
