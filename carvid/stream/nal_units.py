"""Zeroed stretches inside H.264 and H.265 packets, which their decoders take for picture data.

Within a coded picture the bytes 00 00 00 cannot occur: the encoder puts 03 after each pair of zeros (ITU-T
H.264, section 7.4.1.1, and H.265, section 7.4.2.1). A hole in a file (an unfinished download, a lost sector)
reads as zeros, and a CABAC decoder goes through those without an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable

# In a byte stream (Annex B) zeros may also come before a start code and at the end of a packet.
_HOLE_IN_BYTE_STREAM = re.compile(rb"\0{3,}[^\0\1]")


def hole_finder(codec_name: str, extradata: bytes | None) -> Callable[[bytes], bool] | None:
    """A function telling whether a packet has a zeroed stretch; None for codecs that allow zeros.

    codec_name: FFmpeg's; extradata: the avcC or hvcC record of an mp4 or mkv, else it is a byte stream.
    """
    if codec_name not in ("h264", "hevc"):
        return None
    record = extradata if extradata and extradata[0] == 1 else b""
    length_at = 4 if codec_name == "h264" else 21
    if len(record) <= length_at:
        return lambda packet: _HOLE_IN_BYTE_STREAM.search(packet) is not None
    length_size = (record[length_at] & 3) + 1
    is_picture = _is_h264_picture if codec_name == "h264" else _is_hevc_picture
    return lambda packet: _has_hole(packet, length_size, is_picture)


def _has_hole(packet: bytes, length_size: int, is_picture: Callable[[int], bool]) -> bool:
    at = 0
    while at + length_size < len(packet):
        start = at + length_size
        at = start + int.from_bytes(packet[at:start], "big")
        # Some writers pad a unit with zeros at its end.
        if start < at and is_picture(packet[start]) and b"\0\0\0" in packet[start:at].rstrip(b"\0"):
            return True
    return False


def _is_h264_picture(header: int) -> bool:
    return 1 <= header & 0x1F <= 5


def _is_hevc_picture(header: int) -> bool:
    return (header >> 1) & 0x3F < 32
