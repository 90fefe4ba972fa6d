"""Pickles: plain data is read, and nothing else runs."""

from __future__ import annotations

import os
import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carvid.errors import InputError
from carvid.evaluate.plain_pickle import load_plain

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=12,
)


@given(PLAIN)
def test_plain_data_comes_back(value):
    assert load_plain(pickle.dumps(value), "x.p") == value


def test_strings_of_python_2_are_text():
    # protocol 0 and 2 of {'sent': 'a\xc3\xa9'}, as Python 2 writes them
    assert load_plain(b"(dp0\nS'sent'\np1\nS'a\\xc3\\xa9'\np2\ns.", "x.p") == {"sent": "aé"}
    assert load_plain(b"\x80\x02}q\x00U\x04sentq\x01U\x03a\xc3\xa9q\x02s.", "x.p") == {"sent": "aé"}


class _Hostile:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_hostile_pickle_runs_nothing_and_is_told(tmp_path, protocol):
    data = pickle.dumps([{"ref_id": 1}, _Hostile(tmp_path / "ran")], protocol)
    with pytest.raises(InputError, match=rf"refs\.p .*{os.system.__module__}\.system"):
        load_plain(data, "refs.p")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("value", [OrderedDict(a=1), np.float64(1.0), np.zeros(2), Path("x")])
def test_other_objects_are_refused(value):
    with pytest.raises(InputError, match="asks for"):
        load_plain(pickle.dumps(value), "x.p")


def test_a_pickle_that_is_cut_off_is_refused():
    whole = pickle.dumps([{"ref_id": number} for number in range(20)])
    for length in range(len(whole)):
        with pytest.raises(InputError, match=r"x\.p is no readable pickle"):
            load_plain(whole[:length], "x.p")
