"""Pictures by index: what is kept, what is read on, and sources that are not as they were."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from carvid.desk import frame_cache
from carvid.desk.frame_cache import FrameCache
from carvid.errors import InputError
from carvid.serve.answers import NotFoundError
from carvid.store.database import open_dataset
from carvid.store.rows import Video
from tests.desk_cases import FRAMES, make_dataset


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Video:
    with open_dataset(make_dataset(tmp_path_factory.mktemp("frames"), count=1)) as dataset:
        (found,) = dataset.videos()
    return found


@pytest.fixture
def cache() -> Iterator[FrameCache]:
    found = FrameCache()
    yield found
    found.close()


def index_of(picture: bytes) -> int:
    """The frame's index, out of the grey level of its corner."""
    return round(float(np.asarray(Image.open(io.BytesIO(picture)))[2:6, 2:6].mean()) / 8)


@given(order=st.lists(st.integers(0, FRAMES - 1), max_size=12), kept=st.sampled_from([1, 20_000, 1 << 20]))
def test_any_order_gives_the_frames_asked_for(video: Video, order: list[int], kept: int) -> None:
    cache = FrameCache(kept)
    try:
        assert [index_of(cache.picture(video, index)) for index in order] == order
    finally:
        cache.close()


def test_stepping_reads_on_and_opens_nothing_anew(
    video: Video, cache: FrameCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    whole = frame_cache.open_frames

    def counted(*args: object, **options: object) -> object:
        opened.append(options["start_frame"])
        return whole(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(frame_cache, "open_frames", counted)
    for index in (3, 4, 5, 9, 7, 6, 4):
        assert index_of(cache.picture(video, index)) == index
    assert opened == [3]
    # Going back reads what lies before, for the next steps back.
    for index in (2, 1, 0):
        assert index_of(cache.picture(video, index)) == index
    assert opened == [3, 0]


def test_no_more_is_kept_than_was_said(video: Video) -> None:
    cache = FrameCache(10_000)
    try:
        for index in range(FRAMES):
            cache.picture(video, index)
            assert sum(map(len, cache._pictures.values())) == cache._size <= 10_000
        assert (1, FRAMES - 1) in cache._pictures
    finally:
        cache.close()


def test_a_source_that_is_not_as_it_was(tmp_path: Path, cache: FrameCache) -> None:
    with open_dataset(make_dataset(tmp_path, count=1)) as dataset:
        (video,) = dataset.videos()
    path = Path(video.source)
    whole = path.read_bytes()
    path.write_bytes(whole + b"more")
    with pytest.raises(
        InputError, match=r"bytes; it had \d+ when video 1 was labelled; bring the old file back"
    ):
        cache.picture(video, 3)
    path.unlink()
    with pytest.raises(InputError, match=r"the source of video 1 is not there: .*--moved"):
        cache.picture(video, 3)
    path.write_bytes(whole)
    assert index_of(cache.picture(video, 3)) == 3


def test_a_frame_that_damage_took(tmp_path: Path, cache: FrameCache) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for index in range(4):
        Image.new("RGB", (8, 6), (8 * index,) * 3).save(folder / f"{index}.png")
    (folder / "2.png").write_bytes(b"no image")
    video = Video(1, "images", str(folder), 0, None, None, None, "done", None, 8, 6, None, 4, ())
    with pytest.raises(NotFoundError, match="frame 2 of images cannot be decoded"):
        cache.picture(video, 2)
    assert cache.picture(video, 3)
    with pytest.raises(NotFoundError, match="frame 9"):
        cache.picture(video, 9)
