"""One thing that was looked for: what was found in words to paste, and as data."""

from __future__ import annotations

import getpass
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# A folder of Linux, macOS or Windows, up to the last name in it.
_FOLDERS = re.compile(r"(?<![\w/\\:])(?:[A-Za-z]:)?[/\\](?:[^\s/\\:'\"]+[/\\])+")


@dataclass(frozen=True)
class Found:
    """name: what was looked for. words: what was found, or that it is not there. data: the same, as JSON holds it."""

    name: str
    words: str
    data: Any


def scrubbed(text: object) -> str:
    """A message without what tells whose machine it is: folders, the home folder and the user's name."""
    told = _FOLDERS.sub("", str(text)).replace(str(Path.home()), "~")
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # KeyError before Python 3.13
        return told
    # "root" and the like name nobody, and are words of messages.
    return told if len(user) < 3 or user == "root" else re.sub(rf"\b{re.escape(user)}\b", "USER", told)
