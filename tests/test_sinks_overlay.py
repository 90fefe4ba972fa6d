"""The overlay video: what is drawn, the file's rate and size, and failures."""

import os
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carvid.errors import OutputError, UsageError
from carvid.frame import Frame
from carvid.media.lettering import elide, line_height_px, printable, text_coverage
from carvid.media.paint import fit, outline, pad_to_even, paint_labels
from carvid.media.palette import voc_palette
from carvid.media.video_writer import VideoWriter, _Clock
from carvid.sinks.legend import Legend
from carvid.sinks.overlay import DEFAULT_FRAME_RATE, OverlaySink
from tests.sinks_cases import (
    NASTY_QUERIES,
    SquareSegmenter,
    file_size_limit,
    names_under,
    read_video,
    result_for,
    small_disk,
    square_frame,
)


def write_overlay(path, frames, *, queries=("red", "green"), rate=Fraction(25), every=1):
    segmenter = SquareSegmenter(queries)
    with OverlaySink(path, queries, frame_rate=rate, every=every) as sink:
        for frame in frames:
            sink.write(frame, segmenter.step(frame))


# --- arithmetic


def test_outline_is_the_inner_edge_of_each_object():
    label_map = np.array(
        [
            [1, 1, 1, 0, 0, 0],
            [1, 1, 1, 0, 2, 2],
            [1, 1, 1, 0, 2, 2],
        ],
        np.uint8,
    )
    assert outline(label_map).astype(int).tolist() == [
        [0, 0, 1, 0, 0, 0],
        [0, 0, 1, 0, 1, 1],
        [0, 0, 1, 0, 1, 0],
    ]


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_outline_equals_a_look_at_every_neighbour(height, width, seed):
    label_map = np.random.default_rng(seed).integers(0, 3, (height, width)).astype(np.uint8)
    expected = np.zeros((height, width), np.bool_)
    for y in range(height):
        for x in range(width):
            for ny, nx in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                inside = 0 <= ny < height and 0 <= nx < width
                if inside and label_map[y, x] and label_map[ny, nx] != label_map[y, x]:
                    expected[y, x] = True
    np.testing.assert_array_equal(outline(label_map), expected)


def test_painting_blends_inside_draws_the_edge_and_keeps_the_background():
    image = np.full((3, 5, 3), 100, np.uint8)
    label_map = np.array([[0, 0, 0, 0, 2], [1, 1, 0, 0, 0], [1, 1, 0, 0, 0]], np.uint8)
    painted = paint_labels(image, label_map, alpha=0.5)
    assert painted[2, 0].tolist() == [114, 50, 50]  # halfway to (128, 0, 0)
    assert painted[2, 1].tolist() == [128, 0, 0]
    assert painted[0, 4].tolist() == [0, 128, 0]
    assert painted[0, 0].tolist() == [100, 100, 100]
    assert (image == 100).all()


def test_painting_takes_views_with_any_strides():
    image = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    label_map = np.array([[0, 0, 1, 1]] * 5, np.uint8)
    turned = image.transpose(1, 0, 2)[::-1]
    np.testing.assert_array_equal(
        paint_labels(turned, label_map, alpha=0.5), paint_labels(turned.copy(), label_map, alpha=0.5)
    )


def test_fitting_keeps_the_proportions_on_black():
    image = np.full((10, 10, 3), 200, np.uint8)
    fitted = fit(image, 20, 40)
    assert (fitted[:, 10:30] == 200).all()
    assert (fitted[:, :10] == 0).all()
    assert (fitted[:, 30:] == 0).all()
    assert fit(image, 10, 10) is image


@given(*[st.integers(1, 90)] * 4)
def test_fitting_gives_the_size_asked_for(height, width, to_height, to_width):
    assert fit(np.ones((height, width, 3), np.uint8), to_height, to_width).shape == (to_height, to_width, 3)


@pytest.mark.parametrize(("size", "padded"), [((3, 5), (4, 6)), ((4, 5), (4, 6)), ((4, 6), (4, 6))])
def test_padding_repeats_the_last_row_and_column(size, padded):
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    result = pad_to_even(image)
    assert result.shape == (*padded, 3)
    np.testing.assert_array_equal(result[: size[0], : size[1]], image)
    np.testing.assert_array_equal(result[-1, : size[1]], image[-1])
    np.testing.assert_array_equal(result[: size[0], -1], image[:, -1])


# --- text and legend


@pytest.mark.parametrize(
    "text", ["the red car", "naïve", "красная машина", "κόκκινο", "赤い車", "빨간 차", "عربة"]
)
def test_letters_of_many_scripts_leave_ink(text):
    coverage = text_coverage(text, 20)
    assert coverage.shape[0] == line_height_px(20)
    assert coverage.dtype == np.uint8
    assert (coverage > 128).sum() > 10 * len(text)


@pytest.mark.parametrize(("one", "other"), [("赤", "青"), ("ж", "д"), ("é", "è"), ("가", "나")])
def test_letters_outside_ascii_are_told_apart(one, other):
    pytest.importorskip("cv2", minversion="5")
    assert not np.array_equal(text_coverage(one, 24), text_coverage(other, 24))


@given(st.text(), st.integers(1, 40))
@settings(max_examples=60)
def test_no_text_breaks_the_drawing(text, size_px):
    coverage = text_coverage(text, size_px)
    assert coverage.shape[0] == line_height_px(size_px)
    assert coverage.shape[1] >= 1


def test_without_an_opencv_that_knows_letters_accents_are_dropped(monkeypatch):
    import cv2

    monkeypatch.delattr(cv2, "FontFace", raising=False)
    np.testing.assert_array_equal(text_coverage("naïve façade", 20), text_coverage("naive facade", 20))
    assert text_coverage("赤い車", 20).any()


def test_printable_is_one_line():
    assert printable(' a\n\tb\r\n\x00c\u2028d\udcff"{}" ') == 'a b c d "{}"'


@pytest.mark.parametrize("text", ["the red car " * 1000, "赤い車" * 1000, "W" * 40])
@pytest.mark.parametrize("max_width_px", [30, 150, 400])
def test_long_text_is_cut_to_the_width(text, max_width_px):
    cut = elide(text, 16, max_width_px)
    assert cut.endswith("...")
    assert text.startswith(cut[:-3])
    assert text_coverage(cut, 16).shape[1] <= max_width_px
    longer = text[: len(cut) - 3 + 2] + "..."
    assert text_coverage(longer, 16).shape[1] > max_width_px or len(cut) > 199


def test_text_that_fits_is_left_alone_and_no_room_gives_nothing():
    assert elide("the red car", 16, 400) == "the red car"
    assert elide("the red car", 16, 3) == ""


def legend_on_grey(queries, masks_present, *, height=240, width=320):
    frame = Frame(0, None, np.full((height, width, 3), 120, np.uint8), "0")
    masks = [np.full((height, width), present, np.bool_) for present in masks_present]
    canvas = frame.image.copy()
    scores = [0.97 if p else 0.08 for p in masks_present]
    Legend(queries, height, width).draw(canvas, result_for(frame, masks, scores))
    return canvas


def test_legend_shows_a_present_query_in_its_colour_and_an_absent_one_grey():
    canvas = legend_on_grey(["the red car", "a dog"], [True, False])
    line = line_height_px(11)
    first, second = canvas[4 : 4 + line, :200], canvas[4 + line : 4 + 2 * line, :200]
    assert (first == voc_palette()[1]).all(-1).sum() > 50
    assert (first == 255).all(-1).sum() > 20
    assert not (second == voc_palette()[2]).all(-1).any()
    assert second.max() == 150
    assert (canvas[100:] == 120).all()


def test_legend_shows_the_score_and_the_word_absent():
    present = legend_on_grey(["q"], [True])
    absent = legend_on_grey(["q"], [False])
    assert shows(present, "0.97", 255)
    assert shows(absent, "absent 0.08", 150)
    assert not shows(present, "absent", 255)
    assert not shows(absent, "0.97", 150)


def shows(canvas, text, grey):
    """Whether the text in that grey stands in the first row, on the backdrop of the grey frame."""
    share = text_coverage(text, 11) / 255.0
    expected = 42 * (1 - share) + grey * share
    row = canvas[4 : 4 + share.shape[0], :, 0].astype(float)
    places = range(row.shape[1] - share.shape[1] + 1)
    return any(np.abs(row[:, x : x + share.shape[1]] - expected).max() <= 1 for x in places)


def test_legend_counts_the_rows_it_has_no_room_for():
    few = legend_on_grey([f"query {i}" for i in range(3)], [True] * 3)
    many = legend_on_grey([f"query {i}" for i in range(200)], [True] * 200)
    assert (few[100:] == 120).all()
    assert (many[200:, :60] != 120).any()


@given(st.integers(1, 120), st.integers(1, 120), st.integers(1, 30))
@settings(max_examples=40, deadline=None)
def test_legend_fits_frames_of_any_size(height, width, n_queries):
    canvas = legend_on_grey(["a query"] * n_queries, [True] * n_queries, height=height, width=width)
    assert canvas.shape == (height, width, 3)


# --- the file


def timed(frames, rate):
    """The frames with the timestamps of that rate; without any for None."""
    return [replace(each, pts_seconds=None if rate is None else float(each.index / rate)) for each in frames]


def times(path):
    """When each frame is shown, and for how long the video lasts, in seconds."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        shown = [float(frame.pts * stream.time_base) for frame in container.decode(stream)]
        return shown, float(stream.duration * stream.time_base)


@pytest.mark.parametrize(
    "rate",
    [
        Fraction(30000, 1001),
        Fraction(24000, 1001),
        Fraction(25),
        Fraction(25, 2),
        Fraction(1, 3),
        Fraction(1000),
        Fraction(90000),
        Fraction(14985000, 500083),
    ],
)
@pytest.mark.parametrize("n_frames", [1, 5])
@pytest.mark.parametrize("has_timestamps", [True, False])
def test_frame_rate_is_kept_as_an_exact_fraction(tmp_path, rate, n_frames, has_timestamps):
    frames = timed([square_frame(i) for i in range(n_frames)], rate if has_timestamps else None)
    write_overlay(tmp_path / "o.mp4", frames, rate=rate)
    frames, average_rate = read_video(tmp_path / "o.mp4")
    assert average_rate == rate
    assert len(frames) == n_frames


def test_a_thinned_stream_plays_at_the_sources_speed(tmp_path):
    rate = Fraction(30000, 1001)
    for has_timestamps in (True, False):
        frames = timed([square_frame(i) for i in range(0, 12, 4)], rate if has_timestamps else None)
        write_overlay(tmp_path / "o.mp4", frames, rate=rate, every=4)
        assert read_video(tmp_path / "o.mp4")[1] == Fraction(7500, 1001)


def test_timestamps_in_milliseconds_are_still_a_constant_rate(tmp_path):
    rate = Fraction(30000, 1001)
    frames = [replace(square_frame(i), pts_seconds=round(float(7 + i / rate), 3)) for i in range(50)]
    write_overlay(tmp_path / "o.mp4", frames, rate=rate)
    assert read_video(tmp_path / "o.mp4")[1] == rate
    assert times(tmp_path / "o.mp4")[0] == pytest.approx([i / rate for i in range(50)])


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        ([5.0, 5.013, 5.5, 5.52], [0, 0.013, 0.5, 0.52]),  # a variable rate
        ([0.0, 0.04, 0.2, 0.24], [0, 0.04, 0.2, 0.24]),  # three frames are damaged
        ([0.0, 0.04, 0.04, 0.01, 0.16], [0, 0.04, 0.04 + 1 / 90000, 0.04 + 2 / 90000, 0.16]),
        ([0.0, None, 0.2], [0, 0.04, 0.2]),
        ([0.0, 1e6, 1e6 + 0.04], [0, 2**30 / 90000, 2**31 / 90000]),  # longer than an mp4 can hold
    ],
)
def test_frames_are_shown_at_their_timestamps(tmp_path, seconds, shown):
    frames = [replace(square_frame(i), pts_seconds=each) for i, each in enumerate(seconds)]
    write_overlay(tmp_path / "o.mp4", frames)
    found, lasts = times(tmp_path / "o.mp4")
    assert found == pytest.approx(shown, abs=1e-5)
    assert lasts == pytest.approx(shown[-1] + 0.04, abs=1e-5)


@settings(max_examples=200)
@given(
    st.fractions(Fraction(1, 100), 1000, max_denominator=10**6),
    st.lists(st.floats(-1e9, 1e9) | st.none(), min_size=1, max_size=20),
)
def test_ticks_ascend_whatever_the_timestamps(rate, seconds):
    clock = _Clock(rate, seconds[0] or 0.0)
    ticks = [clock.ticks(each) for each in seconds]
    assert ticks[0] == 0
    assert all(0 < after - before <= 2**30 for before, after in pairwise(ticks))


def test_the_index_comes_first(tmp_path):
    write_overlay(tmp_path / "o.mp4", [square_frame(i) for i in range(3)])
    data = (tmp_path / "o.mp4").read_bytes()
    assert 0 < data.find(b"moov") < data.find(b"mdat")


@pytest.mark.parametrize("folder", ["a:b", "http:", os.fsdecode(b"\xff")])
def test_a_path_is_no_address(tmp_path, folder, monkeypatch):
    (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path)
    write_overlay(Path(folder) / "o.mp4", [square_frame(i) for i in range(3)])
    assert (tmp_path / folder / "o.mp4").read_bytes().find(b"mdat") > 0


@pytest.mark.parametrize("aspect", [Fraction(1), Fraction(2), Fraction(32, 27)])
def test_pixels_that_are_not_square_stay_so(tmp_path, aspect):
    path = tmp_path / "o.mp4"
    with OverlaySink(path, ["q"], frame_rate=Fraction(25), pixel_aspect=aspect) as sink:
        sink.write(square_frame(0), SquareSegmenter(["q"]).step(square_frame(0)))
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        assert (frame.width, frame.height) == (64, 48)
        assert (container.streams.video[0].sample_aspect_ratio or 1) == aspect


def test_a_source_without_a_rate_gets_the_default(tmp_path):
    write_overlay(tmp_path / "o.mp4", timed([square_frame(0), square_frame(1)], None), rate=None)
    assert read_video(tmp_path / "o.mp4")[1] == DEFAULT_FRAME_RATE == 24


@pytest.mark.parametrize(
    ("size", "written"),
    [((47, 63), (48, 64)), ((48, 63), (48, 64)), ((1, 1), (2, 2)), ((240, 426), (240, 426))],
)
def test_odd_sizes_are_padded_by_one_pixel(tmp_path, size, written):
    frames = [Frame(i, None, np.full((*size, 3), 200, np.uint8), str(i)) for i in range(2)]
    with OverlaySink(tmp_path / "o.mp4", ["q"], frame_rate=Fraction(25)) as sink:
        for frame in frames:
            sink.write(frame, result_for(frame, [np.zeros(size, np.bool_)], [0]))
    images, _ = read_video(tmp_path / "o.mp4")
    assert [image.shape for image in images] == [(*written, 3)] * 2


def test_colours_of_frame_and_mask_reach_the_file(tmp_path):
    image = np.zeros((240, 426, 3), np.uint8)
    image[...] = (40, 120, 200)
    mask = np.zeros((240, 426), np.bool_)
    mask[120:200, 200:300] = True
    frame = Frame(0, 0.0, image, "00000")
    with OverlaySink(tmp_path / "o.mp4", ["q"], frame_rate=Fraction(25)) as sink:
        sink.write(frame, result_for(frame, [mask], [0.9]))
    (decoded,), _ = read_video(tmp_path / "o.mp4")
    np.testing.assert_allclose(decoded[220, 400], (40, 120, 200), atol=6)
    np.testing.assert_allclose(decoded[160, 250], (84, 60, 100), atol=6)


def test_the_first_frames_size_is_kept(tmp_path):
    frames = [square_frame(0), square_frame(1, height=100, width=30), square_frame(2, height=10, width=90)]
    write_overlay(tmp_path / "o.mp4", frames)
    images, _ = read_video(tmp_path / "o.mp4")
    assert [image.shape for image in images] == [(48, 64, 3)] * 3
    assert images[1][40, :20].max() < 20  # black beside the tall frame
    assert images[1][40, 32].min() > 60


def test_queries_are_only_text(tmp_path):
    write_overlay(tmp_path / "o.mp4", [square_frame(i) for i in range(2)], queries=NASTY_QUERIES)
    assert len(read_video(tmp_path / "o.mp4")[0]) == 2
    assert names_under(tmp_path) == ["o.mp4"]


def test_the_file_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "o.mp4"
    segmenter = SquareSegmenter()
    with OverlaySink(path, segmenter.queries, frame_rate=Fraction(25)) as sink:
        for i in range(3):
            sink.write(square_frame(i), segmenter.step(square_frame(i)))
            assert not path.exists()
    assert len(read_video(path)[0]) == 3


@pytest.mark.parametrize("error", [RuntimeError("elsewhere"), OSError(5, "elsewhere"), KeyboardInterrupt()])
def test_nothing_is_left_after_an_exception_which_stays_itself(tmp_path, error):
    def frames_then_error():
        yield square_frame(0)
        raise error

    with pytest.raises(type(error)) as caught:
        write_overlay(tmp_path / "o.mp4", frames_then_error())
    assert caught.value is error
    assert names_under(tmp_path) == []


def test_an_earlier_file_outlives_a_failure(tmp_path):
    path = tmp_path / "o.mp4"
    write_overlay(path, [square_frame(0)])
    before = path.read_bytes()
    with pytest.raises(UsageError):
        write_video(path, [np.zeros((8, 8, 3), np.uint8), np.zeros((9, 8, 3), np.uint8)])
    assert path.read_bytes() == before


def test_no_frame_no_file(tmp_path):
    write_overlay(tmp_path / "o.mp4", [])
    assert names_under(tmp_path) == []


def write_video(path, images):
    with VideoWriter(path, Fraction(25)) as writer:
        for image in images:
            writer.write(image)


def noise(n_frames):
    return np.random.default_rng(0).integers(0, 256, (n_frames, 96, 128, 3), dtype=np.uint8)


@pytest.mark.parametrize("n_frames", [12, 80])  # too much for the index at the end; for the frames themselves
def test_a_full_disk_leaves_nothing(tmp_path, n_frames):
    with small_disk(tmp_path / "disk", "size=64k") as disk:
        with pytest.raises(OutputError, match=r"o\.mp4: No space left"):
            write_video(disk / "o.mp4", noise(n_frames))
        assert names_under(disk) == []
        # The space is free again: nothing holds the removed file open.
        (disk / "other").write_bytes(bytes(60_000))


def test_a_file_size_limit_leaves_nothing(tmp_path):
    with file_size_limit(30_000), pytest.raises(OutputError, match=r"o\.mp4"):
        write_video(tmp_path / "o.mp4", noise(80))
    assert names_under(tmp_path) == []


def test_a_missing_folder_is_an_output_error(tmp_path):
    with pytest.raises(OutputError, match="none"):
        write_video(tmp_path / "none" / "o.mp4", noise(1))


def test_a_size_h264_cannot_hold_is_told(tmp_path):
    with pytest.raises(OutputError, match=r"40000x2.*--no-overlay"):
        write_video(tmp_path / "o.mp4", np.zeros((1, 2, 40000, 3), np.uint8))
    assert names_under(tmp_path) == []


def test_writer_refuses_a_second_size(tmp_path):
    images = [np.zeros((8, 8, 3), np.uint8), np.zeros((9, 8, 3), np.uint8)]
    with pytest.raises(UsageError, match=r"\(9, 8, 3\)"):
        write_video(tmp_path / "o.mp4", images)
    assert names_under(tmp_path) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"queries": ["q"] * 256, "frame_rate": None}, "256"),
        ({"queries": ["q"], "frame_rate": Fraction(0)}, "positive"),
        ({"queries": ["q"], "frame_rate": None, "every": 0}, "every"),
        ({"queries": ["q"], "frame_rate": None, "pixel_aspect": Fraction(0)}, "pixel aspect"),
    ],
)
def test_what_cannot_be_is_refused_before_any_frame(tmp_path, arguments, message):
    queries = arguments.pop("queries")
    with pytest.raises(UsageError, match=message):
        OverlaySink(tmp_path / "o.mp4", queries, **arguments)


def test_a_pyav_without_libx264_is_told_before_any_frame(tmp_path, monkeypatch):
    monkeypatch.setattr(av, "codecs_available", av.codecs_available - {"libx264"})
    with pytest.raises(UsageError, match="libx264"):
        VideoWriter(tmp_path / "o.mp4", Fraction(25))
