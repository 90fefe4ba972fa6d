import hashlib

import pytest

from carvid.clip.names import CLIP
from carvid.errors import WeightsError
from carvid.sam.names import SAM
from carvid.weights.files import ModelFiles, choose_files, read_json, sha256_of

BASE = {"config.json", "vocab.json", "merges.txt"}


@pytest.mark.parametrize(
    ("names", "pickle", "weights"),
    [
        ({"model.safetensors"}, False, "model.safetensors"),
        ({"model.safetensors.index.json"}, False, "model.safetensors.index.json"),
        (
            {"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin"},
            True,
            "model.safetensors",
        ),
        ({"pytorch_model.bin"}, True, "pytorch_model.bin"),
        ({"model.fp16.safetensors"}, False, "model.fp16.safetensors"),
        ({"model.fp16.safetensors", "pytorch_model.bin"}, False, "model.fp16.safetensors"),
        ({"model.fp16.safetensors", "pytorch_model.bin"}, True, "pytorch_model.bin"),
        ({"model.fp16.safetensors", "model.safetensors"}, False, "model.safetensors"),
    ],
)
def test_safetensors_before_a_pickle(names, pickle, weights):
    chosen = choose_files(BASE | names, CLIP, where="here", pickle=pickle)
    assert chosen == ModelFiles(weights, ("config.json", "vocab.json", "merges.txt"))


def test_only_what_is_needed():
    extra = {
        "README.md",
        "tf_model.h5",
        "tokenizer.json",
        "preprocessor_config.json",
        "special_tokens_map.json",
    }
    chosen = choose_files(BASE | extra | {"model.safetensors"}, CLIP, where="here", pickle=False)
    assert chosen.others == (
        "config.json",
        "preprocessor_config.json",
        "tokenizer.json",
        "vocab.json",
        "merges.txt",
    )


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"model.safetensors"}, "here holds no config.json"),
        ({"config.json", "vocab.json", "model.safetensors"}, "here holds no vocabulary"),
        (BASE, "here holds no weights"),
        (BASE | {"model-00001-of-00002.safetensors"}, "here holds no weights"),
        (
            BASE | {"model.fp16.safetensors", "model.bf16.safetensors"},
            r"here holds model.bf16.safetensors, model.fp16.safetensors: expected model.safetensors, or one",
        ),
        (BASE | {"pytorch_model.bin"}, "here holds its weights only as pytorch_model.bin, which is a pickle"),
    ],
)
def test_what_is_refused(names, message):
    with pytest.raises(WeightsError, match=message):
        choose_files(names, CLIP, where="here", pickle=False)


def test_hashes_are_sha256sums(tmp_path):
    for name, content in (("b", b"2"), ("a", b"1")):
        (tmp_path / name).write_bytes(content)
    one, two = hashlib.sha256(b"1").hexdigest(), hashlib.sha256(b"2").hexdigest()
    assert sha256_of([tmp_path / "a"]) == one
    together = hashlib.sha256(f"{one}  a\n{two}  b\n".encode()).hexdigest()
    assert sha256_of([tmp_path / "b", tmp_path / "a"]) == together


def test_a_sam_needs_no_vocabulary():
    chosen = choose_files({"config.json", "model.safetensors"}, SAM, where="here", pickle=False)
    assert chosen == ModelFiles("model.safetensors", ("config.json",))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": ' * 100_000 + "1" + "}" * 100_000, "its objects are nested too deeply"),
        ("[" * 100_000, "its objects are nested too deeply"),
        ("[1]", "holds a JSON list: expected an object"),
        ("{", "cannot read"),
        (b"\xff\xfe", "cannot read"),
    ],
)
def test_json_that_is_refused(tmp_path, text, message):
    path = tmp_path / "config.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(WeightsError, match=message):
        read_json(path)
