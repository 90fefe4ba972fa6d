"""Video files through PyAV: colours, orientation, timestamps, containers."""

from __future__ import annotations

import gc
import io
import itertools
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
from carvid.stream.orientation import UPRIGHT, turn_of_matrix, turned
from tests.media import (
    moving_square,
    set_display_matrix,
    square_left,
    write_audio,
    write_mixed,
    write_video,
)

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "video"

# All eight ways to show a picture: (a, b, c, d) of its display matrix, and the same in numpy.
TURNS = {
    (1, 0, 0, 1): lambda image: image,
    (0, 1, -1, 0): lambda image: np.rot90(image, -1),  # 90 degrees clockwise, a phone held upright
    (-1, 0, 0, -1): lambda image: np.rot90(image, 2),
    (0, -1, 1, 0): lambda image: np.rot90(image, 1),
    (-1, 0, 0, 1): lambda image: image[:, ::-1],
    (1, 0, 0, -1): lambda image: image[::-1],
    (0, 1, 1, 0): lambda image: image.transpose(1, 0, 2),
    (0, -1, -1, 0): lambda image: np.rot90(image.transpose(1, 0, 2), 2),
}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("plain") / "plain.mp4", moving_square(3, 48, 64))


@pytest.mark.parametrize("turn", TURNS)
def test_rotation_metadata_is_applied(tmp_path: Path, plain: Path, turn: tuple[int, int, int, int]) -> None:
    with open_frames(plain) as stream:
        stored = [frame.image for frame in stream]
    path = tmp_path / "turned.mp4"
    path.write_bytes(plain.read_bytes())
    set_display_matrix(path, *turn)
    with open_frames(path) as stream:
        shown = list(stream)
        height, width = TURNS[turn](stored[0]).shape[:2]
        assert (stream.info.height, stream.info.width) == (height, width)
    for frame, before in zip(shown, stored, strict=True):
        np.testing.assert_array_equal(frame.image, TURNS[turn](before))
        assert frame.image.flags.c_contiguous
        assert frame.image.flags.writeable


def test_a_picture_is_freed_with_its_frame(tmp_path: Path) -> None:
    """None is left to the garbage collector, which would let decoded pictures pile up between its rounds."""
    path = write_video(tmp_path / "long.mp4", moving_square(40))
    gc.collect()
    gc.disable()
    try:
        with open_frames(path) as stream:
            assert sum(1 for _ in stream) == 40
        assert not [kept for kept in gc.get_objects() if type(kept) is av.VideoFrame]
    finally:
        gc.enable()


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("scale", [1 << 16, 1 << 15])
def test_a_matrix_moves_each_point_where_it_says(turn: tuple[int, int, int, int], scale: int) -> None:
    a, b, c, d = turn
    matrix = np.array([a * scale, b * scale, 0, c * scale, d * scale, 0, 0, 0, 1 << 30], np.int32)
    assert turn_of_matrix(matrix) == turn
    image = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    shown = turned(image, turn)
    points = {(x, y): (a * x + c * y, b * x + d * y) for x, y in itertools.product(range(3), range(2))}
    left, top = (min(point[axis] for point in points.values()) for axis in (0, 1))
    for (x, y), (shown_x, shown_y) in points.items():
        assert shown[shown_y - top, shown_x - left].tolist() == image[y, x].tolist()


def test_a_matrix_that_is_no_quarter_turn_is_left_alone() -> None:
    one = 1 << 16
    tilted = np.array([one * 0.7, one * 0.7, 0, -one * 0.7, one * 0.7, 0, 0, 0, 1 << 30]).astype(np.int32)
    assert turn_of_matrix(tilted) is None
    assert turn_of_matrix(np.zeros(9, np.int32)) is None
    image = np.zeros((2, 3, 3), np.uint8)
    assert turned(image, UPRIGHT).shape == (2, 3, 3)


def _write_planes(path: Path, yuv: tuple[int, int, int], colorspace: int, color_range: int) -> Path:
    """An mp4 of one flat colour given as stored samples."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"qp": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        context = stream.codec_context
        context.colorspace, context.color_range = colorspace, color_range
        frame = av.VideoFrame(64, 48, "yuv420p")
        for plane, value in zip(frame.planes, yuv, strict=True):
            plane.update(bytes([value]) * plane.buffer_size)
        frame.colorspace, frame.color_range = colorspace, color_range
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def _rgb(yuv: tuple[int, int, int], red: float, blue: float, full: bool) -> NDArray[np.float64]:
    """ITU-R BT.601 / 709 / 2020, with their luma weights of red and blue."""
    y, u, v = yuv
    luma, cb, cr = (
        (y, u - 128, v - 128)
        if full
        else ((y - 16) * 255 / 219, (u - 128) * 255 / 224, (v - 128) * 255 / 224)
    )
    r = luma + 2 * (1 - red) * cr
    b = luma + 2 * (1 - blue) * cb
    return np.clip([r, (luma - red * r - blue * b) / (1 - red - blue), b], 0, 255)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(
    ("colorspace", "red", "blue"),
    [(1, 0.2126, 0.0722), (5, 0.299, 0.114), (6, 0.299, 0.114), (9, 0.2627, 0.0593), (2, 0.299, 0.114)],
    ids=["bt709", "bt470bg", "smpte170m", "bt2020", "unspecified"],
)
def test_colours_follow_the_matrix_and_the_range(
    tmp_path: Path, colorspace: int, red: float, blue: float, full: bool
) -> None:
    yuv = (120, 90, 180)
    path = _write_planes(tmp_path / "flat.mp4", yuv, colorspace, 2 if full else 1)
    with open_frames(path) as stream:
        pixel = next(stream).image[20, 30]
    np.testing.assert_allclose(pixel, _rgb(yuv, red, blue, full), atol=2.5)


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [
        ("a.mkv", "ffv1", "gray"),
        ("a.mkv", "ffv1", "bgr0"),
        ("a.avi", "mjpeg", "yuvj444p"),
        ("a.mkv", "ffv1", "gray16le"),
    ],
)
def test_grey_and_rgb_video_keep_their_values(tmp_path: Path, name: str, codec: str, pix_fmt: str) -> None:
    ramp = np.repeat(np.linspace(0, 255, 64).astype(np.uint8)[None, :, None], 48, axis=0).repeat(3, axis=2)
    options = {"qmin": "1", "qmax": "1"} if codec == "mjpeg" else {}
    path = write_video(tmp_path / name, [ramp], codec=codec, pix_fmt=pix_fmt, options=options)
    with open_frames(path) as stream:
        image = next(stream).image
    np.testing.assert_allclose(image.astype(int), ramp.astype(int), atol=3)


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [
        ("a.mp4", "libx264", "yuv420p"),
        ("a.mkv", "libx264", "yuv420p"),
        ("a.ts", "libx264", "yuv420p"),
        ("a.mp4", "libx265", "yuv420p"),
        ("a.webm", "libvpx-vp9", "yuv420p"),
        ("a.avi", "mpeg4", "yuv420p"),
        ("a.avi", "mjpeg", "yuvj420p"),
        ("a.mkv", "ffv1", "yuv420p"),
    ],
)
def test_every_frame_of_every_kind_of_file(tmp_path: Path, name: str, codec: str, pix_fmt: str) -> None:
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    if codec == "libvpx-vp9":
        options = {"deadline": "realtime", "cpu-used": "8"}
    pictures = moving_square(25, 96, 144, side=32)
    path = write_video(tmp_path / name, pictures, codec=codec, pix_fmt=pix_fmt, options=options)
    with open_frames(path) as stream:
        frames = list(stream)
        assert stream.damage == ()
        assert stream.info.frame_rate == Fraction(30000, 1001)
    assert [frame.index for frame in frames] == list(range(25))
    assert [square_left(frame.image) for frame in frames] == [2 * i for i in range(25)]


def test_a_variable_frame_rate_keeps_its_times(tmp_path: Path) -> None:
    pts = [0, 1, 5, 6, 30, 31]
    path = write_video(tmp_path / "a.mp4", moving_square(6, 48, 64), rate=Fraction(25), pts=pts)
    with open_frames(path) as stream:
        assert [frame.pts_seconds for frame in stream] == [pytest.approx(t / 25) for t in pts]
        assert stream.damage == ()


def test_timestamps_may_be_missing(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.h264", moving_square(20, 48, 144))
    with open_frames(path) as stream:
        frames = list(stream)
    assert [frame.pts_seconds for frame in frames] == [None] * 20
    assert [square_left(frame.image) for frame in frames] == [2 * i for i in range(20)]


def test_odd_sizes_and_non_square_pixels_are_left_as_stored(tmp_path: Path) -> None:
    pictures = moving_square(2, 47, 63)
    odd = write_video(tmp_path / "odd.mkv", pictures, codec="ffv1", pix_fmt="bgr0")
    with open_frames(odd) as stream:
        np.testing.assert_array_equal(next(stream).image, pictures[0])
    anamorphic = write_video(
        tmp_path / "wide.mp4", moving_square(2, 48, 64), options={"x264-params": "sar=2/1"}
    )
    with av.open(str(anamorphic)) as container:
        assert container.streams.video[0].sample_aspect_ratio == 2
    with open_frames(anamorphic) as stream:
        assert next(stream).image.shape == (48, 64, 3)


def _write_with_cover(path: Path, cover: bytes, video: Path | None) -> Path:
    """An mp4 with a cover picture as its first stream, then a copied video stream or silence."""
    with av.open(str(path), "w") as container:
        picture = container.add_stream("png", rate=1)
        picture.width, picture.height, picture.pix_fmt = 40, 30, "rgb24"
        picture.disposition = Disposition.attached_pic.value
        if video is None:
            audio = container.add_stream("aac", rate=44100, layout="mono")
        else:
            source = av.open(str(video))
            copied = container.add_stream_from_template(source.streams.video[0])
        packet = av.Packet(cover)
        packet.stream, packet.pts, packet.dts = picture, 0, 0
        packet.time_base = Fraction(1)
        container.mux(packet)
        if video is None:
            silence = av.AudioFrame.from_ndarray(
                np.zeros((1, 1024), np.float32), format="fltp", layout="mono"
            )
            silence.sample_rate = 44100
            container.mux(audio.encode(silence))
            container.mux(audio.encode(None))
        else:
            for packet in source.demux(video=0):
                if packet.size:
                    packet.stream = copied
                    container.mux(packet)
            source.close()
    return path


def _png(picture: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "png")
    return buffer.getvalue()


def test_a_cover_picture_is_not_taken_for_the_video(tmp_path: Path) -> None:
    video = write_video(tmp_path / "video.mp4", moving_square(10, 48, 64))
    cover = _png(np.full((30, 40, 3), 200, np.uint8))
    path = _write_with_cover(tmp_path / "covered.mp4", cover, video)
    with open_frames(path) as stream:
        assert (stream.info.width, stream.info.height) == (64, 48)
        assert len(list(stream)) == 10
        assert stream.damage == ()


def test_a_song_with_a_cover_has_no_video_stream(tmp_path: Path) -> None:
    cover = _png(np.full((30, 40, 3), 200, np.uint8))
    path = _write_with_cover(tmp_path / "song.mp4", cover, None)
    with pytest.raises(InputError, match="no video stream; it holds a cover picture and audio streams"):
        open_frames(path)


@pytest.mark.skipif(not DATA.is_dir(), reason="needs the sample videos")
@pytest.mark.parametrize(
    ("name", "count", "rate"), [("bedroom.mp4", 200, 30), ("01_dog.mp4", 289, Fraction(30000, 1001))]
)
def test_sample_videos_are_undamaged(name: str, count: int, rate: Fraction | int) -> None:
    with open_frames(DATA / name, every=50) as stream:
        assert [frame.index for frame in stream] == list(range(0, count, 50))
        assert stream.damage == ()
        assert stream.info.frame_rate == rate


def test_sound_beside_the_video_is_ignored(tmp_path: Path) -> None:
    sound = write_audio(tmp_path / "sound.m4a", seconds=2)
    video = write_video(tmp_path / "video.mp4", moving_square(10, 48, 64))
    path = write_mixed(tmp_path / "both.mkv", sound, video)
    # The sound is longer than the pictures, which is no damage.
    with open_frames(path) as stream:
        assert len(list(stream)) == 10
        assert stream.damage == ()


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt", "options"),
    [
        ("a.mkv", "ffv1", "yuv420p", {}),
        ("a.mkv", "ffv1", "yuv420p10le", {}),
        ("a.ts", "mpeg2video", "yuv420p", {"flags": "+ildct+ilme"}),
    ],
    ids=["8 bits", "10 bits", "interlaced"],
)
def test_rgb_differs_from_ffmpegs_own_filter_in_chroma_alone(
    tmp_path: Path, name: str, codec: str, pix_fmt: str, options: dict[str, str]
) -> None:
    """docs/sources.md tells which kinds differ, and why."""
    noise = np.random.default_rng(0).integers(0, 255, (12, 18, 3)).astype(np.uint8)
    picture = noise.repeat(8, axis=0).repeat(8, axis=1)
    path = write_video(tmp_path / name, [picture], codec=codec, pix_fmt=pix_fmt, options=options)
    with open_frames(path) as stream:
        ours = next(stream).image.astype(int)
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        graph = av.filter.Graph()
        source = graph.add_buffer(template=container.streams.video[0])
        steps = [source, graph.add("scale"), graph.add("format", "rgb24"), graph.add("buffersink")]
        graph.link_nodes(*steps).configure()
        graph.push(frame)
        theirs = graph.pull().to_ndarray().astype(int)
    difference = np.abs(ours - theirs)
    if pix_fmt == "yuv420p" and not options:
        assert difference.max() == 0
    assert difference.mean() < 6
    # Where a channel is cut off at 0 or 255, luma follows chroma.
    inside = ((ours > 0) & (ours < 255) & (theirs > 0) & (theirs < 255)).all(axis=2)
    luma = np.abs((ours - theirs) @ [0.299, 0.587, 0.114])[inside]
    assert luma.mean() < 1


@pytest.mark.parametrize(("turn", "aspect"), [(0, Fraction(2)), (90, Fraction(1, 2))])
def test_the_shape_of_pixels_is_told_upright(tmp_path: Path, turn: int, aspect: Fraction) -> None:
    path = tmp_path / "wide.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(2)
        for picture in moving_square(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    if turn:
        set_display_matrix(path, 0, 1, -1, 0)
    with open_frames(path) as frames:
        assert frames.info.pixel_aspect == aspect
        assert (frames.info.width, frames.info.height) == ((48, 64) if turn else (64, 48))
