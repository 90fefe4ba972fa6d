"""Jobs: videos segmented one after another on one thread, their results in temporary files until they are forgotten."""

from __future__ import annotations

import atexit
import json
import secrets
import tempfile
from array import array
from collections import deque
from contextlib import closing
from dataclasses import dataclass
from threading import Lock, Thread
from typing import Any, Literal

from carvid.errors import CarvidError, OutputError, UsageError
from carvid.serve.answers import NotFoundError
from carvid.serve.segment import ImageSegmenter
from carvid.service.media_folders import NamedVideo
from carvid.service.result_json import frame_json
from carvid.stream import open_frames
from carvid.stream.source import Selection

State = Literal["waiting", "running", "done", "failed", "cancelled"]
STATES: tuple[State, ...] = ("waiting", "running", "done", "failed", "cancelled")
ENDED: tuple[State, ...] = ("done", "failed", "cancelled")

MOST_JOBS = 100

# How long the end of the server waits for a frame that is being segmented.
_GRACE_SECONDS = 10.0


class TooManyJobsError(UsageError):
    """As many jobs as are kept are there already."""


@dataclass(frozen=True)
class JobRequest:
    """What to segment: a video, its queries, and which frames."""

    video: NamedVideo
    queries: tuple[str, ...]
    selection: Selection


class Job:
    """One video being segmented. Any thread may read it while one writes."""

    def __init__(self, request: JobRequest) -> None:
        """Raises OutputError where no temporary file can be made."""
        self.id = secrets.token_hex(8)
        self.request = request
        self._state: State = "waiting"
        self._error: str | None = None
        self._expected: int | None = None
        self._damage: list[str] = []
        self._lock = Lock()
        # Where each result ends in the file.
        self._ends = array("Q")
        try:
            # It has no name, so nothing is left of it, however the server ends. The job closes it.
            self._file = tempfile.TemporaryFile("w+b")  # noqa: SIM115
        except OSError as error:
            raise OutputError(f"cannot make a temporary file: {error.strerror or error}") from error

    @property
    def state(self) -> State:
        return self._state

    def to_json(self) -> dict[str, Any]:
        """What is told of it."""
        asked, chosen = self.request, self.request.selection
        with self._lock:
            return {
                "id": self.id,
                "state": self._state,
                "video": asked.video.id,
                "queries": list(asked.queries),
                "start_frame": chosen.start,
                "stop_frame": chosen.stop,
                "every": chosen.every,
                "frames": len(self._ends),
                "frames_expected": self._expected,
                "damage": list(self._damage),
                "error": self._error,
            }

    def results(self, first: int, most_bytes: int) -> list[str]:
        """Lines of JSON from the result `first` on, counted from 0: as many as fit, but one if there is one."""
        with self._lock:
            if first >= len(self._ends) or self._file.closed:
                return []
            start = self._ends[first - 1] if first else 0
            last = first + 1
            while last < len(self._ends) and self._ends[last] - start <= most_bytes:
                last += 1
            self._file.seek(start)
            data = self._file.read(self._ends[last - 1] - start)
        return data.decode("ascii").splitlines()

    def start(self) -> bool:
        """Whether it was waiting; it is running now."""
        with self._lock:
            if self._state != "waiting":
                return False
            self._state = "running"
            return True

    def expect(self, frames: int | None) -> None:
        with self._lock:
            self._expected = frames

    def add(self, result: dict[str, Any]) -> bool:
        """Keep a result, unless the job has been cancelled: whether to go on. Raises OutputError."""
        line = json.dumps(result, allow_nan=False).encode("ascii") + b"\n"
        with self._lock:
            if self._state != "running":
                return False
            start = self._ends[-1] if self._ends else 0
            try:
                self._file.seek(start)
                self._file.write(line)
                self._file.flush()
            except OSError as error:
                raise OutputError(f"cannot keep a result: {error.strerror or error}") from error
            self._ends.append(start + len(line))
            return True

    def end(self, state: State, error: str | None = None, damage: tuple[str, ...] = ()) -> bool:
        """Whether it had not ended before."""
        with self._lock:
            if self._state in ENDED:
                return False
            self._state, self._error, self._damage = state, error, list(damage)
            return True

    def close(self) -> None:
        """Cancel it, and give its file back."""
        self.end("cancelled")
        with self._lock:
            self._file.close()


class Jobs:
    """The jobs of a server, oldest first. At most `most` are kept, ended ones among them, until they are forgotten."""

    def __init__(self, most: int = MOST_JOBS) -> None:
        self._most = most
        self._jobs: dict[str, Job] = {}
        self._waiting: deque[tuple[Job, ImageSegmenter]] = deque()
        self._lock = Lock()
        self._thread: Thread | None = None
        self._closed = False
        # The thread must be out of the model before Python goes.
        atexit.register(self.close)

    def add(self, request: JobRequest, segmenter: ImageSegmenter) -> Job:
        """Raises TooManyJobsError, OutputError as `Job` does, and UsageError once the server ends."""
        with self._lock:
            if self._closed:
                raise UsageError("the server is about to end; it takes no more jobs")
            if len(self._jobs) >= self._most:
                raise TooManyJobsError(f"{self._most} jobs are kept; DELETE one that is no longer needed")
            job = Job(request)
            self._jobs[job.id] = job
            self._waiting.append((job, segmenter))
            self._start_next()
            return job

    def all(self) -> list[Job]:
        with self._lock:
            return list(self._jobs.values())

    def get(self, name: str) -> Job:
        """Raises NotFoundError."""
        with self._lock:
            if name not in self._jobs:
                raise NotFoundError(f"there is no job {name!r}; GET /v1/jobs lists those there are")
            return self._jobs[name]

    def drop(self, name: str) -> str:
        """Cancel a job or, once it has ended, forget it and its results: which of both. Raises NotFoundError."""
        job = self.get(name)
        if job.end("cancelled"):
            return "cancelled"
        with self._lock:
            self._jobs.pop(name, None)
        job.close()
        return "forgotten"

    def cancel(self) -> None:
        """Cancel all jobs and take no more, without waiting; readers of their events are told, and leave."""
        with self._lock:
            self._closed = True
            jobs = list(self._jobs.values())
        for job in jobs:
            job.end("cancelled")

    def close(self) -> None:
        """Cancel all jobs, wait a little for the one that runs, and give their files back."""
        self.cancel()
        with self._lock:
            jobs, thread = list(self._jobs.values()), self._thread
        for job in jobs:
            job.close()
        if thread is not None:
            thread.join(_GRACE_SECONDS)
        atexit.unregister(self.close)

    def _start_next(self) -> None:
        """Start a thread for the next job, unless one runs. The caller holds the lock."""
        if self._thread is None and self._waiting and not self._closed:
            self._thread = Thread(
                target=self._work, args=self._waiting.popleft(), name="carvid-job", daemon=True
            )
            self._thread.start()

    def _work(self, job: Job, segmenter: ImageSegmenter) -> None:
        try:
            if job.start():
                _run(job, segmenter)
        finally:
            with self._lock:
                self._thread = None
                self._start_next()


def _run(job: Job, segmenter: ImageSegmenter) -> None:
    asked, chosen = job.request, job.request.selection
    try:
        with open_frames(
            asked.video.opened(), start_frame=chosen.start, stop_frame=chosen.stop, every=chosen.every
        ) as frames:
            job.expect(frames.info.frames_expected)
            with closing(segmenter.run(frames, asked.queries)) as results:
                for result in results:
                    if not job.add(frame_json(result)):
                        return
            job.end("done", damage=tuple(map(str, frames.damage)))
    except CarvidError as error:
        job.end("failed", str(error))
    finally:
        # Whatever else is raised goes on, and its traceback into the log.
        job.end("failed", "a fault in carvid; the server's log has its traceback")
