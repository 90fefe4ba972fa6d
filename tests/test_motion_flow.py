"""Flow of a picture that moves as a whole, and how far it is trusted."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from carvid.motion.flow import flows, grey, warp
from tests.motion_cases import textured


def test_warp_reads_each_pixel_where_its_offset_points() -> None:
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    right = np.zeros((3, 4, 2), np.float32)
    right[..., 0] = 1
    # The last column's pixels lie outside and take the nearest value.
    assert warp(values, right).tolist() == [[1, 2, 3, 3], [5, 6, 7, 7], [9, 10, 11, 11]]
    down_half = np.zeros((3, 4, 2), np.float32)
    down_half[..., 1] = 0.5
    assert warp(values, down_half)[:2].tolist() == [[2, 3, 4, 5], [6, 7, 8, 9]]


def test_flow_finds_how_far_a_picture_moved_both_ways() -> None:
    wide = textured(0, 96, 160)
    one, other = grey(wide[:, 8:152].copy()), grey(wide[:, 5:149].copy())
    there, back = flows(one, other)
    inner = (slice(8, -8), slice(8, -8))
    assert np.abs(there.offsets[inner] - [3, 0]).max() < 0.3
    assert np.abs(back.offsets[inner] - [-3, 0]).max() < 0.3
    assert there.confidence[inner].min() > 0.8
    assert there.offsets.dtype == there.confidence.dtype == np.float32


def test_flow_searched_on_a_smaller_picture_is_in_px_of_the_whole_one() -> None:
    wide = textured(0, 192, 320)
    one, other = grey(wide[:, 16:304].copy()), grey(wide[:, 10:298].copy())
    there, back = flows(one, other, size=96)
    assert there.offsets.shape == (192, 288, 2)
    assert there.confidence.shape == (192, 288)
    inner = (slice(16, -16), slice(16, -16))
    assert np.abs(there.offsets[inner] - [6, 0]).max() < 0.6
    assert np.abs(back.offsets[inner] - [-6, 0]).max() < 0.6
    assert there.confidence[inner].mean() > 0.8
    # No larger than that: as it is.
    whole = flows(one, other)[0].offsets
    assert np.array_equal(flows(one, other, size=192)[0].offsets, whole)


def test_flow_between_two_scenes_is_not_trusted() -> None:
    there, back = flows(grey(textured(0)), grey(textured(9)))
    assert there.confidence.mean() < 0.3
    assert back.confidence.mean() < 0.3


def test_flow_is_the_same_whatever_was_asked_before_in_this_thread_and_in_another() -> None:
    one, other, larger = grey(textured(0)), grey(textured(1)), grey(textured(2, 120, 200))
    first = flows(one, other)
    flows(larger, larger)
    with ThreadPoolExecutor(2) as pool:
        elsewhere = pool.submit(flows, one, other)
        pool.submit(flows, other, one).result()
        for again in (flows(one, other), elsewhere.result()):
            assert all(np.array_equal(a.offsets, b.offsets) for a, b in zip(first, again, strict=True))
