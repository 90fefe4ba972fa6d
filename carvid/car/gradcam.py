"""Grad-CAM at the output of `ln_1` of the last block, for every query and every live subset at once.

The normalised image embedding z is the same for every text, and the gradient of a softmax score with respect
to the activations A is linear in the texts: d s_k / dA = logit_scale * s_k * J^T (t_k - sum_j s_j t_j) with
J = dz/dA. So one product J^T t per text, immediately reduced to its mean over patch tokens (a D-vector), gives
the CAM weights of every subset of the queries.

Where s_k is nearly 1, that difference cancels, and rounding alone is left. With q the softmax over the *others*,
s_j = (1 - s_k) q_j and the difference is (1 - s_k) (t_k - sum_{j != k} q_j t_j), whose second factor does not cancel.
The factor logit_scale * s_k (1 - s_k) > 0 is left out, because the maps are min-max normalised.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from carvid.clip.vision import VisionTower, activate, activation_slope, attend, attention_strips

# The attention is not kept for the backward pass but made again, once for as many texts as have gradients of this size
# at the heads' outputs. More would grow memory with the queries, fewer would make it too often.
GRADIENT_BYTES = 256 * 2**20
# Tokens that go through the MLP's backward pass together on a CPU. Fewer take longer, and all would take no less.
TOKEN_ROWS = 1024


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
    if attention is None:
        outputs = F.scaled_dot_product_attention(q, k, v, scale=1.0)
    else:
        outputs = attend(q, k, v, attention)
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
    slope = activation_slope(state.hidden, last.activation).mul_(state.post_inverse)
    # The half of fc1's product that does not depend on the text.
    shared_fc1 = (state.post_standard @ last.fc2).mul_(slope) @ last.fc1  # (B, n, D)
    batch, n, width = state.activations.shape
    texts_at_once = max(1, GRADIENT_BYTES // (batch * n * (width + last.heads) * slope.element_size()))
    parts = []
    for start in range(0, level.shape[1], texts_at_once):
        part = slice(start, start + texts_at_once)
        texts_part = (level[:, part], share[:, part], level_fc2[:, part])
        parts.append(_sums(_at_heads(texts_part, tower, state, slope, shared_fc1), state))
    # sums of dq, dk and dv: (B, K, 3D)
    return (torch.cat(parts, dim=1) @ last.query_key_value).float() / n**2


def _at_heads(
    texts: tuple[Tensor, Tensor, Tensor],
    tower: VisionTower,
    state: LastBlock,
    slope: Tensor,
    shared_fc1: Tensor,
) -> Tensor:
    """dO of the K texts at the patch tokens and, as a last column of each, r: (B, h, n, K, dh + 1)."""
    last, heads = tower.blocks[-1], tower.blocks[-1].heads
    level, share, level_fc2 = texts
    batch, count, width = level.shape
    n = slope.shape[1]
    found = slope.new_empty(batch, heads, n, count, width // heads + 1)
    rows = min(n, TOKEN_ROWS) if slope.device.type == "cpu" else n
    held = slope.new_empty(batch, rows, slope.shape[2])
    for start in range(0, n, rows):
        tokens = slice(start, start + rows)
        slope_part, mid = slope[:, tokens], state.mid_standard[:, tokens]
        outputs = state.outputs[:, :, 1:][:, :, tokens]
        at_hidden = held[:, : slope_part.shape[1]]
        for i in range(count):
            share_i = share[:, i, tokens, None]  # (B, rows, 1)
            torch.mul(slope_part, level_fc2[:, i, None], out=at_hidden)
            at_norm2 = at_hidden @ last.fc1 - shared_fc1[:, tokens] * share_i
            at_norm2 *= last.norm2.weight
            at_y1 = at_norm2 - at_norm2.mean(-1, keepdim=True) - mid * (at_norm2 * mid).mean(-1, keepdim=True)
            at_y1 *= state.mid_inverse[:, tokens]
            at_y2 = level[:, i, None] - state.post_standard[:, tokens] * share_i
            at_y1 += state.post_inverse[:, tokens] * at_y2  # (B, rows, D)
            at_heads = (at_y1 @ last.out).view(batch, -1, heads, width // heads).transpose(1, 2)
            found[:, :, tokens, i, :-1] = at_heads
            found[:, :, tokens, i, -1] = (at_heads * outputs).sum(-1)
    return found


def _sums(at_heads: Tensor, state: LastBlock) -> Tensor:
    """The sums over tokens of dq, dk and dv side by side, (B, K, 3D), of what `_at_heads` gives for K texts."""
    batch, heads, n, count, _ = at_heads.shape
    # CLS's own output carries no gradient.
    q, k, v = state.queries[:, :, 1:], state.keys, state.values
    # v_j . dO - r is one product of [dO, r] and [v_j, -1].
    against = torch.cat([v, v.new_full((batch, heads, n + 1, 1), -1)], -1)
    at_cls = q.new_empty(batch, heads, n)  # P_i0
    back = q.new_empty(batch, n + 1, count * against.shape[-1])
    sum_queries = q.new_empty(batch, heads, count, q.shape[-1])
    for head, start, end, strip in attention_strips(q, k):
        at_cls[:, head, start:end] = strip[..., 0]
        # P^T dO and P^T r together: (B, T, K (dh + 1)), the one n x n product
        from_strip = (strip.transpose(1, 2), at_heads[:, head, start:end].flatten(2))
        if start == 0:
            torch.bmm(*from_strip, out=back)
        else:
            back.baddbmm_(*from_strip)
        if end == n:
            found = back.view(batch, n + 1, count, -1)
            column_sums = (found * against[:, head, :, None]).sum(-1)  # c (B, T, K)
            sum_queries[:, head] = column_sums.transpose(1, 2) @ k[:, head]
    sum_values = ((1 - at_cls)[:, :, None] @ at_heads.flatten(3)).view(batch, heads, count, -1)[..., :-1]
    # dS_i0: (B, h, n, K)
    at_cls = at_cls[..., None] * (at_heads @ against[:, :, 0, None, :, None])[..., 0]
    sum_keys = -at_cls.transpose(2, 3) @ q
    sums = torch.stack([sum_queries, sum_keys, sum_values])  # (3, B, h, K, dh)
    return sums.permute(1, 3, 0, 2, 4).reshape(batch, count, -1)


def live_weights(weights: Tensor, background: Tensor | None, rivals: Tensor) -> Tensor:
    """Combine the per-text products into the CAM weights of each live query.

    weights: (B, K, D), J^T t_k of the K live queries. background: (B, D) J^T t_B, or None without background texts.
    rivals: (B, K, K + 1), in row k the softmax over what competes with live query k, itself left out: column j is the
    share of query j (0 where it does not compete), the last column that of all background texts together. All 0 where
    nothing competes: the softmax is then constant and its gradient zero, so the similarity itself is differentiated.
    Returns (B, K, D): J^T (t_k - sum_{j != k} q_kj t_j).
    """
    mean = rivals[..., :-1] @ weights
    if background is not None:
        mean = mean + rivals[..., -1:] * background[:, None]
    return weights - mean
