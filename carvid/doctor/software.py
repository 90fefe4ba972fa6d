"""The software: versions, FFmpeg's libraries, readers of videos, and optional parts."""

from __future__ import annotations

import platform
import re
from importlib.metadata import PackageNotFoundError, requires, version

import carvid
from carvid.doctor.found import Found, scrubbed
from carvid.errors import UsageError

# What masks and speed may depend on, in the order in which it is told.
PACKAGES = (
    "torch", "numpy", "opencv-python-headless", "opencv-python", "pillow", "av", "decord", "transformers", "tokenizers",
    "safetensors", "huggingface-hub", "typer",
)  # fmt: skip
# Either will do, or is needed by one reader alone: that these are not there is told elsewhere.
_MAY_LACK = ("opencv-python", "decord")

_EXTRA = re.compile(r"""([A-Za-z0-9._-]+).*\bextra == ["'](\w+)["']""")


def software() -> list[Found]:
    """What there is; never raises for what there is not."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return [
        Found("carvid", carvid.__version__, carvid.__version__),
        Found("python", python, python),
        _packages(),
        _ffmpeg(),
        _readers(),
        _extras(),
    ]


def _packages() -> Found:
    found = {name: _version(name) for name in PACKAGES}
    told = [
        f"{name} {number or 'not there'}" for name, number in found.items() if number or name not in _MAY_LACK
    ]
    return Found("packages", ", ".join(told), found)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _ffmpeg() -> Found:
    try:
        import av
    except (ImportError, OSError) as error:
        return Found("ffmpeg", f"not there: {scrubbed(error)}", None)
    libraries = {name: ".".join(map(str, numbers)) for name, numbers in av.library_versions.items()}
    # PyAV before 15 does not tell which FFmpeg its libraries are of.
    release = getattr(av, "ffmpeg_version_info", None)
    shown = ", ".join(
        f"{name} {libraries[name]}" for name in ("libavcodec", "libavformat") if name in libraries
    )
    words = f"{release} ({shown})" if release else shown
    return Found("ffmpeg", f"{words}, inside PyAV", {"release": release, "libraries": libraries})


def _readers() -> Found:
    try:
        from carvid.stream.open import READERS
        from carvid.stream.video_decord import load_decord
    except (ImportError, OSError) as error:
        return Found("readers", f"none: {scrubbed(error)}", None)
    found = dict.fromkeys(READERS, True)
    try:
        load_decord()
    except UsageError:
        found["decord"] = False
    told = [
        name if there else f"{name} not there (pip install 'carvid[{name}]')" for name, there in found.items()
    ]
    return Found("readers", ", ".join(told), found)


def _extras() -> Found:
    """The optional parts that users install; `dev` is for work on carvid itself."""
    try:
        wanted = requires("carvid") or []
    except PackageNotFoundError:
        return Found("extras", "unknown: carvid is not installed as a package", None)
    found: dict[str, bool] = {}
    for line in wanted:
        if (match := _EXTRA.match(line)) and match[2] != "dev":
            found[match[2]] = found.get(match[2], True) and _version(match[1]) is not None
    told = [f"{name} {'installed' if there else 'not installed'}" for name, there in sorted(found.items())]
    return Found("extras", ", ".join(told) or "none", found)
