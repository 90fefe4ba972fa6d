"""JSON that others may have damaged."""

from __future__ import annotations

import json
from typing import Any


def load_json(text: str | bytes) -> Any:
    """As `json.loads`. Raises ValueError for what is no JSON, and also for what is nested too deeply."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("its objects are nested too deeply") from error
