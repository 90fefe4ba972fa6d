"""Weights from the Hugging Face hub: from its cache when that is complete, otherwise fetched.

A complete cache is used without asking the network, so a run is the same on a train and at a desk; only
`refresh` (which `carvid models pull` sets) asks. HF_HOME, HF_HUB_CACHE, HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE are
read by huggingface_hub itself. This module does not import torch.
"""

from __future__ import annotations

import importlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError
from huggingface_hub.utils import (  # type: ignore[attr-defined]  # lazy names, no stubs
    are_progress_bars_disabled,
    disable_progress_bars,
    enable_progress_bars,
    get_session,
)

from carvid.errors import WeightsError
from carvid.paths import is_dir
from carvid.weights.files import (
    CONFIG,
    SAFETENSORS_INDEX,
    TOKENIZER,
    VOCABULARY,
    ModelFiles,
    choose_files,
    has_vocabulary,
    names_in,
    shards_of,
    weight_files,
)
from carvid.weights.names import WeightsSpec

#: Called with the bytes fetched so far and the bytes there are.
FetchProgress = Callable[[int, int], None]

#: Seconds within which the hub must list the repository, name resolution included. HF_HUB_ETAG_TIMEOUT, which
#: huggingface_hub reads for the same purpose, overrides it.
ANSWER_SECONDS = 3.0

_POLL_SECONDS = 0.2
_T = TypeVar("_T")


def cache_folder() -> Path:
    """Where the hub's files are kept: HF_HUB_CACHE, or `hub` in HF_HOME."""
    return Path(constants.HF_HUB_CACHE)


def cached_vocabulary(repository: str) -> Path | None:
    """The cached snapshot of `repository` if it holds a vocabulary, with or without weights."""
    for name in (TOKENIZER, VOCABULARY):
        path = try_to_load_from_cache(repository, name)
        if isinstance(path, str) and has_vocabulary(names_in(Path(path).parent)):
            return Path(path).parent
    return None


def fetch(
    spec: WeightsSpec,
    *,
    allow_pickle: bool = False,
    offline: bool = False,
    refresh: bool = False,
    progress: FetchProgress | None = None,
) -> Path:
    """The local folder that holds the repository of `spec`: the cache's, into which it is fetched if need be.

    allow_pickle: whether pytorch_model.bin will do where there are no safetensors.
    offline: look only into the cache, as HF_HUB_OFFLINE does.
    refresh: ask the hub for the newest revision even where the cache is complete.

    Raises WeightsError, within `ANSWER_SECONDS` if the hub cannot be reached. It names the repository, the
    cache folder and the ways out.
    """
    repository, pickle = spec.location, allow_pickle or spec.trusted_pickle
    try:
        if not refresh:
            return _snapshot(spec, pickle=pickle)
        reason = "the hub has to be asked for its newest revision"
    except WeightsError as error:
        reason = str(error)
    if offline or constants.HF_HUB_OFFLINE:
        switch = "--offline" if offline else "HF_HUB_OFFLINE"
        raise _unavailable(spec, f"{switch} is set, and {reason}")
    sizes = _list_files(spec)
    files = choose_files(sizes.keys(), spec.family, where=f"the repository {repository}", pickle=pickle)
    _download(spec, files, sizes, progress)
    return _snapshot(spec, pickle=pickle)


def _snapshot(spec: WeightsSpec, *, pickle: bool) -> Path:
    config = try_to_load_from_cache(spec.location, CONFIG)
    if not isinstance(config, str):
        raise WeightsError(f"{spec.location} is not in the cache")
    folder = Path(config).parent
    files = choose_files(names_in(folder), spec.family, where=f"the cached {spec.location}", pickle=pickle)
    weight_files(folder, files)
    return folder


def _list_files(spec: WeightsSpec) -> dict[str, int]:
    """The repository's files and their sizes in bytes."""
    # Imported here: it takes a tenth of a second, which a complete cache does not need.
    from huggingface_hub import HfApi

    chosen = "HF_HUB_ETAG_TIMEOUT" in os.environ
    seconds = float(constants.HF_HUB_ETAG_TIMEOUT) if chosen else ANSWER_SECONDS
    # No HTTP timeout covers a name server that does not answer, hence the thread.
    asking = _Background(lambda: HfApi().model_info(spec.location, timeout=seconds, files_metadata=True))
    try:
        if not asking.wait(seconds):
            raise _unavailable(spec, f"{constants.ENDPOINT} did not answer within {seconds:g} s")
        info = asking.result()
    except (HfHubHTTPError, OSError, ValueError, _transport_error()) as error:
        raise _unavailable(spec, _reason(error)) from error
    return {file.rfilename: file.size or 0 for file in info.siblings or []}


def _download(
    spec: WeightsSpec, files: ModelFiles, sizes: dict[str, int], progress: FetchProgress | None
) -> None:
    """Fetch `files`; a sharded model's index first, since it names the shards."""
    repository = spec.location
    blobs = cache_folder() / f"models--{repository.replace('/', '--')}" / "blobs"
    before = _folder_bytes(blobs)
    names = [*files.others, files.weights]

    def work() -> None:
        for name in names:  # grows once the index is here
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
        raise _unavailable(spec, _reason(error)) from error
    finally:
        if not were_disabled:
            enable_progress_bars()
    if progress is not None:
        total = sum(sizes.get(name, 0) for name in names)
        progress(total, total)


def _folder_bytes(folder: Path) -> int:
    total = 0
    for path in folder.iterdir() if is_dir(folder, WeightsError) else ():
        try:
            total += path.stat().st_size
        except FileNotFoundError:  # an .incomplete file was renamed between the two calls
            continue
    return total


def _unavailable(spec: WeightsSpec, reason: str) -> WeightsError:
    return WeightsError(
        f"cannot get the weights of {spec.location}: {reason}. Cache folder: {cache_folder()}. Ways out: fetch "
        f"them beforehand where there is a network (carvid models pull {spec.location}) and point HF_HOME at "
        f"that cache, then --offline needs no network; {spec.family.instead}"
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
    """A call in a daemon thread, to be waited for; should it hang, it does not keep the process alive."""

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
        """Wait at most `seconds`; returns whether the call has ended."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def result(self) -> _T:
        """What the ended call returned; raises what it raised."""
        if self._error is not None:
            raise self._error
        return self._result[0]
