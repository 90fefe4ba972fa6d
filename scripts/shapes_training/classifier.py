"""g's loss: whether the thing inside a visual prompt is what a text says, in contest with the background texts."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import CLIPModel

from shapes_training.clips import Heads, embed_patches, normalise
from shapes_training.prompted import Prompted
from shapes_training.proposer import Figures, patch_loss, word_loss
from shapes_training.words import FULL, NAMES, NEGATIVES, WORDINGS, Texts


def classifier_loss(
    model: CLIPModel, heads: Heads, texts: Texts, batch: Prompted, kept: int
) -> tuple[Tensor, Figures]:
    """The loss on one batch, and figures to show. kept: how many patch tokens of each image to keep."""
    rng, match, prompt, labels = texts.rng, batch.match, batch.inside, batch.labels
    x = embed_patches(model, normalise(batch.images), batch.place)
    if kept < prompt.shape[1]:
        # Most tokens are far from the prompt and carry little: train on those in and around it, and a few others.
        side = math.isqrt(prompt.shape[1])
        near = F.max_pool2d(prompt.view(-1, 1, side, side), 3, 1, 1).flatten(1)
        chance = prompt + near + 0.01 * torch.rand(prompt.shape)
        keep = chance.topk(kept, dim=1).indices
        prompt, labels = prompt.gather(1, keep), labels.gather(1, keep)
        x = torch.cat([x[:, :1], x[:, 1:].gather(1, keep[:, :, None].expand(-1, -1, x.shape[2]))], 1)
    where = prompt / prompt.sum(1, keepdim=True)
    looks = x.new_zeros(())
    layers = model.vision_model.encoder.layers
    for i, layer in enumerate(layers):
        count, middle = layer.self_attn.num_heads, x
        a = layer.layer_norm1(x)
        q, k, v = (
            p(a).unflatten(2, (count, -1)).transpose(1, 2)
            for p in (layer.self_attn.q_proj, layer.self_attn.k_proj, layer.self_attn.v_proj)
        )
        if i >= len(layers) - 2:
            # This loss directs CLS into the prompt; without it, learning that takes most of the training.
            look = (q[:, :, :1] @ k[:, :, 1:].transpose(2, 3) * q.shape[-1] ** -0.5).log_softmax(-1)[:, :, 0]
            looks = looks - (look.mean(1) * where).sum(1).mean() / 2
        x = x + layer.self_attn.out_proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        x = x + layer.mlp(layer.layer_norm2(x))
    cls = model.vision_model.post_layernorm(x[:, 0])
    z = F.normalize(model.visual_projection(cls), dim=-1)
    wording = WORDINGS[int(rng.integers(len(WORDINGS)))] if rng.random() < 0.5 else None
    scale = model.logit_scale.exp().clamp(max=100)
    names, negatives = texts(NAMES, wording), texts(NEGATIVES, wording)
    named = scale * z @ names.T
    nothing = (scale * z @ negatives.T).logsumexp(1, keepdim=True)
    odds = named - nothing  # log odds of one text against the negatives, as g weighs the last query standing
    losses = F.binary_cross_entropy_with_logits(odds, match, reduction="none")
    right = (losses * match).sum() / match.sum().clamp(min=1)
    wrong = (losses * (1 - match)).sum(1).mean() / 4
    joint = torch.cat([named[:, : len(FULL)], nothing], 1)
    answer = torch.where(
        match[:, : len(FULL)].any(1), match[:, : len(FULL)].argmax(1), torch.tensor(len(FULL))
    )
    which = F.cross_entropy(joint, answer)
    visible = torch.where(prompt > 0.5, labels, -1)
    # Temporary heads on the tokens before the last block: what a patch shows, and whether it is prompted.
    patches = patch_loss(heads.names(middle[:, 1:]), names[: len(FULL)], negatives, visible)
    prompted = F.binary_cross_entropy_with_logits(heads.inside(middle[:, 1:])[..., 0], prompt)
    there = answer < len(FULL)
    told, shape = word_loss(heads.cls, cls[there], answer[there])
    seen = (visible >= 0) & (visible < len(FULL))
    told_by_patches, shape_of_patches = word_loss(heads.patch, middle[:, 1:][seen], visible[seen])
    with torch.no_grad():
        said = odds > math.log(0.3 / 0.7)
        figures = {
            "right": right.item(),
            "wrong": wrong.item(),
            "which": which.item(),
            "patch": patches.item(),
            "prompt": prompted.item(),
            "look": looks.item(),
            "words": told.item(),
            "shape": float(shape),
            "patch_shape": float(shape_of_patches),
            "accuracy": float((joint.argmax(1) == answer).float().mean()),
            "present": float(said[match > 0].float().mean()),
            "false": float(said[match == 0].float().mean()),
        }
    loss = right + wrong + which + 0.5 * patches + prompted + 0.3 * looks + told + told_by_patches
    return loss, figures
