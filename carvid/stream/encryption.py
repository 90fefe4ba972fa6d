"""Whether a file is encrypted, so that it is not taken for damaged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

# MPEG-TS packets of 188 bytes; of 192 in Blu-ray and AVCHD, with a time in front.
_TS_SYNC, _TS_LAYOUTS = 0x47, ((188, 0), (192, 4))
_SCRAMBLED, _NULL_PID = 0xC0, 0x1FFF
_TS_LOOKED_AT = 2000


def is_encrypted(packet: Any) -> bool:
    """Whether the container says so of an av.Packet (common encryption of mp4)."""
    # Only newer versions of PyAV tell.
    has = getattr(packet, "has_sidedata", None)
    return has is not None and bool(has("encryption_info"))


def is_scrambled(path: Path) -> bool:
    """Whether most of the MPEG-TS packets a file begins with are scrambled (ISO 13818-1, section 2.4.3.3)."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        data = file.read(_TS_LOOKED_AT * 192)
    for size, offset in _TS_LAYOUTS:
        headers = [data[at : at + 4] for at in range(offset, len(data) - 3, size)]
        if len(headers) > 1 and all(header[0] == _TS_SYNC for header in headers):
            filled = [header for header in headers if (header[1] & 0x1F) << 8 | header[2] != _NULL_PID]
            return 2 * sum(bool(header[3] & _SCRAMBLED) for header in filled) > len(filled)
    return False
