"""Workers as actors of a Ray cluster: each loads the model once, does tasks and sends back what came of them.

Only this process writes results. It takes what an actor sends once that is complete, so an actor that is lost, or a
task that is done twice, changes nothing. Videos and images must have the same paths on every node.
"""

from __future__ import annotations

import queue
import socket
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from carvid.errors import CarvidError, UsageError
from carvid.workers.child import Inbox, Message
from carvid.workers.job import WorkTask
from carvid.workers.worker import Setup, load_model, work
from carvid.workers.workforce import Worker

# How much of a task's file is sent at a time.
_PART_BYTES = 4 << 20
_END_SECONDS = 1.0
_CONNECT_SECONDS = 5.0


class RayWorkforce:
    """Actors on the cluster at an address: HOST:PORT, auto, or local for a cluster on this machine."""

    def __init__(self, address: str, workers: int) -> None:
        """Raises UsageError if Ray is not installed, or the cluster cannot be reached or is too small."""
        try:
            import ray
        except ImportError as error:
            raise UsageError("--ray needs Ray, which is not installed: pip install 'carvid[ray]'") from error
        self._ray = ray
        if address.startswith("ray://"):
            raise UsageError(
                "a Ray client cannot stream results; run on a node of the cluster, with --ray auto"
            )
        try:
            _check_reachable(address)
            own = {"include_dashboard": False} if address == "local" else {}
            ray.init(address=address, log_to_driver=False, logging_level="ERROR", **own)
        except (OSError, RuntimeError, ValueError) as error:
            raise UsageError(
                f"no Ray cluster at {address} ({error}); start one with `ray start --head`, or give --ray local"
            ) from error
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        each = cores_each([int(node.get("CPU", 0)) for node in nodes], workers)
        if each == 0:
            total = int(sum(node.get("CPU", 0) for node in nodes))
            ray.shutdown()
            raise UsageError(f"the Ray cluster at {address} has {total} CPUs; --workers is {workers}")
        self.cores = each * workers
        # The workers share the GPUs, as processes on one machine would.
        self._gpu_each = min(1.0, sum(node.get("GPU", 0.0) for node in nodes) / workers)

    def start(self, setup: Setup, inbox: Inbox) -> Worker:
        device = setup.recipe.device
        if device.startswith("cuda") and not self._gpu_each:
            raise UsageError(f"--device is {device}, and the Ray cluster has no GPU")
        gpus = self._gpu_each if device == "auto" or device.startswith("cuda") else 0.0
        wanted = {"num_cpus": setup.threads, "num_gpus": gpus}
        actor = self._ray.remote(CarvidWorker).options(**wanted, max_restarts=0).remote(setup.to_json())
        return _ActorWorker(self._ray, actor, inbox)

    def __enter__(self) -> RayWorkforce:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ray.shutdown()


def cores_each(nodes: Sequence[int], workers: int) -> int:
    """How many processors each worker can have at most, if none is spread over two nodes; 0 if they do not fit.

    nodes: the processors of each node.
    """
    for each in range(max(nodes, default=0), 0, -1):
        if sum(node // each for node in nodes) >= workers:
            return each
    return 0


def _check_reachable(address: str) -> None:
    """Raises OSError if nobody is listening, for which Ray itself would wait for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), _CONNECT_SECONDS).close()


class CarvidWorker:
    """The actor. It is a process of its own, so a crash or a hang in it costs one task."""

    def __init__(self, setup: dict[str, Any]) -> None:
        self._setup = Setup.from_json(setup)
        self._job = self._setup.make_job()
        self._model: Any = None

    def load(self) -> Message:
        """Load the model, once. Returns the message ready or refused."""
        try:
            self._model = load_model(self._setup)
        except CarvidError as error:
            return {"kind": "refused", "error": type(error).__name__, "message": str(error)}
        return {"kind": "ready", "description": self._job.describe(self._model)}

    def work(self, task: dict[str, Any]) -> Iterator[Message]:
        """The messages of a worker about one task; before done comes its file, in parts: the bytes of a closed file."""
        said: queue.SimpleQueue[Message | BaseException] = queue.SimpleQueue()
        with tempfile.TemporaryDirectory(prefix="carvid-ray-") as folder:
            staged = Path(folder, "staged")

            def run() -> None:
                try:
                    work(self._job, task, staged, self._model, lambda **message: said.put(message))
                except BaseException as error:  # noqa: BLE001 - it is raised again below
                    said.put(error)

            threading.Thread(target=run, daemon=True).start()
            while True:
                message = said.get()
                if isinstance(message, BaseException):
                    raise message
                if message["kind"] == "done":
                    with staged.open("rb") as file:
                        while part := file.read(_PART_BYTES):
                            yield {"kind": "part", "bytes": part}
                yield message
                if message["kind"] != "progress":
                    return


class _ActorWorker:
    """An actor, as seen by its parent."""

    def __init__(self, ray: Any, actor: Any, inbox: Inbox) -> None:
        self._ray, self._actor, self._inbox = ray, actor, inbox
        self._why = "ended"
        self._thread = threading.Thread(target=self._follow, args=(self._load,), daemon=True)
        self._thread.start()

    def work(self, task: WorkTask, staged: Path) -> None:
        self._thread = threading.Thread(
            target=self._follow, args=(lambda: self._work(task, staged),), daemon=True
        )
        self._thread.start()

    def kill(self) -> None:
        with suppress(self._ray.exceptions.RayError):
            self._ray.kill(self._actor, no_restart=True)

    def end(self) -> None:
        self.kill()
        self._thread.join(_END_SECONDS)

    def last_words(self) -> str:
        return self._why

    def _load(self) -> None:
        self._say(self._ray.get(self._actor.load.remote()))

    def _work(self, task: WorkTask, staged: Path) -> None:
        messages = self._actor.work.options(num_returns="streaming").remote(dict(task.to_json()))
        for message in map(self._ray.get, messages):
            if message["kind"] == "part":
                try:
                    with staged.open("ab") as file:
                        file.write(message["bytes"])
                except OSError as error:
                    reason = f"cannot write {staged}: {error.strerror or error}"
                    self._say({"kind": "unwritable", "message": reason})
                    return
            else:
                self._say(message)

    def _follow(self, what: Any) -> None:
        try:
            what()
        except Exception as error:  # noqa: BLE001
            # Whatever went wrong, this worker is of no more use, and without this it would be waited for.
            lines = [line for line in str(error).splitlines() if line.strip()]
            self._why = f"ended ({lines[-1].strip() if lines else type(error).__name__})"
            self._inbox.put((self, None))

    def _say(self, message: Message) -> None:
        self._inbox.put((self, message))
