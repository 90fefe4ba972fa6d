"""Files as they are found: padded, encrypted, cut off, with several streams, with data PyAV does not know."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition
from numpy.typing import NDArray
from PIL import Image

from carvid.errors import InputError
from carvid.stream import open_frames
from carvid.stream.gif_blocks import is_whole
from carvid.stream.orientation import turn_of_angle, turned
from tests.media import moving_square, truncate, write_video

MEDIA = Path(__file__).resolve().parents[2] / "shared" / "data" / "media"

needs_media = pytest.mark.skipif(not MEDIA.is_dir(), reason="needs the sample files")


@pytest.mark.parametrize(
    ("name", "codec", "rate"),
    [
        ("a.ts", "mpeg2video", "4000k"),
        ("a.mpg", "mpeg2video", "4000k"),
        ("a.mkv", "mpeg2video", "4000k"),
        ("a.mpg", "mpeg1video", "1150k"),
    ],
)
def test_padding_to_a_constant_bit_rate_is_no_damage(
    tmp_path: Path, name: str, codec: str, rate: str
) -> None:
    options = {"b": rate, "minrate": rate, "maxrate": rate, "bufsize": "400k", "bf": "2"}
    pictures = moving_square(50, 288, 352, side=64)
    path = write_video(tmp_path / name, pictures, codec=codec, options=options, gop=12, rate=Fraction(25))
    with open_frames(path) as stream:
        assert len(list(stream)) == 50
        assert stream.damage == ()


@needs_media
def test_a_frame_cut_off_at_the_end_is_the_only_damage() -> None:
    with open_frames(MEDIA / "weird_aspect.small.mpg") as stream:
        assert [frame.index for frame in stream] == [*range(34), 35]
        assert [(each.first_frame, each.last_frame) for each in stream.damage] == [(34, 34)]


def _picture() -> NDArray[np.uint8]:
    picture = np.zeros((32, 48, 3), np.uint8)
    picture[:16, :16] = (200, 40, 40)
    return picture


@pytest.mark.parametrize(("orientation", "quarters"), [(1, 0), (3, 2), (6, -1), (8, 1)])
def test_side_data_of_an_unknown_kind_is_left_out(tmp_path: Path, orientation: int, quarters: int) -> None:
    """FFmpeg 8 hands a JPEG's EXIF on as side data, which PyAV 18 has no name for."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    Image.fromarray(_picture()).save(buffer, "jpeg", exif=exif, quality=95)
    path = tmp_path / "a.mjpeg"
    path.write_bytes(buffer.getvalue() * 3)
    with open_frames(path) as stream:
        frames = list(stream)
    assert len(frames) == 3
    # Older ones do not read the EXIF of a picture in a video.
    expected = (np.rot90(_picture(), quarters), _picture())
    assert any(
        frames[0].image.shape == image.shape and np.abs(frames[0].image.astype(int) - image).mean() < 8
        for image in expected
    )


@pytest.mark.parametrize("quarters", range(-4, 5))
def test_an_angle_turns_counterclockwise(quarters: int) -> None:
    turn = turn_of_angle(90 * quarters)
    assert turn is not None
    np.testing.assert_array_equal(turned(_picture(), turn), np.rot90(_picture(), quarters))
    assert turn_of_angle(90 * quarters + 45) is None


@needs_media
def test_a_picture_of_two_is_read() -> None:
    with open_frames(MEDIA / "frozenpond.mpo") as stream:
        assert next(stream).image.shape == (480, 640, 3)


def _with_second_stream(path: Path, first: int, second: int, default: int) -> Path:
    """An mp4 of two video streams with so many frames: 64 x 48, then 96 x 48."""
    with av.open(str(path), "w") as container:
        streams = []
        for width in (64, 96):
            stream = container.add_stream("libx264", rate=25, options={"bf": "0"})
            stream.width, stream.height, stream.pix_fmt = width, 48, "yuv420p"
            stream.disposition = Disposition.default.value if len(streams) == default else 0
            streams.append(stream)
        for stream, width, count in zip(streams, (64, 96), (first, second), strict=True):
            for picture in moving_square(count, 48, width):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("first", "second", "default", "width"), [(10, 10, 0, 64), (10, 10, 1, 96), (1, 10, 0, 64)]
)
def test_the_default_stream_is_read(
    tmp_path: Path, first: int, second: int, default: int, width: int
) -> None:
    path = _with_second_stream(tmp_path / "a.mkv", first, second, default)
    with open_frames(path) as stream:
        assert stream.info.width == width


@needs_media
def test_the_longest_default_stream_of_an_avif_is_read() -> None:
    with open_frames(MEDIA / "star.avifs") as stream:
        frames = list(stream)
    assert [frame.pts_seconds for frame in frames] == [0, 0.04, 0.08, 0.12, 0.16]
    assert np.ptp(frames[0].image.astype(int), axis=2).max() > 50


def _gif(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    pictures = [
        Image.fromarray(rng.integers(0, 255, (40, 60, 3)).astype(np.uint8)).quantize() for _ in range(5)
    ]
    path = folder / "a.gif"
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=100)
    return path


def test_a_gif_that_ends_in_mid_picture_is_damaged(tmp_path: Path) -> None:
    path = _gif(tmp_path)
    size = path.stat().st_size
    with open_frames(path) as stream:
        assert len(list(stream)) == 5
        assert stream.damage == ()
    with open_frames(truncate(path, size - 1)) as stream:  # the trailer alone, which many lack
        assert len(list(stream)) == 5
        assert stream.damage == ()
    with open_frames(truncate(path, size - 600)) as stream:
        assert [frame.index for frame in stream] == [0, 1, 2, 3]
        assert [(each.first_frame, each.reason) for each in stream.damage] == [(4, "incomplete data")]


@pytest.mark.parametrize("size", range(0, 40))
def test_the_blocks_of_a_gif_end_with_an_empty_one(size: int) -> None:
    control = b"\x21\xf9\x04\0\0\0\0\0"
    picture = b"\x2c" + bytes(8) + b"\x80" + b"rgbRGB" + b"\x08" + b"\x02ab" + b"\0"
    whole = control + picture
    assert is_whole(whole)
    assert is_whole(b"GIF89a" + bytes(4) + b"\x80\0\0" + b"rgbRGB" + whole)
    if size < len(whole):
        assert not is_whole(whole[:size])


@needs_media
def test_a_gif_of_half_a_picture_gives_none() -> None:
    with pytest.raises(
        InputError, match=r"no frame of .*truncated\.gif could be decoded; frame 0: incomplete"
    ):
        open_frames(MEDIA / "truncated.gif")


def _encrypted_mp4(folder: Path) -> Path:
    key = {
        "encryption_scheme": "cenc-aes-ctr",
        "encryption_key": "00" * 16,
        "encryption_kid": "11" * 16,
    }
    return write_video(folder / "a.mp4", moving_square(10), container_options=key)


def _scrambled_ts(folder: Path) -> Path:
    path = write_video(folder / "a.ts", moving_square(10))
    data = bytearray(path.read_bytes())
    for at in range(0, len(data), 188):
        if (data[at + 1] & 0x1F, data[at + 2]) == (1, 0):
            data[at + 3] |= 0x80
            data[at + 8 : at + 188] = bytes(byte ^ 0xA5 for byte in data[at + 8 : at + 188])
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("make", [_encrypted_mp4, _scrambled_ts])
def test_an_encrypted_file_is_called_so(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    with pytest.raises(InputError, match="encrypted"):
        open_frames(make(tmp_path))


def test_a_lost_index_is_spoken_of_where_there_was_one(tmp_path: Path) -> None:
    (tmp_path / "a.gif").write_bytes(b"GIF89")
    (tmp_path / "a.flv").write_bytes(b"FLV\1")
    (tmp_path / "a.ogv").write_bytes(b"OggS")
    for name in ("a.gif", "a.flv", "a.ogv"):
        with pytest.raises(InputError) as raised:
            open_frames(tmp_path / name)
        assert "lost its index" not in str(raised.value)


def _box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I", 8 + len(body)) + kind + body


def _full(kind: bytes, version: int, *parts: bytes) -> bytes:
    return _box(kind, bytes([version, 0, 0, 0]), *parts)


def _heic_of_tiles(path: Path, tiles: list[bytes], record: bytes, side: int) -> Path:
    """A HEIF file whose item 1 is a row of tiles, items 2, 3, ... (ISO 23008-12, section 6.6.2.3)."""
    grid = bytes([0, 0, 0, len(tiles) - 1]) + struct.pack(">HH", side * len(tiles), side)
    data = {1: grid, **dict(enumerate(tiles, 2))}

    def entry(item: int) -> bytes:
        return _full(b"infe", 2, struct.pack(">HH", item, 0), b"grid\0" if item == 1 else b"hvc1\0")

    def meta(at: int) -> bytes:
        places = b""
        for item, content in data.items():
            places += struct.pack(">HHHII", item, 0, 1, at, len(content))
            at += len(content)
        count = struct.pack(">H", len(data))
        properties = _box(b"ipco", _box(b"hvcC", record), _full(b"ispe", 0, struct.pack(">II", side, side)))
        used = b"".join(struct.pack(">HBBB", item, 2, 0x81, 2) for item in data if item > 1)
        return _full(
            b"meta",
            0,
            _full(b"hdlr", 0, bytes(4), b"pict", bytes(13)),
            _full(b"pitm", 0, struct.pack(">H", 1)),
            _full(b"iloc", 0, b"\x44\0", count, places),
            _full(b"iinf", 0, count, *map(entry, data)),
            _full(
                b"iref", 0, _box(b"dimg", struct.pack(f">{1 + len(data)}H", 1, len(tiles), *list(data)[1:]))
            ),
            _box(b"iprp", properties, _full(b"ipma", 0, struct.pack(">I", len(tiles)), used)),
        )

    kind = _box(b"ftyp", b"heic", bytes(4), b"mif1heic")
    path.write_bytes(kind + meta(len(kind) + len(meta(0)) + 8) + _box(b"mdat", *data.values()))
    return path


def test_a_picture_in_tiles_is_refused_by_name(tmp_path: Path) -> None:
    options = {"x265-params": "log-level=none"}
    tile = write_video(tmp_path / "tile.mp4", moving_square(1, 64, 64), codec="libx265", options=options)
    with av.open(str(tile)) as container:
        record = container.streams.video[0].codec_context.extradata or b""
        data = b"".join(bytes(packet) for packet in container.demux(video=0))
    path = _heic_of_tiles(tmp_path / "a.heic", [data, data], record, 64)
    with pytest.raises(InputError, match=r"a\.heic is a picture in 2 tiles, .* save it as PNG or JPEG"):
        open_frames(path)
