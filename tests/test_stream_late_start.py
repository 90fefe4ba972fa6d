"""Starting in mid-stream: the frames are those of reading from the first, with far less decoded."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from carvid.errors import InputError
from carvid.frame import Frame
from carvid.stream import Damage, NoFrameError, open_frames
from carvid.stream.display_order import DisplayOrder
from carvid.stream.late_start import late_start
from carvid.stream.nal_units import has_whole_frames_only
from tests.media import moving_square, packet_spans, write_video, zero

N = 40
GOP = 8


@dataclass(frozen=True)
class Clip:
    """A kind of file. seekable: whether a late start decodes a group or two and not everything before."""

    name: str
    codec: str
    options: dict[str, str] = field(default_factory=dict)
    pix_fmt: str = "yuv420p"
    seekable: bool = True


B_FRAMES = {"bf": "3", "b_strategy": "0"}
OPEN_GOP = {"x265-params": "log-level=none:bframes=3:b-adapt=0:open-gop=1"}
HIDDEN = {"deadline": "good", "cpu-used": "5", "auto-alt-ref": "1", "lag-in-frames": "12"}
CLIPS = [
    Clip("h264.mp4", "libx264", B_FRAMES),
    Clip("h264.mkv", "libx264", B_FRAMES),
    Clip("h264.ts", "libx264", B_FRAMES),
    Clip("h264.avi", "libx264", {"bf": "0"}),
    Clip("h264_open.mp4", "libx264", {**B_FRAMES, "x264-params": "open_gop=1"}, seekable=False),
    Clip("h264_refresh.mp4", "libx264", {"bf": "0", "x264-params": "intra-refresh=1"}, seekable=False),
    Clip("h264_interlaced.mp4", "libx264", {"x264-params": "interlaced=1"}, seekable=False),
    Clip("no_times.h264", "libx264", B_FRAMES, seekable=False),
    Clip("hevc.mp4", "libx265", OPEN_GOP),
    Clip("hevc.ts", "libx265", OPEN_GOP),
    Clip("hevc.mkv", "libx265", {"x265-params": "log-level=none:open-gop=0"}),
    Clip("mpeg4.mp4", "mpeg4", {"bf": "2"}),
    Clip("mpeg4.mkv", "mpeg4", {"bf": "2"}),
    Clip("mpeg4.ts", "mpeg4", {"bf": "2"}),
    Clip("mpeg2.ts", "mpeg2video", {"bf": "2"}),
    Clip("mpeg2.mkv", "mpeg2video", {"bf": "2"}),
    Clip("mpeg2.mpg", "mpeg2video", {"bf": "2"}),
    Clip("mpeg2_interlaced.ts", "mpeg2video", {"bf": "2", "flags": "+ildct+ilme"}),
    Clip("vp9.webm", "libvpx-vp9", HIDDEN),
    Clip("vp8.webm", "libvpx", HIDDEN),
    Clip("mjpeg.avi", "mjpeg", pix_fmt="yuvj420p"),
    Clip("mjpeg.mkv", "mjpeg", pix_fmt="yuvj420p"),
    Clip("flv1.flv", "flv", seekable=False),
]


def _read(path: Path, start_frame: int = 0) -> list[Frame]:
    with open_frames(path, start_frame=start_frame) as stream:
        frames = list(stream)
        assert stream.damage == ()
        return frames


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, list[Frame]]]:
    """Each clip's file, and its frames read from the first."""
    folder = tmp_path_factory.mktemp("clips")
    rng = np.random.default_rng(0)
    pictures = [
        np.clip(picture + rng.integers(-9, 9, picture.shape), 0, 255).astype(np.uint8)
        for picture in moving_square(N, 48, 96)
    ]
    clips = {}
    for clip in CLIPS:
        path = write_video(
            folder / clip.name,
            pictures,
            codec=clip.codec,
            pix_fmt=clip.pix_fmt,
            gop=GOP,
            options=clip.options,
        )
        clips[clip.name] = path, _read(path)
    return clips


def _noise() -> list[NDArray[np.uint8]]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 255, (48, 96, 3)).astype(np.uint8) for _ in range(N)]


def _assert_same(frames: list[Frame], expected: list[Frame]) -> None:
    assert [(frame.index, frame.pts_seconds) for frame in frames] == [
        (frame.index, frame.pts_seconds) for frame in expected
    ]
    for frame, other in zip(frames, expected, strict=True):
        np.testing.assert_array_equal(frame.image, other.image)


@given(clip=st.sampled_from(CLIPS), start=st.integers(1, N - 1))
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_frames_from_any_start_are_those_of_reading_from_the_first(
    whole: dict[str, tuple[Path, list[Frame]]], clip: Clip, start: int
) -> None:
    path, expected = whole[clip.name]
    assert len(expected) == N
    _assert_same(_read(path, start), expected[start:])


@pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: clip.name)
def test_a_late_start_decodes_a_group_or_two(
    whole: dict[str, tuple[Path, list[Frame]]], clip: Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, expected = whole[clip.name]
    sent = []
    count = DisplayOrder.sent
    monkeypatch.setattr(DisplayOrder, "sent", lambda self, pts: (sent.append(pts), count(self, pts)))
    _assert_same(_read(path, N - 2), expected[N - 2 :])
    # MPEG's I frames lie up to two B frames further apart than asked for.
    assert (len(sent) <= 2 * (GOP + 2)) == clip.seekable


def test_a_start_beyond_the_end_names_the_count(whole: dict[str, tuple[Path, list[Frame]]]) -> None:
    for clip in CLIPS:
        with pytest.raises(InputError, match=f"start_frame is {N}, but .* holds {N} frames"):
            open_frames(whole[clip.name][0], start_frame=N)


@pytest.mark.parametrize(("at", "is_reported"), [(3, True), (N - 3, False)])
def test_damage_that_packets_show_before_the_start_is_met(tmp_path: Path, at: int, is_reported: bool) -> None:
    path = write_video(tmp_path / "hole.mp4", _noise(), gop=GOP, options={"bf": "0"})
    assert late_start(path, 20) is not None
    position, size, _ = packet_spans(path)[at]
    zero(path, position + size // 2, size // 4)
    with open_frames(path) as stream:
        expected = list(stream)
        damage = stream.damage
    with open_frames(path, start_frame=20) as stream:
        assert any(each.first_frame == at for each in stream.damage) == is_reported
        _assert_same(list(stream), [frame for frame in expected if frame.index >= 20])
        assert stream.damage == damage
    assert (late_start(path, 20) is None) == is_reported


def test_what_the_packets_foretell_is_checked(tmp_path: Path) -> None:
    """A key frame by its mark alone: decoding begins there, does not give the frame, and begins anew."""
    path = write_video(tmp_path / "a.mkv", _noise(), codec="mpeg4", gop=N)
    marked = tmp_path / "marked.mkv"
    with av.open(str(path)) as source, av.open(str(marked), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream, packet.is_keyframe = stream, True
                target.mux(packet)
    start = late_start(marked, 30)
    assert start is not None
    assert start.ordinal == 30
    _assert_same(_read(marked, 30), _read(path)[30:])


@pytest.mark.parametrize(("params", "only_whole"), [("", True), ("interlaced=1", False)])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv444p"])
def test_fields_are_ruled_out_by_the_parameter_set(
    tmp_path: Path, params: str, pix_fmt: str, only_whole: bool
) -> None:
    options = {"x264-params": params} if params else {}
    path = write_video(tmp_path / "a.mp4", moving_square(2), pix_fmt=pix_fmt, options=options)
    with av.open(str(path)) as container:
        record = container.streams.video[0].codec_context.extradata
    assert record is not None
    sps = record[8 : 8 + int.from_bytes(record[6:8], "big")]
    assert has_whole_frames_only(sps) == only_whole
    assert not any(has_whole_frames_only(sps[:length]) for length in range(5))


@pytest.mark.parametrize("name", ["a.mkv", "a.ts"])
@given(seed=st.integers(0, 10**6), start=st.integers(1, N - 1))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_that_was_cut_ends_at_the_same_frame_from_any_start(
    tmp_path: Path, name: str, seed: int, start: int
) -> None:
    path = tmp_path / name
    if not path.exists():
        write_video(path, _noise(), gop=GOP, options=B_FRAMES)
    data = path.read_bytes()
    cut = tmp_path / f"cut{path.suffix}"
    cut.write_bytes(data[: len(data) // 4 + seed % (len(data) * 3 // 4)])
    with open_frames(cut) as stream:
        expected = [frame for frame in stream if frame.index >= start]
        damage = stream.damage
    try:
        with open_frames(cut, start_frame=start) as stream:
            found, met = list(stream), stream.damage
    except NoFrameError as error:
        found, met = [], error.damage
    _assert_same(found, expected)
    # What lies before the start is told only where the packets show it.
    assert _from(start, met) == _from(start, damage)


def _from(start: int, damage: tuple[Damage, ...]) -> list[Damage]:
    return [each for each in damage if each.last_frame is None or each.last_frame >= start]
