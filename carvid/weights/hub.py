"""Weights from the Hugging Face hub: from its cache when that is complete, otherwise fetched.

A complete cache is used without asking the network, so a run is the same on a train and at a desk; only
`refresh` (which `carvid models pull` sets) asks. HF_HOME, HF_HUB_CACHE, HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE are
read by huggingface_hub itself. This module does not import torch.
"""

from __future__ import annotations

import importlib
import os
import re
import shutil
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
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
from carvid.paths import is_dir, look
from carvid.weights import downloads
from carvid.weights.downloads import Download, Wanted
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
from carvid.weights.names import FLOAT32_BYTES, WeightsSpec

#: Called with the repository, the bytes fetched of it so far and the bytes there are.
FetchProgress = Callable[[str, int, int], None]

#: Seconds within which the hub must list the repository, name resolution included. HF_HUB_ETAG_TIMEOUT, which
#: huggingface_hub reads for the same purpose, overrides it.
ANSWER_SECONDS = 3.0

_POLL_SECONDS = 0.2
_SHARD = re.compile(r"model-\d+-of-\d+\.safetensors", re.ASCII)
_T = TypeVar("_T")


def cache_folder() -> Path:
    """Where the hub's files are kept: HF_HUB_CACHE, or `hub` in HF_HOME."""
    return Path(constants.HF_HUB_CACHE)


def refusal() -> str | None:
    """Why the hub cannot be asked, in words without its address; None if it answers."""
    if constants.HF_HUB_OFFLINE:
        return "not asked: HF_HUB_OFFLINE is set"
    asking = _Background(lambda: get_session().head(constants.ENDPOINT, timeout=ANSWER_SECONDS))
    try:
        if asking.wait(ANSWER_SECONDS):
            # Any answer is one.
            asking.result()
            return None
    except (OSError, ValueError, _transport_error()) as error:
        return f"cannot be reached ({type(error).__name__})"
    return f"does not answer within {ANSWER_SECONDS:g} s"


def cached_vocabulary(repository: str) -> Path | None:
    """The cached snapshot of `repository` if it holds a vocabulary, with or without weights."""
    for name in (TOKENIZER, VOCABULARY):
        path = try_to_load_from_cache(repository, name)
        if isinstance(path, str) and has_vocabulary(names_in(Path(path).parent)):
            return Path(path).parent
    return None


def fetch(
    *specs: WeightsSpec,
    allow_pickle: bool = False,
    offline: bool = False,
    refresh: bool = False,
    progress: FetchProgress | None = None,
) -> tuple[Path, ...]:
    """The local folders that hold the repositories of `specs`: the cache's, into which they are fetched if need be.

    What is about to be fetched of all of them is told to `carvid.weights.downloads.watching()` first.

    allow_pickle: whether pytorch_model.bin will do where there are no safetensors.
    offline: look only into the cache, as HF_HUB_OFFLINE does.
    refresh: ask the hub for the newest revision even where the cache is complete.

    Raises WeightsError, within `ANSWER_SECONDS` for each if the hub cannot be reached. It names the repository, the
    cache folder and the ways out.
    """
    plans = []
    for spec in specs:
        pickle = allow_pickle or spec.trusted_pickle
        try:
            if not refresh:
                _snapshot(spec, pickle=pickle)
                continue
            reason = "the hub has to be asked for its newest revision"
        except WeightsError as error:
            reason = str(error)
        if offline or constants.HF_HUB_OFFLINE:
            switch = "--offline" if offline else "HF_HUB_OFFLINE"
            raise _unavailable(spec, f"{switch} is set, and {reason}")
        plans.append(_plan(spec, pickle))
    if plans:
        _download_all(plans, progress)
    return tuple(_snapshot(spec, pickle=allow_pickle or spec.trusted_pickle) for spec in specs)


@dataclass(frozen=True)
class _Plan:
    """files: what is read of a repository. sizes: of all that it holds, in bytes. commit: its newest revision."""

    spec: WeightsSpec
    files: ModelFiles
    sizes: dict[str, int]
    commit: str | None

    def wanted(self) -> Wanted:
        """What of it is not in the cache."""
        # The index, which names the shards, may not be here yet.
        shards = [name for name in self.sizes if _SHARD.fullmatch(name)] if self.files.sharded else []
        names = [self.files.weights, *shards, *self.files.others]
        missing = tuple(name for name in names if not self._is_cached(name))
        size = sum(self.sizes.get(name, 0) for name in missing)
        if not size and self.spec.parameters is not None and self.files.weights in missing:
            size = self.spec.parameters * FLOAT32_BYTES
        return Wanted(self.spec.location, missing, size if size or not missing else None)

    def _is_cached(self, name: str) -> bool:
        return isinstance(try_to_load_from_cache(self.spec.location, name, revision=self.commit), str)


def _plan(spec: WeightsSpec, pickle: bool) -> _Plan:
    sizes, commit = _list_files(spec)
    files = choose_files(sizes.keys(), spec.family, where=f"the repository {spec.location}", pickle=pickle)
    return _Plan(spec, files, sizes, commit)


def _download_all(plans: Sequence[_Plan], progress: FetchProgress | None) -> None:
    wanted = tuple(found for plan in plans if (found := plan.wanted()).files)
    watch = downloads.watching()
    if wanted:
        _check_room(sum(one.size_bytes or 0 for one in wanted))
        instead = dict.fromkeys(plan.spec.family.instead for plan in plans)
        watch.begin(Download(wanted, str(cache_folder()), "; ".join(instead)))

    def report(repository: str, done: int, total: int) -> None:
        if wanted:
            watch.advance(repository, done, total)
        if progress is not None:
            progress(repository, done, total)

    try:
        for plan in plans:
            _download(plan.spec, plan.files, plan.sizes, partial(report, plan.spec.location))
    finally:
        if wanted:
            watch.end()


def _check_room(size_bytes: int) -> None:
    """Raises WeightsError where the disk cannot hold so much: better than after an hour."""
    folder = cache_folder()
    while look(folder) is None and folder != folder.parent:
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < size_bytes:
        raise WeightsError(
            f"the weights take {size_bytes / 1e6:.0f} MB, and {free / 1e6:.0f} MB are free on the disk of the cache "
            f"{cache_folder()}; make room there, or point HF_HOME at another disk"
        )


def _snapshot(spec: WeightsSpec, *, pickle: bool) -> Path:
    config = try_to_load_from_cache(spec.location, CONFIG)
    if not isinstance(config, str):
        raise WeightsError(f"{spec.location} is not in the cache")
    folder = Path(config).parent
    files = choose_files(names_in(folder), spec.family, where=f"the cached {spec.location}", pickle=pickle)
    weight_files(folder, files)
    return folder


def _list_files(spec: WeightsSpec) -> tuple[dict[str, int], str | None]:
    """The repository's files with their sizes in bytes (0 where the hub gives none), and its newest revision."""
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
    return {file.rfilename: file.size or 0 for file in info.siblings or []}, info.sha


def _download(
    spec: WeightsSpec, files: ModelFiles, sizes: dict[str, int], progress: Callable[[int, int], None]
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
            total = sum(sizes.get(name, 0) for name in names)
            progress(min(max(_folder_bytes(blobs) - before, 0), total), total)
        fetching.result()
    except (HfHubHTTPError, OSError, ValueError, _transport_error()) as error:
        raise _unavailable(spec, _reason(error)) from error
    finally:
        if not were_disabled:
            enable_progress_bars()
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
