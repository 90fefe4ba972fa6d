"""`carvid annotate --ray` on a Ray cluster of this machine: the same labels, whatever becomes of an actor."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
from pathlib import Path

import pytest

from carvid.store.schema import DATABASE
from carvid.workers.ray_workforce import cores_each
from tests.annotate_cases import run_annotate, start_annotate, wait_until
from tests.media import moving_square, write_video
from tests.tiny_clip import make_tiny_clip

pytest.importorskip("ray")
QUERIES = ("-q", "the red square", "-q", "a dog")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_clip(tmp_path_factory.mktemp("clip"), seed=5, patch=16, logit_scale=6.0)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("clip") / "clip.mp4", moving_square(3))


def rows(dataset: Path, table: str) -> list[tuple[object, ...]]:
    """All rows of a table; none where it is not made yet."""
    try:
        with sqlite3.connect(f"file:{dataset / DATABASE}?mode=ro", uri=True) as connection:
            found = connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3").fetchall()
        connection.close()
    except sqlite3.OperationalError:
        return []
    return found


def states(dataset: Path) -> list[str]:
    try:
        with sqlite3.connect(f"file:{dataset / DATABASE}?mode=ro", uri=True) as connection:
            found = connection.execute("SELECT status FROM videos ORDER BY path").fetchall()
        connection.close()
    except sqlite3.OperationalError:
        return []
    return [state for (state,) in found]


def labelling_actors(driver: int) -> list[int]:
    """The actors of that process's cluster that are labelling."""
    listed = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    processes = [line.split(None, 2) for line in listed]
    parents = {int(pid): int(parent) for pid, parent, *_ in processes}

    def below(pid: int) -> bool:
        while pid in parents and pid != driver:
            pid = parents[pid]
        return pid == driver

    return [
        int(pid)
        for pid, _, *args in processes
        if args and args[0].startswith("ray::CarvidWorker.work") and below(int(pid))
    ]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_an_actor_killed_in_the_midst_of_a_video_changes_nothing(
    tmp_path: Path, model: Path, clip: Path
) -> None:
    plain, pipes = tmp_path / "plain", tmp_path / "pipes"
    for folder in (plain, pipes):
        folder.mkdir()
        for i in (1, 2, 3, 4):
            (folder / f"{i}.mp4").write_bytes(clip.read_bytes())
    # Whoever reads a pipe that nobody writes is in the midst of it until killed.
    (pipes / "1.mp4").unlink()
    os.mkfifo(pipes / "1.mp4")
    out = tmp_path / "ray"
    process = start_annotate(pipes, out, model, *QUERIES, "--ray", "local", "--workers", "2")
    try:
        wait_until(lambda: states(out) == ["running", "done", "done", "done"], seconds=400)
        (actor,) = labelling_actors(process.pid)
        (tmp_path / "1.mp4").write_bytes(clip.read_bytes())
        (tmp_path / "1.mp4").replace(pipes / "1.mp4")
        os.kill(actor, signal.SIGKILL)
        said, errors = process.communicate(timeout=400)
    finally:
        process.kill()
    assert process.returncode == 0, errors
    assert "4 done, 0 failed" in said
    local = run_annotate(plain, tmp_path / "local", model, *QUERIES)
    assert local.returncode == 0, local.stderr
    for table in ("frames", "annotations"):
        assert rows(out, table) == rows(tmp_path / "local", table)
        assert rows(out, table)


@pytest.mark.parametrize(
    ("nodes", "workers", "each"),
    [([8], 1, 8), ([8], 3, 2), ([8, 8, 8, 8], 1, 8), ([8, 2], 3, 2), ([8, 3], 3, 3), ([2], 3, 0), ([], 1, 0)],
)
def test_no_worker_asks_for_more_than_a_node_has(nodes: list[int], workers: int, each: int) -> None:
    assert cores_each(nodes, workers) == each


def test_what_the_cluster_cannot_do_is_said_at_once(tmp_path: Path, model: Path, clip: Path) -> None:
    refused = run_annotate(
        clip.parent, tmp_path / "out", model, *QUERIES, "--ray", "local", "--workers", str(10**6)
    )
    assert refused.returncode == 2
    assert "CPUs; --workers is 1000000" in refused.stderr
    client = run_annotate(clip.parent, tmp_path / "out", model, *QUERIES, "--ray", "ray://127.0.0.1:10001")
    assert client.returncode == 2
    assert "cannot stream results" in client.stderr
    nowhere = run_annotate(clip.parent, tmp_path / "out", model, *QUERIES, "--ray", "127.0.0.1:9")
    assert nowhere.returncode == 2
    assert "no Ray cluster at 127.0.0.1:9" in nowhere.stderr


def test_a_model_that_cannot_be_loaded_is_refused_by_the_actor(tmp_path: Path, clip: Path) -> None:
    gone = run_annotate(clip.parent, tmp_path / "out", tmp_path / "gone", *QUERIES, "--ray", "local")
    assert gone.returncode == 3
    assert "gone" in gone.stderr
