from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from huggingface_hub import constants
from PIL import Image
from safetensors.torch import load_file, save_file

from carvid.errors import WeightsError
from carvid.sam import load
from carvid.sam.architectures import ARCHITECTURES, random_state_dict
from carvid.sam.load import LoadedSam, load_sam
from carvid.sam.names import NAMED_SAMS, resolve_sam
from carvid.sam.tower import sam_tower
from tests.tiny_sam import (
    CONFIG,
    IMAGE_SIZE,
    make_tiny_hq_sam,
    make_tiny_sam,
    make_tiny_sam2,
    original_state_dict,
)

CPU = torch.device("cpu")
MAKERS: dict[str, Any] = {"sam": make_tiny_sam, "sam_hq": make_tiny_hq_sam, "sam2": make_tiny_sam2}


def loaded(where: str | Path, dtype: torch.dtype = torch.float32, **options: bool) -> LoadedSam:
    return load_sam(resolve_sam(where), device=CPU, dtype=dtype, **options)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_tiny_sam(tmp_path / "sam")


@pytest.mark.parametrize("kind", MAKERS)
def test_a_folder_of_each_kind(tmp_path: Path, kind: str) -> None:
    folder = MAKERS[kind](tmp_path / kind)
    sam = loaded(folder)
    assert (sam.kind, sam.image_size, sam.source) == (kind, IMAGE_SIZE, str(folder))
    assert sam.sha256 == hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert not sam.model.training
    assert not any(parameter.requires_grad for parameter in sam.model.parameters())
    stored = load_file(folder / "model.safetensors")
    for name, tensor in sam.model.state_dict().items():
        assert torch.equal(tensor, stored[name])


def test_sam2_is_read_from_the_video_model_or_the_image_model(tmp_path: Path) -> None:
    video, image = make_tiny_sam2(tmp_path / "a"), make_tiny_sam2(tmp_path / "b", video=False)
    assert json.loads((video / "config.json").read_text())["model_type"] == "sam2_video"
    assert loaded(video).model.state_dict().keys() == loaded(image).model.state_dict().keys()


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("size", [(60, 100), (128, 90)])
def test_points_are_decoded_as_by_the_models_own_forward(
    tmp_path: Path, kind: str, size: tuple[int, int]
) -> None:
    sam = loaded(MAKERS[kind](tmp_path / kind))
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    points = np.array([[10.25, 20.0], [80.0, 55.5]])
    tower = sam_tower(sam)
    with torch.inference_mode():
        features = tower.look(torch.from_numpy(image))
        logits, predicted = tower.decode(features, points)
        side = IMAGE_SIZE
        scale = side / max(size)
        seen = (side, side) if kind == "sam2" else (int(size[0] * scale + 0.5), int(size[1] * scale + 0.5))
        small = np.asarray(Image.fromarray(image).resize(seen[::-1], Image.Resampling.BILINEAR)) / 255
        planes = np.zeros((1, 3, side, side))
        planes[0, :, : seen[0], : seen[1]] = ((small - load.PIXEL_MEAN) / load.PIXEL_STD).transpose(2, 0, 1)
        placed = points * [seen[1] / size[1], seen[0] / size[0]]
        expected = sam.model(
            pixel_values=torch.from_numpy(planes).float(),
            input_points=torch.from_numpy(placed)[None, :, None],
            input_labels=torch.ones(1, 2, 1, dtype=torch.int),
        )
    assert logits.shape[:2] == predicted.shape == (2, 3)
    torch.testing.assert_close(predicted, expected.iou_scores[0], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(logits, expected.pred_masks[0], rtol=1e-3, atol=1e-2)
    assert tower.upscale(logits[0], features).shape == (3, *size)


@pytest.mark.parametrize("kind", MAKERS)
def test_the_encoder_runs_in_another_dtype_and_the_decoder_in_float32(tmp_path: Path, kind: str) -> None:
    folder = MAKERS[kind](tmp_path / kind)
    exact, rough = loaded(folder), loaded(folder, torch.bfloat16)
    assert next(rough.model.vision_encoder.parameters()).dtype == torch.bfloat16
    assert rough.model.mask_decoder.iou_token.weight.dtype == torch.float32
    image = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (60, 100, 3), dtype=np.uint8))
    scores = []
    with torch.inference_mode():
        for sam in (exact, rough):
            tower = sam_tower(sam)
            logits, predicted = tower.decode(tower.look(image), np.array([[10.0, 20.0]]))
            assert logits.dtype == predicted.dtype == torch.float32
            scores.append(predicted)
    torch.testing.assert_close(*scores, rtol=0, atol=0.1)


def test_a_pth_of_segment_anything_is_read_only_when_pickles_are_allowed(folder: Path) -> None:
    path = folder.parent / "sam_vit_tiny.pth"
    torch.save(original_state_dict(load_file(folder / "model.safetensors")), path)
    with pytest.raises(WeightsError, match=r"sam_vit_tiny.pth is a pickle: pass --allow-pickle"):
        loaded(path)
    sam, other = loaded(path, allow_pickle=True), loaded(folder)
    for name, tensor in other.model.state_dict().items():
        assert torch.equal(sam.model.state_dict()[name], tensor)
    assert sam.model.config.mask_decoder_config.layer_norm_eps == 1e-5
    assert sam.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_pth_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"image_encoder.pos_embed": Bomb()}, tmp_path / "sam.pth")
    with pytest.raises(WeightsError, match="was refused"):
        loaded(tmp_path / "sam.pth", allow_pickle=True)
    assert not (tmp_path / "ran").exists()


def test_safetensors_in_segment_anythings_layout_need_no_permission(folder: Path) -> None:
    path = folder.parent / "sam.safetensors"
    original = original_state_dict(load_file(folder / "model.safetensors"))
    save_file({f"module.{name}": tensor for name, tensor in original.items()}, path)
    assert loaded(path).kind == "sam"
    with pytest.raises(WeightsError, match=r"holds no image_encoder.*name the folder that holds config.json"):
        loaded(folder / "model.safetensors")


@pytest.mark.parametrize("kind", MAKERS)
def test_a_configuration_chooses_no_attention_kernel(tmp_path: Path, kind: str) -> None:
    folder = MAKERS[kind](tmp_path / kind)
    config = json.loads((folder / "config.json").read_text())
    parts = [
        config,
        *(config[part] for part in ("vision_config", "prompt_encoder_config", "mask_decoder_config")),
    ]
    if kind == "sam2":
        parts.append(config["vision_config"]["backbone_config"])
    for part in parts:
        part.update(
            attn_implementation="kernels-community/flash-attn", _attn_implementation="flash_attention_2"
        )
    (folder / "config.json").write_text(json.dumps(config))
    with torch.inference_mode():
        features = sam_tower(loaded(folder)).look(torch.zeros(9, 9, 3).byte())
    assert features.size == (9, 9)


@pytest.mark.parametrize("prefix", ["_orig_mod.", "model.", "module._orig_mod."])
def test_prefixes_of_wrappers_are_taken_off(folder: Path, prefix: str) -> None:
    state = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    variant = folder / "model.fp16.safetensors"
    save_file({f"{prefix}{name}": tensor for name, tensor in state.items()}, variant)
    original = original_state_dict(state)
    save_file(
        {f"{prefix}{name}": tensor for name, tensor in original.items()}, folder.parent / "sam.safetensors"
    )
    for path in (folder, folder.parent / "sam.safetensors"):
        for name, tensor in loaded(path).model.state_dict().items():
            assert torch.equal(state[name], tensor)


def test_the_position_table_may_be_stored_once(folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    expected = state["shared_image_embedding.positional_embedding"]
    del state["prompt_encoder.shared_embedding.positional_embedding"]
    save_file(state, folder / "model.safetensors")
    assert torch.equal(loaded(folder).model.prompt_encoder.shared_embedding.positional_embedding, expected)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda state: state.pop("mask_decoder.iou_token.weight"), "missing: mask_decoder.iou_token.weight"),
        (lambda state: state.update({"extra.weight": torch.zeros(1)}), "have no place in .*: extra.weight"),
        (lambda state: state.update({"vision_encoder.pos_embed": torch.zeros(1, 2, 2, 16)}),
         r"vision_encoder.pos_embed has shape \(1, 2, 2, 16\), expected \(1, 16, 16, 16\)"),
        (lambda state: state["mask_decoder.iou_token.weight"].fill_(float("nan")),
         "NaN or infinite values in mask_decoder.iou_token.weight"),
    ],
)  # fmt: skip
def test_damaged_weights_are_refused_by_name(folder: Path, damage: Any, message: str) -> None:
    state = load_file(folder / "model.safetensors")
    damage(state)
    save_file(state, folder / "model.safetensors")
    with pytest.raises(WeightsError, match=message) as caught:
        loaded(folder)
    assert caught.value.exit_code == 3


def test_a_folder_that_holds_no_sam_is_refused(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "clip"}))
    with pytest.raises(WeightsError, match=r"is a 'clip' model .*expected one of sam, sam_hq, sam2"):
        loaded(folder)
    (folder / "config.json").write_text(json.dumps({**config, "vision_config": {"num_attention_heads": 0}}))
    with pytest.raises(WeightsError, match=r"config.json describes no SAM|wrong shapes"):
        loaded(folder)
    (folder / "config.json").write_text(json.dumps({**config, "prompt_encoder_config": {"image_size": 64}}))
    with pytest.raises(WeightsError, match="image_size is 128 for the image encoder and 64 for the prompt"):
        loaded(folder)
    (folder / "config.json").write_text(
        json.dumps({**config, "mask_decoder_config": {"num_hidden_layers": 10**9}})
    )
    with pytest.raises(WeightsError, match="says num_hidden_layers 1000000000, more than it has tensors"):
        loaded(folder)
    (folder / "config.json").unlink()
    with pytest.raises(WeightsError, match=r"holds no config.json: expected a SAM"):
        loaded(folder)


def test_the_preprocessors_mean_and_std_are_used(folder: Path) -> None:
    (folder / "preprocessor_config.json").write_text(
        json.dumps({"image_mean": [0.5, 0.4, 0.3], "image_std": [1, 1, 1]})
    )
    sam = loaded(folder)
    assert (sam.mean, sam.std) == ((0.5, 0.4, 0.3), (1.0, 1.0, 1.0))
    (folder / "preprocessor_config.json").write_text(json.dumps({"image_mean": [0.5]}))
    with pytest.raises(WeightsError, match=r"image_mean is \[0.5\], expected three numbers"):
        loaded(folder)


def test_random_weights_are_drawn_from_the_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ARCHITECTURES, "vit-b", {"model_type": "sam", **CONFIG})
    one, two = loaded("random:vit-b"), loaded("random:vit-b")
    assert one.sha256 == two.sha256
    assert one.source == "random weights, SAM vit-b, seed 0"
    for name, tensor in one.model.state_dict().items():
        assert torch.equal(tensor, two.model.state_dict()[name])
        assert bool(torch.isfinite(tensor).all())
    tower = sam_tower(one)
    with torch.inference_mode():
        _, predicted = tower.decode(tower.look(torch.zeros(9, 9, 3).byte()), np.array([[4.0, 4.0]]))
    assert bool((predicted > 1).all())


def test_random_tensors_depend_on_their_name_and_the_seed() -> None:
    shapes = {"a.weight": torch.Size([3, 4]), "b.weight": torch.Size([3, 4])}
    state = random_state_dict(shapes)
    assert torch.equal(state["b.weight"], random_state_dict({"b.weight": shapes["b.weight"]})["b.weight"])
    assert not torch.equal(state["a.weight"], state["b.weight"])
    assert not torch.equal(state["a.weight"], random_state_dict(shapes, seed=1)["a.weight"])


def test_architectures_are_the_published_sizes() -> None:
    from transformers import SamConfig, SamModel

    for architecture, config in ARCHITECTURES.items():
        with torch.device("meta"):
            model = SamModel(SamConfig.from_dict({**config}))
        count = sum(parameter.numel() for parameter in model.parameters())
        assert count == NAMED_SAMS[f"random:{architecture}"].specs[0].parameters


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    return tmp_path / "cache"


def test_offline_without_weights_says_what_to_do(cache: Path) -> None:
    with pytest.raises(WeightsError) as caught:
        loaded("sam-vit-b", offline=True)
    message = str(caught.value)
    assert "facebook/sam-vit-base" in message
    assert str(cache) in message
    assert "--sam DIR|FILE" in message
    assert "--model" not in message
    assert caught.value.exit_code == 3
