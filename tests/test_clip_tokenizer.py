import json

import pytest
from transformers import CLIPTokenizer

from carvid.clip.tokenizer import BpeTokenizer, WordHashTokenizer
from carvid.errors import WeightsError
from tests.tiny_clip import make_tiny_clip


@pytest.fixture
def folder(tmp_path):
    return make_tiny_clip(tmp_path, layers=1, text_layers=1)


def test_ends_are_characters_of_the_text(folder):
    text = "The  RED\ncar, 漢"
    tokens = BpeTokenizer(folder).encode(text)
    assert tokens.ends[-1] == len(text)
    assert list(tokens.ends) == sorted(tokens.ends)
    assert {3, 8, 12, 13} <= set(tokens.ends)


def test_tokenizer_json_gives_the_same_tokens(folder, tmp_path):
    other = tmp_path / "json"
    other.mkdir()
    CLIPTokenizer.from_pretrained(folder).backend_tokenizer.save(str(other / "tokenizer.json"))
    text = "the Red car's <|endoftext|> {}"
    one, two = BpeTokenizer(folder), BpeTokenizer(other)
    assert one.encode(text) == two.encode(text)
    assert (one.bos_id, one.eos_id, one.vocabulary_size) == (two.bos_id, two.eos_id, two.vocabulary_size)


def test_truncation_in_tokenizer_json_is_not_silent(folder, tmp_path):
    other = tmp_path / "json"
    other.mkdir()
    tokenizer = CLIPTokenizer.from_pretrained(folder).backend_tokenizer
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=9)
    tokenizer.save(str(other / "tokenizer.json"))
    assert len(BpeTokenizer(other).encode("car " * 8).ids) == 8
    assert len(BpeTokenizer(other).encode("car").ids) == 1


def test_special_tokens_by_another_name(folder):
    vocabulary = json.loads((folder / "vocab.json").read_text())
    vocabulary["<s>"] = vocabulary.pop("<|startoftext|>")
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    with pytest.raises(WeightsError, match=r"has no <\|startoftext\|>"):
        BpeTokenizer(folder)
    (folder / "tokenizer_config.json").write_text(json.dumps({"bos_token": {"content": "<s>"}}))
    assert BpeTokenizer(folder).bos_id == vocabulary["<s>"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("vocab.json", "{", "cannot read .*vocab.json"),
        ("vocab.json", "[]", "vocab.json holds a JSON list"),
        ("vocab.json", "{}", "vocab.json is not a vocabulary"),
        ("vocab.json", '{"a": "b"}', "expected a whole number for every token"),
        ("vocab.json", '{"a": -1}', "expected a whole number for every token"),
        ("merges.txt", "a b c\n", "the merge 'a b c' beside .* is not two tokens"),
        ("merges.txt", "q 漢\n", "the merge 'q 漢' beside .* is not two tokens"),
        ("merges.txt", "\ud800", "the vocabulary in .* cannot be read"),
        (
            "tokenizer.json",
            '{"model": {"end_of_word_suffix": "</w>", "vocab": {}, "merges": []}, "added_tokens": [3]}',
            "the vocabulary in .* cannot be read",
        ),
        ("tokenizer.json", "{}", "tokenizer.json is not a byte-pair encoding with </w>"),
        ("tokenizer.json", '{"model": {"end_of_word_suffix": "</w>", "vocab": 3}}', "is not a vocabulary"),
    ],
)
def test_damaged_files(folder, name, content, message):
    (folder / name).write_text(content, encoding="utf-8", errors="surrogatepass")
    with pytest.raises(WeightsError, match=message):
        BpeTokenizer(folder)


def test_no_files(tmp_path):
    with pytest.raises(
        WeightsError, match=r"holds no vocabulary: expected tokenizer.json, or vocab.json and"
    ):
        BpeTokenizer(tmp_path)


def test_the_stand_in_gives_a_token_per_word():
    tokenizer = WordHashTokenizer(1000)
    tokens = tokenizer.encode("the red car, the RED car")
    assert tokens.ids[:3] == tokens.ids[4:]
    assert tokens.ends == (3, 7, 11, 12, 16, 20, 24)
    assert len(set(tokens.ids)) == 4
    assert max(tokens.ids) < tokenizer.bos_id < tokenizer.eos_id < tokenizer.vocabulary_size == 1000
