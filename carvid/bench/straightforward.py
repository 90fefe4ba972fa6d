"""The straightforward method, for comparison: autograd per query, a new encoding per query and step, explicit
matrices. Slow and short on purpose; the only code it shares with the fast method is CLIP's preprocessing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from carvid.bench.transformers_clip import transformers_clip
from carvid.car.classifier import ClassifierTexts
from carvid.car.proposals import ProposalTexts
from carvid.clip.load import LoadedClip
from carvid.clip.preprocess import PreprocessOptions, preprocess
from carvid.model import Model
from carvid.recipe.option import Size
from carvid.recipe.settings import Settings

Pixels: TypeAlias = np.ndarray[Any, np.dtype[Any]]


@dataclass
class Twin:
    """One frame and one query set.

    image: (H, W, 3) uint8 RGB. f_queries, f_background: embedded texts, (N, d) and (Nb, d).
    The other fields are as in `carvid.recipe.settings.Settings`.
    """

    f: LoadedClip
    g: LoadedClip
    image: Pixels
    f_queries: Tensor
    f_background: Tensor
    g_queries: Tensor  # (templates, N, d)
    g_negatives: Tensor  # (templates, M, d)
    refer: bool
    eta: float
    theta: float
    lam: float
    prompts: tuple[str, ...]
    affinity: bool = True
    size: Size = "full"
    #: The least distance of any proposal's value from eta; if tiny, rounding alone may decide a pixel.
    margin: float = float("inf")

    @classmethod
    def of(
        cls, model: Model, settings: Settings, texts: tuple[ProposalTexts, ClassifierTexts], image: Pixels
    ) -> Twin:
        """The method for an image (H, W, 3) uint8 RGB, with the f and g of a model and the texts these embedded."""
        f, g = texts
        return cls(
            f=model.proposer,
            g=model.classifier,
            image=image,
            f_queries=f.queries,
            f_background=f.background,
            g_queries=g.queries,
            g_negatives=g.negatives,
            refer=settings.mode == "refer",
            eta=settings.eta,
            theta=settings.theta,
            lam=settings.lam,
            prompts=settings.prompts,
            affinity=settings.cam == "clip-es",
            size=settings.size,
        )

    def proposals(self, live: list[int]) -> Tensor:
        return torch.stack([self.proposal(query, live) for query in live])

    def proposal(self, query: int, live: list[int]) -> Tensor:
        cam, attention, grid = self.cam(query, live, self.f_background)
        if float(cam.max()) == 0:
            cam, attention, grid = self.cam(query, live, self.f_background[:0])
        cam = scale(cam)
        if self.affinity:
            cam = scale(affinity_matrix(attention) @ (boxes(cam.view(grid), self.lam).flatten() * cam))
        size = self.image.shape[:2]
        return F.interpolate(cam.view(1, 1, *grid), size, mode="bilinear", align_corners=False)[0, 0]

    def cam(self, query: int, live: list[int], background: Tensor) -> tuple[Tensor, Tensor, tuple[int, int]]:
        model = transformers_clip(self.f.located)
        model.set_attn_implementation("eager")
        vision, patch = model.vision_model, model.config.vision_config.patch_size
        short = min(self.image.shape[:2])
        share = 1.0 if self.size == "full" else min(1.0, self.size / short)
        sides = tuple(int(np.ceil(side * share / patch)) * patch for side in self.image.shape[:2])
        look = PreprocessOptions(size=sides, shortest_edge=None)
        planes = preprocess(torch.from_numpy(self.image)[None], look)
        patches = vision.embeddings.patch_embedding(planes)
        grid = tuple(patches.shape[2:])
        table = vision.embeddings.position_embedding.weight
        side = int(len(table) ** 0.5)
        positions = table[1:].T.reshape(1, -1, side, side)
        positions = F.interpolate(positions, grid, mode="bilinear", align_corners=False)
        x = (patches + positions).flatten(2).transpose(1, 2)
        x = torch.cat([(vision.embeddings.class_embedding + table[0]).view(1, 1, -1), x], 1)
        x = vision.pre_layrnorm(x)
        attentions = []
        for layer in vision.encoder.layers:
            a = layer.layer_norm1(x).detach().requires_grad_()
            out, weights = layer.self_attn(a)
            attentions.append(weights[0].mean(0)[1:, 1:])
            x = x.detach() + out
            x = x + layer.mlp(layer.layer_norm2(x))
        z = model.visual_projection(vision.post_layernorm(x)[:, 1:].mean(1))
        z = F.normalize(z, dim=-1)[0]
        rivals = [query] if self.refer else live
        texts = torch.cat([self.f_queries[rivals], background])
        logits = self.f.logit_scale * texts @ z
        own = rivals.index(query)
        others = torch.cat([logits[:own], logits[own + 1 :]])
        # The log odds of the query's share s have its gradient over s (1 - s), which does not vanish as s nears 1.
        target = logits[own] - others.logsumexp(0) if len(others) else logits[own]
        (gradient,) = torch.autograd.grad(target, a)
        cam = (a[0, 1:].detach() @ gradient[0, 1:].mean(0)).relu()
        return cam, torch.stack(attentions[-8:]).mean(0).detach(), grid

    def prompted(self, mask: Pixels) -> Pixels:
        """The image prompted around one query's mask (H, W) bool, by cv2's own filters and outlines."""
        outside = self.image
        for name in self.prompts:
            if name == "blur":
                outside = cv2.GaussianBlur(outside, (15, 15), 0, borderType=cv2.BORDER_REFLECT_101)
            elif name == "gray":
                outside = cv2.cvtColor(cv2.cvtColor(outside, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
            elif name == "black":
                outside = np.zeros_like(outside)
        image = np.where(mask[:, :, None], self.image, outside)
        if not mask.any():
            return image
        ys, xs = np.nonzero(mask)
        x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
        for name in self.prompts:
            if name == "circle":
                centre = (round(xs.mean()), round(ys.mean()))
                cv2.ellipse(
                    image, centre, (max(1, width // 2), max(1, height // 2)), 0, 0, 360, (255, 0, 0), 1
                )
            elif name == "rectangle":
                cv2.rectangle(image, (x, y), (x + width - 1, y + height - 1), (255, 0, 0), 1)
            elif name == "contour":
                found, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
                inside = [line for line in found if mask[line[0, 0, 1], line[0, 0, 0]]]
                for line in inside:
                    image[line[:, 0, 1], line[:, 0, 0]] = (255, 0, 0)
        return image

    def probabilities(self, proposals: Tensor, live: list[int]) -> Tensor:
        """P_t, (K, K)."""
        rows = []
        self.margin = min(self.margin, float((proposals - self.eta).abs().min()))
        for proposal in proposals:
            image = self.prompted((proposal > self.eta).numpy())
            planes = preprocess(torch.from_numpy(image)[None], self.g.preprocess)
            features = transformers_clip(self.g.located).get_image_features(pixel_values=planes)
            z = F.normalize(getattr(features, "pooler_output", features), dim=-1)[0].detach()
            total = torch.zeros(len(live) + self.g_negatives.shape[1])
            for queries, negatives in zip(self.g_queries, self.g_negatives, strict=True):
                total += (self.g.logit_scale * torch.cat([queries[live], negatives]) @ z).softmax(0)
            rows.append((total if len(self.g_queries) == 1 else total.softmax(0))[: len(live)])
        return torch.stack(rows)

    def run(self) -> tuple[list[tuple[tuple[int, ...], list[float]]], list[int], Tensor]:
        """Run the recurrence; returns its steps (live set, scores), the kept queries and y_T."""
        live, steps = list(range(len(self.f_queries))), []
        while True:
            proposals = self.proposals(live)
            scores = self.probabilities(proposals, live).diagonal().tolist()
            steps.append((tuple(live), scores))
            left = [query for query, score in zip(live, scores, strict=True) if score >= self.theta]
            if left == live:
                return steps, left, proposals
            if not left:
                best = [live[int(np.argmax(scores))]]
                return steps, best, self.proposals(best)
            live = left


def scale(cam: Tensor) -> Tensor:
    return (cam - cam.min()) / (cam.max() - cam.min()) if cam.max() > cam.min() else torch.zeros_like(cam)


def affinity_matrix(attention: Tensor) -> Tensor:
    """A A, where A is the attention (n, n), Sinkhorn-normalised and symmetrised."""
    d = attention
    for _ in range(3):
        d = d / d.sum(0, keepdim=True)
        d = d / d.sum(1, keepdim=True)
    a = (d + d.T) / 2
    return a @ a


def boxes(cam: Tensor, lam: float) -> Tensor:
    """The boxes of all contours of the CAM (rows, columns), cut at lam times its maximum: 0 or 1."""
    mask = torch.zeros_like(cam)
    cut = (cam > lam * cam.max()).numpy().astype(np.uint8)
    for contour in cv2.findContours(cut, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)[0]:
        x, y, width, height = cv2.boundingRect(contour)
        mask[y : y + height, x : x + width] = 1
    return mask
