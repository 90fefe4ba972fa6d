"""Grad-CAM at the output of `ln_1` of the last block, for every query and every live subset at once.

The normalised image embedding z is the same for every text, and the gradient of a softmax score with respect
to the activations A is linear in the texts: d s_k / dA = logit_scale * s_k * J^T (t_k - sum_j s_j t_j) with
J = dz/dA. So one product J^T t per text, immediately reduced to its mean over patch tokens (a D-vector), gives
the CAM weights of every subset of the queries. The factor logit_scale * s_k > 0 is left out, because the maps are
min-max normalised.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from carvid.clip.vision import VisionTower, activate, activation_slope, attend

# Texts whose (n, 4D) gradients are in memory at a time.
CHUNK = 4


@dataclass(frozen=True)
class LastBlock:
    """What the last block of f gives for B frames.

    embedding: z (B, d) float32, the normalised projection of the mean of the patch tokens.
    activations: A (B, n, D), ln_1's output at the patch tokens.
    attention: (B, n, n) float32, averaged over heads and over the last blocks, without CLS; None without the affinity
    step.
    The rest are intermediate values that the backward pass needs.
    """

    embedding: Tensor
    activations: Tensor
    attention: Tensor | None
    length: Tensor  # (B, 1) of the projection before it was normalised
    attention_weights: Tensor  # P (B, h, T, T)
    queries: Tensor  # q, k, v, O: (B, h, T, dh)
    keys: Tensor
    values: Tensor
    outputs: Tensor
    post_standard: Tensor  # standardised input of ln_post (B, n, D) and 1 / its deviation (B, n, 1)
    post_inverse: Tensor
    mid_standard: Tensor  # the same of ln_2
    mid_inverse: Tensor
    hidden: Tensor  # input of the activation (B, n, 4D)


def run_last_block(tower: VisionTower, x: Tensor, attention: Tensor | None, blocks: int) -> LastBlock:
    """The last block on the trunk's output x (B, T, D).

    attention: (B, n, n) float32, the sum over the affinity blocks before this one; None without the affinity step. This
    block's is added and the mean taken, both in place.
    blocks: how many blocks that mean covers, this one included.
    """
    last = tower.blocks[-1]
    a = last.norm1(x)
    q, k, v = last.project(a)
    weights = q.new_empty(*q.shape[:3], q.shape[2])
    outputs = attend(q, k, v, attention, weights)
    y1 = (x + last.merge(outputs))[:, 1:]
    mid_standard, mid_inverse = last.norm2.standardise(y1)
    hidden = F.linear(mid_standard * last.norm2.weight + last.norm2.bias, last.fc1, last.fc1_bias)
    y2 = y1 + F.linear(activate(hidden, last.activation), last.fc2, last.fc2_bias)
    post_standard, post_inverse = tower.post_norm.standardise(y2)
    pooled = post_standard.mean(1) * tower.post_norm.weight + tower.post_norm.bias
    projected = F.linear(pooled, tower.projection).float()
    length = projected.norm(dim=-1, keepdim=True)
    return LastBlock(
        embedding=projected / length,
        activations=a[:, 1:],
        attention=None if attention is None else attention.div_(blocks),
        length=length,
        attention_weights=weights,
        queries=q,
        keys=k,
        values=v,
        outputs=outputs,
        post_standard=post_standard,
        post_inverse=post_inverse,
        mid_standard=mid_standard,
        mid_inverse=mid_inverse,
        hidden=hidden,
    )


def cam_weights(tower: VisionTower, state: LastBlock, texts: Tensor) -> Tensor:
    """J^T t averaged over patch tokens, for each frame's K texts (B, K, d): (B, K, D) float32.

    The backward pass runs only as far as the sums over patch tokens need it: with dO the gradient at the
    heads' outputs, P the attention and r_i = dO_i . O_i,
      sum_j dv_j = sum_i (1 - P_i0) dO_i,
      sum_i dq_i = sum_j c_j k_j with c_j = v_j . (P^T dO)_j - (P^T r)_j, the column sums of dS,
      sum_j dk_j = -sum_i dS_i0 q_i, since each row of dS sums to zero.
    """
    last, z = tower.blocks[-1], state.embedding
    tangent = texts - z[:, None] * (texts @ z[:, :, None])  # (B, K, d): through the normalisation
    # The mean's 1 / n is applied last, in float32, because such small values underflow in float16.
    pooled = (tangent / state.length[:, None]).to(tower.projection) @ tower.projection
    gain = pooled * tower.post_norm.weight  # (B, K, D): the same at every patch token
    level = gain - gain.mean(-1, keepdim=True)
    # ln_post's backward at token i is inverse_i (level - standard_i * share_i), which is rank one in the text, so the
    # products with fc2 are computed once for all texts.
    share = gain @ state.post_standard.transpose(1, 2) / gain.shape[-1]  # (B, K, n)
    level_fc2 = level @ last.fc2  # (B, K, 4D)
    standard_fc2 = state.post_standard @ last.fc2  # (B, n, 4D)
    slope = activation_slope(state.hidden, last.activation) * state.post_inverse
    # The half of fc1's product that does not depend on the text.
    shared_fc1 = (slope * standard_fc2) @ last.fc1  # (B, n, D)
    chunks = []
    for start in range(0, level.shape[1], CHUNK):
        part = slice(start, start + CHUNK)
        texts_part = (level[:, part], share[:, part], level_fc2[:, part])
        chunks.append(_chunk(texts_part, tower, state, slope, shared_fc1))
    return torch.cat(chunks, dim=1)


def _chunk(
    texts: tuple[Tensor, Tensor, Tensor],
    tower: VisionTower,
    state: LastBlock,
    slope: Tensor,
    shared_fc1: Tensor,
) -> Tensor:
    last, n = tower.blocks[-1], state.activations.shape[1]
    level, share, level_fc2 = texts
    batch, count, width = level.shape
    heads = last.heads
    share = share[..., None]  # (B, K, n, 1)
    at_y2 = state.post_inverse[:, None] * (level[:, :, None] - state.post_standard[:, None] * share)
    at_norm2 = (slope[:, None] * level_fc2[:, :, None]) @ last.fc1 - shared_fc1[:, None] * share
    at_norm2 = at_norm2 * last.norm2.weight
    mid = state.mid_standard[:, None]
    at_y1 = at_norm2 - at_norm2.mean(-1, keepdim=True) - mid * (at_norm2 * mid).mean(-1, keepdim=True)
    at_y1 = at_y1 * state.mid_inverse[:, None] + at_y2  # (B, K, n, D)
    at_heads = (
        (at_y1 @ last.out).view(batch, count, n, heads, -1).permute(0, 3, 2, 1, 4)
    )  # dO (B, h, n, K, dh)

    weights = state.attention_weights[:, :, 1:]  # (B, h, n, T): CLS's own output carries no gradient
    q, k, v = state.queries[:, :, 1:], state.keys, state.values
    r = (at_heads * state.outputs[:, :, 1:, None]).sum(-1)  # (B, h, n, K)
    sum_values = ((1 - weights[..., :1])[..., None] * at_heads).sum(2)  # (B, h, K, dh)
    # P^T dO and P^T r together: (B, h, T, K (dh + 1)), the one n x n product
    back = weights.transpose(2, 3) @ torch.cat([at_heads, r[..., None]], -1).flatten(3)
    back = back.view(batch, heads, n + 1, count, -1)
    column_sums = (back[..., :-1] * v[:, :, :, None]).sum(-1) - back[..., -1]  # c (B, h, T, K)
    sum_queries = column_sums.transpose(2, 3) @ k  # (B, h, K, dh)
    at_cls = weights[..., :1] * ((at_heads * v[:, :, :1, None]).sum(-1) - r)  # dS_i0 (B, h, n, K)
    sum_keys = -at_cls.transpose(2, 3) @ q
    sums = torch.stack([sum_queries, sum_keys, sum_values])  # (3, B, h, K, dh)
    sums = sums.permute(1, 3, 0, 2, 4).reshape(batch, count, 3 * width)
    return (sums @ last.query_key_value).float() / n**2


def live_weights(weights: Tensor, background: Tensor | None, scores: Tensor, competitors: Tensor) -> Tensor:
    """Combine the per-text products into the CAM weights of each live query.

    weights: (B, K, D), J^T t_k of the K live queries. background: (B, D) J^T t_B, or None without background texts.
    scores: (B, K, K + 1), in row k the softmax of live query k against its competitors: column j is the share of query
    j (0 where it does not compete), the last column that of all background texts together.
    competitors: (B, K) bool, whether anything competes with the query. If not, the softmax is constant and its
    gradient zero, so the similarity itself is differentiated instead.
    Returns (B, K, D): J^T (t_k - sum_j s_kj t_j).
    """
    mean = scores[..., :-1] @ weights
    if background is not None:
        mean = mean + scores[..., -1:] * background[:, None]
    return torch.where(competitors[..., None], weights - mean, weights)
