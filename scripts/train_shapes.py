"""Trains the embedded `shapes` model from scratch: two small CLIPs, the proposer f and the classifier g.

    python scripts/train_shapes.py proposer   --steps 6000 --out carvid/shapes/proposer
    python scripts/train_shapes.py classifier --steps 6000 --out carvid/shapes/classifier

Both see generated scenes only (`carvid.shapes.scenes`). f is trained on its own product: the Dice of the
class activation map of a random thing that is there, before and after the affinity step, by double
back-propagation, with a contrastive loss beside it. g is trained on its own task: say whether the thing inside
a visual prompt is what a text says, against the background texts. Seeded; one thread of a CPU is enough.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.random import Generator
from safetensors.torch import save_file
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

from carvid.car.prompts import draw_prompts
from carvid.shapes.scenes import COLOURS, SHAPES, Scene, draw_background, draw_scene, place_things

BACKGROUND = ["ground", "land", "grass", "tree", "building", "wall", "sky", "lake", "water", "river", "sea", "railway", "railroad", "helmet", "cloud", "house", "mountain", "ocean", "road", "rock", "street", "valley", "bridge"]
# A scene may hold a tree or a house, so for this model these two are things, never background.
NEGATIVES = [text for text in BACKGROUND if text not in SHAPES]
WORDINGS = [
    "{}",
    "{}",
    "the {}",
    "the {}",
    "a {}",
    "a {}",
    "a photo of a {}.",
    "a clean origami {}.",
    "a clean origami {}.",
]
WORDINGS += [
    "This is a photo of a {}",
    "There is a {} in the scene",
    "There is the {} in the scene",
    "the {} in the video",
]
WORDINGS += [
    "a photo of a {} in the scene",
    "a photo of a small {}.",
    "a photo of a medium {}.",
    "a photo of a large {}.",
]
# The visual prompts g meets in training; circle and blur together are those of the default preset.
PROMPTED = [
    ["circle", "blur"],
    ["circle", "blur"],
    ["circle", "blur"],
    ["blur", "gray"],
    ["circle"],
    ["blur"],
    ["contour"],
    ["rectangle"],
    ["black"],
]
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
HEIGHT, WIDTH = 240, 432  # the least multiples of the patch that hold a frame of 426x240
PATCH = 16
SQUASHED = 240  # g sees the frame squashed to this square
FULL = [f"{colour} {shape}" for colour in COLOURS for shape in SHAPES]
NAMES = FULL + list(SHAPES)

VISION = {
    "image_size": 240,
    "patch_size": PATCH,
    "hidden_size": 128,
    "intermediate_size": 512,
    "num_hidden_layers": 5,
}


def write_tokenizer(folder: Path) -> None:
    """A CLIP tokenizer (vocab.json, merges.txt) whose merges are learned on the wordings alone."""
    corpus = [word.replace("{}", name) for word in WORDINGS for name in NAMES + BACKGROUND]
    corpus += ["left", "right", "top", "bottom", "near", "far", "big", "little", "thing", "object", "shape", "colour", "in", "on", "of", "and", "with", "without", "front", "behind"]
    words = [text.lower().replace(".", " .") for text in corpus]
    tokenizer = Tokenizer(BPE(unk_token="<|endoftext|>", end_of_word_suffix="</w>"))
    from tokenizers.pre_tokenizers import WhitespaceSplit

    tokenizer.pre_tokenizer = WhitespaceSplit()
    alphabet = sorted(_byte_alphabet())
    trainer = BpeTrainer(
        vocab_size=1200,
        end_of_word_suffix="</w>",
        show_progress=False,
        initial_alphabet=alphabet,
        min_frequency=1,
    )
    tokenizer.train_from_iterator(words, trainer)
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    tokens = alphabet + [letter + "</w>" for letter in alphabet] + ["".join(pair) for pair in merges]
    vocabulary = {
        token: i for i, token in enumerate(dict.fromkeys([*tokens, "<|startoftext|>", "<|endoftext|>"]))
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    special = {
        "bos_token": "<|startoftext|>",
        "eos_token": "<|endoftext|>",
        "unk_token": "<|endoftext|>",
        "pad_token": "<|endoftext|>",
    }
    settings = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, **special}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=1))


def _byte_alphabet() -> list[str]:
    """The printable stand-ins of the 256 bytes that byte-level BPE uses."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return [chr(b) for b in plain] + [chr(256 + i) for i in range(256 - len(plain))]


def make_model(role: str, tokenizer: CLIPTokenizer) -> CLIPModel:
    ends = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.eos_token_id,
    }
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": 96,
        "intermediate_size": 384,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "max_position_embeddings": 77,
        "projection_dim": 128,
        **ends,
    }
    vision = {**VISION, "num_attention_heads": 4, "projection_dim": 128}
    return CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=128))


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


class Scenes:
    """Draws training scenes on backgrounds out of a pool (a fresh one now and then), flipped and re-lit."""

    def __init__(self, rng: Generator, pool: int = 120) -> None:
        self.rng = rng
        self.pool = [draw_background(rng, HEIGHT, WIDTH) for _ in range(pool)]

    def __call__(self) -> Scene:
        rng = self.rng
        slot = int(rng.integers(len(self.pool)))
        if rng.random() < 0.1:
            self.pool[slot] = draw_background(rng, HEIGHT, WIDTH)
        image, grounds = self.pool[slot]
        image = image[:, ::-1] if rng.random() < 0.5 else image
        image = image + rng.uniform(-10, 10, 3).astype(np.float32)
        count = int(rng.choice([1, 2, 3, 4], p=[0.2, 0.3, 0.3, 0.2]))
        things = place_things(rng, HEIGHT, WIDTH, count, smallest=0.1, largest=0.36)
        return draw_scene(np.ascontiguousarray(image), grounds, things)


def normalise(images: Tensor) -> Tensor:
    """(B, H, W, 3) uint8 -> (B, 3, H, W) float32, normalised with CLIP's mean and std."""
    planes = images.permute(0, 3, 1, 2).float() / 255
    return (planes - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


def embed_patches(model: CLIPModel, planes: Tensor) -> Tensor:
    """(B, 3, H, W) -> (B, 1 + n, D), position embeddings interpolated bilinearly."""
    parts = model.vision_model.embeddings
    patches = parts.patch_embedding(planes)
    rows, columns = patches.shape[2:]
    table = parts.position_embedding.weight
    side = math.isqrt(len(table) - 1)
    grid = table[1:].T.reshape(1, -1, side, side)
    grid = (
        F.interpolate(grid, (rows, columns), mode="bilinear", align_corners=False).flatten(2).transpose(1, 2)
    )
    tokens = patches.flatten(2).transpose(1, 2) + grid
    cls = (parts.class_embedding + table[0]).expand(len(planes), 1, -1)
    return model.vision_model.pre_layrnorm(torch.cat([cls, tokens], 1))


def attend(layer: nn.Module, a: Tensor) -> tuple[Tensor, Tensor]:
    """Self-attention of one block on its normalised input: output (B, T, D) and weights (B, heads, T, T)."""
    batch, count, width = a.shape
    heads = layer.self_attn.num_heads
    q, k, v = (
        proj(a).view(batch, count, heads, -1).transpose(1, 2)
        for proj in (layer.self_attn.q_proj, layer.self_attn.k_proj, layer.self_attn.v_proj)
    )
    weights = (q @ k.transpose(2, 3) * (width // heads) ** -0.5).softmax(-1)
    return layer.self_attn.out_proj((weights @ v).transpose(1, 2).reshape(batch, count, width)), weights


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
    """f for one query an image: CAM and refined map (B, n) in [0, 1], the image embeddings z (B, d), and the
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
    # ds_k/dz is parallel to this direction; min-max normalisation takes its length away.
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


def patch_labels(masks: np.ndarray, scene: Scene) -> Tensor:
    """What each patch shows: the index into FULL of the thing that covers more than half of it, len(FULL) for
    none, -1 where things only touch it. (n,) int64."""
    count, height, width = masks.shape
    cover = masks.reshape(count, height // PATCH, PATCH, width // PATCH, PATCH).mean((2, 4)).reshape(count, -1)
    index = np.array([FULL.index(thing.name) for thing in scene.things])
    label = np.where(cover.max(0) > 0.5, index[cover.argmax(0)], np.where(cover.sum(0) > 0.05, -1, len(FULL)))
    return torch.from_numpy(label)


def patch_loss(head: nn.Linear, tokens: Tensor, names: Tensor, nothing: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of what each patch shows, read off its token by a throw-away head into the texts' space."""
    seen = labels.flatten() >= 0
    read = F.normalize(head(tokens), dim=-1).flatten(0, 1)[seen]
    logits = 15 * torch.cat([read @ names.T, (read @ nothing.T).amax(1, keepdim=True)], 1)
    weights = torch.ones(len(FULL) + 1)
    weights[-1] = 0.2
    return F.cross_entropy(logits, labels.flatten()[seen], weight=weights)


def proposer_loss(
    model: CLIPModel, head: nn.Linear, texts: Texts, scenes: Scenes, batch: int, cropped: bool
) -> tuple[Tensor, dict[str, float]]:
    rng = scenes.rng
    rows, columns = (10, 14) if cropped else (HEIGHT // PATCH, WIDTH // PATCH)
    images, targets, names, labels = [], [], [], torch.zeros(batch, len(FULL) + len(NEGATIVES))
    shown = []
    scene = scenes()
    while len(images) < batch:
        if rng.random() < 0.5 or not cropped:
            scene = scenes()
        y, x = (int(rng.integers(HEIGHT - PATCH * rows + 1)), int(rng.integers(WIDTH - PATCH * columns + 1)))
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
        shown.append(patch_labels(masks, scene))
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
    patches = patch_loss(head, a, every, background, torch.stack(shown))
    contrastive = -(labels / labels.sum(1, keepdim=True) * logits.log_softmax(1)).sum(1).mean()
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
    }
    return cam_loss + refined_loss + 0.15 * contrastive + 0.5 * patches, seen_figures


def rough(mask: np.ndarray, rng: Generator) -> np.ndarray:
    """A mask as f would propose it: seen through f's grid of patches, noisy, cut at a random level."""
    grid = cv2.resize(mask.astype(np.float32), (WIDTH // PATCH, HEIGHT // PATCH), interpolation=cv2.INTER_AREA)
    grid = grid + rng.normal(0, 0.12, grid.shape).astype(np.float32) * (cv2.dilate(grid, np.ones((3, 3))) > 0)
    soft = cv2.resize(grid, (426, HEIGHT), interpolation=cv2.INTER_LINEAR)
    return soft > rng.uniform(0.3, 0.65)


def blob(rng: Generator) -> np.ndarray:
    """A mask of nothing in particular."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    centre = (int(rng.integers(WIDTH)), int(rng.integers(HEIGHT)))
    axes = (int(rng.uniform(15, 150)), int(rng.uniform(15, 90)))
    cv2.ellipse(mask, centre, axes, float(rng.uniform(0, 180)), 0, 360, 1, -1)
    return mask.astype(bool)


def classifier_loss(
    model: CLIPModel, head: nn.Linear, texts: Texts, scenes: Scenes, batch: int
) -> tuple[Tensor, dict[str, float]]:
    rng = scenes.rng
    images, matches, shown, inside = [], [], [], []
    while len(images) < batch:
        scene = scenes()
        image = torch.from_numpy(cv2.resize(scene.image, (426, HEIGHT), interpolation=cv2.INTER_AREA))
        picks: list[int | None] = [*range(len(scene.things)), None]
        seen = []
        for pick in picks:
            mask = blob(rng) & ~scene.masks.any(0) if pick is None else scene.masks[pick]
            seen.append(rough(mask, rng))
        chosen = PROMPTED[int(rng.integers(len(PROMPTED)))]
        drawn = draw_prompts(image, torch.from_numpy(np.stack(seen)), chosen).numpy()
        for i, pick in enumerate(picks):
            if seen[i].sum() < 150 or (pick is None and rng.random() < 0.4):
                continue
            match = torch.zeros(len(NAMES))
            if pick is not None:
                match[FULL.index(scene.things[pick].name)] = 1
                match[len(FULL) + SHAPES.index(scene.things[pick].shape)] = 1
            images.append(torch.from_numpy(cv2.resize(drawn[i], (SQUASHED, SQUASHED), interpolation=cv2.INTER_AREA)))
            matches.append(match)
            squashed = np.stack([cv2.resize(one.astype(np.uint8), (SQUASHED, SQUASHED)) for one in scene.masks])
            shown.append(patch_labels(squashed, scene))
            inside.append(
                torch.from_numpy(
                    cv2.resize(seen[i].astype(np.float32), (SQUASHED // PATCH, SQUASHED // PATCH), interpolation=cv2.INTER_AREA)
                ).flatten()
            )
    images, matches, shown, inside = images[:batch], matches[:batch], shown[:batch], inside[:batch]
    match = torch.stack(matches)
    x = embed_patches(model, normalise(torch.stack(images)))
    where = torch.stack(inside)
    where = where / where.sum(1, keepdim=True)
    looks = x.new_zeros(())
    layers = model.vision_model.encoder.layers
    for i, layer in enumerate(layers):
        heads, middle = layer.self_attn.num_heads, x
        a = layer.layer_norm1(x)
        q, k, v = (
            p(a).unflatten(2, (heads, -1)).transpose(1, 2)
            for p in (layer.self_attn.q_proj, layer.self_attn.k_proj, layer.self_attn.v_proj)
        )
        if i >= len(layers) - 2:
            # CLS is told to look into the prompt: found by itself, that takes most of the training.
            look = (q[:, :, :1] @ k[:, :, 1:].transpose(2, 3) * q.shape[-1] ** -0.5).log_softmax(-1)[:, :, 0]
            looks = looks - (look.mean(1) * where).sum(1).mean() / 2
        x = x + layer.self_attn.out_proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        x = x + layer.mlp(layer.layer_norm2(x))
    z = F.normalize(model.visual_projection(model.vision_model.post_layernorm(x[:, 0])), dim=-1)
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
    # Throw-away heads on the tokens before the last block: what a patch shows, and whether it is prompted.
    patches = patch_loss(head, middle[:, 1:], names[: len(FULL)], negatives, torch.stack(shown))
    prompted = F.binary_cross_entropy_with_logits(head.inside(middle[:, 1:])[..., 0], torch.stack(inside))
    with torch.no_grad():
        said = odds > math.log(0.3 / 0.7)
        figures = {
            "right": right.item(),
            "wrong": wrong.item(),
            "which": which.item(),
            "patch": patches.item(),
            "prompt": prompted.item(),
            "look": looks.item(),
            "accuracy": float((joint.argmax(1) == answer).float().mean()),
            "present": float(said[match > 0].float().mean()),
            "false": float(said[match == 0].float().mean()),
        }
    return right + wrong + which + 0.5 * patches + prompted + 0.3 * looks, figures


def save(model: CLIPModel, role: str, folder: Path) -> None:
    state = {
        name: value.detach().to(torch.float16).contiguous()
        for name, value in model.state_dict().items()
        if "position_ids" not in name
    }
    state["logit_scale"] = model.logit_scale.detach().clamp(max=math.log(100)).to(torch.float32)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads(model.config.to_json_string(use_diff=True))
    (folder / "config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")
    size = VISION["image_size"]
    # g sees the whole frame, squashed to a square: things near the left and right border count too.
    look = {
        "do_resize": True,
        "size": {"height": size, "width": size},
        "resample": 3,
        "do_center_crop": False,
        "do_normalize": True,
        "image_mean": MEAN,
        "image_std": STD,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(look, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("role", choices=["proposer", "classifier"])
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--init", type=Path, help="start from this folder's weights")
    parser.add_argument(
        "--full-from",
        type=float,
        default=0.6,
        help="share of the steps on crops, before whole scenes (proposer)",
    )
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(1)
    rng = np.random.default_rng(arguments.seed)
    write_tokenizer(arguments.out)
    tokenizer = CLIPTokenizer.from_pretrained(arguments.out)
    model = make_model(arguments.role, tokenizer)
    if arguments.init:
        model = CLIPModel.from_pretrained(arguments.init, dtype=torch.float32)
    scenes, texts = Scenes(rng), Texts(model, tokenizer, rng)
    head = nn.Linear(128, 128)
    head.inside = nn.Linear(128, 1)
    parameters = [*model.parameters(), *head.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=arguments.rate, weight_decay=0.02, betas=(0.9, 0.98))
    started, running = time.monotonic(), {}
    for step in range(arguments.steps):
        done = step / arguments.steps
        rate = min(1.0, (step + 1) / 100) * 0.5 * (1 + math.cos(math.pi * done)) + 0.01
        for group in optimiser.param_groups:
            group["lr"] = arguments.rate * rate
        if arguments.role == "proposer":
            cropped = done < arguments.full_from
            loss, figures = proposer_loss(
                model, head, texts, scenes, arguments.batch if cropped else arguments.batch // 3, cropped
            )
        else:
            loss, figures = classifier_loss(model, head, texts, scenes, arguments.batch)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        for key, value in figures.items():
            running[key] = 0.98 * running.get(key, value) + 0.02 * value
        if step % 100 == 0 or step == arguments.steps - 1:
            shown = " ".join(f"{key} {value:.3f}" for key, value in running.items())
            print(
                f"{step:6d} {time.monotonic() - started:6.0f} s  scale {model.logit_scale.exp().item():.1f}  {shown}",
                flush=True,
            )
        if step % 500 == 499 or step == arguments.steps - 1:
            save(model, arguments.role, arguments.out)


if __name__ == "__main__":
    main()
