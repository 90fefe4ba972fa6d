"""Which texts a query, a template and a background text may be."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carvid.errors import UsageError
from carvid.recipe import load_recipe
from carvid.wording import checked_queries, distinct, folded, not_text

# What an argument of bytes that are not UTF-8 becomes, and what "\ud83d" in JSON and YAML stands for.
NO_TEXTS = [os.fsdecode(b"caf\xe9"), "half \ud83d"]


@given(st.text(), st.text(st.characters(categories=["Cs"]), min_size=1), st.text())
def test_a_text_is_what_holds_no_surrogate(before, surrogates, after):
    assert not_text(before + after) is None
    assert repr(surrogates[0]) in str(not_text(before + surrogates + after))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("the red car", " The  red\tCAR\n"),
        ("caf\N{LATIN SMALL LETTER E WITH ACUTE}", "CAFE\N{COMBINING ACUTE ACCENT}"),
        ("a\N{NO-BREAK SPACE}dog", "a dog"),
        ("\N{ANGSTROM SIGN}", "\N{LATIN SMALL LETTER A WITH RING ABOVE}"),
        ("\N{LATIN SMALL LETTER J WITH CARON}", "J\N{COMBINING CARON}"),
    ],
)
def test_texts_that_clip_reads_alike_are_one(one, other):
    assert folded(one) == folded(other)
    assert distinct([other, "another", one]) == (other, "another")
    assert load_recipe(background=["sky", other]).background_texts([one]) == ("sky",)
    assert load_recipe(negatives=["sky", one, other, " SKY"]).negative_texts(["q"]) == ("sky", one)


@pytest.mark.parametrize(
    ("one", "other"), [("a dog", "a dogs"), ("a cat", "acat"), ("cafe", "café"), ("ﬁ", "fi")]
)
def test_other_texts_are_not(one, other):
    assert distinct([one, other]) == (one, other)


@given(st.text())
def test_folding_a_text_again_leaves_it(text):
    assert folded(folded(text)) == folded(text)
    assert distinct([text, f" {text}  ", text.strip()]) == (text,)


@pytest.mark.parametrize("text", NO_TEXTS)
def test_what_is_no_text_is_refused_before_a_model_is_loaded(text):
    with pytest.raises(UsageError, match=r"the query .* expected UTF-8 text"):
        checked_queries(["a car", text])
    for values, called in [
        ({"templates": ["{}" + text]}, "the template"),
        ({"proposer_template": "{}" + text}, "the template"),
        ({"background_template": "{}" + text}, "the template"),
        ({"background": ["sky", text]}, "the background text"),
        ({"background_groups": [["sky"], [text]]}, "the background text"),
        ({"negatives": [text]}, "the negative text"),
    ]:
        with pytest.raises(UsageError, match=f"{called} .* expected UTF-8 text"):
            load_recipe(**values)
