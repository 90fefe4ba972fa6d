import numpy as np
import pytest

from carvid.errors import UsageError
from carvid.measures.tracking import overlaps, track_counts, track_score
from carvid.motion.flow import Flow, flows, grey
from carvid.motion.things import Parts, Thing, colour_histogram, lay, likeness
from carvid.motion.tracks import LOST, MOST, Tracker
from carvid.result import FrameResult, ObjectResult
from carvid.shapes.scenes import Thing as Drawn
from carvid.shapes.scenes import draw_background, draw_scene

ROWS = 6


def mask(row, letter="#"):
    """(6, W) bool: a row of letters, six times over."""
    return np.array([[c == letter for c in row]] * ROWS)


def ids(result):
    """A row of the label map, as letters."""
    assert (result.label_map == result.label_map[0]).all()
    return "".join("." if label == 0 else str(label) for label in result.label_map[0])


def result_of(masks, names, label_map=None):
    if label_map is None:
        label_map = np.zeros(masks[0].shape, np.uint8)
        for number in range(len(masks), 0, -1):
            label_map[masks[number - 1]] = names.index(names[number - 1]) + 1
    objects = tuple(
        ObjectResult(number, name, one, 0.75, bool(one.any()))
        for number, (name, one) in enumerate(zip(names, masks, strict=True), 1)
    )
    return FrameResult(0, None, "00000", label_map, objects)


def still(shape, x_px=0.0):
    """All pixels have come x_px to the right since the frame before."""
    offsets = np.zeros((*shape, 2), np.float32)
    offsets[..., 0] = -x_px
    return Flow(offsets, np.ones(shape, np.float32))


class Run:
    """A tracker of rows of letters in a picture of one colour."""

    def __init__(self, names=("a thing",)):
        self.names, self.tracker, self.begun = list(names), Tracker(), False

    def step(self, *rows, cut=False, x_px=0.0):
        masks = [mask(row) for row in rows]
        image = np.full((*masks[0].shape, 3), 90, np.uint8)
        back = still(masks[0].shape, x_px) if self.begun and not cut else None
        self.begun = True
        return self.tracker.step(image, result_of(masks, self.names), back)


def test_each_part_of_a_mask_is_a_thing():
    result = Run().step("####.........####...")
    assert ids(result) == "1111.........2222..."
    assert [(one.id, one.query, one.score, one.present) for one in result.objects] == [
        (1, "a thing", 0.75, True),
        (2, "a thing", 0.75, True),
    ]
    assert (result.masks == [mask("####................"), mask(".............####...")]).all()
    assert result.has_tracks
    assert [(one.query, one.score, one.present) for one in result.verdicts] == [("a thing", 0.75, True)]


def test_things_keep_their_ids_as_they_move():
    run = Run()
    assert ids(run.step("####.........####...")) == "1111.........2222..."
    assert ids(run.step("..####.........####.", x_px=2)) == "..1111.........2222."


def test_things_that_touch_are_divided_and_keep_their_ids_when_they_part():
    run = Run()
    assert ids(run.step("..####......####....")) == "..1111......2222...."
    assert ids(run.step("......########......")) == "......11112222......"
    assert ids(run.step("..####......####....")) == "..1111......2222...."


def test_every_track_ends_at_a_cut_and_no_id_is_given_again():
    run = Run()
    run.step("####.........####...")
    assert ids(run.step("####.........####...", cut=True)) == "3333.........4444..."


def test_specks_are_left_out():
    square = np.zeros((20, 20), bool)
    square[2:10, 2:10] = True
    speckled = square.copy()
    speckled[15, 15] = True
    result = Tracker().step(np.zeros((20, 20, 3), np.uint8), result_of([speckled], ["a thing"]), None)
    assert (result.label_map == square).all()
    assert (result.masks == square).all()


def test_a_thing_that_is_cut_in_two_stays_one():
    run = Run()
    assert ids(run.step("..##########........")) == "..1111111111........"
    assert ids(run.step("..####..####........")) == "..1111..1111........"
    result = run.step("..##########........")
    assert ids(result) == "..1111111111........"
    assert len(result.objects) == 1


def test_what_comes_out_behind_a_bar_belongs_to_the_thing_that_goes_in():
    run = Run()
    bar = slice(10, 12)
    whole = "########" + "." * 20
    for moved in range(0, 14, 2):
        row = [*("." * moved + whole)[:28]]
        row[bar] = ".."
        result = run.step("".join(row), x_px=2)
        assert ids(result) == "".join(row).replace("#", "1")


def test_one_thing_that_becomes_two_is_two():
    run = Run()
    assert ids(run.step("........########........")) == "........11111111........"
    run.step("......####....####......")
    result = run.step("##....................##")
    assert len(result.objects) == 2
    assert set(ids(result)[2:22]) == {"."}


def test_a_hidden_thing_comes_back_as_itself():
    run = Run(["a thing", "a wall"])
    wall = "........########........"
    for moved, seen in ((0, "####"), (2, "####"), (4, "####"), (6, "##"), (8, ""), (10, ""), (12, "")):
        run.step(("." * moved + seen).ljust(24, "."), wall, x_px=2)
    result = run.step("................##......", wall, x_px=2)
    assert ids(result) == "........2222222211......"
    assert [(one.id, one.query) for one in result.objects] == [(1, "a thing"), (2, "a wall")]


@pytest.mark.parametrize(("frames", "number"), [(LOST, 1), (LOST + 1, 2)])
def test_a_lost_track_ends_after_a_while(frames, number):
    run = Run()
    run.step("....####............")
    for _ in range(frames):
        assert run.step("....................").objects == ()
    assert [one.id for one in run.step("....####............").objects] == [number]


def test_a_thing_of_other_colours_elsewhere_is_not_a_lost_one():
    names, tracker = ["a thing"], Tracker()
    image = np.zeros((ROWS, 40, 3), np.uint8)
    image[:, 16:] = (250, 40, 40)
    rows = ["####" + "." * 36, "." * 40, "." * 22 + "####" + "." * 14]
    found = [
        tracker.step(image, result_of([mask(row)], names), still(image.shape[:2]) if i else None)
        for i, row in enumerate(rows)
    ]
    assert [[one.id for one in result.objects] for result in found] == [[1], [], [2]]


def test_each_query_has_its_own_tracks_and_a_pixel_goes_to_the_query_that_has_it():
    one, other = mask("######.............."), mask("....######..........")
    label_map = mask("####................") * 1 + mask("....######..........") * 2
    result = Tracker().step(
        np.zeros((ROWS, 20, 3), np.uint8),
        result_of([one, other], ["a cat", "a dog"], label_map.astype(np.uint8)),
        None,
    )
    assert ids(result) == "1111222222.........."
    assert [(track.id, track.query) for track in result.objects] == [(1, "a cat"), (2, "a dog")]
    assert (result.masks == [one, other]).all()


def test_a_query_given_twice_has_its_tracks_once():
    run = Run(["a cat", "a dog", "a cat"])
    cat, dog = "####................", "..........####......"
    for _ in range(2):
        result = run.step(cat, dog, cat)
        assert ids(result) == "1111......2222......"
        assert [one.id for one in result.objects] == [1, 2]
        assert [one.query for one in result.verdicts] == ["a cat", "a dog", "a cat"]
        assert (result.query_masks == [mask(cat), mask(dog), mask(cat)]).all()
        assert (result.query_map == mask(cat) * 1 + mask(dog) * 2).all()


def test_a_query_that_refers_to_nothing_has_no_tracks():
    result = Run(["a cat", "a dog"]).step("." * 20, "####" + "." * 16)
    assert [one.query for one in result.objects] == ["a dog"]
    assert [(one.query, one.present) for one in result.verdicts] == [("a cat", False), ("a dog", True)]


def test_a_video_with_too_many_tracks_is_refused():
    run = Run()
    for number in range(1, MOST + 1):
        assert [one.id for one in run.step("####....", cut=True).objects] == [number]
    with pytest.raises(UsageError, match="more than 255 tracks"):
        run.step("####....", cut=True)


def way(start, end, frames=24):
    return np.linspace(start, end, frames)


CROSSINGS = {
    "at right angles": (way((30, 60), (130, 60)), way((80, 10), (80, 110))),
    "head on": (way((30, 60), (130, 62)), way((130, 60), (30, 60))),
    "from behind": (way((25, 60), (140, 60)), way((75, 62), (90, 60))),
}


@pytest.mark.parametrize("ways", CROSSINGS.values(), ids=CROSSINGS.keys())
def test_things_that_look_the_same_keep_their_ids_when_they_cross(ways):
    background, grounds = draw_background(np.random.default_rng(3), 120, 160)
    tracker, before, frames = Tracker(), None, []
    for places in zip(*ways, strict=True):
        scene = draw_scene(
            background, grounds, tuple(Drawn("red", "circle", x, y, 16, 0.0) for x, y in places)
        )
        here = grey(scene.image)
        back = None if before is None else flows(before, here)[1]
        before = here
        result = tracker.step(scene.image, result_of([scene.masks.any(0)], ["the red circle"]), back)
        truth = (scene.masks * np.array([1, 2])[:, None, None]).sum(0).astype(np.uint8)
        frames.append(overlaps(truth, result.label_map))
    assert {label for frame in frames for label in frame.found} == {1, 2}
    assert track_score(track_counts(frames)).idf1 > 0.9


def thing(outline, x=0.0, y=0.0):
    outline = np.array(outline, bool)
    return Thing(1, outline, x, y, np.zeros((8, 8, 8), np.float32), outline.sum(), np.zeros(2))


@pytest.mark.parametrize("seed", range(20))
def test_an_outline_is_laid_where_brute_force_lays_it(seed):
    rng = np.random.default_rng(seed)
    seen, unknown = rng.random((12, 16)) < 0.5, rng.random((12, 16)) < 0.2
    unknown &= ~seen
    cover = (rng.random((12, 16)) < 0.3).astype(np.int16)
    outline, x, y = rng.random((5, 4)) < 0.7, int(rng.integers(-3, 15)), int(rng.integers(-4, 11))
    size = outline.sum() ** 0.5
    best = {}
    for dy in range(-4, 5):
        for dx in range(-4, 5):
            gain = -0.5 * size * np.hypot(dx, dy)
            for row, column in np.argwhere(outline):
                at = row + y + dy, column + x + dx
                if 0 <= at[0] < 12 and 0 <= at[1] < 16:
                    gain += (cover[at] == 0) if seen[at] else (0 if unknown[at] else -1)
            best[x + dx, y + dy] = gain
    laid = thing(outline, x, y)
    # The outline itself is counted when it is handed over.
    where, inner = laid.window(cover.shape)
    own = cover.copy()
    own[where] += inner
    lay([laid], seen, unknown, own)
    assert best[laid.x, laid.y] == pytest.approx(max(best.values()), abs=1e-3)
    where, inner = laid.window(cover.shape)
    own[where] -= inner
    assert (own == cover).all()


def test_the_window_of_an_outline_is_cut_to_the_picture():
    outline = [[1, 0, 1], [1, 1, 1]]
    (rows, columns), inner = thing(outline, -1, 3).window((4, 10))
    assert (rows, columns) == (slice(3, 5), slice(0, 2))
    assert inner.tolist() == [[False, True]]
    assert thing(outline, 20, 0).window((4, 10))[1].size == 0
    assert thing(outline, -9, 0).window((4, 10))[1].size == 0


def test_the_distance_from_an_outline_outside_is_that_from_the_border():
    assert thing([[1]], 2, 0).distance((1, 5))[0].round().tolist() == [2, 1, 0, 1, 2]
    assert thing([[1]], -9, 0).distance((1, 5))[0].round().tolist() == [0, 1, 2, 3, 4]


def test_parts_beside_the_largest_are_near_it():
    parts = Parts(mask("####.##......#"))
    assert parts.areas.tolist() == [24, 12, 6]
    assert parts.beside([0, 1, 2], 3) == [0, 1]
    assert parts.beside([0, 1, 2], 10) == [0, 1, 2]
    assert parts.beside([2], 0) == [2]


def test_a_part_under_an_outline_overlaps_it_by_a_share_of_the_smaller():
    parts = Parts(mask("########..##.."))
    assert parts.under(thing(mask("####"), 7), 0.25) == [0, 1]
    assert parts.under(thing(mask("####"), 7), 0.3) == [1]
    assert parts.under(thing(mask("####"), 40), 0.25) == []


def test_a_part_is_as_alike_as_the_whole_has_its_colours():
    image = np.zeros((1, 4, 3), np.uint8)
    # The second is beside the first, the third and fourth are far from both.
    image[0] = [(10, 10, 10), (40, 40, 40), (200, 10, 10), (10, 10, 200)]
    histogram = [colour_histogram(image, np.arange(4)[None] == i) for i in range(4)]
    whole = colour_histogram(image, np.array([[True, False, True, False]]))
    assert whole.sum() == pytest.approx(1)
    assert [likeness(part, whole) for part in histogram] == [1, 1, 1, 0]
    assert likeness(whole, histogram[0]) == pytest.approx(0.5)
