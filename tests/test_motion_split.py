from dataclasses import replace

import cv2
import numpy as np
import torch

from carvid.evidence import Evidence
from carvid.frame import Frame
from carvid.loading import load_model
from carvid.media.packed import PackedMasks
from carvid.motion.flow import Flow
from carvid.motion.keyframes import KeyframeSession
from carvid.motion.split import pieces
from carvid.motion.tracks import Tracker
from carvid.recipe import load_recipe
from carvid.sam.matching import segments_within
from tests.test_motion_tracks import ids, mask, result_of
from tests.tiny_clip import make_tiny_clip
from tests.tiny_sam import make_tiny_sam

PART = "..############......"
LEFT = "..######............"
RIGHT = "........######......"


def flow_of(left_px, right_px, confidence=1.0):
    """The left six columns of the part have come left_px to the right, all others right_px."""
    shape = mask(PART).shape
    offsets = np.zeros((*shape, 2), np.float32)
    offsets[..., 0] = -right_px
    offsets[:, :8, 0] = -left_px
    return Flow(offsets, np.full(shape, confidence, np.float32))


def rows(found):
    return ["".join("#" if pixel else "." for pixel in one[0]) for one in found]


def test_segments_that_move_apart_are_pieces():
    found = pieces(mask(PART), [mask(PART), mask(LEFT), mask(RIGHT)], flow_of(0, 2))
    assert rows(found) == [LEFT, RIGHT]


def test_segments_that_move_together_or_unsurely_or_leave_much_out_are_none():
    both = [mask(LEFT), mask(RIGHT)]
    assert rows(pieces(mask(PART), both, flow_of(1, 2))) == [PART]
    assert rows(pieces(mask(PART), both, flow_of(0, 2, confidence=0.1))) == [PART]
    assert rows(pieces(mask(PART), both[:1], flow_of(0, 2))) == [PART]
    small = [mask("..###..............."), mask("...........###......")]
    assert rows(pieces(mask(PART), small, flow_of(0, 2))) == [PART]


def test_what_no_segment_covers_goes_to_the_nearest_piece():
    found = pieces(mask(PART), [mask("..#####............."), mask("........######......")], flow_of(0, 2))
    assert rows(found) == [".......#######......", "..#####............."]


def test_a_thing_is_cut_where_its_segments_move_apart_and_the_ids_stay():
    image, tracker = np.full((6, 20, 3), 90, np.uint8), Tracker()
    asked = []

    def read(within):
        asked.append(within)
        return np.stack([mask(LEFT), mask(RIGHT)])

    assert ids(tracker.step(image, result_of([mask(PART)], ["a thing"]), None, read)) == PART.replace(
        "#", "1"
    )
    cut = tracker.step(image, result_of([mask(PART)], ["a thing"]), flow_of(0, 2), read)
    assert ids(cut) == "..111111222222......"
    assert (asked[0] == mask(PART)).all()
    later = tracker.step(image, result_of([mask("..######..######....")], ["a thing"]), flow_of(0, 2))
    assert ids(later) == "..111111..222222...."


def test_segments_within_a_mask():
    segments = np.stack([mask(LEFT), mask("....##############.."), mask(RIGHT)])
    found = segments_within(PackedMasks.pack(torch.from_numpy(segments)), mask(PART))
    assert rows(found) == [LEFT, RIGHT]


def test_a_session_gives_segments_only_for_instances(tmp_path):
    clip, sam = make_tiny_clip(tmp_path / "clip"), make_tiny_sam(tmp_path / "sam")
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    for instances in (False, True):
        recipe = load_recipe(model=clip, device="cpu", theta=0.0, sam=sam, instances=instances)
        evidence = load_model(recipe).session(["a thing"]).step(image).evidence
        assert isinstance(evidence, Evidence)
        assert (evidence.read_segments is not None) == instances
    assert evidence.read_segments(np.ones((48, 64), bool)).shape[1:] == (48, 64)


class Sliding:
    """An engine that finds one part, of two textured blocks side by side, and segments each."""

    queries, batch, seconds, totals = ("a thing",), 1, {}, {}

    def __init__(self, scenes):
        self.scenes = scenes

    def steps(self, frames):
        for frame in frames:
            blocks = self.scenes[frame.index]
            result = result_of([blocks.any(0)], ["a thing"])
            evidence = Evidence((), lambda: np.zeros(0, np.float32), read_segments=lambda within, b=blocks: b)
            yield replace(result, index=frame.index, evidence=evidence)

    def close(self):
        pass


def test_key_frames_pass_the_segments_on_and_let_them_go():
    rng = np.random.default_rng(3)
    texture = cv2.GaussianBlur(rng.integers(0, 256, (2, 60, 40, 3), dtype=np.uint8)[0], (0, 0), 1.5)
    other = cv2.flip(texture, -1)
    frames, scenes = [], []
    for i in range(9):
        image, blocks = np.full((140, 160, 3), 90, np.uint8), np.zeros((2, 140, 160), bool)
        for number, (x, y, look) in enumerate(((40, 30, texture), (80, 30 + 3 * i, other))):
            image[y : y + 60, x : x + 40], blocks[number, y : y + 60, x : x + 40] = look, True
        frames.append(Frame(i, None, image, f"{i:05d}"))
        scenes.append(blocks)
    options = load_recipe("shapes", keyframes=4, instances=True)
    session = KeyframeSession(Sliding(scenes), options)
    results = [*session.steps(frames), *session.finish()]
    assert [result.origin.key for result in results] == [i % 4 == 0 for i in range(9)]
    assert [len(result.objects) for result in results] == [1] * 4 + [2] * 5
    for result, blocks in zip(results[4:], scenes[4:], strict=True):
        shares = [[(one.mask & block).sum() / block.sum() for block in blocks] for one in result.objects]
        assert np.sort(np.ravel(shares))[-2:].min() > 0.85
        assert (
            np.argmax(shares, 1).tolist()
            == np.argmax(
                [[(one.mask & block).sum() for block in scenes[4]] for one in results[4].objects], 1
            ).tolist()
        )
    assert all(result.evidence is None or result.evidence.read_segments is None for result in results)
