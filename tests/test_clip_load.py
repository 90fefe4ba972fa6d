import hashlib
import json
import os
import pickle
from dataclasses import is_dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import CLIPModel

from carvid.clip.load import check_clip, load_clip, load_pair
from carvid.clip.names import CLIP, resolve_pair, resolve_spec
from carvid.clip.preprocess import PreprocessOptions
from carvid.clip.random_clip import ARCHITECTURES, random_state_dict
from carvid.errors import WeightsError
from carvid.weights.locate import locate
from carvid.weights.names import WeightsSpec
from tests.tiny_clip import make_tiny_clip

CPU = torch.device("cpu")
PATCHES = "vision_model.embeddings.patch_embedding.weight"


def load(folder, *, dtype=torch.float32, **options):
    return load_clip(resolve_spec(folder, "proposer"), role="proposer", device=CPU, dtype=dtype, **options)


def check(folder, **options):
    """The folder's CLIP as stored, after all checks."""
    return check_clip(locate(resolve_spec(folder, "proposer"), **options), role="proposer")


def edit_json(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def to_pickle(folder):
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def to_shards(folder):
    state = load_file(folder / "model.safetensors")
    weight_map = {}
    for number in range(3):
        name = f"model-{number + 1:05}-of-00003.safetensors"
        part = dict(list(state.items())[number::3])
        save_file(part, folder / name)
        weight_map |= dict.fromkeys(part, name)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    (folder / "model.safetensors").unlink()


def change(folder, edit):
    """Apply `edit` to the folder's tensors."""
    state = load_file(folder / "model.safetensors")
    edit(state)
    save_file(state, folder / "model.safetensors")


@pytest.fixture
def folder(tmp_path):
    return make_tiny_clip(tmp_path / "tiny", logit_scale=50.0, context_length=20)


def image_features(clip):
    pixels = torch.linspace(-1, 1, 3 * 32 * 32).view(1, 3, 32, 32)
    return clip.tower.embed(pixels.to(clip.dtype))


def same_weights(one, two):
    """Of two dictionaries of tensors."""
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def tensors(part):
    """All tensors that a tower holds."""
    if isinstance(part, torch.Tensor):
        return [part]
    inside = part if isinstance(part, tuple) else vars(part).values() if is_dataclass(part) else ()
    return [tensor for each in inside for tensor in tensors(each)]


def test_the_weights_are_those_that_transformers_loads(folder):
    theirs = CLIPModel.from_pretrained(folder).eval()
    assert same_weights(check(folder).state, theirs.state_dict())
    pixels = torch.linspace(-1, 1, 3 * 32 * 32).view(1, 3, 32, 32)
    with torch.no_grad():
        features = theirs.get_image_features(pixel_values=pixels)
    features = torch.nn.functional.normalize(getattr(features, "pooler_output", features), dim=-1)
    torch.testing.assert_close(image_features(load(folder)), features, rtol=1e-4, atol=1e-5)


def test_what_comes_with_it(folder):
    loaded = load(folder)
    assert loaded.name == str(folder)
    assert loaded.source == str(folder)
    assert loaded.texts.context_length == 20
    assert loaded.logit_scale == pytest.approx(50.0, rel=1e-5)
    assert loaded.preprocess == PreprocessOptions.for_image_size(32)
    assert loaded.sha256 == hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert (loaded.device, loaded.dtype) == (CPU, torch.float32)


def test_the_towers_are_frozen(folder):
    """Also where a pickle holds parameters, which want gradients, and where it is loaded in inference mode."""
    state = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    parameters = {name: torch.nn.Parameter(tensor) for name, tensor in state.items()}
    torch.save(parameters, folder / "pytorch_model.bin")
    with torch.inference_mode():
        loaded = load(folder, allow_pickle=True)
    held = tensors(loaded.tower) + tensors(loaded.texts.tower)
    assert len(held) == 9 + 12 * 3 + 5 + 12 * 2
    assert not any(tensor.requires_grad or tensor.is_inference() for tensor in held)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_dtype(folder, dtype):
    loaded = load(folder, dtype=dtype)
    held = tensors(loaded.tower) + tensors(loaded.texts.tower)
    assert {tensor.dtype for tensor in held} == {dtype}
    assert loaded.logit_scale == pytest.approx(50.0, rel=1e-5)  # taken before rounding


def test_half_precision_on_disk(folder):
    change(folder, lambda state: state.update({name: tensor.half() for name, tensor in state.items()}))
    loaded = load(folder)
    held = tensors(loaded.tower) + tensors(loaded.texts.tower)
    assert {tensor.dtype for tensor in held} == {torch.float32}


def test_position_ids_on_disk_are_left_out(folder):
    original = check(folder).state
    change(folder, lambda state: state.update({"text_model.embeddings.position_ids": torch.arange(20)[None]}))
    assert same_weights(check(folder).state, original)


def test_the_models_own_image_size_where_nothing_is_said(folder):
    (folder / "preprocessor_config.json").unlink()
    assert load(folder).preprocess == PreprocessOptions.for_image_size(32)


def test_a_pair_of_the_same_weights_is_loaded_once(folder, tmp_path):
    spec = resolve_spec(folder, "proposer")
    options = {"device": CPU, "dtype": torch.float32}
    f, g = load_pair(spec, resolve_spec(folder, "classifier"), **options)
    assert f is g
    other = make_tiny_clip(tmp_path / "other", seed=1)
    f, g = load_pair(spec, resolve_spec(other, "classifier"), **options)
    assert f is not g
    assert f.sha256 != g.sha256


def test_shards(folder):
    original = check(folder)
    to_shards(folder)
    loaded = check(folder)
    assert same_weights(loaded.state, original.state)
    assert len(loaded.sha256) == 64
    assert loaded.sha256 != original.sha256


def test_a_shard_that_is_missing(folder):
    to_shards(folder)
    (folder / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(
        WeightsError, match=r"lacks model-00002-of-00003.safetensors, which its model.safetensors"
    ):
        load(folder)


def test_a_tensor_in_two_shards(folder):
    to_shards(folder)
    save_file(
        load_file(folder / "model-00001-of-00003.safetensors"), folder / "model-00003-of-00003.safetensors"
    )
    with pytest.raises(WeightsError, match="which another shard holds already"):
        load(folder)


@pytest.mark.parametrize("shard", ["../other.safetensors", "/etc/passwd", "a\\b.safetensors", "model.bin"])
def test_an_index_cannot_name_other_files(folder, shard):
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"logit_scale": shard}}))
    with pytest.raises(WeightsError, match=r"expected a .safetensors file beside it"):
        load(folder)


def spoil(state, name, value):
    state[name].view(-1)[0] = value


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda state: state.pop(PATCHES), f"1 tensors are missing: {PATCHES}"),
        (lambda state: state.clear() or state.update(x=torch.zeros(1)), "and [0-9]+ more"),
        (lambda state: spoil(state, PATCHES, float("nan")), f"NaN or infinite values in {PATCHES}"),
        (lambda state: spoil(state, "logit_scale", float("inf")), "NaN or infinite values in logit_scale"),
        (
            lambda state: state.update({PATCHES: state[PATCHES][:, :, :4].contiguous()}),
            rf"{PATCHES} has shape \(32, 3, 4, 8\), expected \(32, 3, 8, 8\)",
        ),
        (
            lambda state: state.update({"visual.extra": torch.zeros(1)}),
            "have no place in the model.*: visual.extra",
        ),
        (
            lambda state: state.update({PATCHES: state[PATCHES].to(torch.int8)}),
            rf"expected dense floating-point tensors of 16, 32 or 64 bits, found {PATCHES} \(torch.int8\)",
        ),
    ],
    ids=["missing", "all missing", "nan", "inf", "shape", "unknown", "integers"],
)
def test_tensors_that_are_refused_by_name(folder, edit, message):
    change(folder, edit)
    with pytest.raises(WeightsError, match=f"proposer .*tiny: .*{message}"):
        load(folder)


def test_a_damaged_file(folder):
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(WeightsError, match="is not a readable safetensors file"):
        load(folder)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("config.json", "holds no config.json"),
        ("vocab.json", "holds no vocabulary"),
        ("model.safetensors", "holds no weights: expected model.safetensors"),
    ],
)
def test_a_file_that_is_missing(folder, name, message):
    (folder / name).unlink()
    with pytest.raises(WeightsError, match=message):
        load(folder)


def test_the_embedded_model_may_be_lacking():
    folder = Path(resolve_spec("shapes", "proposer").location, "nothing")
    spec = WeightsSpec("shapes/nothing", "folder", str(folder), CLIP)
    with pytest.raises(WeightsError, match="no such folder"):
        load_clip(spec, role="proposer", device=CPU, dtype=torch.float32)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "siglip"}, "is a 'siglip' model by its config.json: expected one of clip"),
        ({"vision_config": {"hidden_size": "wide"}}, "its config.json describes no CLIP"),
        (
            {"vision_config": {"hidden_size": 30, "num_attention_heads": 4}},
            "its config.json describes no CLIP",
        ),
        ({"vision_config": {"image_size": [32, 64]}}, r"image_size is .*32.*, expected one number"),
        ({"vision_config": [1]}, r"its config.json holds \[1\] as vision_config, expected an object"),
        ({"vision_config": {"num_hidden_layers": 10**9}}, "says num_hidden_layers 1000000000, more than"),
        ({"vision_config": {"hidden_size": 10**30}}, "its config.json describes no CLIP"),
        ({"vision_config": {"hidden_act": "relu"}}, "hidden_act is 'relu', expected one of quick_gelu, gelu"),
        ({"text_config": {"vocab_size": 50}}, "the tokenizer has [0-9]+ tokens, the model 50"),
        (
            {"text_config": {"vocab_size": 1000, "eos_token_id": 7}},
            "the tokenizer's end token is [0-9]+, the model pools a text at 7",
        ),
    ],
)
def test_configurations_that_are_refused(folder, changes, message):
    edit_json(folder / "config.json", **changes)
    with pytest.raises(WeightsError, match=message):
        load(folder)


def test_preprocessing_for_another_model(folder):
    edit_json(folder / "preprocessor_config.json", size={"shortest_edge": 64}, crop_size=64)
    with pytest.raises(WeightsError, match=r"prepares images of \(64, 64\), but the model takes 32 squared"):
        load(folder)


def test_code_in_a_repository_is_not_run(folder, tmp_path):
    touched = tmp_path / "touched"
    (folder / "evil.py").write_text(f"open({str(touched)!r}, 'w').close()\nclass Evil: pass\n")
    edit_json(folder / "config.json", auto_map={"AutoModel": "evil.Evil", "AutoConfig": "evil.Evil"})
    edit_json(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": ["evil.Evil", "evil.Evil"]})
    load(folder)
    assert not touched.exists()


def test_only_known_fields_of_a_configuration_are_taken(folder):
    expected = check(folder).config
    path = folder / "config.json"
    config = json.loads(path.read_text())
    strange = {
        "dtype": "float99",
        "quantization_config": {"quant_method": "unheard of"},
        "_attn_implementation": "kernels-community/flash-attn",
        "id2label": [],
        "x": {},
    }
    path.write_text(json.dumps({**config, **strange, "text_config": {**config["text_config"], **strange}}))
    assert check(folder).config == expected


def test_old_configurations_spell_their_parts_otherwise(folder):
    path = folder / "config.json"
    config = json.loads(path.read_text())
    for part in ("text_config", "vision_config"):
        config[f"{part}_dict"] = config.pop(part)
    path.write_text(json.dumps(config))
    assert load(folder).texts.context_length == 20


def test_deeply_nested_configurations_are_refused(folder):
    for name in ("config.json", "preprocessor_config.json", "tokenizer_config.json", "vocab.json"):
        text = (folder / name).read_text()
        (folder / name).write_text('{"a":' * 50_000 + "1" + "}" * 50_000)
        with pytest.raises(WeightsError, match=f"cannot read .*{name}: its objects are nested too deeply"):
            load(folder)
        (folder / name).write_text(text)


def test_float8_is_refused(folder):
    change(folder, lambda state: state.update({PATCHES: state[PATCHES].to(torch.float8_e4m3fn)}))
    with pytest.raises(WeightsError, match=rf"found {PATCHES} \(torch.float8_e4m3fn\)"):
        load(folder)


@pytest.mark.parametrize(
    "prefix", ["_orig_mod.", "module.", "model.", "clip.", "module._orig_mod.", "model.clip."]
)
def test_prefixes_of_wrappers_are_taken_off(folder, prefix):
    original = check(folder).state
    state = load_file(folder / "model.safetensors")
    save_file({f"{prefix}{name}": tensor for name, tensor in state.items()}, folder / "model.safetensors")
    assert same_weights(check(folder).state, original)


def test_a_prefix_that_some_names_lack_is_kept(folder):
    change(folder, lambda state: state.update({f"module.{PATCHES}": state.pop(PATCHES)}))
    with pytest.raises(WeightsError, match=f"1 tensors are missing: {PATCHES}"):
        load(folder)


def test_half_precision_may_be_all_there_is(folder):
    original = load(folder)
    change(folder, lambda state: state.update({name: tensor.half() for name, tensor in state.items()}))
    (folder / "model.safetensors").rename(folder / "model.fp16.safetensors")
    loaded = load(folder)
    assert loaded.sha256 == hashlib.sha256((folder / "model.fp16.safetensors").read_bytes()).hexdigest()
    torch.testing.assert_close(image_features(loaded), image_features(original), rtol=0.1, atol=0.1)


def test_a_pickle_is_refused_until_allowed(folder):
    original = check(folder).state
    to_pickle(folder)
    with pytest.raises(
        WeightsError, match=r"only as pytorch_model.bin, which is a pickle: pass --allow-pickle"
    ):
        load(folder)
    assert same_weights(check(folder, allow_pickle=True).state, original)


def test_safetensors_are_preferred_to_a_pickle(folder):
    original = load(folder)
    (folder / "pytorch_model.bin").write_bytes(b"not even a pickle")
    assert load(folder, allow_pickle=True).sha256 == original.sha256


def test_a_pickle_needs_a_torch_that_reads_it_safely(folder, monkeypatch):
    to_pickle(folder)
    monkeypatch.setattr(torch, "__version__", "2.9.1")
    with pytest.raises(WeightsError, match=r"needs torch 2.10 or later, found 2.9.1"):
        load(folder, allow_pickle=True)


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize(
    "how", [torch.save, lambda content, path: path.write_bytes(pickle.dumps(content, protocol=2))]
)
def test_a_malicious_pickle_runs_nothing(folder, tmp_path, how):
    to_pickle(folder)
    made = tmp_path / "made"
    how({"logit_scale": Evil(str(made))}, folder / "pytorch_model.bin")
    with pytest.raises(
        WeightsError, match="was refused: it is damaged, or holds more than tensors"
    ) as caught:
        load(folder, allow_pickle=True)
    assert "weights_only" not in str(caught.value)
    assert not made.exists()


@pytest.mark.parametrize("content", [[1, 2], {"a": 1}, torch.zeros(2)])
def test_a_pickle_of_something_else(folder, content):
    to_pickle(folder)
    torch.save(content, folder / "pytorch_model.bin")
    with pytest.raises(WeightsError, match="expected a state dict"):
        load(folder, allow_pickle=True)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda tensor: tensor.to_sparse(), "torch.sparse_coo on cpu"),
        (lambda tensor: tensor.to("meta"), "torch.strided on meta"),
    ],
)
def test_a_pickle_of_tensors_that_are_not_dense(folder, edit, message):
    state = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(state | {PATCHES: edit(state[PATCHES])}, folder / "pytorch_model.bin")
    with pytest.raises(WeightsError, match=rf"found {PATCHES} \({message}\)"):
        load(folder, allow_pickle=True)


def test_random_weights_are_the_same_every_time():
    shapes = {
        "a.weight": torch.Size([40, 50]),
        "a.bias": torch.Size([40]),
        "layer_norm1.weight": torch.Size([4]),
    }
    one, two = random_state_dict(shapes), random_state_dict(shapes)
    assert all(torch.equal(one[name], two[name]) for name in shapes)
    assert one["a.weight"].std() == pytest.approx(50**-0.5, rel=0.1)
    assert not torch.equal(one["a.weight"], random_state_dict(shapes, seed=1)["a.weight"])
    assert torch.equal(one["layer_norm1.weight"], torch.ones(4))


def test_a_random_architecture_needs_no_file(monkeypatch):
    small = {
        "projection_dim": 16,
        "vision_config": {
            "hidden_size": 32,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "patch_size": 16,
        },
        "text_config": {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2},
    }
    monkeypatch.setitem(ARCHITECTURES, "vit-b16", small)
    pair = resolve_pair("random:clip-b16")
    f, g = load_pair(*pair, device=CPU, dtype=torch.float32)
    assert f is g
    again = load_pair(*pair, device=CPU, dtype=torch.float32)[0]
    for one, two in zip(tensors(again.tower), tensors(f.tower), strict=True):
        assert torch.equal(one, two)
    assert f.texts.context_length == 77
    assert f.logit_scale == pytest.approx(100.0, rel=1e-3)
    assert f.preprocess == PreprocessOptions()
    assert f.source == "random weights, vit-b16, seed 0"
    assert f.texts.embed(["the red car"]).shape == (1, 16)
