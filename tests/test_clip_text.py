import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import CLIPModel, CLIPTokenizer

from carvid.clip.load import load_clip
from carvid.clip.names import resolve_spec
from carvid.clip.text import TextEncoder
from carvid.clip.tokenizer import as_clip_reads
from carvid.errors import UsageError
from carvid.wording import fill
from tests.tiny_clip import make_tiny_clip

CPU = torch.device("cpu")


def load(folder):
    return load_clip(resolve_spec(folder, "proposer"), role="proposer", device=CPU, dtype=torch.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_tiny_clip(tmp_path_factory.mktemp("clip"), context_length=12)


@pytest.fixture(scope="module")
def loaded(folder):
    return load(folder)


@pytest.fixture(scope="module")
def theirs(folder):
    """transformers' own model and tokenizer on the same files."""
    return CLIPModel.from_pretrained(folder).eval(), CLIPTokenizer.from_pretrained(folder)


def expected(theirs, text):
    model, tokenizer = theirs
    output = model.get_text_features(**tokenizer([text], return_tensors="pt"))
    features = output if isinstance(output, torch.Tensor) else output.pooler_output
    return torch.nn.functional.normalize(features.detach(), dim=-1)[0]


TEXTS = [
    "the red car",
    "A Red  CAR",
    "a man's hat, 12 o'clock",
    "braces {} {0} {query} \"quotes\" 'single'",
    "slashes / \\ and\nnew\tlines",
    "漢字 é 😀",
    "%s %d $HOME",
]


def test_embeddings_are_the_models_text_features(loaded, theirs):
    embeddings = loaded.texts.embed(TEXTS, truncate=True)
    assert embeddings.shape == (len(TEXTS), 24)
    assert embeddings.dtype == torch.float32
    for text, row in zip(TEXTS, embeddings, strict=True):
        if len(theirs[1](text).input_ids) <= 12:
            torch.testing.assert_close(row, expected(theirs, text), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(embeddings.norm(dim=-1), torch.ones(len(TEXTS)))


# Without code points that are not assigned: to a newer Unicode they may be letters.
@given(st.text(st.characters(exclude_categories=["Cs", "Cn"]), min_size=1, max_size=20))
@settings(max_examples=100, deadline=None)
def test_tokens_are_those_of_transformers(loaded, theirs, text):
    read = as_clip_reads(text)  # which transformers' tokenizer leaves out
    if "<|" in read:
        return
    ids = theirs[1](read, truncation=True, max_length=12).input_ids
    if len(ids) == 2:  # nothing but whitespace, or characters that are dropped
        with pytest.raises(UsageError, match="is empty"):
            loaded.texts.token_ids(text, truncate=True)
    else:
        assert loaded.texts.token_ids(text, truncate=True) == tuple(ids)


def test_a_special_token_in_a_query_is_plain_text(loaded):
    encoder = loaded.texts
    ids = encoder.token_ids("<|endoftext|>", truncate=True)
    assert encoder.tokenizer.eos_id not in ids[1:-1]
    assert encoder.tokenizer.bos_id not in encoder.token_ids("<|startoftext|>", truncate=True)[1:]


def test_each_text_is_embedded_once(loaded):
    encoded = []

    class Counting:
        """The tower, counting the texts it is given."""

        def __getattr__(self, name):
            return getattr(loaded.texts.tower, name)

        def __call__(self, ids):
            encoded.append(len(ids))
            return loaded.texts.tower(ids)

    encoder = TextEncoder("tiny", Counting(), loaded.texts.tokenizer)
    first = encoder.embed(["a car", "a tree", "a car"])
    assert encoded == [2]
    assert torch.equal(first[0], first[2])
    again = encoder.embed(["a tree", "a house", "a car"])
    assert encoded == [2, 1]
    assert torch.equal(again[0], first[1])
    assert torch.equal(again[2], first[0])


def test_many_texts_go_in_batches(loaded):
    texts = [f"car {number}" for number in range(150)]
    together = loaded.texts.embed(texts)
    assert together.shape == (150, 24)
    for index in (0, 63, 64, 149):
        alone = loaded.texts.embed([texts[index]])
        torch.testing.assert_close(together[index], alone[0], atol=1e-5, rtol=1e-4)


def test_no_texts(loaded):
    assert loaded.texts.embed([]).shape == (0, 24)


def test_embeddings_can_be_used_where_gradients_are_wanted(loaded):
    with torch.inference_mode():
        embeddings = loaded.texts.embed(["a car"])
    weight = torch.ones(24, requires_grad=True)
    (embeddings @ weight).sum().backward()
    assert torch.equal(weight.grad, embeddings[0])


@pytest.mark.parametrize("text", ["", " ", "\n\t  ", "\u00a0"])
def test_a_blank_text_is_refused(loaded, text):
    with pytest.raises(UsageError, match=r"is empty: expected words"):
        loaded.texts.embed(["a car", text])


LONG = "a car a tree a house a dog a star a fish a bike a man"


def test_a_text_that_is_too_long_shows_where_it_is_cut(loaded):
    # 12 tokens of context leave 10 for the words; every word of LONG is one token
    with pytest.raises(UsageError) as caught:
        loaded.texts.embed([LONG])
    message = str(caught.value)
    assert "a text of 18 tokens (start and end included) is longer than the 12 of" in message
    assert "it would be cut here: a car a tree a house a dog a star | a fish a bike a man. " in message
    assert "--truncate" in message


def test_truncate_keeps_what_is_left_of_the_cut(loaded):
    encoder = loaded.texts
    assert torch.equal(
        encoder.embed([LONG], truncate=True), encoder.embed(["a car a tree a house a dog a star"])
    )
    with pytest.raises(UsageError):  # what was allowed once is still refused without it
        encoder.embed([LONG])


def test_the_longest_text_that_fits(loaded):
    assert len(loaded.texts.token_ids("a car a tree a house a dog a star")) == 12


def test_the_cut_of_a_very_long_text_is_readable(loaded):
    with pytest.raises(UsageError) as caught:
        loaded.texts.embed(["the car " * 5000])
    assert len(str(caught.value)) < 500


def test_clips_own_context_is_77(tmp_path):
    loaded = load(make_tiny_clip(tmp_path, text_layers=1, layers=1))
    assert loaded.texts.context_length == 77
    encoder = loaded.texts
    assert len(encoder.token_ids(" ".join(["car"] * 75))) == 77
    with pytest.raises(UsageError, match="a text of 78 tokens"):
        encoder.token_ids(" ".join(["car"] * 76))


def test_characters_outside_the_vocabulary_are_refused(tmp_path):
    import json

    make_tiny_clip(tmp_path, layers=1, text_layers=1)
    vocabulary = json.loads((tmp_path / "vocab.json").read_text())
    dropped = {token: number for token, number in vocabulary.items() if not token.startswith("!")}
    (tmp_path / "vocab.json").write_text(json.dumps(dropped))
    with pytest.raises(UsageError, match=r"holds characters that the vocabulary of .* does not know"):
        load(tmp_path).texts.embed(["car !"])


def test_an_old_configuration_pools_at_the_highest_id(tmp_path, folder, theirs):
    """OpenAI's repositories still say eos_token_id 2, which means the highest id."""
    import json
    import shutil

    shutil.copytree(folder, tmp_path / "old")
    config = json.loads((tmp_path / "old" / "config.json").read_text())
    config["text_config"] |= {"eos_token_id": 2, "bos_token_id": 0}
    (tmp_path / "old" / "config.json").write_text(json.dumps(config))
    embeddings = load(tmp_path / "old").texts.embed(["the red car", "a tree in front of a house"])
    torch.testing.assert_close(embeddings[0], expected(theirs, "the red car"), atol=1e-5, rtol=1e-4)


def test_low_precision_still_gives_float32(folder):
    spec = resolve_spec(folder, "proposer")
    loaded = load_clip(spec, role="proposer", device=CPU, dtype=torch.bfloat16)
    embeddings = loaded.texts.embed(["the red car"])
    assert embeddings.dtype == torch.float32
    torch.testing.assert_close(embeddings.norm(dim=-1), torch.ones(1))


@pytest.mark.parametrize(
    ("template", "query", "filled"),
    [
        ("a clean origami {}.", "car", "a clean origami car."),
        ("a {} {x} {0}", "{} {y}", "a {} {y} {x} {0}"),
        ("{} and {}", "car", "car and car"),
        ("{}", "50% {'a': 1} \n", "50% {'a': 1} \n"),
    ],
)
def test_fill(template, query, filled):
    assert fill(template, query) == filled


@given(st.text(max_size=10))
def test_fill_leaves_the_query_as_it_is(query):
    assert fill("a {}.", query) == f"a {query}."


def test_a_template_without_a_place():
    with pytest.raises(UsageError, match=r"the template 'a photo' has no place for the query: expected \{\}"):
        fill("a photo", "car")
