"""v and g: each query's proposal is prompted on the frame, encoded by a frozen CLIP and classified (eq. 4, 5)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from carvid.car.prompts import draw_prompts


@dataclass(frozen=True)
class ClassifierTexts:
    """The texts of g, embedded once per video.

    queries: (S, N, d) and negatives: (S, M, d) for S templates, float32 of length 1; M may be 0.
    """

    queries: Tensor
    negatives: Tensor
    logit_scale: float


def class_probabilities(embeddings: Tensor, texts: ClassifierTexts, live: Sequence[int]) -> Tensor:
    """P_t = softmax over the live queries (eq. 5): (K, K).

    embeddings: (K, d) of the K live queries' prompted images, in the order of `live`. Negatives join every
    softmax as extra columns only. With several templates the softmax of each is summed, then softmaxed again.
    """
    texts_live = torch.cat([texts.queries[:, list(live)], texts.negatives], 1)  # (S, K + M, d)
    probabilities = (texts.logit_scale * (embeddings @ texts_live.transpose(1, 2))).softmax(-1)
    summed = probabilities.sum(0)
    if len(texts_live) > 1:
        summed = summed.softmax(-1)
    return summed[:, : len(live)]


class FrameClassifier:
    """v and g on one frame. An embedding is reused while the query's binarised mask stays the same."""

    def __init__(
        self,
        image: Tensor,
        encode: Callable[[Tensor], Tensor],
        texts: ClassifierTexts,
        eta: float,
        prompts: Sequence[str],
    ) -> None:
        """image: (H, W, 3) uint8 RGB. encode: (K, H, W, 3) uint8 RGB -> (K, d) float32 of length 1."""
        self._image, self._encode, self._texts = image, encode, texts
        self._eta, self._prompts = eta, prompts
        self._masks: dict[int, Tensor] = {}
        self._embeddings: dict[int, Tensor] = {}

    def classify(self, proposals: Tensor, live: Sequence[int]) -> Tensor:
        """P_t^{ii} (len(live),) of the proposals (len(live), H, W) in [0, 1]."""
        masks = proposals > self._eta
        fresh = [i for i, query in enumerate(live) if not self._known(query, masks[i])]
        if fresh:
            prompted = draw_prompts(self._image, masks[fresh], self._prompts)
            for i, embedding in zip(fresh, self._encode(prompted), strict=True):
                self._masks[live[i]], self._embeddings[live[i]] = masks[i], embedding
        embeddings = torch.stack([self._embeddings[query] for query in live])
        return class_probabilities(embeddings, self._texts, live).diagonal()

    def _known(self, query: int, mask: Tensor) -> bool:
        return query in self._masks and torch.equal(self._masks[query], mask)
