"""What a person sees while a dataset is labelled."""

import pytest

from carvid.cli import dataset_progress
from carvid.cli.dataset_progress import DatasetProgress


class Clock:
    seconds = 0.0

    def monotonic(self):
        return self.seconds


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(dataset_progress, "time", clock)
    return clock


def counts(done, failed, running, waiting):
    return {"done": done, "failed": failed, "running": running, "waiting": waiting}


def test_counts_frames_and_time_left_in_plain_lines(clock, capsys):
    with DatasetProgress() as progress:
        progress.update(counts(2, 0, 0, 8), {})  # the model is being loaded
        clock.seconds = 100.0
        progress.update(counts(2, 0, 1, 7), {"a.mp4": (0, 50)})
        clock.seconds = 105.0
        progress.update(counts(2, 0, 1, 7), {"a.mp4": (10, 50)})
        assert capsys.readouterr().err == ""
        # 2 of the 8 videos left took 20 s, counting the half that is labelled.
        clock.seconds = 120.0
        progress.update(counts(2, 1, 2, 5), {"b.mp4": (25, 50), "c.mp4": (20, 40), "d": (7, None)})
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        "2 done, 1 failed, 5 waiting of 10 videos, 1 min 00 s left | frames: b.mp4 25/50, c.mp4 20/40, d 7\n"
    )


@pytest.mark.parametrize(
    ("seconds", "expected"), [(7.4, "7 s"), (65, "1 min 05 s"), (7380, "2 h 03 min"), (59.9, "1 min 00 s")]
)
def test_durations(seconds, expected):
    assert dataset_progress._duration(seconds) == expected
