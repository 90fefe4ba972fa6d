"""The zip for a benchmark's server: its names, modes and bytes, and that it is whole or not there."""

from __future__ import annotations

import io
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile

import numpy as np
import pytest
from PIL import Image

from carvid.errors import InputError, OutputError
from carvid.evaluate.contract import Asked, Sample
from carvid.evaluate.server_zip import write_zip
from carvid.media.palette import write_label_png

SAMPLES = (
    Sample(
        "b", ("x/00005.jpg", "x/00010.jpg"), (2, 3), (Asked("10", ("a",), (1,)), Asked("2", ("b",), (1,)))
    ),
    Sample("a", ("y/00000.jpg",), (1, 1), (Asked("0", ("a",), (1,)),)),
)
NAMES = [
    "Annotations/a/0/00000.png",
    "Annotations/b/10/00005.png",
    "Annotations/b/10/00010.png",
    "Annotations/b/2/00005.png",
    "Annotations/b/2/00010.png",
]


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    for name in NAMES:
        path = tmp_path / "masks" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_label_png(path, np.eye(2, 3, dtype=np.uint8) if "/b/" in name else np.zeros((1, 1), np.uint8))
    return tmp_path / "masks"


def test_masks_are_grey_0_and_255_sorted_and_stored(masks, tmp_path):
    write_zip(masks, SAMPLES, tmp_path / "new" / "a.zip", folder="Annotations")
    with ZipFile(tmp_path / "new" / "a.zip") as packed:
        assert packed.testzip() is None
        assert packed.namelist() == NAMES
        for entry in packed.infolist():
            assert (entry.compress_type, entry.date_time) == (ZIP_STORED, (1980, 1, 1, 0, 0, 0))
        with Image.open(io.BytesIO(packed.read("Annotations/b/2/00010.png"))) as image:
            assert image.mode == "L"
            assert np.array(image).tolist() == [[255, 0, 0], [0, 255, 0]]


def test_the_same_masks_give_the_same_bytes(masks, tmp_path):
    write_zip(masks, SAMPLES, tmp_path / "a.zip", folder="Annotations")
    Image.fromarray(np.eye(2, 3, dtype=np.uint8) * 7).save(masks / NAMES[1])
    write_zip(masks, SAMPLES[::-1], tmp_path / "b.zip", folder="Annotations")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_without_a_folder_videos_are_at_the_top(masks, tmp_path):
    write_zip(masks / "Annotations", SAMPLES, tmp_path / "a.zip")
    with ZipFile(tmp_path / "a.zip") as packed:
        assert packed.namelist() == [name.removeprefix("Annotations/") for name in NAMES]


def test_nothing_is_written_where_a_frame_is_missing_or_wrong(masks, tmp_path):
    (masks / NAMES[0]).unlink()
    Image.new("L", (2, 2)).save(masks / NAMES[3])
    with pytest.raises(InputError) as refused:
        write_zip(masks, SAMPLES, tmp_path / "out" / "a.zip", folder="Annotations")
    assert f"no file {masks / NAMES[0]}" in str(refused.value)
    assert f"{masks / NAMES[3]} is 2x2 px; expected 3x2" in str(refused.value)
    assert not (tmp_path / "out").exists()


def test_an_earlier_zip_stays_where_a_mask_turns_out_damaged(masks, tmp_path):
    write_zip(masks, SAMPLES, tmp_path / "a.zip", folder="Annotations")
    before = (tmp_path / "a.zip").read_bytes()
    # Its chunks are whole, but what is in them is no picture.
    (masks / NAMES[4]).write_bytes(hollow_png())
    with pytest.raises(InputError, match="not a readable PNG"):
        write_zip(masks, SAMPLES, tmp_path / "a.zip", folder="Annotations")
    assert (tmp_path / "a.zip").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip", "masks"]


def test_a_place_that_cannot_be_written_is_named(masks, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"a\.zip"):
        write_zip(masks, SAMPLES, tmp_path / "file" / "a.zip", folder="Annotations")


def hollow_png() -> bytes:
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 3, 2, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"none") + chunk(b"IEND", b"")
