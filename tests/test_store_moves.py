"""Datasets whose videos were moved: what is recognised, what is not, and what is told by the user."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from carvid.errors import InputError, UsageError
from carvid.store import moves
from carvid.store.agreement import changed_sources, register
from carvid.store.database import open_dataset
from carvid.store.ledger import Ledger
from carvid.store.moves import adopt_moved, reroot
from carvid.store.task import VideoRequest
from tests.labelled import Labelled, scene, write_dataset

QUERIES = ("a", "b", "c")


def put(root: Path, **files: str) -> None:
    """Files by name, with _ for a dot and __ for a slash."""
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def labelled(root: Path, path: str, *, status: str = "done", stop: int | None = None) -> Labelled:
    return Labelled(path, root / path, QUERIES, scene(1), status=status, stop=stop)


def request(root: Path, path: str, *, stop: int | None = None) -> VideoRequest:
    return VideoRequest(path, str(root / path), QUERIES, 0, stop)


@contextmanager
def moved(base: Path, *videos: Labelled) -> Iterator[Ledger]:
    """The ledger of a dataset of these videos in base/old, which now is base/new."""
    write_dataset(base / "dataset", videos)
    (base / "old").rename(base / "new")
    with Ledger(base / "dataset", "me") as ledger:
        yield ledger


def sources(base: Path) -> dict[int, tuple[str, str]]:
    """Path and source within `base` of each video, by its id."""
    with open_dataset(base / "dataset") as dataset:
        return {
            video.id: (video.path, os.path.relpath(video.source, base).replace(os.sep, "/"))
            for video in dataset.videos()
        }


def test_videos_that_moved_are_recognised_and_not_labelled_again(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    put(old, a_mp4="one", sub__b_mp4="two", frames__1_png="x", frames__2_png="y", later_mp4="three")
    videos = [labelled(old, name) for name in ("a.mp4", "sub/b.mp4", "frames")]
    with moved(tmp_path, *videos, labelled(old, "later.mp4", status="waiting")) as ledger:
        put(new, added_mp4="four")
        requests = [request(new, name) for name in ("a.mp4", "added.mp4", "frames", "later.mp4", "sub/b.mp4")]
        assert adopt_moved(ledger, requests) == 4
        assert register(ledger, requests) == []
        assert adopt_moved(ledger, requests) == 0
        assert changed_sources(ledger) == []
        assert ledger.counts() == {"waiting": 2, "running": 0, "done": 3, "failed": 0}
    assert sources(tmp_path) == {
        1: ("a.mp4", "new/a.mp4"),
        2: ("sub/b.mp4", "new/sub/b.mp4"),
        3: ("frames", "new/frames"),
        4: ("later.mp4", "new/later.mp4"),
        5: ("added.mp4", "new/added.mp4"),
    }


def test_another_name_is_recognised_by_the_content_and_copies_keep_apart(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    put(old, a_mp4="same", b_mp4="same", c_mp4="more")
    with moved(tmp_path, *(labelled(old, name) for name in ("a.mp4", "b.mp4", "c.mp4"))) as ledger:
        (new / "a.mp4").rename(new / "z.mp4")
        (new / "c.mp4").rename(new / "d.mp4")
        # b.mp4 kept its path, so it is not what z.mp4, of the same content, was.
        assert adopt_moved(ledger, [request(new, name) for name in ("z.mp4", "d.mp4", "b.mp4")]) == 3
    assert sources(tmp_path) == {
        1: ("z.mp4", "new/z.mp4"),
        2: ("b.mp4", "new/b.mp4"),
        3: ("d.mp4", "new/d.mp4"),
    }


def test_other_content_another_range_and_a_video_that_is_still_there_are_new(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    put(old, other_mp4="one", range_mp4="two")
    put(tmp_path / "kept", copy_mp4="three")
    here = labelled(tmp_path / "kept", "copy.mp4")
    with moved(tmp_path, labelled(old, "other.mp4"), labelled(old, "range.mp4", stop=5), here) as ledger:
        put(new, other_mp4="uno", copy_mp4="three")
        requests = [request(new, "other.mp4"), request(new, "range.mp4", stop=6), request(new, "copy.mp4")]
        assert adopt_moved(ledger, requests) == 0
        assert adopt_moved(ledger, [request(new, "range.mp4", stop=5)]) == 1


def test_only_what_may_be_a_lost_video_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    read = []
    monkeypatch.setattr(
        moves,
        "identify_source",
        lambda path, identify=moves.identify_source: read.append(path.name) or identify(path),
    )
    put(old, a_mp4="one", failed_mp4="x")
    with moved(tmp_path, labelled(old, "a.mp4"), labelled(old, "failed.mp4", status="failed")) as ledger:
        put(new, longer_mp4="longer", b_mp4="two", gone_mp4="")
        requests = [request(new, name) for name in ("longer.mp4", "b.mp4", "gone.mp4", "a.mp4", "failed.mp4")]
        (new / "gone.mp4").unlink()
        assert adopt_moved(ledger, requests) == 2
        assert sorted(read) == ["a.mp4", "b.mp4"]
        # Nothing is lost any more.
        assert adopt_moved(ledger, [request(tmp_path, "elsewhere.mp4")]) == 0
        assert sorted(read) == ["a.mp4", "b.mp4"]


def test_sources_are_moved_as_told_and_once(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    put(old, a_mp4="one", sub__b_mp4="two")
    put(tmp_path / "older", c_mp4="three")
    videos = labelled(old, "a.mp4"), labelled(old, "sub/b.mp4"), labelled(tmp_path / "older", "c.mp4")
    with moved(tmp_path, *videos) as ledger:
        assert reroot(ledger, old, new) == 2
        assert reroot(ledger, old, new) == 0
        # A single file, and a folder into one of its own.
        (new / "a.mp4").rename(new / "sub" / "z.mp4")
        assert reroot(ledger, new / "a.mp4", new / "sub" / "z.mp4") == 1
        put(new, sub__sub__empty="")
        assert reroot(ledger, new / "sub", new / "sub" / "sub") == 2
        assert reroot(ledger, new / "sub", new / "sub" / "sub") == 0
    assert sources(tmp_path) == {
        1: ("a.mp4", "new/sub/sub/z.mp4"),
        2: ("sub/b.mp4", "new/sub/sub/b.mp4"),
        3: ("c.mp4", "older/c.mp4"),
    }


def test_a_folder_moved_up_meets_no_video_on_its_way(tmp_path: Path) -> None:
    old = tmp_path / "old"
    put(old, in__in__a_mp4="one", in__a_mp4="two")
    with moved(tmp_path, labelled(old, "in/in/a.mp4"), labelled(old, "in/a.mp4")) as ledger:
        assert reroot(ledger, old / "in", tmp_path / "new") == 2
    assert {source for _, source in sources(tmp_path).values()} == {"new/in/a.mp4", "new/a.mp4"}


def test_what_cannot_have_moved_is_refused_unchanged(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    put(old, a_mp4="one")
    with moved(tmp_path, labelled(old, "a.mp4")) as ledger:
        with pytest.raises(InputError, match=r"there is no .*nowhere"):
            reroot(ledger, old, tmp_path / "nowhere")
        with pytest.raises(UsageError, match=r"no source in .*/olde$"):
            reroot(ledger, tmp_path / "olde", tmp_path / "dataset")
        register(ledger, [request(new, "a.mp4")])
        with pytest.raises(UsageError, match="holds that already"):
            reroot(ledger, old, new)
    assert sources(tmp_path) == {1: ("a.mp4", "old/a.mp4"), 2: ("a.mp4", "new/a.mp4")}
