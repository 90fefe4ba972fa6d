"""Truncated and damaged videos: good frames before and after, and the numbers of those between."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest

from carvid.errors import InputError
from carvid.frame import Frame
from carvid.stream import Damage, open_frames
from tests.media import moving_square, packet_spans, read_on, square_left, truncate, write_video, zero

N = 40
GOP = 10
NO_B_FRAMES = {"bf": "0"}


def _video(path: Path, **options: str) -> Path:
    faststart = {"movflags": "faststart"} if path.suffix == ".mp4" else {}
    noise = np.random.default_rng(0).integers(0, 60, (64, 176, 3)).astype(np.uint8)
    pictures = moving_square(N, 64, 176, side=32)
    # Noise makes every packet some hundred bytes long.
    noisy = [
        np.clip(picture.astype(int) + np.roll(noise, i, 0), 0, 255) for i, picture in enumerate(pictures)
    ]
    return write_video(
        path,
        [picture.astype(np.uint8) for picture in noisy],
        gop=GOP,
        options=options,
        container_options=faststart,
    )


def _read(path: Path) -> tuple[list[Frame], tuple[Damage, ...]]:
    with open_frames(path) as stream:
        frames = list(stream)
        assert stream.frames_read == len(frames)
        return frames, stream.damage


def _lost(damage: Iterable[Damage]) -> set[int]:
    """The ordinals of frames reported missing, up to N."""
    return {i for each in damage for i in range(each.first_frame, (each.last_frame or N - 1) + 1)}


def _assert_true_to(whole: list[Frame], frames: list[Frame]) -> None:
    for frame in frames:
        np.testing.assert_array_equal(frame.image, whole[frame.index].image)
        assert frame.pts_seconds == whole[frame.index].pts_seconds


def test_an_mp4_cut_in_the_middle_of_a_frame(tmp_path: Path) -> None:
    path = _video(tmp_path / "cut.mp4", **NO_B_FRAMES)
    whole, _ = _read(path)
    position, size, shown = packet_spans(path)[23]
    assert shown == 23
    truncate(path, position + size // 2)
    frames, damage = _read(path)
    assert [frame.index for frame in frames] == list(range(23))
    _assert_true_to(whole, frames)
    assert [(each.first_frame, each.last_frame) for each in damage] == [(23, None)]
    assert "incomplete" in damage[0].reason
    with open_frames(path) as stream:
        assert stream.info.frames_claimed == N


def test_an_mp4_cut_between_two_frames(tmp_path: Path) -> None:
    path = _video(tmp_path / "cut.mp4", **NO_B_FRAMES)
    position, _, _ = packet_spans(path)[20]
    truncate(path, position)
    frames, damage = _read(path)
    assert [frame.index for frame in frames] == list(range(20))
    assert [(each.first_frame, each.last_frame) for each in damage] == [(20, None)]
    assert "the file ends at 0.67 s, its header says 1.33 s" in damage[0].reason


@pytest.mark.parametrize("share", [0, 0.5])
@pytest.mark.parametrize("at", range(11, 17))
def test_an_mp4_with_b_frames_gives_the_frames_before_the_cut(tmp_path: Path, at: int, share: float) -> None:
    path = _video(tmp_path / "cut.mp4", bf="3", b_strategy="0")
    whole, _ = _read(path)
    spans = packet_spans(path)
    truncate(path, spans[at][0] + round(spans[at][1] * share))
    frames, damage = _read(path)
    kept = {shown for _, _, shown in spans[:at]}
    first_lost = min(set(range(N)) - kept)
    assert [frame.index for frame in frames] == list(range(first_lost))
    _assert_true_to(whole, frames)
    assert [(each.first_frame, each.last_frame) for each in damage] == [(first_lost, None)]


def test_a_cut_mkv(tmp_path: Path) -> None:
    path = _video(tmp_path / "cut.mkv")
    whole, _ = _read(path)
    truncate(path, path.stat().st_size * 6 // 10)
    frames, damage = _read(path)
    assert 10 < len(frames) < 30
    _assert_true_to(whole, frames)
    assert damage[-1].last_frame is None
    assert _lost(damage) == set(range(N)) - {frame.index for frame in frames}


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("bf", ["0", "3"])
@pytest.mark.parametrize("at", [10, 13, 27])
def test_a_hole_in_the_middle(tmp_path: Path, suffix: str, bf: str, at: int) -> None:
    path = _video(tmp_path / f"hole{suffix}", bf=bf)
    whole, _ = _read(path)
    position, size, shown = packet_spans(path)[at]
    assert size > 100
    zero(path, position + size // 2, size // 4)
    frames, damage = _read(path)
    _assert_true_to(whole, frames)
    lost = _lost(damage)
    assert shown in lost
    assert lost == set(range(N)) - {frame.index for frame in frames}
    # The next key frame starts anew.
    assert max(lost) < (at // GOP + 1) * GOP
    assert frames[-1].index == N - 1
    assert all(each.last_frame is not None for each in damage)


def test_a_zeroed_packet_header_and_a_second_hole(tmp_path: Path) -> None:
    path = _video(tmp_path / "holes.mp4", **NO_B_FRAMES)
    whole, _ = _read(path)
    spans = packet_spans(path)
    for at in (5, 23):
        zero(path, spans[at][0], 60)
    frames, damage = _read(path)
    _assert_true_to(whole, frames)
    assert [(each.first_frame, each.last_frame) for each in damage] == [(5, 9), (23, 29)]
    assert [frame.index for frame in frames] == [*range(5), *range(10, 23), *range(30, N)]


def test_a_damaged_first_frame(tmp_path: Path) -> None:
    path = _video(tmp_path / "head.mp4", **NO_B_FRAMES)
    position, _, _ = packet_spans(path)[0]
    zero(path, position, 400)
    with open_frames(path) as stream:
        assert [(each.first_frame, each.last_frame) for each in stream.damage] == [(0, 9)]
        assert stream.info.width == 176
        frames = list(stream)
    assert [frame.index for frame in frames] == list(range(10, N))
    assert square_left(frames[0].image) == 20


def test_damage_in_intra_coded_video_takes_one_frame(tmp_path: Path) -> None:
    pictures = moving_square(20, 48, 144)
    path = write_video(tmp_path / "a.avi", pictures, codec="mjpeg", pix_fmt="yuvj420p")
    position, size, _ = packet_spans(path)[7]
    zero(path, position + 8 + size // 2, size // 4)
    frames, damage = _read(path)
    assert [(each.first_frame, each.last_frame) for each in damage] == [(7, 7)]
    assert [frame.index for frame in frames] == [i for i in range(20) if i != 7]
    assert [square_left(frame.image) for frame in frames] == [2 * frame.index for frame in frames]


def test_damage_without_timestamps(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.h264", moving_square(20, 48, 144), gop=5, options=NO_B_FRAMES)
    starts = [
        i
        for i in range(path.stat().st_size)
        if path.read_bytes()[i : i + 5] in (b"\0\0\1\x65\x88", b"\0\0\1e\x88")
    ]
    assert len(starts) == 4
    zero(path, starts[1] + 60, 30)
    frames, damage = _read(path)
    assert [(each.first_frame, each.last_frame) for each in damage] == [(5, 9)]
    assert [square_left(frame.image) for frame in frames] == [2 * i for i in range(20) if not 5 <= i < 10]


@pytest.mark.parametrize(
    ("name", "codec", "options", "is_slice"),
    [
        ("a.h264", "libx264", {"bf": "0", "x264-params": "slices=4"}, lambda header: header & 0x1F in (1, 5)),
        ("a.m2v", "mpeg2video", {"slices": "8"}, lambda header: 1 <= header <= 0xAF),
    ],
)
@pytest.mark.parametrize("at", [0, 1, 3])
def test_a_slice_that_is_missing_from_a_byte_stream(
    tmp_path: Path, name: str, codec: str, options: dict[str, str], is_slice: Callable[[int], bool], at: int
) -> None:
    rng = np.random.default_rng(0)
    pictures = [
        np.clip(picture + rng.integers(-9, 9, picture.shape), 0, 255).astype(np.uint8)
        for picture in moving_square(30, 128, 144)
    ]
    path = write_video(tmp_path / name, pictures, codec=codec, options=options, gop=GOP)
    units = path.read_bytes().split(b"\0\0\1")
    slices = [i for i, unit in enumerate(units) if unit and is_slice(unit[0])]
    del units[slices[len(slices) // 2 + at]]
    path.write_bytes(b"\0\0\1".join(units))
    with open_frames(path) as stream:
        indices = [frame.index for frame in stream]
        assert 15 <= len(indices) < 30
        (damage,) = stream.damage
    assert damage.first_frame in (14, 15)
    assert set(indices) == set(range(30)) - set(range(damage.first_frame, damage.last_frame + 1))


def test_strict_raises_at_the_damage_after_the_good_frames(tmp_path: Path) -> None:
    path = _video(tmp_path / "hole.mp4", **NO_B_FRAMES)
    position, size, _ = packet_spans(path)[13]
    zero(path, position, size)
    got: list[int] = []
    with open_frames(path, strict=True) as stream:
        with pytest.raises(InputError, match=r"hole\.mp4 is damaged at frames 13 to 19: ") as raised:
            read_on(stream, got)
        assert list(stream) == []
    assert got == list(range(13))
    assert raised.value.exit_code == 3
    with open_frames(path, strict=True, stop_frame=13) as stream:
        assert len(list(stream)) == 13


def test_a_truncated_file_is_an_error_when_strict(tmp_path: Path) -> None:
    path = _video(tmp_path / "cut.mkv", **NO_B_FRAMES)
    truncate(path, path.stat().st_size // 2)
    got: list[int] = []
    with open_frames(path, strict=True) as stream, pytest.raises(InputError, match="is damaged at frame"):
        read_on(stream, got)
    assert got == list(range(len(got)))
    assert 0 < len(got) < N


def test_damage_before_the_start_is_reported_and_keeps_the_numbers(tmp_path: Path) -> None:
    path = _video(tmp_path / "hole.mp4", **NO_B_FRAMES)
    position, size, _ = packet_spans(path)[13]
    zero(path, position, size)
    with open_frames(path, start_frame=15, every=5) as stream:
        assert [(each.first_frame, each.last_frame) for each in stream.damage] == [(13, 19)]
        assert [frame.index for frame in stream] == [20, 25, 30, 35]
    with open_frames(path, stop_frame=13) as stream:
        assert len(list(stream)) == 13
        assert stream.damage == ()
    with pytest.raises(InputError, match=r"no frame selected of .* could be decoded; frames 13 to 19"):
        open_frames(path, start_frame=14, stop_frame=18)
