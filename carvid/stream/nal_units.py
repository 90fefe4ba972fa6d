"""The NAL units of H.264 and H.265 packets: their kinds, and zeroed stretches that decoders take for picture data.

Within a coded picture the bytes 00 00 00 cannot occur: the encoder puts 03 after each pair of zeros (ITU-T
H.264, section 7.4.1.1, and H.265, section 7.4.2.1). A hole in a file (an unfinished download, a lost sector)
reads as zeros, and a CABAC decoder goes through those without an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

CODECS = ("h264", "hevc")
"""FFmpeg's names of the codecs made of NAL units."""

# In a byte stream (Annex B) zeros may also come before a start code and at the end of a packet.
_HOLE_IN_BYTE_STREAM = re.compile(rb"\0{3,}[^\0\1]")


def hole_finder(codec_name: str, extradata: bytes | None) -> Callable[[bytes], bool] | None:
    """A function telling whether a packet has a zeroed stretch; None for codecs that allow zeros.

    codec_name: FFmpeg's; extradata: the avcC or hvcC record of an mp4 or mkv, else it is a byte stream.
    """
    if codec_name not in CODECS:
        return None
    length_size = _length_size(codec_name, extradata)
    if length_size is None:
        return lambda packet: _HOLE_IN_BYTE_STREAM.search(packet) is not None
    is_picture = _is_h264_picture if codec_name == "h264" else _is_hevc_picture
    return lambda packet: any(
        # Some writers pad a unit with zeros at its end.
        is_picture(unit[0]) and b"\0\0\0" in unit.rstrip(b"\0")
        for unit in _prefixed(packet, length_size)
    )


def unit_splitter(codec_name: str, extradata: bytes | None) -> Callable[[bytes], Iterator[bytes]]:
    """A function that gives the units of a packet, none of them empty; arguments as of `hole_finder`."""
    length_size = _length_size(codec_name, extradata)
    if length_size is None:
        return lambda packet: filter(None, packet.split(b"\0\0\1")[1:])
    return lambda packet: _prefixed(packet, length_size)


def unit_type(codec_name: str, unit: bytes) -> int:
    """nal_unit_type."""
    return unit[0] & 0x1F if codec_name == "h264" else unit[0] >> 1 & 0x3F


def _length_size(codec_name: str, extradata: bytes | None) -> int | None:
    """How many bytes tell the length of each unit; None in a byte stream."""
    record = extradata if extradata and extradata[0] == 1 else b""
    at = 4 if codec_name == "h264" else 21
    return None if len(record) <= at else (record[at] & 3) + 1


def _prefixed(packet: bytes, length_size: int) -> Iterator[bytes]:
    at = 0
    while at + length_size < len(packet):
        start = at + length_size
        at = start + int.from_bytes(packet[at:start], "big")
        if start < at:
            yield packet[start:at]


def _is_h264_picture(header: int) -> bool:
    return 1 <= header & 0x1F <= 5


def _is_hevc_picture(header: int) -> bool:
    return (header >> 1) & 0x3F < 32


# Profiles whose parameter set tells the chroma format and the bit depth (ITU-T H.264, section 7.3.2.1.1).
_HIGH_PROFILES = (44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244)


def has_whole_frames_only(sps: bytes) -> bool:
    """Whether an H.264 sequence parameter set rules fields out, so that each packet is a frame.

    False as well where it holds scaling lists, which are not read here, or is cut short.
    """
    bits = _Bits(sps.replace(b"\0\0\3", b"\0\0")[4:])
    try:
        bits.golomb()  # seq_parameter_set_id
        if sps[1] in _HIGH_PROFILES:
            if bits.golomb() == 3:  # chroma_format_idc
                bits.take(1)
            bits.golomb(), bits.golomb(), bits.take(1)  # bit depths, lossless
            if bits.take(1):  # scaling lists
                return False
        bits.golomb()  # log2_max_frame_num_minus4
        order_type = bits.golomb()
        if order_type == 0:
            bits.golomb()
        elif order_type == 1:
            bits.take(1), bits.golomb(), bits.golomb()
            for _ in range(bits.golomb()):
                bits.golomb()
        bits.golomb(), bits.take(1), bits.golomb(), bits.golomb()  # reference frames, gaps, width, height
        return bits.take(1) == 1
    except (IndexError, ValueError):
        return False


class _Bits:
    """Reads bits, most significant first. Raises ValueError or IndexError at the end."""

    def __init__(self, data: bytes) -> None:
        self._bits = "".join(f"{byte:08b}" for byte in data)
        self._at = 0

    def take(self, count: int) -> int:
        self._at += count
        return int(self._bits[self._at - count : self._at], 2)

    def golomb(self) -> int:
        """Exp-Golomb code, unsigned (section 9.1); a signed one has the same length."""
        zeros = self._bits.index("1", self._at) - self._at
        self._at += zeros
        return self.take(zeros + 1) - 1
