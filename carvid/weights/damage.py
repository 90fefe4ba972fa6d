"""Whatever reading damaged or hostile weights raises, turned into the one error that callers expect."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager

from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError

from carvid.errors import WeightsError

# A damaged pickle alone fails in as many ways as there are opcodes.
_RAISED = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SafetensorError,
    StrictDataclassError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
    zipfile.BadZipFile,
)


@contextmanager
def refused(message: str, *, quote: bool = True) -> Iterator[None]:
    """Turn an error of reading into a WeightsError that says `message` and, if `quote`, the cause."""
    try:
        yield
    except _RAISED as error:
        cause = " ".join(str(error).split()) or type(error).__name__
        raise WeightsError(f"{message}: {cause}" if quote else message) from error
