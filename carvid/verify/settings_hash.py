"""Whether the recorded settings are those that were recorded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import carvid
from carvid.recipe.record import is_fingerprint
from carvid.sinks.run_record import settings_sha256
from carvid.verify.check import DIFFERS, OK, UNCHECKED, Check

NAME = "settings"


def check_run_settings(manifest: Mapping[str, Any]) -> Check:
    """Compare the model, the options and the queries of a run.json with their hash."""
    recorded = manifest.get("settings_sha256")
    if recorded is None:
        return Check(NAME, UNCHECKED, "run.json has no hash of them: an earlier carvid wrote it")
    found = settings_sha256(manifest)
    if found != recorded:
        return Check(
            NAME,
            DIFFERS,
            f"segmenter, options and queries of run.json have the SHA-256 {found}, {recorded} is recorded",
        )
    return Check(NAME, OK, "segmenter, options and queries")


def check_dataset_settings(settings: Mapping[str, Any], recorded: str | None, made_by: str | None) -> Check:
    """Compare a dataset's settings with their hash, which covers what in them decides the masks.

    recorded: the hash; None where no model was loaded yet. made_by: the carvid that began the dataset.
    """
    if recorded is None:
        return Check(NAME, UNCHECKED, "there are none before a video is labelled")
    if is_fingerprint(recorded, settings):
        return Check(NAME, OK, "what decides the masks")
    if made_by != carvid.__version__:
        return Check(
            NAME,
            UNCHECKED,
            f"carvid {made_by} began the dataset, and may have made their hash in another way than "
            f"{carvid.__version__} does",
        )
    return Check(NAME, DIFFERS, f"what decides the masks has not the recorded SHA-256, {recorded}")
