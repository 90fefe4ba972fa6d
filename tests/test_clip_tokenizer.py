import html
import json
import random
from itertools import pairwise

import ftfy
import pytest
import regex
from transformers import CLIPTokenizer

from carvid.clip.tokenizer import BpeTokenizer, WordHashTokenizer, as_clip_reads
from carvid.errors import WeightsError
from tests.tiny_clip import make_tiny_clip


@pytest.fixture
def folder(tmp_path):
    return make_tiny_clip(tmp_path, layers=1, text_layers=1)


def test_ends_are_characters_of_the_text_as_read(folder):
    tokens = BpeTokenizer(folder).encode(" The  RED\ncar&amp;amp;\u201c漢")
    assert tokens.text == 'the red car&"漢'
    assert tokens.ends[-1] == len(tokens.text)
    assert list(tokens.ends) == sorted(tokens.ends)
    assert {3, 7, 11, 13, 14} <= set(tokens.ends)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("  The\tRED \n car ", "the red car"),
        ("the man\u2019s \u201cred\u201d car", 'the man\'s "red" car'),
        ("cafÃ© with a rÃ©d door", "café with a réd door"),
        ("ﬁsh ＣＡＲ", "fish car"),
        ("salt &amp; pepper &amp;lt;3", "salt & pepper <3"),
        ("a\x00b\x07c", "abc"),
        ("\u001b[31mred\u001b[0m", "red"),
        ("&nbsp;", ""),
        ("漢字 😀", "漢字 😀"),
    ],
)
def test_texts_are_mended_as_openai_does(text, read):
    assert as_clip_reads(text) == read


def openai_ids(text, vocabulary, merges):
    """The ids of OpenAI's tokenizer, by its description: the twin."""
    text = html.unescape(html.unescape(ftfy.fix_text(text))).strip()
    text = regex.sub(r"\s+", " ", text).strip().lower()
    pattern = r"'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    letters = dict(zip(printable, map(chr, printable), strict=True))
    letters |= {byte: chr(256 + i) for i, byte in enumerate(others)}
    ranks = {pair: rank for rank, pair in enumerate(merges)}
    ids = []
    for word in regex.findall(pattern, text, regex.IGNORECASE):
        parts = [letters[byte] for byte in word.encode()]
        parts[-1] += "</w>"
        while pairs := [pair for pair in pairwise(parts) if pair in ranks]:
            best, joined = min(pairs, key=ranks.__getitem__), []
            while parts:
                if tuple(parts[:2]) == best:
                    joined.append(parts.pop(0) + parts.pop(0))
                else:
                    joined.append(parts.pop(0))
            parts = joined
        ids += [vocabulary[part] for part in parts]
    return ids


MOJIBAKE = ("naïve café", "“quoted”", "l’été", "Müller — straße", "日本語", "😀 ok")
PIECES = (
    *(text.encode().decode("cp1252", "replace") for text in MOJIBAKE),
    *(text.encode().decode("latin-1") for text in MOJIBAKE),
    *MOJIBAKE,
    *"&amp; &amp;amp; &lt;b&gt; &quot; &#39;s &#x27;ll &nbsp; &eacute; &amp;eacute; &unknown; &".split(),
    *"it's I'll they've we're don't he'd I'm IT'S I'LL 'ſ ’s '' ' 's's".split(),
    *"😀 👩‍👩‍👧 🏳️‍🌈 漢字 かな 한국어 ﬁsh ＣＡＲ １２３ İstanbul ΌΣΟΣ e\u0301 Ⅻ ½ ٣ ạ̈ ß Ǆ नमस्ते ไทย".split(),
    *"the red car of man 42 1st ... !? --- {} {0} <| |> $5 50% a/b \\ _x_ #tag @me <b>bold</b>".split(),
    *(
        chr(code)
        for code in (0, 7, 27, 28, 31, 127, 128, 133, 160, 173, 0x200B, 0x200E, 0x2028, 0x3000, 0xFEFF)
    ),
    *(" ", "   ", "\t", "\r\n", "\n\n", "\x1b[31m", "\ufffd", "\ud83d\ude00"),
)


def test_tokens_are_openais_on_a_thousand_odd_texts(folder):
    vocabulary = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    lines = (folder / "merges.txt").read_text(encoding="utf-8").split("\n")
    merges = [tuple(line.split(" ")) for line in lines if line and not line.startswith("#version")]
    tokenizer, rng = BpeTokenizer(folder), random.Random(0)
    for _ in range(1000):
        text = "".join(
            rng.choice(PIECES) + rng.choice(("", " ", " ", "  ")) for _ in range(rng.randint(1, 12))
        )
        tokens = tokenizer.encode(text)
        assert list(tokens.ids) == openai_ids(text, vocabulary, merges), ascii(text)
        assert len(tokens.ends) == len(tokens.ids)
        assert all(0 < end <= len(tokens.text) for end in tokens.ends)


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
