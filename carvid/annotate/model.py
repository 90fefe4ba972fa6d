"""The model of a worker: loaded once, then given each video's queries; and what decides its masks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from carvid.config import Settings, load_settings

if TYPE_CHECKING:
    from carvid.clip.load import LoadedClip
    from carvid.segmenter import VideoSegmenter


@dataclass(frozen=True)
class ModelOptions:
    """The keywords of `VideoSegmenter.from_pretrained`, without the queries."""

    model: str | None = None
    proposer: str | None = None
    classifier: str | None = None
    preset: str = "default"
    mode: str | None = None
    eta: float | None = None
    theta: float | None = None
    lam: float | None = None
    cam: str | None = None
    prompts: Sequence[str] | None = None
    templates: Sequence[str] | None = None
    background: Sequence[str] | None = None
    negatives: Sequence[str] | None = None
    crf: bool | None = None
    device: str = "auto"
    dtype: str = "auto"
    truncate: bool = False
    offline: bool = False
    allow_pickle: bool = False

    def settings(self) -> Settings:
        """The preset with what overrides it. Raises UsageError for what cannot be."""

        def several(texts: Sequence[str] | None) -> tuple[str, ...] | None:
            return None if texts is None else tuple(texts)

        return load_settings(
            self.preset,
            mode=self.mode,
            eta=self.eta,
            theta=self.theta,
            lam=self.lam,
            cam=self.cam,
            prompts=several(self.prompts),
            templates=several(self.templates),
            background=several(self.background),
            background_groups=None if self.background is None else (),
            negatives=several(self.negatives),
            crf=self.crf,
        )


@dataclass(frozen=True)
class StreamOptions:
    """How each video is opened; see `carvid.stream.open_frames`."""

    reader: str = "pyav"
    every: int = 1
    strict: bool = False


class Model:
    """Both CLIPs, loaded once, and the settings."""

    def __init__(self, options: ModelOptions, *, worker: int = 0) -> None:
        """worker: with several GPUs and the device auto, workers take them in turn.

        Raises UsageError for options, WeightsError for weights.
        """
        import torch

        from carvid.clip.load import load_pair
        from carvid.clip.names import resolve_pair
        from carvid.weights.device import resolve_device, resolve_dtype

        self.settings = options.settings()
        specs = resolve_pair(
            self.settings.model if options.model is None else options.model,
            options.proposer,
            options.classifier,
        )
        device = resolve_device(options.device)
        if options.device == "auto" and device.type == "cuda":
            device = torch.device("cuda", worker % torch.cuda.device_count())
        self._truncate = options.truncate
        self._clips: tuple[LoadedClip, LoadedClip] = load_pair(
            *specs,
            device=device,
            dtype=resolve_dtype(options.dtype, device),
            offline=options.offline,
            allow_pickle=options.allow_pickle,
        )
        # Imported after the weights were found, and before the worker says it is ready and is watched.
        from carvid.segmenter import VideoSegmenter

        self._segmenter_class = VideoSegmenter

    def segmenter(self, queries: Sequence[str]) -> VideoSegmenter:
        """A segmenter for these queries. Raises UsageError for queries that cannot be used."""
        # One frame at a time: how many fit together changes from run to run, and with it the last digits of sums.
        return self._segmenter_class(*self._clips, queries, self.settings, truncate=self._truncate, batch=1)

    def describe(self, stream: StreamOptions) -> dict[str, Any]:
        """What a record needs to make the same masks again, as JSON holds it."""
        roles = zip(("proposer", "classifier"), self._clips, strict=True)
        described = {
            "models": {
                role: {"name": clip.name, "sha256": clip.sha256, "source": clip.source}
                for role, clip in roles
            },
            "device": str(self._clips[0].device),
            "dtype": str(self._clips[0].dtype).removeprefix("torch."),
            "truncate": self._truncate,
            "settings": asdict(self.settings),
            "stream": asdict(stream),
        }
        plain: dict[str, Any] = json.loads(json.dumps(described))
        return plain


def deciding(description: Mapping[str, Any]) -> dict[str, Any]:
    """What in a description decides the masks, by dotted names; not names, places and the device."""
    models = {f"models.{role}.sha256": model["sha256"] for role, model in description["models"].items()}
    settings = {
        f"settings.{name}": value
        for name, value in description["settings"].items()
        if name not in ("preset", "model")
    }
    stream = {f"stream.{name}": value for name, value in description["stream"].items()}
    return {
        **models,
        **settings,
        **stream,
        "dtype": description["dtype"],
        "truncate": description["truncate"],
    }


def fingerprint(description: Mapping[str, Any]) -> str:
    """SHA-256 of what decides the masks."""
    return hashlib.sha256(json.dumps(deciding(description), sort_keys=True).encode()).hexdigest()


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Where two descriptions differ in what decides the masks, a line each."""
    old, new = deciding(before), deciding(after)
    return [
        f"{name}: {json.dumps(old.get(name))} before, {json.dumps(new.get(name))} now"
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    ]
