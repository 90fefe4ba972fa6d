"""A small random CLIP on disk, in Hugging Face's format, with a real byte-pair tokenizer, for the tests."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import CLIPConfig, CLIPModel

BOS, EOS = "<|startoftext|>", "<|endoftext|>"

CORPUS = (
    "a clean origami car. a photo of the red car on the road in front of a house with a tree",
    "a green circle, a blue square, a yellow triangle, a purple star, an orange fish, a white and black tree",
    "ground land grass tree building wall sky lake water river sea railway railroad helmet cloud house "
    "mountain ocean road rock street valley bridge",
    "a man in a hat riding a bike to the left of the woman with a dog",
)


def make_tiny_clip(
    folder: Path,
    *,
    seed: int = 0,
    image_size: int = 32,
    patch: int = 8,
    width: int = 32,
    layers: int = 3,
    heads: int = 2,
    text_width: int = 32,
    text_layers: int = 2,
    text_heads: int = 2,
    projection: int = 24,
    context_length: int = 77,
    logit_scale: float = 20.0,
    gain: float = 1.5,
    hidden_act: str = "quick_gelu",
    corpus: Iterable[str] = CORPUS,
) -> Path:
    """Write config, preprocessing, vocabulary and seeded random weights (safetensors) to `folder`; returns
    it.

    logit_scale: the factor on cosine similarities (its logarithm is stored).
    gain: weights are normal with standard deviation gain/sqrt(fan_in); above 1 the attention is far from
    uniform.
    """
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary_size = write_tokenizer(folder, corpus)
    config = CLIPConfig(
        projection_dim=projection,
        vision_config={
            "hidden_size": width,
            "intermediate_size": 4 * width,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "image_size": image_size,
            "patch_size": patch,
            "hidden_act": hidden_act,
            "projection_dim": projection,
        },
        text_config={
            "hidden_size": text_width,
            "intermediate_size": 4 * text_width,
            "num_hidden_layers": text_layers,
            "num_attention_heads": text_heads,
            "vocab_size": vocabulary_size,
            "max_position_embeddings": context_length,
            "hidden_act": hidden_act,
            "projection_dim": projection,
            "bos_token_id": vocabulary_size - 2,
            "eos_token_id": vocabulary_size - 1,
        },
    )
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in CLIPModel(config).state_dict().items()}
    state = random_weights(shapes, seed=seed, gain=gain)
    state["logit_scale"] = torch.tensor(math.log(logit_scale))
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    config.save_pretrained(folder)
    preprocessor = {
        "crop_size": {"height": image_size, "width": image_size},
        "do_center_crop": True,
        "do_normalize": True,
        "do_resize": True,
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
        "resample": 3,
        "size": {"shortest_edge": image_size},
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    return folder


def random_weights(shapes: dict[str, torch.Size], *, seed: int, gain: float) -> dict[str, torch.Tensor]:
    """Seeded float32 weights by name; nothing in them is zero or the identity, so no mistake hides."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, shape in shapes.items():
        values = torch.randn(shape, generator=generator)
        if "norm" in name:
            state[name] = 0.2 * values + (1.0 if name.endswith("weight") else 0.0)
        elif name.endswith("bias"):
            state[name] = 0.1 * values
        elif "patch_embedding" in name or "embedding" not in name:
            state[name] = values * gain / max(1, shape[1:].numel()) ** 0.5
        else:
            state[name] = 0.5 * values
    return state


def write_tokenizer(folder: Path, corpus: Iterable[str], merges: int = 200) -> int:
    """Train CLIP's byte-pair encoding on `corpus`; write vocab.json and merges.txt; returns the vocabulary's
    size.

    The vocabulary is laid out as CLIP's: every byte, every byte that ends a word, the merges, the start
    token, the end token. So every text has tokens, and the end token is the highest id.
    """
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    size = 2 * len(alphabet) + merges
    trainer = trainers.BpeTrainer(
        vocab_size=size, initial_alphabet=alphabet, end_of_word_suffix="</w>", show_progress=False
    )
    tokenizer.train_from_iterator([text.lower() for text in corpus], trainer)
    learnt = [tuple(pair) for pair in json.loads(tokenizer.to_str())["model"]["merges"]]
    tokens = [*alphabet, *(byte + "</w>" for byte in alphabet), *("".join(pair) for pair in learnt), BOS, EOS]
    vocabulary = {token: number for number, token in enumerate(dict.fromkeys(tokens))}
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    lines = ["#version: 0.2", *(" ".join(pair) for pair in learnt)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps({"bos_token": BOS, "eos_token": EOS}))
    return len(vocabulary)
