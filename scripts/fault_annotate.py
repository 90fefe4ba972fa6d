"""Does `carvid annotate` survive faults? Kill it or fill its disk at random moments, run it again, compare.

Draws a few clips, makes a small random model, and labels the clips once without a fault. Then labels them repeatedly,
with one fault per run, until the dataset is complete. Each completed dataset (`dump`) and its exports (EXPORTS) must
equal the first byte for byte. The faults:

    process   SIGKILL to the main process; its workers must end by themselves
    group     SIGKILL to the main process and all its workers
    worker    SIGKILL to one worker; the run must continue and end with exit code 0
    shared    two runs on one dataset, SIGKILL to one; the other must finish
    space     no space left: a small disk that is filled up (needs root, Linux), or a limit on the size of
              files; exit code 4, or 0 where the space was enough

    python scripts/fault_annotate.py --faults 200
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from carvid.export.export import export_dataset  # noqa: E402
from carvid.store.database import open_dataset  # noqa: E402
from tests.media import moving_square, write_video  # noqa: E402
from tests.tiny_clip import make_tiny_clip  # noqa: E402

QUERIES = ("the red square", "a green field", "a dog")
EXPORTS = ("coco", "davis", "ytvos")
KINDS = ("process", "group", "worker", "shared", "space")


def dump(dataset: Path) -> bytes:
    """Everything a dataset holds about its videos and labels, as JSON lines in a fixed order."""
    lines = []
    with open_dataset(dataset) as labelled:
        lines.append({"settings": labelled.settings()})
        for video in labelled.videos():
            facts = asdict(video)
            facts["frame_rate"] = str(video.frame_rate)
            lines.append({**facts, "queries": [asdict(query) for query in labelled.queries(video.id)]})
            for frame, annotations in labelled.annotations(video.id):
                lines.append({**asdict(frame), "annotations": [asdict(each) for each in annotations]})
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def exports(dataset: Path) -> dict[str, str]:
    """SHA-256 of each file of the dataset's exports, by format/path."""
    hashes = {}
    with tempfile.TemporaryDirectory(prefix="carvid-fault-export-") as folder:
        for name in EXPORTS:
            out = Path(folder, name)
            export_dataset(dataset, name, out)
            for file in sorted(path for path in out.rglob("*") if path.is_file()):
                hashes[f"{name}/{file.relative_to(out)}"] = hashlib.sha256(file.read_bytes()).hexdigest()
    return hashes


class Trial:
    """The clips, the model, a dataset folder, and the faults tried on it."""

    def __init__(
        self,
        base: Path,
        disk: Path | None,
        videos: int,
        frames: int,
        workers: int,
        seed: int,
        piece: int | None = None,
    ) -> None:
        self.random = random.Random(seed)
        self.workers, self.disk, self.piece = workers, disk, piece
        self.dataset = (disk or base) / "dataset"
        self.model = make_tiny_clip(base / "clip", seed=5, patch=16, logit_scale=6.0)
        self.input = base / "input"
        self.input.mkdir()
        for i in range(videos):
            write_video(self.input / f"clip {i}.mp4", moving_square(frames + i))
        self.faults: Counter[str] = Counter()
        self.most_in_work = 0
        self.compared = 0
        started = time.monotonic()
        process = self.start()
        if process.wait() != 0:
            raise SystemExit(f"the run without a fault ended with exit code {process.returncode}; expected 0")
        self.seconds = time.monotonic() - started
        self.reference, self.exported = dump(self.dataset), exports(self.dataset)
        self.size = (self.dataset / "annotations.sqlite").stat().st_size
        shutil.rmtree(self.dataset)

    def start(self, limit_bytes: int | None = None) -> subprocess.Popen[bytes]:
        """Start `carvid annotate`, with a limit on the size of files if one is given."""

        def limit() -> None:
            if limit_bytes is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))

        queries = [word for query in QUERIES for word in ("-q", query)]
        command = [sys.executable, "-m", "carvid", "annotate", str(self.input), *queries]
        command += ["-o", str(self.dataset), "--model", str(self.model), "--device", "cpu"]
        command += ["--workers", str(self.workers)]
        if self.piece is not None:
            command += ["--piece", str(self.piece)]
        return subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=limit
        )

    def fault(self, kind: str) -> None:
        """Run once with a fault of this kind at a random moment, and check the dataset."""
        done, pieces = self.done(), self.pieces()
        if getattr(self, f"_{kind}")():
            self.faults[kind] += 1
        gone = {piece for piece in pieces - self.pieces() if piece[0] not in self.done()}
        expect(not gone, f"pieces {gone} were done and no longer are")
        self.check(done)

    @property
    def hits(self) -> int:
        """Faults that hit a run in progress; the others came after its end."""
        return sum(self.faults.values())

    def check(self, done: set[int]) -> None:
        """Videos that were done are still done, nothing is damaged, and a complete dataset equals the reference."""
        if not (self.dataset / "annotations.sqlite").exists():
            expect(not done, "the database is gone")
            return
        with sqlite3.connect(self.dataset / "annotations.sqlite") as connection:
            expect(connection.execute("PRAGMA integrity_check").fetchone() == ("ok",), "a damaged database")
        connection.close()
        now = self.done()
        expect(done <= now, f"videos {done - now} were done and no longer are")
        states = self.states()
        expect(states["failed"] == 0, "a video has failed")
        # Videos that a rerun must do again: at most those the workers had started.
        self.most_in_work = max(self.most_in_work, states["running"])
        expect(
            states["running"] <= 2 * self.workers,
            f"{states['running']} videos running; expected at most {2 * self.workers}",
        )
        if states["done"] and states["done"] == sum(states.values()):
            self.compare()

    def compare(self) -> None:
        """Compare with the reference, then delete the dataset."""
        found = dump(self.dataset)
        if found != self.reference:
            (self.dataset.parent / "expected.jsonl").write_bytes(self.reference)
            (self.dataset.parent / "found.jsonl").write_bytes(found)
            expect(False, f"the labels differ; see {self.dataset.parent}")
        now = exports(self.dataset)
        differing = sorted({name for name, _ in now.items() ^ self.exported.items()})
        expect(not differing, f"exports differ: {differing[:5]}")
        self.compared += 1
        shutil.rmtree(self.dataset)

    def finish(self) -> None:
        """Complete the dataset without a fault."""
        done = self.done()
        expect(self.start().wait() == 0, "the last run did not end with exit code 0")
        self.check(done)

    def states(self) -> Counter[str]:
        if not (self.dataset / "annotations.sqlite").exists():
            return Counter()
        with sqlite3.connect(self.dataset / "annotations.sqlite", timeout=30) as connection:
            try:
                found = Counter(status for (status,) in connection.execute("SELECT status FROM videos"))
            except sqlite3.OperationalError:
                # Killed before the tables were made.
                found = Counter()
        connection.close()
        return found

    def done(self) -> set[int]:
        if not self.states():
            return set()
        with open_dataset(self.dataset) as labelled:
            return {video.id for video in labelled.videos() if video.is_done}

    def pieces(self) -> set[tuple[int, int]]:
        """The pieces that are done, of videos that are not: each video's id and the piece's number."""
        if not self.states():
            return set()
        with sqlite3.connect(self.dataset / "annotations.sqlite", timeout=30) as connection:
            found = set(connection.execute("SELECT video_id, number FROM pieces WHERE status = 'done'"))
        connection.close()
        return found

    def _moment(self, *processes: subprocess.Popen[bytes]) -> bool:
        """Wait until a random moment; False if a process ended before it."""
        until = time.monotonic() + self.random.uniform(0, self.seconds)
        while time.monotonic() < until:
            if any(process.poll() is not None for process in processes):
                return False
            time.sleep(0.005)
        return True

    def _process(self) -> bool:
        process = self.start()
        hit = self._moment(process)
        children = children_of(process.pid)
        process.kill()
        process.wait()
        gone_by = time.monotonic() + 10
        while any(is_alive(child) for child in children):
            expect(time.monotonic() < gone_by, "a worker outlived its parent")
            time.sleep(0.02)
        return hit

    def _group(self) -> bool:
        process = self.start()
        hit = self._moment(process)
        for pid in (process.pid, *children_of(process.pid)):
            kill(pid)
        process.wait()
        return hit

    def _worker(self) -> bool:
        process = self.start()
        hit = self._moment(process)
        children = children_of(process.pid)
        if children:
            kill(self.random.choice(children))
        expect(process.wait() == 0, f"exit code {process.returncode} after a worker was killed")
        return hit and bool(children)

    def _shared(self) -> bool:
        processes = [self.start(), self.start()]
        hit = self._moment(*processes)
        victim = self.random.randrange(2)
        processes[victim].kill()
        processes[victim].wait()
        code = processes[1 - victim].wait()
        expect(code == 0, f"exit code {code} after the other run was killed")
        return hit

    def _space(self) -> bool:
        if self.disk is None:
            # A database file starts with a few tables of one page each.
            code = self.start(limit_bytes=self.random.randrange(4096, int(self.size * 1.2))).wait()
        else:
            ballast = self.disk / "ballast"
            left = self.random.randrange(0, int(self.size * 1.5))
            free = shutil.disk_usage(self.disk).free
            ballast.write_bytes(bytes(max(0, free - left)))
            code = self.start().wait()
            ballast.unlink()
        expect(code in (0, 4), f"exit code {code} with no space left")
        return code == 4


def children_of(pid: int) -> list[int]:
    listed = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True
    ).stdout
    pairs = [tuple(map(int, line.split())) for line in listed.splitlines()]
    return [child for child, parent in pairs if parent == pid]


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout
    return not state.strip().startswith("Z") and bool(state.strip())


def kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def expect(true: bool, otherwise: str) -> None:
    if not true:
        raise SystemExit(f"FAILED: {otherwise}")


def small_disk(stack: ExitStack, folder: Path) -> Path | None:
    """A small file system mounted at `folder`; None where this process may not mount one."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
        return None
    stack.callback(subprocess.run, ["umount", "-l", str(folder)], check=True)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--faults", type=int, default=20)
    parser.add_argument(
        "--kinds", nargs="+", choices=KINDS, default=list(KINDS), help="faults to make, in turn"
    )
    parser.add_argument("--videos", type=int, default=8)
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--piece", type=int, help="label videos in pieces of so many frames")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--disk",
        choices=("mount", "limit"),
        default="mount",
        help="how space runs out: a full disk, or a limit on the size of files",
    )
    options = parser.parse_args()
    # One thread: on a few shared cores, more only wait for each other.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    started = time.monotonic()
    with ExitStack() as stack:
        base = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="carvid-fault-")))
        disk = small_disk(stack, base / "disk") if options.disk == "mount" else None
        trial = Trial(
            base, disk, options.videos, options.frames, options.workers, options.seed, options.piece
        )
        runs = 0
        while trial.hits < options.faults:
            trial.fault(options.kinds[runs % len(options.kinds)])
            runs += 1
            if sys.stderr.isatty():
                print(f"{trial.hits} of {options.faults}: {dict(trial.faults)}", file=sys.stderr)
        # A fault that left nothing behind, or a run too short to complete a dataset, would compare nothing.
        if trial.states() or not trial.compared:
            trial.finish()
    summary = {
        "faults": dict(sorted(trial.faults.items())),
        "runs": runs,
        "most_videos_in_work_at_a_fault": trial.most_in_work,
        "space": "a full disk" if disk is not None else "a limit on the size of files",
        "datasets_completed_and_identical": trial.compared,
        "exported_files_compared_each_time": len(trial.exported),
        "labels_sha256": hashlib.sha256(trial.reference).hexdigest(),
        "run_without_fault_seconds": round(trial.seconds, 1),
        "seconds": round(time.monotonic() - started, 1),
    }
    print(json.dumps(summary, indent=2))


if __name__ == "__main__":
    main()
