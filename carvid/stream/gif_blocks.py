"""The blocks of a GIF, whose decoder draws what there is of a picture that is cut off."""

from __future__ import annotations

_EXTENSION, _PICTURE = 0x21, 0x2C


def is_whole(packet: bytes) -> bool:
    """Whether a packet of FFmpeg's GIF reader holds a picture with all its blocks (GIF89a, sections 15 to 26)."""
    at = 0
    if packet[:3] == b"GIF":
        at = _after_table(packet, 10, 13)
    try:
        while True:
            kind = packet[at]
            if kind == _EXTENSION:
                at = _after_blocks(packet, at + 2)
            elif kind == _PICTURE:
                # A byte for the code size comes between the table and the blocks.
                _after_blocks(packet, _after_table(packet, at + 9, at + 10) + 1)
                return True
            else:
                return False
    except IndexError:
        return False


def _after_table(packet: bytes, flags_at: int, at: int) -> int:
    flags = packet[flags_at] if flags_at < len(packet) else 0
    return at + (3 << (flags & 7) + 1 if flags & 0x80 else 0)


def _after_blocks(packet: bytes, at: int) -> int:
    while packet[at]:
        at += 1 + packet[at]
    return at + 1
