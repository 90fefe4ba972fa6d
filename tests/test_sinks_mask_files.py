"""Mask files: their names, their labels, and names or numbers that cannot be written."""

import numpy as np
import pytest

from carvid.errors import InputError, OutputError, UsageError
from carvid.frame import Frame
from carvid.media.palette import read_label_png
from carvid.sinks.mask_files import MaskSink
from tests import tracked
from tests.sinks_cases import names_under, result_for, small_disk, square_frame

LEFT = np.array([[1, 1, 0], [1, 1, 0]], np.bool_)
RIGHT = np.array([[0, 1, 1], [0, 0, 0]], np.bool_)


def tiny_frame(name: str) -> Frame:
    return Frame(0, None, np.zeros((2, 3, 3), np.uint8), name)


def test_one_label_map_per_frame(tmp_path):
    with MaskSink(tmp_path / "masks", separate=False, n_queries=2) as sink:
        for index in (0, 7):
            frame = Frame(index, None, np.zeros((2, 3, 3), np.uint8), f"{index:05}")
            sink.write(frame, result_for(frame, [LEFT, RIGHT], [0.9, 0.8]))
    assert names_under(tmp_path) == ["masks", "masks/00000.png", "masks/00007.png"]
    assert read_label_png(tmp_path / "masks/00007.png").tolist() == [[1, 1, 2], [1, 1, 0]]


def test_separate_masks_overlap_and_keep_their_position_as_label(tmp_path):
    frame = tiny_frame("00000")
    with MaskSink(tmp_path, separate=True, n_queries=2) as sink:
        sink.write(frame, result_for(frame, [LEFT, RIGHT], [0.9, 0.8]))
    assert names_under(tmp_path) == ["1", "1/00000.png", "2", "2/00000.png"]
    assert read_label_png(tmp_path / "1/00000.png").tolist() == [[1, 1, 0], [1, 1, 0]]
    assert read_label_png(tmp_path / "2/00000.png").tolist() == [[0, 2, 2], [0, 0, 0]]


def test_a_label_map_holds_255_queries_and_no_more(tmp_path):
    MaskSink(tmp_path, separate=False, n_queries=255)
    with pytest.raises(UsageError, match=r"256 queries.*--separate"):
        MaskSink(tmp_path, separate=False, n_queries=256)


def test_separate_masks_go_on_past_255_queries(tmp_path):
    frame = tiny_frame("00000")
    masks = [np.zeros((2, 3), np.bool_)] * 254 + [LEFT, RIGHT]
    with MaskSink(tmp_path, separate=True, n_queries=256) as sink:
        sink.write(frame, result_for(frame, masks, [0.5] * 256))
    assert read_label_png(tmp_path / "255/00000.png").tolist() == [[255, 255, 0], [255, 255, 0]]
    assert read_label_png(tmp_path / "256/00000.png").tolist() == [[0, 1, 1], [0, 0, 0]]


def test_each_mask_has_its_own_frames_size(tmp_path):
    with MaskSink(tmp_path, separate=False, n_queries=1) as sink:
        for index, (height, width) in enumerate([(2, 3), (5, 4)]):
            frame = square_frame(index, height=height, width=width)
            sink.write(frame, result_for(frame, [np.ones((height, width), np.bool_)], [1]))
    assert [read_label_png(path).shape for path in sorted(tmp_path.iterdir())] == [(2, 3), (5, 4)]


@pytest.mark.parametrize(
    "name", ["IMG 0001 (copy)", "рыба 魚", 'a"b{}%s', "line\nbreak", ".hidden", "x" * 251]
)
def test_names_of_image_files_are_kept(tmp_path, name):
    frame = tiny_frame(name)
    with MaskSink(tmp_path, separate=False, n_queries=1) as sink:
        sink.write(frame, result_for(frame, [LEFT], [0.9]))
    assert [path.name for path in tmp_path.iterdir()] == [f"{name}.png"]


@pytest.mark.parametrize("name", ["", "a/b", "../up", "nul\0", "a\\b", "/"])
def test_a_name_that_would_leave_the_folder_is_refused(tmp_path, name):
    frame = tiny_frame(name)
    with (
        MaskSink(tmp_path / "masks", separate=False, n_queries=1) as sink,
        pytest.raises(InputError, match="name"),
    ):
        sink.write(frame, result_for(frame, [LEFT], [0.9]))
    assert names_under(tmp_path) == ["masks"]


def test_two_frames_of_one_name_are_an_error_not_a_loss(tmp_path):
    frame = tiny_frame("same")
    with MaskSink(tmp_path, separate=False, n_queries=1) as sink:
        sink.write(frame, result_for(frame, [LEFT], [0.9]))
        with pytest.raises(OutputError, match="'same'"):
            sink.write(frame, result_for(frame, [RIGHT], [0.9]))
    assert read_label_png(tmp_path / "same.png").tolist() == LEFT.astype(int).tolist()


def test_a_full_disk_leaves_whole_masks_only(tmp_path):
    random = np.random.default_rng(0)

    def write_masks(folder):
        with MaskSink(folder, separate=False, n_queries=1) as sink:
            for index in range(50):
                frame = square_frame(index)
                sink.write(frame, result_for(frame, [random.random((200, 200)) < 0.5], [1]))

    with small_disk(tmp_path / "disk", "size=64k") as disk:
        with pytest.raises(OutputError, match="No space left"):
            write_masks(disk / "masks")
        written = sorted((disk / "masks").iterdir())
        assert [path.name for path in written] == [f"{i:05}.png" for i in range(len(written))]
        assert 0 < len(written) < 50
        assert all(read_label_png(path).shape == (200, 200) for path in written)


def test_a_folder_that_cannot_be_made_is_an_output_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with (
        pytest.raises(OutputError, match="file"),
        MaskSink(tmp_path / "file" / "masks", separate=True, n_queries=1),
    ):
        pass


def test_a_tracks_folder_holds_the_frames_that_it_is_in(tmp_path):
    with MaskSink(tmp_path, separate=True, n_queries=3) as sink:
        assert names_under(tmp_path) == []
        for frame, result in zip(tracked.frames(), tracked.results(), strict=True):
            sink.write(frame, result)
    assert names_under(tmp_path) == [
        *("1", "1/00000.png", "1/00002.png", "1/00003.png"),
        *("2", "2/00000.png", "2/00001.png"),
        *("3", "3/00002.png"),
    ]
    assert read_label_png(tmp_path / "3/00002.png").tolist() == [[0, 0, 0, 3, 3, 0]] * 2


def test_label_maps_of_tracks_hold_their_ids(tmp_path):
    with MaskSink(tmp_path, separate=False, n_queries=3) as sink:
        for frame, result in zip(tracked.frames(), tracked.results(), strict=True):
            sink.write(frame, result)
    maps = [read_label_png(path)[0].tolist() for path in sorted(tmp_path.iterdir())]
    assert maps == [[1, 1, 0, 0, 2, 2], [0, 0, 0, 0, 2, 2], [1, 1, 0, 3, 3, 0], [1, 1, 0, 0, 0, 0]]
