"""The two protocols on sequences small enough to work out by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from carvid.davis.protocols import TruthFrame, VideoTally
from tests import davis_twin
from tests.davis_trees import boxes

ONE = boxes(_1=(1, 1))
BOTH = boxes(_1=(1, 1), _2=(7, 11))
SWAPPED = boxes(_2=(1, 1), _1=(7, 11))
NOTHING = boxes()


def tally(truths, predictions, objects=None):
    count = objects or int(truths[0][truths[0] < 255].max())
    one = VideoTally(count)
    for truth, prediction in zip(truths, predictions, strict=True):
        one.add(TruthFrame.of(truth, count), prediction)
    return one


def means(objects):
    return [(score.j.mean, score.f.mean) for score in objects]


def test_swapped_labels_cost_everything_under_identity_and_nothing_under_matched():
    scored = tally([BOTH] * 4, [SWAPPED] * 4)
    assert means(scored.identity()) == [(0, 0), (0, 0)]
    assert means(scored.matched()) == [(1, 1), (1, 1)]
    assert [(score.object_id, score.label) for score in scored.matched()] == [(1, 2), (2, 1)]


def test_identity_drops_the_first_and_the_last_frame():
    scored = tally([ONE] * 4, [NOTHING, ONE, ONE, NOTHING])
    assert means(scored.identity()) == [(1, 1)]
    assert means(scored.matched()) == [(0.5, 0.5)]
    assert scored.identity()[0].j_per_frame.tolist() == [1, 1]
    assert scored.matched()[0].j_per_frame.tolist() == [0, 1, 1, 0]


def test_void_is_background_under_identity_and_left_out_under_matched():
    truth = ONE.copy()
    truth[1:5, 5:9] = 255
    wider = boxes(_1=(1, 1))
    wider[1:5, 5:9] = 1  # 16 px right, 16 px on void
    scored = tally([truth] * 3, [wider] * 3)
    assert scored.identity()[0].j.mean == 0.5
    assert means(scored.matched()) == [(1, 1)]


def test_the_prediction_may_be_void_alone():
    truth = ONE.copy()
    truth[8:, 8:] = 255
    scored = tally([truth] * 3, [boxes(_1=(8, 8))] * 3)
    assert means(scored.matched()) == [(0, 0)]
    assert means(tally([truth] * 3, [boxes(_1=(1, 1), _2=(8, 8))] * 3).matched()) == [(1, 1)]


def test_missing_proposals_count_as_empty_and_so_agree_with_an_object_that_left():
    scored = tally([BOTH, ONE, ONE, ONE], [ONE] * 4)
    assert scored.highest_label == 1
    assert means(scored.matched()) == [(1, 1), (0.75, 0.75)]
    assert means(scored.identity()) == [(1, 1), (1, 1)]


def test_spare_proposals_cost_nothing_under_matched():
    crowded = boxes(_7=(1, 1), _20=(7, 11), _3=(7, 1))
    scored = tally([BOTH] * 3, [crowded] * 3)
    assert means(scored.matched()) == [(1, 1), (1, 1)]
    assert [score.label for score in scored.matched()] == [7, 20]


def test_assignment_weighs_the_mean_over_all_frames():
    # Label 1 has object 1 in three of five frames, label 2 in two.
    first, second = boxes(_1=(1, 1)), boxes(_2=(1, 1))
    scored = tally([ONE] * 5, [first, second, first, second, first])
    assert scored.matched()[0].label == 1
    assert scored.matched()[0].j.mean == pytest.approx(0.6)


def test_the_first_annotation_alone_says_how_many_objects_there_are():
    scored = tally([ONE, BOTH, BOTH, BOTH], [ONE] * 4)
    assert means(scored.matched()) == [(1, 1)]
    assert means(scored.identity()) == [(1, 1)]


def test_one_frame_is_enough_for_matched():
    scored = tally([BOTH], [SWAPPED])
    assert means(scored.matched()) == [(1, 1), (1, 1)]
    assert [score.j.decay for score in scored.matched()] == [0, 0]


def test_decay_of_300_frames():
    # The object is found in the first 150 frames only.
    scored = tally([ONE] * 300, [ONE] * 150 + [NOTHING] * 150)
    assert scored.matched()[0].j.mean == 0.5
    assert scored.matched()[0].j.decay == scored.matched()[0].f.decay == 1
    assert scored.identity()[0].j.decay == 1


def test_an_object_id_that_the_first_annotation_skips_is_an_object_nevertheless():
    scored = tally([boxes(_2=(1, 1))] * 3, [boxes(_2=(1, 1))] * 3)
    assert means(scored.identity()) == [(1, 1), (1, 1)]


def test_more_than_twenty_objects_are_still_compared_one_to_one():
    labels = np.zeros((12, 16), np.uint8)
    labels[5, :] = np.arange(1, 17)
    labels[7, :8] = np.arange(17, 25)
    scored = tally([labels] * 3, [labels] * 3)
    assert scored.highest_label == 24
    assert means(scored.identity()) == [(1, 1)] * 24


def videos(labels):
    return arrays(np.uint8, (4, 5, 6), elements=st.sampled_from(labels))


@settings(max_examples=60, deadline=None)
@given(videos([0, 1, 2, 255]), videos([0, 1, 2]))
def test_any_video_scores_as_in_the_plain_twin(truths, predictions):
    truths[0, 0, 0] = 2  # so that there are two objects
    scored = tally(truths, predictions)
    for protocol, objects in (("identity", scored.identity()), ("matched", scored.matched())):
        ours = [(o.j.mean, o.j.recall, o.j.decay, o.f.mean, o.f.recall, o.f.decay) for o in objects]
        twins = np.array(davis_twin.evaluate(truths, predictions, protocol))
        if protocol == "identity":
            assert np.array(ours) == pytest.approx(twins, abs=1e-12)
        else:
            # Of assignments equally good either may be chosen.
            assert np.array(ours)[:, [0, 3]].sum() == pytest.approx(twins[:, [0, 3]].sum(), abs=1e-12)
