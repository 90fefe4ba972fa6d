"""Packets: files joined, files cut, streams that come and go, and what a header says of the end."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from carvid.stream import open_frames
from carvid.stream.packets import falls_short
from tests.media import moving_square, square_left, truncate, write_audio, write_mixed, write_video

TS_PACKET = 188
B_FRAMES = {"bf": "3", "b_strategy": "0"}


def _joined(path: Path, *parts: Path) -> Path:
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


@pytest.mark.parametrize("bf", ["0", "3"])
def test_files_joined_at_another_size_give_all_their_frames(tmp_path: Path, bf: str) -> None:
    parts = [
        write_video(tmp_path / f"{width}.ts", moving_square(25, 48, width), options={**B_FRAMES, "bf": bf})
        for width in (96, 128)
    ]
    with open_frames(_joined(tmp_path / "joined.ts", *parts)) as stream:
        frames = list(stream)
        assert stream.damage == ()
    assert [frame.index for frame in frames] == list(range(50))
    assert [frame.image.shape[1] for frame in frames] == [96] * 25 + [128] * 25
    assert [square_left(frame.image) for frame in frames[25:]] == [2 * i for i in range(25)]


def test_a_loss_in_mid_stream_is_damage_still(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 255, (48, 96, 3)).astype(np.uint8) for _ in range(30)]
    path = write_video(tmp_path / "a.ts", noise, options=B_FRAMES)
    with open_frames(path) as stream:
        whole = list(stream)
    data = path.read_bytes()
    lost = 16 * TS_PACKET * (len(data) // TS_PACKET // 32)
    path.write_bytes(data[:lost] + data[lost + 5 * TS_PACKET :])
    with open_frames(path) as stream:
        frames = list(stream)
        damage = stream.damage
    lost_frames = {i for each in damage for i in range(each.first_frame, (each.last_frame or 0) + 1)}
    assert lost_frames == set(range(30)) - {frame.index for frame in frames}
    assert 0 < len(lost_frames) <= 10
    times = {frame.pts_seconds: frame.image for frame in whole}
    for frame in frames:
        np.testing.assert_array_equal(frame.image, times[frame.pts_seconds])


def test_streams_that_begin_later_are_left_out(tmp_path: Path) -> None:
    """PyAV counts the streams when the file is opened, and MPEG-TS may bring more."""
    # Longer than FFmpeg reads to find the streams; the padding keeps it from finding them at the end.
    video = write_video(tmp_path / "video.ts", moving_square(240, 48, 96), options=B_FRAMES)
    sound = write_audio(tmp_path / "sound.m4a")
    more = write_mixed(tmp_path / "more.ts", video, *[sound] * 8)
    padding = tmp_path / "padding"
    padding.write_bytes((b"\x47\x1f\xff\x10" + bytes(184)) * 2000)
    path = _joined(tmp_path / "joined.ts", video, more, padding, video)
    with av.open(str(path)) as container:
        assert len(container.streams) == 1
    with open_frames(path) as stream:
        assert sum(1 for _ in stream) == 3 * 240
        assert stream.damage == ()


@pytest.mark.parametrize(("name", "codec"), [("a.asf", "wmv2"), ("a.flv", "flv")])
def test_sound_that_outlasts_the_picture_is_no_damage(tmp_path: Path, name: str, codec: str) -> None:
    video = write_video(tmp_path / f"video{Path(name).suffix}", moving_square(30), codec=codec)
    path = write_mixed(tmp_path / name, video, write_audio(tmp_path / "sound.m4a", seconds=4))
    with open_frames(path) as stream:
        assert stream.info.frames_claimed in (None, 30)
        assert len(list(stream)) == 30
        assert stream.damage == ()
    with open_frames(video) as stream:
        assert stream.info.frames_claimed == 30


def test_a_header_that_counts_on_more_picture_tells_of_a_cut(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.flv", moving_square(90), codec="flv")
    truncate(path, path.stat().st_size // 2)
    with open_frames(path) as stream:
        assert 10 < len(list(stream)) < 80
        assert [each.last_frame for each in stream.damage] == [None]


@pytest.mark.parametrize(
    ("end", "stated", "rate", "short"),
    [
        (Fraction(1), Fraction(2), Fraction(30), True),
        (Fraction(19, 10), Fraction(2), Fraction(30), False),
        (Fraction(17, 10), Fraction(2), Fraction(5), False),
        (Fraction(17, 10), Fraction(2), None, True),
        (Fraction(3), Fraction(2), Fraction(30), False),
        (None, Fraction(2), Fraction(30), False),
        (Fraction(1), None, Fraction(30), False),
    ],
)
def test_an_end_counts_as_early_only_beyond_the_slack(
    end: Fraction | None, stated: Fraction | None, rate: Fraction | None, short: bool
) -> None:
    assert (falls_short(end, stated, rate) is not None) == short
