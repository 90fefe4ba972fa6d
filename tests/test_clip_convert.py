"""OpenAI's and OpenCLIP's files: a small Hugging Face CLIP is written in their layout and loaded back."""

import json
import os
import pickle
import shutil
import zipfile

import huggingface_hub
import pytest
import torch
from safetensors.torch import load_file, save_file

from carvid.clip.load import load_clip
from carvid.clip.names import resolve_spec
from carvid.errors import WeightsError
from carvid.weights.torchscript import is_torchscript, read_torchscript
from tests.tiny_clip import make_tiny_clip

CPU = torch.device("cpu")
TEXTS = ["the red car", "a tree in front of the house"]
SIZES = {"width": 128, "heads": 2, "text_width": 64, "text_heads": 1, "layers": 2, "context_length": 20}


def load(path, **options):
    return load_clip(
        resolve_spec(path, "proposer"), role="proposer", device=CPU, dtype=torch.float32, **options
    )


def openai_layout(state):
    """The inverse of the conversion, written out: Hugging Face's names to OpenAI's."""
    out = {
        "logit_scale": state["logit_scale"],
        "text_projection": state["text_projection.weight"].T,
        "visual.proj": state["visual_projection.weight"].T,
        "token_embedding.weight": state["text_model.embeddings.token_embedding.weight"],
        "positional_embedding": state["text_model.embeddings.position_embedding.weight"],
        "visual.class_embedding": state["vision_model.embeddings.class_embedding"],
        "visual.positional_embedding": state["vision_model.embeddings.position_embedding.weight"],
        "visual.conv1.weight": state["vision_model.embeddings.patch_embedding.weight"],
    }
    for kind in ("weight", "bias"):
        out[f"ln_final.{kind}"] = state[f"text_model.final_layer_norm.{kind}"]
        out[f"visual.ln_pre.{kind}"] = state[f"vision_model.pre_layrnorm.{kind}"]
        out[f"visual.ln_post.{kind}"] = state[f"vision_model.post_layernorm.{kind}"]
        for theirs, ours in (("visual.", "vision_model"), ("", "text_model")):
            for layer in range(2):
                block, source = f"{theirs}transformer.resblocks.{layer}", f"{ours}.encoder.layers.{layer}"
                qkv = [state[f"{source}.self_attn.{part}_proj.{kind}"] for part in "qkv"]
                out[f"{block}.attn.in_proj_{kind}"] = torch.cat(qkv)
                out[f"{block}.attn.out_proj.{kind}"] = state[f"{source}.self_attn.out_proj.{kind}"]
                out[f"{block}.ln_1.{kind}"] = state[f"{source}.layer_norm1.{kind}"]
                out[f"{block}.ln_2.{kind}"] = state[f"{source}.layer_norm2.{kind}"]
                out[f"{block}.mlp.c_fc.{kind}"] = state[f"{source}.mlp.fc1.{kind}"]
                out[f"{block}.mlp.c_proj.{kind}"] = state[f"{source}.mlp.fc2.{kind}"]
    return {name: tensor.contiguous() for name, tensor in out.items()}


class Module(torch.nn.Module):
    def forward(self, x):
        return x


def as_torchscript(state, path):
    """A TorchScript archive whose module tree holds `state`, in half precision as OpenAI's do."""
    root = Module()
    for name, tensor in state.items():
        *parents, leaf = name.split(".")
        module = root
        for parent in parents:
            if not hasattr(module, parent):
                module.add_module(parent, Module())
            module = getattr(module, parent)
        if tensor.is_floating_point():
            setattr(module, leaf, torch.nn.Parameter(tensor.half()))
        else:
            module.register_buffer(leaf, tensor)
    root.visual.transformer.attn_mask = torch.zeros(2, 2)  # a plain attribute, as in CLIP's blocks
    torch.jit.script(root).save(str(path))


def make(tmp_path, hidden_act="quick_gelu"):
    """The reference folder, its loaded CLIP, and an empty folder with its vocabulary."""
    folder = make_tiny_clip(tmp_path / "reference", hidden_act=hidden_act, **SIZES)
    state = {name: tensor.half().float() for name, tensor in load_file(folder / "model.safetensors").items()}
    save_file(state, folder / "model.safetensors")
    beside = tmp_path / "file"
    beside.mkdir()
    for name in ("vocab.json", "merges.txt"):
        shutil.copy(folder / name, beside / name)
    return load(folder), openai_layout(state), beside


@pytest.fixture
def quick(tmp_path):
    return make(tmp_path)


@pytest.fixture
def gelu(tmp_path):
    return make(tmp_path, "gelu")


def assert_same(found, reference):
    pixels = torch.linspace(-2, 2, 2 * 3 * 32 * 32).view(2, 3, 32, 32)
    torch.testing.assert_close(found.tower.embed(pixels), reference.tower.embed(pixels))
    torch.testing.assert_close(found.texts.embed(TEXTS), reference.texts.embed(TEXTS))
    assert found.logit_scale == reference.logit_scale
    assert found.preprocess == reference.preprocess
    assert found.texts.context_length == reference.texts.context_length


FACTS = {
    "input_resolution": torch.tensor(32),
    "context_length": torch.tensor(20),
    "vocab_size": torch.tensor(9),
}


@pytest.mark.parametrize("facts", [FACTS, {}], ids=["with facts", "without"])
def test_openais_torchscript(quick, facts):
    reference, state, beside = quick
    as_torchscript(state | facts, beside / "ViT.pt")
    assert is_torchscript(beside / "ViT.pt")
    assert_same(load(beside / "ViT.pt", allow_pickle=True), reference)


def test_openais_weights_as_a_plain_state_dict(quick):
    reference, state, beside = quick
    torch.save(state | FACTS, beside / "ViT.pt")
    assert not is_torchscript(beside / "ViT.pt")
    assert_same(load(beside / "ViT.pt", allow_pickle=True), reference)


def test_openclip_safetensors(gelu):
    reference, state, beside = gelu
    save_file(state, beside / "open_clip_model.safetensors")
    assert_same(load(beside / "open_clip_model.safetensors"), reference)


def test_openclip_training_checkpoint(gelu):
    reference, state, beside = gelu
    wrapped = {f"module.{name}": tensor for name, tensor in state.items()}
    torch.save({"epoch": 3, "name": "x", "state_dict": wrapped}, beside / "epoch_3.pt")
    assert_same(load(beside / "epoch_3.pt", allow_pickle=True), reference)


@pytest.mark.parametrize("prefix", ["_orig_mod.", "module._orig_mod.", "_orig_mod.module."])
def test_openclip_saved_after_compiling(gelu, prefix):
    reference, state, beside = gelu
    save_file({f"{prefix}{name}": tensor for name, tensor in state.items()}, beside / "compiled.safetensors")
    assert_same(load(beside / "compiled.safetensors"), reference)


def test_openclip_with_quick_gelu_says_so_beside_the_file(quick):
    reference, state, beside = quick
    save_file(state, beside / "open_clip_model.safetensors")
    (beside / "open_clip_config.json").write_text(json.dumps({"model_cfg": {"quick_gelu": True}}))
    assert_same(load(beside / "open_clip_model.safetensors"), reference)


def test_what_openclip_says_beside_the_file(gelu):
    _, state, beside = gelu
    save_file(state, beside / "open_clip_model.safetensors")
    described = {
        "model_cfg": {"vision_cfg": {"head_width": 32}, "text_cfg": {"heads": 4}},
        "preprocess_cfg": {
            "mean": [0.5] * 3,
            "std": [0.25] * 3,
            "resize_mode": "squash",
            "interpolation": "bilinear",
        },
    }
    (beside / "open_clip_config.json").write_text(json.dumps(described))
    loaded = load(beside / "open_clip_model.safetensors")
    assert {block.heads for block in loaded.tower.blocks + loaded.texts.tower.blocks} == {4}
    assert loaded.preprocess.shortest_edge is None
    assert loaded.preprocess.size == (32, 32)
    assert loaded.preprocess.mean == (0.5, 0.5, 0.5)
    assert loaded.preprocess.std == (0.25, 0.25, 0.25)
    assert loaded.preprocess.resample == "bilinear"


@pytest.mark.parametrize(
    ("described", "message"),
    [
        ({"preprocess_cfg": {"resize_mode": "longest"}}, "resize_mode is 'longest'"),
        ({"preprocess_cfg": {"interpolation": "nearest"}}, "resample is"),
        ({"preprocess_cfg": {"interpolation": ["bicubic"]}}, "holds no CLIP that can be read"),
        ({"model_cfg": [1]}, "is not OpenCLIP's"),
        ({"model_cfg": {"text_cfg": {"heads": 3}}}, "expected a multiple of its 3 heads"),
        ({"model_cfg": {"text_cfg": {"heads": "many"}}}, "heads is 'many', expected a whole number"),
    ],
)
def test_descriptions_that_are_refused(gelu, described, message):
    _, state, beside = gelu
    save_file(state, beside / "open_clip_model.safetensors")
    (beside / "open_clip_config.json").write_text(json.dumps(described))
    with pytest.raises(WeightsError, match=message):
        load(beside / "open_clip_model.safetensors")


def drop(name):
    return lambda state: state.pop(name)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (drop("visual.proj"), "holds no visual.proj"),
        (
            drop("visual.transformer.resblocks.0.mlp.c_fc.weight"),
            "holds no visual.transformer.resblocks.0.mlp",
        ),
        (drop("ln_final.bias"), "1 tensors are missing: text_model.final_layer_norm.bias"),
        (drop("transformer.resblocks.1.attn.in_proj_bias"), "3 tensors are missing: .*q_proj.bias"),
        (
            lambda state: state.update({"visual.attnpool.c_proj.weight": torch.zeros(2, 2)}),
            "holds visual.attnpool",
        ),
        (lambda state: state.update({"logit_bias": torch.zeros(1)}), "holds logit_bias"),
        (
            lambda state: state.update({"visual.positional_embedding": torch.zeros(12, 128)}),
            "has 12 rows, expected 1 \\+ a square number",
        ),
        (
            lambda state: state.update({"visual.positional_embedding": torch.zeros(0, 128)}),
            "holds no CLIP that can be read",
        ),
        (
            lambda state: state.update(
                {f"visual.transformer.resblocks.{10**9}.ln_1.bias": state["visual.ln_post.bias"].clone()}
            ),
            "says num_hidden_layers 1000000001, more than it has tensors",
        ),
        (
            lambda state: state.update({"transformer.resblocks.0.attn.in_proj_weight": torch.zeros(100, 64)}),
            r"in_proj_weight has shape \(100, 64\), expected q, k and v stacked",
        ),
        (lambda state: state.update({"visual.conv1.weight": torch.zeros(3)}), "expected 4 dimensions"),
        (
            lambda state: state["token_embedding.weight"].view(-1)[:1].fill_(float("nan")),
            "NaN or infinite values in text_model.embeddings.token_embedding.weight",
        ),
    ],
)
def test_tensors_that_are_refused_by_name(gelu, edit, message):
    _, state, beside = gelu
    edit(state)
    save_file(state, beside / "open_clip_model.safetensors")
    with pytest.raises(WeightsError, match=message):
        load(beside / "open_clip_model.safetensors")


def test_hugging_faces_layout_belongs_in_its_folder(tmp_path):
    folder = make_tiny_clip(tmp_path)
    with pytest.raises(WeightsError, match=r"name the folder that holds config.json as well"):
        load(folder / "model.safetensors")


def test_pt_files_are_pickles(quick):
    _, state, beside = quick
    as_torchscript(state, beside / "ViT.pt")
    torch.save(state, beside / "plain.pt")
    for name in ("ViT.pt", "plain.pt"):
        with pytest.raises(WeightsError, match=f"{name} is a pickle: pass --allow-pickle"):
            load(beside / name)


def test_the_vocabulary_comes_from_the_hubs_cache_where_none_lies_beside(gelu, tmp_path, monkeypatch):
    reference, state, beside = gelu
    weights = tmp_path / "alone" / "open_clip_model.safetensors"
    weights.parent.mkdir()
    save_file(state, weights)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    with pytest.raises(
        WeightsError, match=f"no vocabulary for {weights}: put .* into the cache {tmp_path}/hub"
    ):
        load(weights)
    cache = tmp_path / "hub" / "models--openai--clip-vit-base-patch32"
    (cache / "refs").mkdir(parents=True)
    (cache / "refs" / "main").write_text("0" * 40)
    shutil.copytree(beside, cache / "snapshots" / ("0" * 40))
    assert_same(load(weights), reference)


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def archive(path, data):
    """Something that looks like a TorchScript archive, with `data` as its module tree."""
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("evil/data.pkl", data)
        file.writestr("evil/constants.pkl", pickle.dumps((), 2))
        file.writestr("evil/code/__torch__.py", "")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (pickle.dumps(Evil("made"), 2), "it asks for .*mkdir, which no CLIP needs"),
        (b"cbuiltins\neval\n(Vopen('made', 'w')\ntR.", "it asks for builtins.eval"),
        (b"ctorch\nload\n(Vmade\ntR.", "it asks for torch.load"),
        (b"c__torch__\nx.__init__.__globals__\n(Vmade\ntR.", "not a readable TorchScript archive"),
        (pickle.dumps([1, 2], 2), "expected a tree of modules"),
        (pickle.dumps({"a": 1}, 2)[:-4], "not a readable TorchScript archive"),
        (b"\x80\x02X\x01\x00\x00\x00aQ.", "not a readable TorchScript archive"),
        (b"", "not a readable TorchScript archive"),
    ],
    ids=["reduce", "eval", "torch.load", "attributes", "list", "cut", "storage", "empty"],
)
def test_a_malicious_archive_runs_nothing(tmp_path, monkeypatch, data, message):
    monkeypatch.chdir(tmp_path)
    archive(tmp_path / "evil.pt", data)
    assert is_torchscript(tmp_path / "evil.pt")
    with pytest.raises(WeightsError, match=message):
        read_torchscript(tmp_path / "evil.pt")
    assert not (tmp_path / "made").exists()


def test_a_tensor_cannot_reach_outside_its_storage(quick):
    _, state, beside = quick
    as_torchscript(state, beside / "ViT.pt")
    with zipfile.ZipFile(beside / "ViT.pt") as source, zipfile.ZipFile(beside / "cut.pt", "w") as target:
        for name in source.namelist():
            content = source.read(name)
            target.writestr(name, content[:8] if "/data/" in name else content)
    with pytest.raises(WeightsError, match="not a readable TorchScript archive"):
        read_torchscript(beside / "cut.pt")
