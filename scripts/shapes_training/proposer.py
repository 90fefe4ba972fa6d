"""f's loss: on its CAMs, before and after the affinity step."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import CLIPModel

from carvid.shapes.scenes import SHAPES
from shapes_training.clips import Heads, Words, attend, embed_patches, normalise, run_block
from shapes_training.sampling import PATCH, Scenes, Windows, patch_labels, squash
from shapes_training.words import FULL, NEGATIVES, Texts

Figures = dict[str, float]

# Rows and columns of patches in the crops where f learns to point.
CROP = (10, 14)


def min_max(maps: Tensor) -> Tensor:
    low, high = maps.amin(-1, keepdim=True), maps.amax(-1, keepdim=True)
    return (maps - low) / (high - low + 1e-6)


def box_mask(cam: Tensor, rows: int, columns: int, lam: float) -> Tensor:
    out = torch.zeros(len(cam), rows, columns)
    for i, one in enumerate(cam.detach().view(-1, rows, columns).numpy()):
        count, _, stats, _ = cv2.connectedComponentsWithStats(
            (one > lam * one.max()).astype(np.uint8), connectivity=8
        )
        for x, y, w, h, _ in stats[1:count]:
            out[i, y : y + h, x : x + w] = 1
    return out.flatten(1)


def proposals(
    model: CLIPModel, planes: Tensor, query: Tensor, background: Tensor, lam: float = 0.5
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """f for one query per image: CAM and refined map (B, n) in [0, 1], the image embeddings z (B, d), and the
    activations A (B, n, D) that the CAM weighs."""
    x = embed_patches(model, planes)
    layers = model.vision_model.encoder.layers
    attention = x.new_zeros(())
    for layer in layers[:-1]:
        out, weights = attend(layer, layer.layer_norm1(x))
        attention = attention + weights.mean(1)
        x = x + out
        x = x + layer.mlp(layer.layer_norm2(x))
    last = layers[-1]
    a = last.layer_norm1(x)
    out, weights = attend(last, a)
    attention = (attention + weights.mean(1)) / len(layers)
    y = x + out
    y = y + last.mlp(last.layer_norm2(y))
    z = model.visual_projection(model.vision_model.post_layernorm(y)[:, 1:].mean(1))
    z = F.normalize(z, dim=-1)
    scale = model.logit_scale.exp().clamp(max=100)
    texts = torch.cat([query[:, None], background.expand(len(query), -1, -1)], 1)  # (B, 1 + Nb, d)
    s = (scale * torch.einsum("bd,bkd->bk", z, texts)).softmax(-1)
    # ds_k/dz is parallel to this direction; min-max normalisation removes its length.
    direction = query - torch.einsum("bk,bkd->bd", s, texts)
    (gradient,) = torch.autograd.grad((z * F.normalize(direction, dim=-1)).sum(), a, create_graph=True)
    cam = torch.einsum("bd,bnd->bn", gradient[:, 1:].mean(1), a[:, 1:])
    cam = min_max(
        cam.relu() + 0.01 * cam.clamp(max=0)
    )  # the small slope keeps a gradient where ReLU has none
    rows, columns = planes.shape[2] // PATCH, planes.shape[3] // PATCH
    w = attention[:, 1:, 1:]
    left, right = torch.ones_like(w[:, :, :1]), torch.ones_like(w[:, :, :1])
    for _ in range(3):  # Sinkhorn: D = diag(left) W diag(right)
        right = 1 / (w.transpose(1, 2) @ left)
        left = 1 / (w @ right)
    refined = (box_mask(cam, rows, columns, lam) * cam.relu())[:, :, None]
    for _ in range(2):  # A = (D + D^T) / 2
        refined = (left * (w @ (right * refined)) + right * (w.transpose(1, 2) @ (left * refined))) / 2
    return cam, min_max(refined[:, :, 0]), z, a[:, 1:]


def dice_loss(maps: Tensor, target: Tensor) -> Tensor:
    overlap = 2 * (maps * target).sum(1) / ((maps**2).sum(1) + (target**2).sum(1) + 1e-6)
    return 1 - overlap + 2.0 * ((maps - target) ** 2).mean(1)


def patch_loss(read: Tensor, names: Tensor, nothing: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of what each patch shows, as predicted in the texts' space. read: (B, n, d)."""
    seen = labels.flatten() >= 0
    read = F.normalize(read, dim=-1).flatten(0, 1)[seen]
    logits = 15 * torch.cat([read @ names.T, (read @ nothing.T).amax(1, keepdim=True)], 1)
    weights = torch.ones(len(FULL) + 1)
    weights[-1] = 0.2
    return F.cross_entropy(logits, labels.flatten()[seen], weight=weights)


def word_loss(heads: Words, tokens: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Loss on colour and shape separately: two sets of 8 are learned sooner than one of 64. labels: indices into FULL.

    Returns the loss and the share of shapes predicted right.
    """
    shape = heads.shape(tokens)
    right = (shape.argmax(1) == labels % len(SHAPES)).float().mean().detach()
    loss = F.cross_entropy(heads.colour(tokens), labels // len(SHAPES)) + F.cross_entropy(
        shape, labels % len(SHAPES)
    )
    return loss, right


def windows_loss(model: CLIPModel, heads: Heads, texts: Texts, windows: Windows) -> tuple[Tensor, Figures]:
    """What f must learn before it can point: the name of what each patch shows, from the activations A."""
    size = windows.size()
    drawn = [squash(windows(size), PATCH * size.side) for _ in range(size.batch)]
    labels = torch.stack([patch_labels(scene.masks, scene.things) for scene in drawn])
    planes = normalise(torch.stack([torch.from_numpy(scene.image) for scene in drawn]))
    x = embed_patches(model, planes, windows.place(size.side))
    layers = model.vision_model.encoder.layers
    for layer in layers[:-1]:
        x = run_block(layer, x)
    a = layers[-1].layer_norm1(x)[:, 1:]
    y = run_block(layers[-1], x)
    z = F.normalize(model.visual_projection(model.vision_model.post_layernorm(y)[:, 1:].mean(1)), dim=-1)
    every = texts(FULL)
    background = texts(NEGATIVES, "a clean origami {}." if windows.rng.random() < 0.8 else None)
    present = torch.zeros(size.batch, len(FULL) + len(NEGATIVES))
    for i, scene in enumerate(drawn):
        for thing, mask in zip(scene.things, scene.masks, strict=True):
            present[i, FULL.index(thing.name)] = float(mask.sum() > 400)
        for ground in scene.grounds:
            present[i, len(FULL) + NEGATIVES.index(ground)] = 0.5
    scale = model.logit_scale.exp().clamp(max=100)
    logits = scale * z @ torch.cat([every, background]).T
    contrastive = -(present / present.sum(1, keepdim=True) * logits.log_softmax(1)).sum(1).mean()
    patches = patch_loss(heads.names(a), every, background, labels)
    things = (labels >= 0) & (labels < len(FULL))
    told, shape = word_loss(heads.patch, a[things], labels[things])
    figures = {
        "contrast": contrastive.item(),
        "patch": patches.item(),
        "words": told.item(),
        "shape": float(shape),
    }
    return 0.15 * contrastive + patches + told, figures


def proposer_loss(
    model: CLIPModel, heads: Heads, texts: Texts, scenes: Scenes, batch: int
) -> tuple[Tensor, Figures]:
    """Loss on f's CAMs of one thing in each of `batch` crops, before and after the affinity step, and on A's names."""
    rng = scenes.rng
    rows, columns = CROP
    images, targets, names, labels = [], [], [], torch.zeros(batch, len(FULL) + len(NEGATIVES))
    shown = []
    scene = scenes()
    while len(images) < batch:
        if rng.random() < 0.5:
            scene = scenes()
        height, width = scene.image.shape[:2]
        y, x = (int(rng.integers(height - PATCH * rows + 1)), int(rng.integers(width - PATCH * columns + 1)))
        masks = scene.masks[:, y : y + PATCH * rows, x : x + PATCH * columns]
        seen = np.flatnonzero(masks.sum((1, 2)) > 400)
        if len(seen) == 0:
            continue
        chosen = scene.things[int(rng.choice(seen))]
        name = chosen.name if rng.random() < 0.75 else chosen.shape
        same = [i for i, thing in enumerate(scene.things) if name in (thing.name, thing.shape)]
        for i in seen:
            labels[len(images), FULL.index(scene.things[i].name)] = 1
        for ground in scene.grounds:
            labels[len(images), len(FULL) + NEGATIVES.index(ground)] = 0.5
        shown.append(patch_labels(masks, scene.things))
        target = masks[same].any(0).reshape(rows, PATCH, columns, PATCH).mean((1, 3))
        images.append(torch.from_numpy(scene.image[y : y + PATCH * rows, x : x + PATCH * columns].copy()))
        targets.append(torch.from_numpy(target.astype(np.float32)).flatten())
        names.append(name)
    background = texts(NEGATIVES, "a clean origami {}." if rng.random() < 0.8 else None)
    query = texts(names)
    cam, refined, z, a = proposals(model, normalise(torch.stack(images)), query, background)
    target = torch.stack(targets)
    cam_loss, refined_loss = dice_loss(cam, target).mean(), dice_loss(refined, target).mean()
    scale = model.logit_scale.exp().clamp(max=100)
    every = texts(FULL)
    logits = scale * z @ torch.cat([every, background]).T
    seen_as = torch.stack(shown)
    patches = patch_loss(heads.names(a), every, background, seen_as)
    contrastive = -(labels / labels.sum(1, keepdim=True) * logits.log_softmax(1)).sum(1).mean()
    labels_of_patches = seen_as.flatten()
    things = (labels_of_patches >= 0) & (labels_of_patches < len(FULL))
    told, shape = word_loss(heads.patch, a.flatten(0, 1)[things], labels_of_patches[things])
    with torch.no_grad():
        hit = target.gather(1, refined.argmax(1, keepdim=True)).mean()
        both = ((refined > 0.5) & (target > 0.5)).sum(1) / ((refined > 0.5) | (target > 0.5)).sum(1).clamp(
            min=1
        )
        raw = ((cam > 0.5) & (target > 0.5)).sum(1) / ((cam > 0.5) | (target > 0.5)).sum(1).clamp(min=1)
    seen_figures = {
        "cam": cam_loss.item(),
        "refined": refined_loss.item(),
        "contrast": contrastive.item(),
        "patch": patches.item(),
        "J_cam": float(raw.mean()),
        "J_refined": float(both.mean()),
        "hit": float(hit),
        "words": told.item(),
        "shape": float(shape),
    }
    return cam_loss + refined_loss + 0.15 * contrastive + 0.5 * patches + told, seen_figures
