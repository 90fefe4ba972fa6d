"""Pickles of plain data, as data sets are published in; one can ask for any code to be run, and none is."""

from __future__ import annotations

import io
import pickle
from typing import Any, NoReturn

from carvid.errors import InputError


class _PlainUnpickler(pickle.Unpickler):
    """Knows no class and no function: containers, text, bytes and numbers need none."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise InputError(f"it asks for {module}.{name}; expected lists, dicts, text and numbers alone")

    def persistent_load(self, identity: Any) -> NoReturn:
        raise InputError(f"it asks for the object {identity!r} of another file")


def load_plain(data: bytes, name: str) -> Any:
    """The data in a pickle, also one of Python 2, whose strings are read as UTF-8.

    Raises InputError, which calls the file `name`, for one that is damaged or holds anything but plain data.
    """
    try:
        return _PlainUnpickler(io.BytesIO(data), encoding="utf-8", errors="replace").load()
    except InputError as error:
        raise InputError(f"{name} is no pickle of plain data: {error}; do not trust the file") from error
    # What the bytes say decides which error a damaged pickle ends with.
    except Exception as error:
        raise InputError(f"{name} is no readable pickle ({type(error).__name__}: {error})") from error
