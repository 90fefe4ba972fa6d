"""Zeroed stretches in H.264 and H.265 packets."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from carvid.stream.nal_units import hole_finder
from tests.media import moving_square, write_video

AVCC = bytes([1, 100, 0, 31, 0xFF])  # length fields of 4 bytes
HVCC = bytes([1, *[0] * 20, 0x03])
SLICE, SEI = b"\x65", b"\x06"


def _unit(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


@pytest.mark.parametrize(
    ("packet", "hole"),
    [
        (_unit(SLICE + b"abc\0\0\0def"), True),
        (_unit(SLICE + b"abc\0\0\3\0def"), False),
        (_unit(SLICE + b"abc") + _unit(SLICE + b"\0\0\0\0x"), True),
        (_unit(SLICE + b"abc\0\0\0\0"), False),  # padding after the picture
        (_unit(SEI + b"abc\0\0\0def") + _unit(SLICE + b"abc"), False),  # no picture data
        (_unit(SLICE + b"a") * 3, False),  # lengths below 256 have three zeros
        (b"\0\0\0\0" * 4, False),  # units without data: the decoder finds these itself
        (b"", False),
        (b"\0\0", False),
        ((9).to_bytes(4, "big") + SLICE, False),  # shorter than it says
    ],
)
def test_length_prefixed_units(packet: bytes, hole: bool) -> None:
    finder = hole_finder("h264", AVCC)
    assert finder is not None
    assert finder(packet) == hole


@pytest.mark.parametrize(
    ("packet", "hole"),
    [
        (b"\0\0\0\1" + SLICE + b"abc\0\0\0\1" + SLICE, False),
        (b"\0\0\1" + SLICE + b"abc\0\0\0\0\0\1" + SLICE + b"\0\0\0", False),
        (b"\0\0\0\1" + SLICE + b"abc\0\0\0\0def", True),
    ],
)
def test_byte_streams(packet: bytes, hole: bool) -> None:
    for extradata in (None, b"", b"\0\0\0\1\x67"):
        finder = hole_finder("h264", extradata)
        assert finder is not None
        assert finder(packet) == hole


def test_h265_units() -> None:
    finder = hole_finder("hevc", HVCC)
    assert finder is not None
    assert finder(_unit(b"\x26\x01abc\0\0\0def"))  # an IDR picture
    assert not finder(_unit(b"\x4e\x01abc\0\0\0def"))  # an SEI message


def test_other_codecs_may_hold_zeros() -> None:
    assert hole_finder("vp9", None) is None
    assert hole_finder("mpeg4", b"\0\0\1") is None


@pytest.mark.parametrize("name", ["a.mp4", "a.ts"])
@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_encoders_write_no_holes(tmp_path: Path, name: str, codec: str) -> None:
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    path = write_video(tmp_path / name, moving_square(12, 96, 144), codec=codec, options=options)
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        finder = hole_finder(context.name, context.extradata)
        assert finder is not None
        assert not any(finder(bytes(packet)) for packet in container.demux(video=0))
