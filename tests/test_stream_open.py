"""`open_frames` and `FrameStream`: options, errors, selection, facts, closing."""

from __future__ import annotations

import os
import sys
import threading
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from carvid.errors import CarvidError, InputError, UsageError
from carvid.stream import READERS, Damage, FrameStream, open_frames
from carvid.stream.source import Selection
from tests.media import moving_square, square_left, truncate, write_audio, write_folder, write_video

RATE = Fraction(25)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "square.mp4"
    return write_video(path, moving_square(30, 48, 144), rate=RATE)


def _threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "carvid-read-ahead"]


def test_frames_of_a_video(video: Path) -> None:
    with open_frames(video) as stream:
        frames = list(stream)
        assert stream.frames_read == 30
        assert stream.damage == ()
    assert [frame.index for frame in frames] == list(range(30))
    assert [frame.name for frame in frames[:2]] == ["00000", "00001"]
    assert [square_left(frame.image) for frame in frames] == [2 * i for i in range(30)]
    assert [frame.pts_seconds for frame in frames] == [pytest.approx(i / 25) for i in range(30)]


def test_the_facts_travel_along(tmp_path: Path, video: Path) -> None:
    with open_frames(os.fspath(video)) as stream:
        info = stream.info
    assert (info.path, info.kind, info.width, info.height) == (video, "video", 144, 48)
    assert info.frame_rate == RATE
    assert info.time_base == Fraction(1, 12800)
    assert info.frames_claimed == 30
    assert info.name == "square.mp4"
    ntsc = write_video(tmp_path / "a.mkv", moving_square(12))
    with open_frames(ntsc) as stream:
        assert stream.info.frame_rate == Fraction(30000, 1001)
        assert stream.info.time_base == Fraction(1, 1000)
        assert stream.info.frames_claimed == 12


def _selection(options: dict[str, Any]) -> dict[str, Any]:
    return {name.removesuffix("_frame"): value for name, value in options.items()}


@pytest.mark.parametrize(
    ("options", "indices"),
    [
        ({"start_frame": 10, "every": 5}, [10, 15, 20, 25]),
        ({"start_frame": 10, "stop_frame": 20, "every": 5}, [10, 15]),
        ({"stop_frame": 3}, [0, 1, 2]),
        ({"start_frame": 28, "stop_frame": 99}, [28, 29]),
        ({"every": 100}, [0]),
    ],
)
def test_start_stop_and_every_keep_the_ordinals(
    video: Path, options: dict[str, Any], indices: list[int]
) -> None:
    with open_frames(video, **options) as stream:
        frames = list(stream)
    assert [frame.index for frame in frames] == indices
    assert [square_left(frame.image) for frame in frames] == [2 * i for i in indices]
    assert [frame.name for frame in frames] == [f"{i:05d}" for i in indices]
    assert stream.info.selection == Selection(**{"start": 0, "stop": None, "every": 1, **_selection(options)})
    assert stream.info.frames_expected == len(indices)


def test_a_start_beyond_the_end_names_the_count(video: Path) -> None:
    with pytest.raises(InputError, match=r"start_frame is 30, but .* holds 30 frames"):
        open_frames(video, start_frame=30)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reader": "opencv"}, "no reader 'opencv'; choose one of pyav, decord"),
        ({"start_frame": -1}, "start_frame is -1"),
        ({"start_frame": 5, "stop_frame": 5}, "stop_frame is 5; it must be above start_frame, 5"),
        ({"every": 0}, "every is 0"),
        ({"read_ahead": 0}, "read_ahead is 0"),
    ],
)
def test_options_that_cannot_be_used(video: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        open_frames(video, **options)


def test_decord_that_is_not_installed(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "decord", None)
    with pytest.raises(UsageError, match=r"pip install 'carvid\[decord\]'"):
        open_frames(video, reader="decord")


def _missing(folder: Path) -> Path:
    return folder / "missing.mp4"


def _empty(folder: Path) -> Path:
    (folder / "empty.mp4").touch()
    return folder / "empty.mp4"


def _text(folder: Path) -> Path:
    (folder / "text.mp4").write_text("This is not a video.\n" * 100)
    return folder / "text.mp4"


def _text_file(folder: Path) -> Path:
    (folder / "notes.txt").write_text("FFmpeg would draw these letters.\n" * 100)
    return folder / "notes.txt"


def _index_lost(folder: Path) -> Path:
    path = write_video(folder / "cut.mp4", moving_square(10))
    return truncate(path, path.read_bytes().index(b"moov") - 4)


def _audio_only(folder: Path) -> Path:
    return write_audio(folder / "sound.m4a")


def _no_frame(folder: Path) -> Path:
    path = write_video(folder / "hollow.mp4", moving_square(10))
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 4
    end = data.index(b"moov") - 4
    data[start:end] = bytes(end - start)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_missing, "there is no file or folder .*missing.mp4"),
        (_empty, r"empty.mp4 is empty \(0 bytes\)"),
        (_text, "text.mp4 is not a video"),
        (_text_file, "notes.txt is a text file, not a video"),
        (_index_lost, "cut.mp4 is not a video .* lost its index"),
        (_audio_only, "sound.m4a has no video stream; it holds audio"),
        (_no_frame, "hollow.mp4"),
    ],
)
def test_sources_that_give_no_frame(tmp_path: Path, make: Any, message: str, strict: bool) -> None:
    with pytest.raises(InputError, match=message) as raised:
        open_frames(make(tmp_path), strict=strict)
    assert raised.value.exit_code == 3


def test_a_video_without_a_decodable_frame(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no frame of .* could be decoded; frames 0 to 9: "):
        open_frames(_no_frame(tmp_path))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(video: Path, tmp_path: Path) -> None:
    path = tmp_path / "secret.mp4"
    path.write_bytes(video.read_bytes())
    path.chmod(0)
    with pytest.raises(InputError, match=r"secret\.mp4"):
        open_frames(path)


def test_a_name_that_looks_like_a_protocol(
    tmp_path: Path, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if sys.platform == "win32":
        pytest.skip("no colons in file names")
    (tmp_path / "concat:a|b%03d.mp4").write_bytes(video.read_bytes())
    monkeypatch.chdir(tmp_path)
    with open_frames("concat:a|b%03d.mp4", stop_frame=2) as stream:
        assert len(list(stream)) == 2


def test_closing_early_ends_the_thread_and_the_iteration(video: Path) -> None:
    stream = open_frames(video, read_ahead=2)
    assert [next(stream).index, next(stream).index] == [0, 1]
    assert _threads()
    stream.close()
    assert not _threads()
    stream.close()
    assert stream.frames_read == 2
    with pytest.raises(UsageError, match=r"square\.mp4 is closed"):
        next(stream)


def test_closing_before_the_first_frame(video: Path) -> None:
    with open_frames(video):
        assert not _threads()
    assert not _threads()


def test_leaving_the_block_by_an_error_closes(video: Path) -> None:
    def consume() -> None:
        with open_frames(video) as stream:
            for frame in stream:
                if frame.index == 3:
                    raise RuntimeError("the consumer failed")

    with pytest.raises(RuntimeError, match="the consumer failed"):
        consume()
    assert not _threads()


def test_iteration_can_be_resumed_but_not_repeated(video: Path) -> None:
    with open_frames(video, stop_frame=4) as stream:
        assert [frame.index for frame, _ in zip(stream, range(2), strict=False)][:2] == [0, 1]
        rest = [frame.index for frame in stream]
        assert rest in ([2, 3], [3])  # zip may have taken one more
        assert list(stream) == []


def test_damage_is_reported_when_the_consumer_has_passed_it(tmp_path: Path) -> None:
    write_folder(tmp_path, moving_square(6))
    (tmp_path / "00003.png").write_bytes(b"torn")
    with open_frames(tmp_path, read_ahead=6) as stream:
        seen = [(frame.index, len(stream.damage)) for frame in stream]
    assert seen == [(0, 0), (1, 0), (2, 0), (4, 1), (5, 1)]
    assert isinstance(stream.damage[0], Damage)


def test_public_names() -> None:
    assert READERS == ("pyav", "decord")
    assert issubclass(InputError, CarvidError)
    assert hasattr(FrameStream, "__enter__")
