"""The decord reader gives what the PyAV reader gives."""

from __future__ import annotations

import re
from pathlib import Path

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
        assert frame.pts_seconds == pytest.approx(other.pts_seconds, abs=1e-5)
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


def test_folders_do_not_need_it(tmp_path: Path) -> None:
    write_folder(tmp_path, moving_square(2))
    with open_frames(tmp_path, reader="decord") as stream:
        assert len(list(stream)) == 2
