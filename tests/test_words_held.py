"""Results that wait, packed and unpacked."""

from __future__ import annotations

import numpy as np

from carvid.evidence import Evidence
from carvid.result import FrameResult, ObjectResult
from carvid.words.held import hold


def test_what_is_held_comes_back_as_it_was() -> None:
    rng = np.random.default_rng(0)
    masks = rng.random((3, 5, 7)) > 0.5
    masks[2] = False
    labels = np.zeros((5, 7), np.uint8)
    labels[masks[0]], labels[masks[1]] = 1, 2
    objects = tuple(ObjectResult(i, f"query {i}", mask, 0.5, True) for i, mask in enumerate(masks, 1))
    evidence = Evidence((), lambda: np.zeros((3, 5, 7), np.float32), None, lambda mask: mask[None])
    whole = FrameResult(4, 0.5, "00004", labels, objects, evidence)
    held = hold(whole, {8: masks[1], 3: masks[0]}, {3: 0, 8: 1})
    assert np.array_equal(held.label_map(), labels)
    assert np.array_equal(held.decoded(held.masks), masks)
    assert held.things == ((8, 1), (3, 0))
    assert np.array_equal(held.decoded(held.of_things), masks[[1, 0]])
    assert (held.size, held.bare.index, held.bare.queries) == ((5, 7), 4, whole.queries)
    # Nothing is left that may lie on the device.
    assert held.bare.evidence is not None
    assert (held.bare.evidence.read_proposals, held.bare.evidence.read_segments) == (None, None)


def test_nothing_may_be_held() -> None:
    whole = FrameResult(0, None, "00000", np.zeros((4, 6), np.uint8), ())
    held = hold(whole, {}, {})
    assert held.decoded(held.of_things).shape == (0, 4, 6)
    assert not held.label_map().any()
