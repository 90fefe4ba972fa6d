"""Image folders as frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from carvid.errors import InputError
from carvid.stream import Damage, open_frames
from carvid.stream.folder import natural_key
from tests.media import moving_square, read_on, write_folder

PICTURES = moving_square(4, 8, 10, side=4)


def test_frames_are_the_images_in_natural_order_named_by_their_stems(tmp_path: Path) -> None:
    write_folder(tmp_path, PICTURES, names=["f10", "f2", "F1", "f9b"])
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / ".f3.png").write_bytes(b"hidden")
    (tmp_path / "f4.png").mkdir()
    with open_frames(tmp_path) as stream:
        frames = list(stream)
    assert [frame.name for frame in frames] == ["F1", "f2", "f9b", "f10"]
    assert [frame.index for frame in frames] == [0, 1, 2, 3]
    assert [frame.pts_seconds for frame in frames] == [None] * 4
    for frame, at in zip(frames, (2, 1, 3, 0), strict=True):
        np.testing.assert_array_equal(frame.image, PICTURES[at])
        assert frame.image.dtype == np.uint8
        assert frame.image.flags.writeable
    info = stream.info
    assert (info.kind, info.width, info.height, info.frames_claimed) == ("folder", 10, 8, 4)
    assert info.frame_rate is None
    assert info.time_base is None


@given(st.lists(st.integers(0, 10**6), unique=True, min_size=1))
def test_numbers_sort_by_value(numbers: list[int]) -> None:
    names = sorted((f"frame{n}.jpg" for n in numbers), key=natural_key)
    assert names == [f"frame{n}.jpg" for n in sorted(numbers)]


@given(st.lists(st.text(max_size=6)))
def test_any_names_can_be_sorted(names: list[str]) -> None:
    assert sorted(sorted(names, key=natural_key)) == sorted(names)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_applied(tmp_path: Path, orientation: int) -> None:
    upright = np.zeros((4, 6, 3), np.uint8)
    upright[0, 0] = (255, 0, 0)
    upright[0, 5] = (0, 255, 0)
    # How a camera stores the upright picture under each tag value (Exif 2.3, tag 0x0112).
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright.transpose(1, 0, 2)[::-1, ::-1],
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "a.png", exif=exif)
    with open_frames(tmp_path) as stream:
        assert (stream.info.width, stream.info.height) == (6, 4)
        np.testing.assert_array_equal(next(stream).image, upright)


@pytest.mark.parametrize(
    ("mode", "pixel", "rgb"),
    [
        ("L", 200, (200, 200, 200)),
        ("RGBA", (10, 20, 30, 40), (10, 20, 30)),
        ("LA", (90, 5), (90, 90, 90)),
        ("1", 1, (255, 255, 255)),
        ("I;16", 65535, (255, 255, 255)),
        ("I;16", 32768, (128, 128, 128)),
        ("I;16", 300, (1, 1, 1)),
    ],
)
def test_other_kinds_of_pixels_become_rgb(
    tmp_path: Path, mode: str, pixel: int | tuple[int, ...], rgb: tuple[int, int, int]
) -> None:
    if mode == "I;16":
        image = Image.fromarray(np.full((3, 5), pixel, np.uint16))
    else:
        image = Image.new(mode, (5, 3), pixel)
    image.save(tmp_path / "a.png")
    with open_frames(tmp_path) as stream:
        frame = next(stream)
    assert frame.image.shape == (3, 5, 3)
    assert {tuple(p) for p in frame.image.reshape(-1, 3).tolist()} == {rgb}


def test_a_palette_is_looked_up(tmp_path: Path) -> None:
    image = Image.new("P", (5, 3), 1)
    image.putpalette([0, 0, 0, 12, 34, 56])
    image.save(tmp_path / "a.png")
    with open_frames(tmp_path) as stream:
        assert next(stream).image[2, 4].tolist() == [12, 34, 56]


def test_sizes_may_differ(tmp_path: Path) -> None:
    write_folder(tmp_path, [*moving_square(1, 8, 10, side=4), *moving_square(1, 6, 12, side=4)])
    with open_frames(tmp_path) as stream:
        assert [frame.image.shape for frame in stream] == [(8, 10, 3), (6, 12, 3)]
        assert (stream.info.height, stream.info.width) == (8, 10)


def test_two_images_of_one_stem_are_refused_by_name(tmp_path: Path) -> None:
    write_folder(tmp_path, PICTURES[:1], names=["a"], suffix=".png")
    write_folder(tmp_path, PICTURES[:1], names=["a"], suffix=".jpg")
    with pytest.raises(InputError, match=r"a\.jpg and a\.png"):
        open_frames(tmp_path)


@pytest.mark.parametrize("content", ["nothing", "text"])
def test_a_folder_without_images(tmp_path: Path, content: str) -> None:
    if content == "text":
        (tmp_path / "readme.txt").write_text("no picture here")
    with pytest.raises(InputError, match="holds no image"):
        open_frames(tmp_path)


def test_an_unreadable_image_is_reported_and_keeps_its_ordinal(tmp_path: Path) -> None:
    write_folder(tmp_path, PICTURES, suffix=".jpg")
    whole = (tmp_path / "00001.jpg").read_bytes()
    (tmp_path / "00001.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "00002.jpg").write_text("no picture")
    with open_frames(tmp_path) as stream:
        assert [(frame.index, frame.name) for frame in stream] == [(0, "00000"), (3, "00003")]
        damage = stream.damage
    assert [(each.first_frame, each.last_frame) for each in damage] == [(1, 1), (2, 2)]
    assert "00001.jpg" in damage[0].reason
    assert "00002.jpg" in damage[1].reason


def test_strict_raises_at_an_unreadable_image_after_the_good_ones(tmp_path: Path) -> None:
    write_folder(tmp_path, PICTURES)
    (tmp_path / "00002.png").write_bytes(b"no picture")
    got: list[int] = []
    with open_frames(tmp_path, strict=True) as stream, pytest.raises(InputError, match=r"00002\.png"):
        read_on(stream, got)
    assert got == [0, 1]


def test_a_folder_without_a_readable_image(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"could be decoded.*a\.png"):
        open_frames(tmp_path)


def test_floating_point_samples_are_refused(tmp_path: Path) -> None:
    write_folder(tmp_path, PICTURES[:1])
    Image.fromarray(np.zeros((8, 10), np.float32)).save(tmp_path / "00001.tiff")
    with open_frames(tmp_path) as stream:
        assert len(list(stream)) == 1
        assert "floating point" in stream.damage[0].reason


def test_start_stop_and_every(tmp_path: Path) -> None:
    write_folder(tmp_path, moving_square(12, 8, 40, side=4))
    (tmp_path / "00003.png").write_bytes(b"left out, so never read")
    with open_frames(tmp_path, start_frame=2, stop_frame=11, every=4) as stream:
        assert [(frame.index, frame.name) for frame in stream] == [(2, "00002"), (6, "00006"), (10, "00010")]
        assert stream.damage == ()
    with pytest.raises(InputError, match=r"start_frame is 12, but .* holds 12 frames"):
        open_frames(tmp_path, start_frame=12)


def test_one_image_is_a_stream_of_one_frame(tmp_path: Path) -> None:
    write_folder(tmp_path, PICTURES[:2])
    with open_frames(tmp_path / "00001.png") as stream:
        (frame,) = stream
    assert (frame.index, frame.name) == (0, "00001")
    np.testing.assert_array_equal(frame.image, PICTURES[1])


def test_damage_reads_as_a_sentence() -> None:
    assert str(Damage(3, 3, "torn")) == "frame 3: torn"
    assert str(Damage(3, 5, "torn")) == "frames 3 to 5: torn"
    assert str(Damage(3, None, "torn")) == "frame 3 to the end: torn"
