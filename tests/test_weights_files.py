import hashlib

import pytest

from carvid.errors import WeightsError
from carvid.weights.files import ClipFiles, choose_files, sha256_of

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
    ],
)
def test_safetensors_before_a_pickle(names, pickle, weights):
    chosen = choose_files(BASE | names, where="here", pickle=pickle)
    assert chosen == ClipFiles(weights, ("config.json", "vocab.json", "merges.txt"))


def test_only_what_is_needed():
    extra = {
        "README.md",
        "tf_model.h5",
        "tokenizer.json",
        "preprocessor_config.json",
        "special_tokens_map.json",
    }
    chosen = choose_files(BASE | extra | {"model.safetensors"}, where="here", pickle=False)
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
        (BASE | {"pytorch_model.bin"}, "here holds its weights only as pytorch_model.bin, which is a pickle"),
    ],
)
def test_what_is_refused(names, message):
    with pytest.raises(WeightsError, match=message):
        choose_files(names, where="here", pickle=False)


def test_hashes_are_sha256sums(tmp_path):
    for name, content in (("b", b"2"), ("a", b"1")):
        (tmp_path / name).write_bytes(content)
    one, two = hashlib.sha256(b"1").hexdigest(), hashlib.sha256(b"2").hexdigest()
    assert sha256_of([tmp_path / "a"]) == one
    together = hashlib.sha256(f"{one}  a\n{two}  b\n".encode()).hexdigest()
    assert sha256_of([tmp_path / "b", tmp_path / "a"]) == together
