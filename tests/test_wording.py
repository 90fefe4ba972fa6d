"""Which texts a query, a template and a background text may be."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carvid.errors import UsageError
from carvid.recipe import load_recipe
from carvid.wording import checked_queries, not_text

# What an argument of bytes that are not UTF-8 becomes, and what "\ud83d" in JSON and YAML stands for.
NO_TEXTS = [os.fsdecode(b"caf\xe9"), "half \ud83d"]


@given(st.text(), st.text(st.characters(categories=["Cs"]), min_size=1), st.text())
def test_a_text_is_what_holds_no_surrogate(before, surrogates, after):
    assert not_text(before + after) is None
    assert repr(surrogates[0]) in str(not_text(before + surrogates + after))


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
