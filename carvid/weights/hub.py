"""Weights from the Hugging Face hub: from its cache when complete, else fetched, else one message.

A complete cache is used without asking the network, so a run is the same on a train and at a desk; `refresh`
(what `carvid models pull` does) asks. HF_HOME, HF_HUB_CACHE, HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE are
read by huggingface_hub itself. This module does not import torch.
"""

from __future__ import annotations

import importlib
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from huggingface_hub import HfApi, constants, hf_hub_download, try_to_load_from_cache
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError
from huggingface_hub.utils import (  # type: ignore[attr-defined]  # lazy names, no stubs
    are_progress_bars_disabled,
    disable_progress_bars,
    enable_progress_bars,
    get_session,
)

from carvid.clip.names import ClipSpec
from carvid.errors import WeightsError
from carvid.weights.files import (
    CONFIG,
    SAFETENSORS_INDEX,
    TOKENIZER,
    VOCABULARY,
    ClipFiles,
    choose_files,
    has_vocabulary,
    names_in,
    shards_of,
    weight_files,
)

#: Called with the bytes fetched so far and the bytes there are.
Progress = Callable[[int, int], None]

#: Seconds in which the hub must have listed the repository, name resolution included. HF_HUB_ETAG_TIMEOUT,
#: which huggingface_hub reads for the same purpose, overrides it.
ANSWER_SECONDS = 3.0


@dataclass(frozen=True)
class Wanted:
    """What is sought in a repository, and what to do where it is not to be had.

    choose: picks the files, as `choose_files` does. ways_out: the end of the message.
    """

    choose: Callable[..., ClipFiles]
    ways_out: str


CLIP = Wanted(
    choose_files,
    "name a local folder or file of weights (--model DIR); or try carvid with its embedded model "
    "(--model shapes)",
)

_POLL_SECONDS = 0.2
_T = TypeVar("_T")


def cache_folder() -> Path:
    """Where the hub's files are kept: HF_HUB_CACHE, or `hub` in HF_HOME."""
    return Path(constants.HF_HUB_CACHE)


def cached(repository: str, *, pickle: bool, wanted: Wanted = CLIP) -> Path | None:
    """The cached snapshot of `repository` that holds every file needed, or None."""
    try:
        return _snapshot(repository, wanted, pickle=pickle)
    except WeightsError:
        return None


def cached_vocabulary(repository: str) -> Path | None:
    """The cached snapshot of `repository` if it holds a vocabulary, weights or not."""
    for name in (TOKENIZER, VOCABULARY):
        path = try_to_load_from_cache(repository, name)
        if isinstance(path, str) and has_vocabulary(names_in(Path(path).parent)):
            return Path(path).parent
    return None


def locate(
    spec: ClipSpec,
    *,
    offline: bool = False,
    allow_pickle: bool = False,
    progress: Progress | None = None,
    wanted: Wanted = CLIP,
) -> Path | None:
    """Where the files of `spec` lie on this machine, fetched where need be; None for random weights.

    Cheap before torch is imported, so that weights that are not to be had are reported at once.
    Raises WeightsError as `fetch`.
    """
    if spec.kind == "random":
        return None
    if spec.kind != "hub":
        return Path(spec.location)
    pickle = allow_pickle or spec.trusted_pickle
    return fetch(spec.location, pickle=pickle, offline=offline, progress=progress, wanted=wanted)


def fetch(
    repository: str,
    *,
    pickle: bool,
    offline: bool = False,
    refresh: bool = False,
    progress: Progress | None = None,
    wanted: Wanted = CLIP,
) -> Path:
    """The local folder with the model of `repository` (`org/name`): cached, or fetched into the cache.

    pickle: whether pytorch_model.bin will do where there are no safetensors.
    offline: look into the cache alone, as HF_HUB_OFFLINE does.
    refresh: ask the hub for the newest revision even where the cache is complete.
    wanted: which files make the model, a CLIP's where nothing is said.

    Raises WeightsError, within `ANSWER_SECONDS` where the hub cannot be reached, that names the repository,
    the cache folder and the ways out.
    """
    try:
        if not refresh:
            return _snapshot(repository, wanted, pickle=pickle)
        reason = "the hub has to be asked for its newest revision"
    except WeightsError as error:
        reason = str(error)
    if offline or constants.HF_HUB_OFFLINE:
        switch = "--offline" if offline else "HF_HUB_OFFLINE"
        raise _not_to_be_had(repository, f"{switch} is set, and {reason}", wanted)
    sizes = _list_files(repository, wanted)
    files = wanted.choose(sizes.keys(), where=f"the repository {repository}", pickle=pickle)
    _download(repository, files, sizes, progress, wanted)
    return _snapshot(repository, wanted, pickle=pickle)


def _snapshot(repository: str, wanted: Wanted, *, pickle: bool) -> Path:
    config = try_to_load_from_cache(repository, CONFIG)
    if not isinstance(config, str):
        raise WeightsError(f"{repository} is not in the cache")
    folder = Path(config).parent
    files = wanted.choose(names_in(folder), where=f"the cached {repository}", pickle=pickle)
    weight_files(folder, files)
    return folder


def _list_files(repository: str, wanted: Wanted) -> dict[str, int]:
    """The repository's files and their sizes in bytes."""
    chosen = "HF_HUB_ETAG_TIMEOUT" in os.environ
    seconds = float(constants.HF_HUB_ETAG_TIMEOUT) if chosen else ANSWER_SECONDS
    # A name server that does not answer is bounded by no HTTP timeout, hence the thread.
    asking = _Background(lambda: HfApi().model_info(repository, timeout=seconds, files_metadata=True))
    try:
        if not asking.wait(seconds):
            reason = f"{constants.ENDPOINT} did not answer within {seconds:g} s"
            raise _not_to_be_had(repository, reason, wanted)
        info = asking.result()
    except (HfHubHTTPError, OSError, ValueError, _transport_error()) as error:
        raise _not_to_be_had(repository, _reason(error), wanted) from error
    return {file.rfilename: file.size or 0 for file in info.siblings or []}


def _download(
    repository: str, files: ClipFiles, sizes: dict[str, int], progress: Progress | None, wanted: Wanted
) -> None:
    """Fetch `files` of `repository`; a sharded model's index first, since it names the shards."""
    blobs = cache_folder() / f"models--{repository.replace('/', '--')}" / "blobs"
    before = _folder_bytes(blobs)
    names = [*files.others, files.weights]

    def work() -> None:
        for name in names:  # grows when the index has come
            path = hf_hub_download(repository, name, etag_timeout=ANSWER_SECONDS)
            if name == SAFETENSORS_INDEX:
                names.extend(shards_of(Path(path)))

    were_disabled = are_progress_bars_disabled()
    disable_progress_bars()
    try:
        fetching = _Background(work)
        while not fetching.wait(_POLL_SECONDS):
            if progress is not None:
                total = sum(sizes.get(name, 0) for name in names)
                progress(min(max(_folder_bytes(blobs) - before, 0), total), total)
        fetching.result()
    except (HfHubHTTPError, OSError, ValueError, _transport_error()) as error:
        raise _not_to_be_had(repository, _reason(error), wanted) from error
    finally:
        if not were_disabled:
            enable_progress_bars()
    if progress is not None:
        total = sum(sizes.get(name, 0) for name in names)
        progress(total, total)


def _folder_bytes(folder: Path) -> int:
    total = 0
    for path in folder.iterdir() if folder.is_dir() else ():
        try:
            total += path.stat().st_size
        except FileNotFoundError:  # an .incomplete file was renamed between the two calls
            continue
    return total


def _not_to_be_had(repository: str, reason: str, wanted: Wanted) -> WeightsError:
    return WeightsError(
        f"cannot get the weights of {repository}: {reason}. Cache folder: {cache_folder()}. Ways out: fetch "
        f"them beforehand where there is a network (carvid models pull {repository}) and point HF_HOME at "
        f"that cache, then --offline needs no network; {wanted.ways_out}"
    )


def _transport_error() -> type[Exception]:
    """The base error of the HTTP client in use: huggingface_hub 1 talks through httpx, 2 through httpx2."""
    package = type(get_session()).__module__.partition(".")[0]
    error: type[Exception] = importlib.import_module(package).HTTPError
    return error


def _reason(error: Exception) -> str:
    if isinstance(error, GatedRepoError):  # a kind of RepositoryNotFoundError, so it comes first
        return (
            "the repository is gated: accept its terms on the hub and log in (`hf auth login`, or HF_TOKEN)"
        )
    if isinstance(error, RepositoryNotFoundError):
        return f"{constants.ENDPOINT} knows no such repository, or it is private and no token was given"
    lines = str(error).strip().splitlines()
    return f"{constants.ENDPOINT} could not be read ({lines[0] if lines else type(error).__name__})"


class _Background(Generic[_T]):
    """A call in a daemon thread: it may be waited for, and one that hangs does not keep the process alive."""

    def __init__(self, call: Callable[[], _T]) -> None:
        self._call = call
        self._result: list[_T] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="carvid-hub", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._result.append(self._call())
        except BaseException as error:  # noqa: BLE001 - raised in the caller by result()
            self._error = error

    def wait(self, seconds: float) -> bool:
        """Wait at most `seconds`; whether the call has ended."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def result(self) -> _T:
        """What the ended call returned; raises what it raised."""
        if self._error is not None:
            raise self._error
        return self._result[0]
