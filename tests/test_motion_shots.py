import itertools

import cv2
import numpy as np
import pytest

from carvid.motion.shots import LOOKAHEAD, ShotDetector
from carvid.shapes.scenes import moving_clip


def drawn(seed, frames=26):
    return [scene.image for scene in moving_clip(seed, frames, height=120, width=214)]


def blend(one, other, share):
    return cv2.addWeighted(one, 1 - share, other, share, 0)


def dissolved(left, right, frames):
    overlap = zip(left[-frames:], right[:frames], strict=True)
    mixed = [blend(one, other, (i + 1) / (frames + 1)) for i, (one, other) in enumerate(overlap)]
    return left[:-frames] + mixed + right[frames:]


def faded(left, right, colour, *, frames=8, between=2):
    blank = np.full_like(left[0], colour)
    down = [blend(image, blank, (i + 1) / (frames + 1)) for i, image in enumerate(left[-frames:])]
    up = [blend(blank, image, (i + 1) / (frames + 1)) for i, image in enumerate(right[:frames])]
    return left[:-frames] + down + [blank] * between + up + right[frames:]


def starts(clip, *, causal=False):
    """The frames that start a shot. Checks that the verdicts come one per frame and none too late."""
    detector = ShotDetector(causal=causal)
    verdicts = []
    for pushed, image in enumerate(clip, 1):
        verdicts += detector.push(image)
        assert pushed - (0 if causal else LOOKAHEAD) <= len(verdicts) <= pushed
    verdicts += detector.finish()
    assert detector.finish() == []
    assert len(verdicts) == len(clip)
    return [i for i, verdict in enumerate(verdicts) if verdict]


SEEDS = range(4)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_moving_things_are_no_cut(seed, causal):
    assert starts(drawn(seed), causal=causal) == []


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_hard_cut_starts_a_shot_at_its_frame(seed, causal):
    assert starts(drawn(seed)[:20] + drawn(seed + 50), causal=causal) == [20]


@pytest.mark.parametrize("place", [1, 2, 3, 17, 24, 25])
def test_a_cut_is_found_near_either_end(place):
    assert starts(drawn(0)[:place] + drawn(50)[: 26 - place]) == [place]


def test_several_cuts_are_all_found():
    clips = [drawn(seed, 12) for seed in range(5)]
    assert starts(list(itertools.chain(*clips))) == [12, 24, 36, 48]


@pytest.mark.parametrize("frames", [8, 12, 16])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_dissolve_is_one_boundary_in_its_middle(seed, frames):
    clip = dissolved(drawn(seed), drawn(seed + 50), frames)
    (start,) = starts(clip)
    assert abs(start - (26 - frames // 2)) <= 3


@pytest.mark.parametrize("between", [1, 2, 8])
@pytest.mark.parametrize("colour", [0, 255])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_fade_is_one_boundary_in_its_middle(seed, colour, between):
    clip = faded(drawn(seed), drawn(seed + 50), colour, between=between)
    (start,) = starts(clip)
    assert abs(start - (26 + between // 2)) <= 6


def test_a_long_blank_is_a_shot_of_its_own():
    clip = drawn(0) + [np.zeros((120, 214, 3), np.uint8)] * 30 + drawn(50)
    assert starts(clip) == [26, 56]


def test_a_blank_video_has_one_shot():
    assert starts([np.zeros((120, 214, 3), np.uint8)] * 40) == []


@pytest.mark.parametrize("frames", [1, 2, 3])
@pytest.mark.parametrize("level", [0, 255])
@pytest.mark.parametrize("share", [0.6, 1.0])
def test_a_flash_is_no_cut(frames, level, share):
    clip = drawn(1)
    for i in range(12, 12 + frames):
        clip[i] = blend(clip[i], np.full_like(clip[i], level), share)
    assert starts(clip) == []


def test_one_frame_of_another_scene_is_no_cut():
    clip = drawn(1)
    clip[12] = drawn(50)[0]
    assert starts(clip) == []


def test_of_a_flash_nothing_but_its_beginning_is_a_cut_when_only_the_past_is_known():
    clip = drawn(1)
    clip[12:14] = [np.full_like(clip[0], 255)] * 2
    assert starts(clip, causal=True) == [12]


def test_a_thing_that_crosses_the_lens_is_no_cut():
    clip = drawn(2)
    for i in range(8):
        # 160 px of 214, entering from the left.
        left = -120 + 40 * i
        clip[8 + i][:, max(0, left) : max(0, left + 160)] = (40, 30, 30)
    assert starts(clip) == []


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("speed_px", [4, 10, 16])
def test_a_fast_pan_is_no_cut(speed_px, causal):
    wide = np.concatenate([drawn(seed, 1)[0] for seed in range(6)], axis=1)
    # Blurred across the seams, so that there is no upright line in the view that no camera would see.
    wide = cv2.GaussianBlur(wide, (0, 0), 2)
    clip = [wide[:, x : x + 214] for x in range(0, wide.shape[1] - 214, speed_px)]
    assert starts(clip, causal=causal) == []


@pytest.mark.parametrize("causal", [False, True])
def test_a_frame_of_another_size_starts_a_shot(causal):
    clip = drawn(3)
    clip[10:] = [cv2.resize(image, (160, 90)) for image in clip[10:]]
    assert starts(clip, causal=causal) == [10]


def test_no_picture_is_too_small_or_too_narrow():
    for height, width in [(1, 1), (2, 500), (500, 2), (9, 9)]:
        assert starts([np.full((height, width, 3), 90, np.uint8)] * 20) == []


@pytest.mark.parametrize("frames", [0, 1, 2, LOOKAHEAD, LOOKAHEAD + 1])
def test_there_is_one_verdict_per_frame_in_short_clips(frames):
    assert starts(drawn(0, frames)) == []


@pytest.mark.parametrize("share", [0.3, 1.6])
def test_a_cut_is_found_in_dark_and_in_bright_pictures(share):
    clip = [np.clip(image * share, 0, 255).astype(np.uint8) for image in drawn(0)[:20] + drawn(50)]
    assert starts(clip) == [20]
