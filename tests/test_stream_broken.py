"""Whatever is wrong with a file, it ends as damage or as an error of carvid's own."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from carvid.errors import InputError
from carvid.stream import open_frames
from tests.media import moving_square, write_video

KINDS = {
    "a.ts": "libx264",
    "b.ts": "mpeg2video",
    "a.mp4": "libx264",
    "a.mkv": "libx264",
    "a.avi": "mjpeg",
    "a.flv": "flv",
    "a.asf": "wmv2",
    "a.png": None,
    "a.webp": None,
    "a.tif": None,
    "a.gif": None,
    "a.jpg": None,
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("sound")
    pictures = [Image.fromarray(picture) for picture in moving_square(4, 24, 40)]
    for name, codec in KINDS.items():
        if codec is not None:
            pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            write_video(folder / name, moving_square(12, 48, 96), codec=codec, pix_fmt=pix_fmt, gop=4)
        else:
            more = {} if name == "a.jpg" else {"save_all": True, "append_images": pictures[1:]}
            pictures[0].save(folder / name, **more)
    return {name: (folder / name).read_bytes() for name in KINDS}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.skipif(
    av.library_versions["libavformat"] < (62,), reason="FFmpeg before 8 itself crashes on some of these files"
)
@given(
    name=st.sampled_from(list(KINDS)),
    places=st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=20),
    how=st.sampled_from(["cut", "cut out", "zero", "change"]),
    start=st.sampled_from([0, 0, 5]),
    seed=st.integers(0, 2**32 - 1),
)
@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_a_broken_file_raises_nothing_but_an_input_error(
    tmp_path_factory: pytest.TempPathFactory,
    sound: dict[str, bytes],
    name: str,
    places: list[float],
    how: str,
    start: int,
    seed: int,
) -> None:
    data = bytearray(sound[name])
    rng = np.random.default_rng(seed)
    for place in places if how == "change" else places[:1]:
        at = int(place * len(data))
        length = int(rng.integers(1, 400))
        if how == "cut":
            del data[at:]
        elif how == "cut out":
            del data[at : at + length]
        elif how == "zero":
            data[at : at + length] = bytes(len(data[at : at + length]))
        else:
            data[at] = int(rng.integers(256))
    path = tmp_path_factory.getbasetemp() / name
    path.write_bytes(data)
    with _quiet(), contextlib.suppress(InputError), open_frames(path, start_frame=start) as stream:
        indices = [frame.index for frame in stream]
        assert indices == sorted(set(indices))
        assert not any(
            each.first_frame <= index <= (each.first_frame if each.last_frame is None else each.last_frame)
            for each in stream.damage
            for index in indices
        )
