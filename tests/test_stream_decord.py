"""The decord reader gives what the PyAV reader gives."""

from __future__ import annotations

import re
from pathlib import Path

import av
import numpy as np
import pytest

from carvid.errors import InputError
from carvid.stream import Damage, open_frames
from tests.media import (
    moving_square,
    packet_spans,
    read_on,
    set_display_matrix,
    truncate,
    write_audio,
    write_folder,
    write_video,
    zero,
)

pytest.importorskip("decord")


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("decord") / "a.mp4", moving_square(20, 48, 144))


def test_frames_and_facts_agree_with_pyav(video: Path) -> None:
    with open_frames(video, reader="decord") as ours, open_frames(video) as reference:
        assert ours.info == reference.info
        pairs = list(zip(ours, reference, strict=True))
        assert ours.damage == ()
    assert len(pairs) == 20
    for frame, other in pairs:
        assert (frame.index, frame.name) == (other.index, other.name)
        assert frame.pts_seconds == other.pts_seconds
        assert frame.image.dtype == np.uint8
        assert frame.image.flags.writeable
        np.testing.assert_allclose(frame.image.astype(int), other.image.astype(int), atol=3)


def test_start_stop_and_every(video: Path) -> None:
    with open_frames(video, reader="decord", start_frame=3, stop_frame=15, every=4) as stream:
        assert [frame.index for frame in stream] == [3, 7, 11]
    with pytest.raises(InputError, match=r"start_frame is 20, but .* holds 20 frames"):
        open_frames(video, reader="decord", start_frame=20)


@pytest.mark.parametrize(
    "turn",
    [
        (1, 0, 0, 1),
        (0, 1, -1, 0),
        (-1, 0, 0, -1),
        (0, -1, 1, 0),
        (-1, 0, 0, 1),
        (1, 0, 0, -1),
        (0, 1, 1, 0),
        (0, -1, -1, 0),
    ],
)
def test_orientation_agrees_with_pyav(tmp_path: Path, turn: tuple[int, int, int, int]) -> None:
    path = set_display_matrix(write_video(tmp_path / "a.mp4", moving_square(2, 48, 64)), *turn)
    with open_frames(path, reader="decord") as ours, open_frames(path) as reference:
        assert ours.info == reference.info
        frame, other = next(ours), next(reference)
    np.testing.assert_allclose(frame.image.astype(int), other.image.astype(int), atol=3)


def _read_with_decord(path: Path, strict: bool, indices: list[int]) -> tuple[Damage, ...]:
    with open_frames(path, reader="decord", strict=strict) as stream:
        read_on(stream, indices)
        return stream.damage


def test_a_decoding_error_is_damage_to_the_end(tmp_path: Path) -> None:
    path = write_video(
        tmp_path / "a.mp4",
        moving_square(40, 48, 144),
        options={"bf": "0"},
        container_options={"movflags": "faststart"},
    )
    position, _, _ = packet_spans(path)[20]
    zero(path, position, 200)
    indices: list[int] = []
    # decord decodes in a thread and raises its error some frames early, now and then before the first.
    damage: tuple[Damage, ...] = ()
    message = ""
    try:
        damage = _read_with_decord(path, False, indices)
    except InputError as error:
        message = str(error)
    if indices:
        assert [(each.first_frame, each.last_frame) for each in damage] == [(len(indices), None)]
    else:
        assert re.search("no frame of .* could be decoded; frame 0 to the end: .*decord", message)
    assert indices == list(range(len(indices)))
    assert len(indices) <= 20
    with pytest.raises(InputError, match="decord does not decode; the reader pyav goes on after it"):
        _read_with_decord(path, True, [])


def test_a_cut_mkv_is_reported(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", moving_square(40, 48, 144), gop=5)
    truncate(path, path.stat().st_size * 6 // 10)
    with open_frames(path, reader="decord") as stream:
        count = len(list(stream))
        assert [(each.first_frame, each.last_frame) for each in stream.damage] == [(count, None)]


def test_a_cut_mp4_is_refused_with_the_way_out(tmp_path: Path) -> None:
    path = write_video(
        tmp_path / "a.mp4", moving_square(20, 48, 144), container_options={"movflags": "faststart"}
    )
    truncate(path, path.stat().st_size - 100)
    with pytest.raises(InputError, match=r"decord cannot open .* reader pyav reads up to the damage"):
        open_frames(path, reader="decord")


def test_the_same_errors(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video\n" * 100)
    with pytest.raises(InputError, match="is not a video"):
        open_frames(tmp_path / "text.mp4", reader="decord")
    with pytest.raises(InputError, match="no video stream"):
        open_frames(write_audio(tmp_path / "a.m4a"), reader="decord")
    with pytest.raises(InputError, match="no file or folder"):
        open_frames(tmp_path / "missing.mp4", reader="decord")


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mkv", "libx264"), ("a.mpg", "mpeg2video"), ("a.avi", "mpeg4"), ("a.flv", "flv")]
)
def test_timestamps_are_the_containers(tmp_path: Path, name: str, codec: str) -> None:
    path = write_video(
        tmp_path / name, moving_square(20, 48, 144), codec=codec, pts=[i + 100 for i in range(20)]
    )
    with open_frames(path, reader="decord") as ours, open_frames(path) as reference:
        times = [(frame.index, frame.pts_seconds) for frame in reference]
        assert [(frame.index, frame.pts_seconds) for frame in ours] == times
        assert ours.damage == ()
    assert len(times) == 20


def test_mpeg_ts_is_refused(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.ts", moving_square(20, 48, 144))
    with pytest.raises(
        InputError, match=r"loses the first frames of MPEG-TS, .*a\.ts .* use the reader pyav"
    ):
        open_frames(path, reader="decord")


def test_pictures_before_the_first_key_frame_are_refused(tmp_path: Path) -> None:
    whole = write_video(
        tmp_path / "whole.mkv",
        moving_square(40, 48, 144),
        codec="libx265",
        options={"x265-params": "log-level=none:bframes=3:b-adapt=0:open-gop=1"},
    )
    path = tmp_path / "cut.mkv"
    with av.open(str(whole)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        packets = [packet for packet in source.demux(video=0) if packet.size]
        second = [at for at, packet in enumerate(packets) if packet.is_keyframe][1]
        for packet in packets[second:]:
            packet.stream = stream
            target.mux(packet)
    with open_frames(path) as frames:
        assert len(list(frames)) == 30
    with pytest.raises(InputError, match=r"frames shown before the first key frame, .* use the reader pyav"):
        open_frames(path, reader="decord")


def test_a_picture_that_is_not_the_first_one_is_refused(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decord = pytest.importorskip("decord")

    class SkipsOne(decord.VideoReader):  # type: ignore[misc, name-defined]
        def __init__(self, *args: object, **options: object) -> None:
            super().__init__(*args, **options)
            for _ in range(15):
                self.next()

    monkeypatch.setattr(decord, "VideoReader", SkipsOne)
    with pytest.raises(InputError, match="does not begin with the first frame"):
        open_frames(video, reader="decord")


def test_folders_do_not_need_it(tmp_path: Path) -> None:
    write_folder(tmp_path, moving_square(2))
    with open_frames(tmp_path, reader="decord") as stream:
        assert len(list(stream)) == 2
