"""Small videos and image folders for the tests, drawn and encoded on the spot."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from carvid.frame import Frame

Picture = NDArray[np.uint8]

NTSC = Fraction(30000, 1001)


def moving_square(n: int, height: int = 48, width: int = 64, side: int = 16) -> list[Picture]:
    """n pictures (H, W, 3) uint8 RGB: a red square goes right by 2 px a frame over a still ground."""
    rows, columns = np.mgrid[0:height, 0:width]
    ground = np.stack([0 * rows, 60 + 100 * rows // height, 60 + 100 * columns // width], axis=2)
    pictures = []
    for i in range(n):
        picture = ground.astype(np.uint8)
        left = 2 * i % max(1, width - side)
        top = (height - side) // 2
        picture[top : top + side, left : left + side] = (220, 20, 20)
        pictures.append(picture)
    return pictures


def write_video(
    path: Path,
    frames: Sequence[Picture],
    *,
    rate: Fraction = NTSC,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    gop: int = 10,
    options: Mapping[str, str] | None = None,
    container_options: Mapping[str, str] | None = None,
    pts: Sequence[int] | None = None,
) -> Path:
    """Encode (H, W, 3) uint8 RGB pictures; the suffix of `path` chooses the container.

    gop: distance of key frames; pts: presentation times in units of 1 / rate, for a variable rate.
    """
    height, width = frames[0].shape[:2]
    if codec == "libx264":
        # Scene cuts and threads would make the place of key frames, and so of damage, hard to foresee.
        options = {"sc_threshold": "0", "threads": "1", "crf": "16", **(options or {})}
    with av.open(str(path), "w", options=dict(container_options or {})) as container:
        stream = container.add_stream(codec, rate=rate, options=dict(options or {}))
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        stream.codec_context.gop_size = gop
        for i, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts = i if pts is None else pts[i]
            frame.time_base = 1 / rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def square_left(picture: Picture) -> int:
    """Where the red square of `moving_square` begins, in px; frame i has it at 2 i until it wraps."""
    red = picture[picture.shape[0] // 2, :, 0].astype(int) - picture[picture.shape[0] // 2, :, 1]
    return round(int(np.argmax(red > 80)) / 2) * 2


def read_on(stream: Iterable[Frame], indices: list[int]) -> None:
    """Append the index of each frame, as far as the stream goes."""
    for frame in stream:
        indices.append(frame.index)


def write_folder(
    folder: Path, frames: Sequence[Picture], *, suffix: str = ".png", names: Sequence[str] | None = None
) -> Path:
    """Write one image per picture, named by `names` or 00000, 00001, ..."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, picture in enumerate(frames):
        stem = f"{i:05d}" if names is None else names[i]
        Image.fromarray(picture).save(folder / f"{stem}{suffix}")
    return folder


def write_audio(path: Path, *, seconds: float = 0.5) -> Path:
    """A file with one silent audio stream."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100, layout="mono")
        samples = stream.codec_context.frame_size or 1024
        for i in range(int(seconds * 44100 / samples) + 1):
            frame = av.AudioFrame.from_ndarray(
                np.zeros((1, samples), np.float32), format="fltp", layout="mono"
            )
            frame.sample_rate, frame.pts = 44100, i * samples
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_mixed(path: Path, *parts: Path) -> Path:
    """One file with the first stream of each part."""
    with ExitStack() as stack:
        container = stack.enter_context(av.open(str(path), "w"))
        sources = [stack.enter_context(av.open(str(part))) for part in parts]
        streams = [container.add_stream_from_template(source.streams[0]) for source in sources]
        for source, stream in zip(sources, streams, strict=True):
            for packet in source.demux(0):
                if packet.size:
                    packet.stream = stream
                    container.mux(packet)
    return path


def set_display_matrix(path: Path, a: int, b: int, c: int, d: int) -> Path:
    """Patch an mp4 to show the stored point (x, y) at (a x + c y, b x + d y), as phones mark rotation."""
    data = bytearray(path.read_bytes())
    header = data.index(b"tkhd") + 4
    matrix = header + (40 if data[header] == 0 else 52)
    one = 1 << 16
    data[matrix : matrix + 36] = struct.pack(">9i", a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def packet_spans(path: Path) -> list[tuple[int, int, int]]:
    """(position in the file, size in bytes, display ordinal) of each video packet, in file order."""
    with av.open(str(path)) as container:
        packets = [(p.pos, p.size, p.pts) for p in container.demux(video=0) if p.size]
    shown = sorted(pts for _, _, pts in packets)
    return [(position, size, shown.index(pts)) for position, size, pts in packets]


def truncate(path: Path, size: int) -> Path:
    """Cut a file to `size` bytes."""
    path.write_bytes(path.read_bytes()[:size])
    return path


def zero(path: Path, start: int, length: int) -> Path:
    """Overwrite part of a file with zeros."""
    data = bytearray(path.read_bytes())
    data[start : start + length] = bytes(len(data[start : start + length]))
    path.write_bytes(data)
    return path
