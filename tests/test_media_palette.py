"""Label PNG files: the palette, the bytes on disk, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from carvid.errors import InputError, OutputError, UsageError
from carvid.media.palette import encode_label_png, read_label_png, voc_palette, write_label_png
from tests.sinks_cases import file_size_limit

DAVIS = Path(__file__).resolve().parents[2] / "shared" / "data" / "davis-protocols" / "annotation"


def test_palette_is_the_voc_colour_map():
    palette = voc_palette()
    assert palette.shape == (256, 3)
    assert palette.dtype == np.uint8
    assert palette[:9].tolist() == [
        [0, 0, 0],
        [128, 0, 0],
        [0, 128, 0],
        [128, 128, 0],
        [0, 0, 128],
        [128, 0, 128],
        [0, 128, 128],
        [128, 128, 128],
        [64, 0, 0],
    ]
    assert palette[255].tolist() == [224, 224, 192]
    assert len({tuple(colour) for colour in palette.tolist()}) == 256


def test_palette_cannot_be_changed_by_a_caller():
    with pytest.raises(ValueError, match="read-only"):
        voc_palette()[1] = 0


@pytest.mark.skipif(not DAVIS.exists(), reason="no DAVIS annotations here")
def test_palette_and_labels_are_those_of_davis_annotations():
    path = min(DAVIS.rglob("*.png"))
    with Image.open(path) as image:
        theirs = np.array(image.getpalette()).reshape(-1, 3)
        labels = np.array(image)
    used = int(labels.max()) + 1
    np.testing.assert_array_equal(theirs[:used], voc_palette()[:used])
    np.testing.assert_array_equal(read_label_png(path), labels)


def test_file_is_an_8_bit_palette_png_even_with_few_labels(tmp_path):
    path = tmp_path / "mask.png"
    write_label_png(path, np.array([[0, 1], [1, 2]], np.uint8))
    header = path.read_bytes()[:26]
    assert header[:8] == b"\x89PNG\r\n\x1a\n"
    assert (header[24], header[25]) == (8, 3)  # bit depth, colour type "palette"
    with Image.open(path) as image:
        assert image.mode == "P"
        assert image.convert("RGB").getpixel((1, 1)) == (0, 128, 0)


@given(
    hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=20), elements=st.integers(0, 255))
)
def test_labels_survive_the_round_trip(tmp_path_factory, label_map):
    path = tmp_path_factory.getbasetemp() / "round_trip.png"
    write_label_png(path, label_map)
    np.testing.assert_array_equal(read_label_png(path), label_map)


def test_a_view_that_is_not_contiguous_is_written_as_seen(tmp_path):
    label_map = np.arange(12, dtype=np.uint8).reshape(3, 4)
    write_label_png(tmp_path / "m.png", label_map.T[::-1])
    np.testing.assert_array_equal(read_label_png(tmp_path / "m.png"), label_map.T[::-1])


@pytest.mark.parametrize(
    "label_map",
    [
        np.zeros((2, 3), np.int64),
        np.zeros((2, 3), np.bool_),
        np.zeros((2, 3, 1), np.uint8),
        np.zeros((0, 3), np.uint8),
    ],
)
def test_other_arrays_are_refused(label_map):
    with pytest.raises(UsageError, match="uint8"):
        encode_label_png(label_map)


def test_failing_write_keeps_the_old_file_and_leaves_no_other(tmp_path):
    path = tmp_path / "mask.png"
    old = np.full((40, 40), 7, np.uint8)
    write_label_png(path, old)
    noise = np.random.default_rng(0).integers(0, 256, (200, 200), dtype=np.uint8)
    with file_size_limit(5000), pytest.raises(OutputError, match=r"mask\.png"):
        write_label_png(path, noise)
    np.testing.assert_array_equal(read_label_png(path), old)
    assert [entry.name for entry in tmp_path.iterdir()] == ["mask.png"]


def test_what_is_no_label_map_is_refused_by_name(tmp_path):
    with pytest.raises(InputError, match=r"missing\.png"):
        read_label_png(tmp_path / "missing.png")
    (tmp_path / "text.png").write_text("not an image")
    with pytest.raises(InputError, match=r"text\.png is not an image"):
        read_label_png(tmp_path / "text.png")
    Image.new("RGB", (3, 2)).save(tmp_path / "colour.png")
    with pytest.raises(InputError, match="mode RGB"):
        read_label_png(tmp_path / "colour.png")
