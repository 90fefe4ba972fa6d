"""Animations: PNG, WebP, AVIF, GIF and TIFF of several pages play as videos."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin, features

from carvid.errors import InputError
from carvid.stream import open_frames
from carvid.stream.animation import player_of
from tests.media import moving_square, truncate

MEDIA = Path(__file__).resolve().parents[2] / "shared" / "data" / "media"
PICTURES = moving_square(5, 24, 40, side=10)
DURATIONS = [100, 200, 100, 50, 100]
STARTS = [0.0, 0.1, 0.3, 0.4, 0.45]

KINDS: list[tuple[str, dict[str, Any]]] = [
    ("a.png", {"duration": DURATIONS}),
    ("a.webp", {"duration": DURATIONS, "lossless": True}),
    ("a.tif", {}),
    ("a.tiff", {"big_tiff": True}),
    ("a.gif", {"duration": DURATIONS}),
]
if features.check("avif"):
    KINDS.append(("a.avif", {"duration": DURATIONS, "quality": 95}))


def _write(path: Path, **options: Any) -> Path:
    first, *others = (Image.fromarray(picture) for picture in PICTURES)
    first.save(path, save_all=True, append_images=others, **options)
    return path


@pytest.mark.parametrize(("name", "options"), KINDS)
def test_an_animation_plays_with_its_times(tmp_path: Path, name: str, options: dict[str, Any]) -> None:
    path = _write(tmp_path / name, **options)
    with open_frames(path) as stream:
        assert stream.info.kind == "video"
        assert (stream.info.width, stream.info.height) == (40, 24)
        frames = list(stream)
        assert stream.damage == ()
        assert stream.info.frames_claimed in (5, None)
    assert [(frame.index, frame.name) for frame in frames] == [(i, f"{i:05d}") for i in range(5)]
    times = [frame.pts_seconds for frame in frames]
    assert times == ([pytest.approx(start) for start in STARTS] if "duration" in options else [None] * 5)
    for frame, picture in zip(frames, PICTURES, strict=True):
        assert np.abs(frame.image.astype(int) - picture).mean() < 4


@pytest.mark.parametrize(("name", "options"), KINDS)
def test_a_part_of_an_animation(tmp_path: Path, name: str, options: dict[str, Any]) -> None:
    path = _write(tmp_path / name, **options)
    with open_frames(path) as stream:
        whole = list(stream)
    with open_frames(path, start_frame=1, stop_frame=5, every=2) as stream:
        frames = list(stream)
    assert [frame.index for frame in frames] == [1, 3]
    for frame in frames:
        assert frame.pts_seconds == whole[frame.index].pts_seconds
        np.testing.assert_array_equal(frame.image, whole[frame.index].image)
    with pytest.raises(InputError, match=r"start_frame is 5, but .* holds 5 frames"):
        open_frames(path, start_frame=5)


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.tif", "a.jpg", "a.bmp"])
def test_a_still_is_no_animation(tmp_path: Path, name: str) -> None:
    Image.fromarray(PICTURES[0]).save(tmp_path / name)
    assert player_of(tmp_path / name) is None
    with open_frames(tmp_path / name) as stream:
        assert stream.info.kind == "folder"
        assert [frame.name for frame in stream] == ["a"]


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    "data", [b"", b"II*\0", b"II*\0\xff\xff\xff\xff", b"RIFF1234WEBPVP8X1234\2", b"\x89PNG"]
)
def test_the_beginning_of_a_file_alone_is_no_error(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.tif").write_bytes(data)
    assert player_of(tmp_path / "a.tif") in (None, "pages")
    with pytest.raises(InputError):
        open_frames(tmp_path / "a.tif")


def _cut_off(path: Path) -> Path:
    rng = np.random.default_rng(0)
    first, *others = (Image.fromarray(rng.integers(0, 255, (24, 40, 3)).astype(np.uint8)) for _ in range(5))
    first.save(path, save_all=True, append_images=others)
    return truncate(path, path.stat().st_size - 1500)


@pytest.mark.parametrize("name", ["a.tif", "a.png"])
def test_an_animation_cut_off_is_damaged(tmp_path: Path, name: str) -> None:
    with open_frames(_cut_off(tmp_path / name)) as stream:
        assert [frame.index for frame in stream] == [0, 1, 2, 3]
        assert [each.first_frame for each in stream.damage] == [4]


def test_pillow_reads_nothing_of_a_webp_cut_off(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="could be decoded; frame 0 to the end: it cannot be read"):
        open_frames(_cut_off(tmp_path / "a.webp"))


def test_white_is_what_a_tiff_says(tmp_path: Path) -> None:
    info = TiffImagePlugin.ImageFileDirectory_v2()
    info[281] = 4095
    samples = np.array([[0, 2048, 4095, 5000]], np.uint16)
    Image.fromarray(samples).save(tmp_path / "a.tif", tiffinfo=info)
    with open_frames(tmp_path / "a.tif") as stream:
        assert next(stream).image[0, :, 0].tolist() == [0, 128, 255, 255]


@pytest.mark.skipif(not MEDIA.is_dir(), reason="needs the sample files")
def test_a_sample_png_plays() -> None:
    with open_frames(MEDIA / "apng-ball.png") as stream:
        assert [frame.pts_seconds for frame in stream] == [pytest.approx(0.075 * i) for i in range(20)]
        assert stream.damage == ()


@pytest.mark.skipif(not MEDIA.is_dir(), reason="needs the sample files")
def test_a_picture_pillow_cannot_decode_is_damage(tmp_path: Path) -> None:
    Image.fromarray(PICTURES[0]).save(tmp_path / "a.png")
    bad = tmp_path / "b.avif"
    bad.symlink_to(MEDIA / "seine_sdr_gainmap_gammazero.avif")
    with open_frames(tmp_path) as stream:
        frames = [frame.name for frame in stream]
        # Older versions of its library read it.
        assert frames in (["a"], ["a", "b"])
        assert len(stream.damage) == 2 - len(frames)
