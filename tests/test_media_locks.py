"""Folders that one process at a time may write, locked by real processes and threads."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from carvid.errors import OutputError
from carvid.media import locks
from carvid.media.locks import LOCK_FILE, FolderLock, check_free

ROOT = Path(__file__).resolve().parents[1]

pytestmark = pytest.mark.skipif(locks.fcntl is None, reason="no locks on this system")

HOLD = """
import sys, time
from pathlib import Path
from carvid.media.locks import FolderLock
with FolderLock(Path(sys.argv[1]), beside=sys.argv[2] == "beside"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("where", ["inside", "beside"])
def test_a_folder_is_refused_by_name_until_its_holder_is_gone_however_it_ends(
    tmp_path: Path, where: str
) -> None:
    out, beside = tmp_path / "out", where == "beside"
    command = [sys.executable, "-c", HOLD, str(out), where]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        said = rf"{out} is in use: process {process.pid} on .* since 20\d\d-.*-c.*; wait until it has ended"
        for _ in range(2):
            with pytest.raises(OutputError, match=r"(?s)" + said):
                check_free(out, beside=beside)
            with pytest.raises(OutputError, match=r"(?s)" + said):
                FolderLock(out, beside=beside).__enter__()
        process.kill()
    check_free(out, beside=beside)
    with FolderLock(out, beside=beside):
        assert out.exists() is not beside
    assert [path.name for path in tmp_path.iterdir()] == ([] if beside else ["out"])
    assert beside or not list(out.iterdir())


def test_of_many_that_come_and_go_one_at_a_time_is_inside(tmp_path: Path) -> None:
    inside: list[int] = []
    entered = [0] * 4
    together: list[int] = []

    def come_and_go(number: int) -> None:
        for _ in range(60):
            try:
                with FolderLock(tmp_path):
                    inside.append(number)
                    together.append(len(inside))
                    entered[number] += 1
                    inside.remove(number)
            except OutputError:
                continue

    threads = [threading.Thread(target=come_and_go, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(together) == {1}
    assert sum(entered) >= 60
    assert list(tmp_path.iterdir()) == []


def test_a_lock_whose_file_is_removed_is_no_lock(tmp_path: Path) -> None:
    """One that waits for a file that its holder then removes must not take that file's lock for the folder's."""
    with FolderLock(tmp_path):
        descriptor = os.open(tmp_path / LOCK_FILE, os.O_RDWR)
    assert locks.lock(descriptor, wait=False)
    with FolderLock(tmp_path), pytest.raises(OutputError, match="in use"):
        check_free(tmp_path)
    os.close(descriptor)


def test_checking_makes_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for name in ("new", "file", "file/below"):
        check_free(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_place_that_cannot_be_written_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for beside in (False, True):
        with pytest.raises(OutputError, match="cannot write"):
            FolderLock(tmp_path / "file" / "below", beside=beside).__enter__()


def test_a_file_system_without_locks_is_used_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(locks.fcntl, "flock", refuse)
    with pytest.warns(UserWarning, match="without locks"), FolderLock(tmp_path):
        check_free(tmp_path)
    assert list(tmp_path.iterdir()) == []
