"""J or F over the frames of a video as inline SVG."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from carvid.davis.protocols import ObjectScore, Protocol
from carvid.media.palette import voc_palette

WIDTH, HEIGHT = 460, 150
LEFT, RIGHT, TOP, BOTTOM = 34, 8, 16, 22
DASHES: Mapping[Protocol, str] = {"identity": "", "matched": "5 3"}
FIRST_FRAME: Mapping[Protocol, int] = {"identity": 1, "matched": 0}
"""Index of the first frame that a protocol scores."""


def colour_of(label: int) -> str:
    """The palette's colour of a label, as CSS."""
    red, green, blue = voc_palette()[label].tolist()
    return f"rgb({red},{green},{blue})"


def plot_over_frames(measure: str, objects: Mapping[int, Mapping[str, ObjectScore]]) -> str:
    """An SVG element: `measure` ("J" or "F") in percent over frames, from 0.

    objects: object id -> protocol -> score. Identity is drawn solid, matched dashed.
    """
    series = {
        (object_id, protocol): score.j_per_frame if measure == "J" else score.f_per_frame
        for object_id, pair in objects.items()
        for protocol, score in pair.items()
    }
    frame_count = max(len(values) + 2 * FIRST_FRAME[_protocol(name)] for (_, name), values in series.items())
    lines = "".join(
        _line(values, frame_count, object_id, _protocol(name)) for (object_id, name), values in series.items()
    )
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" '
        f'aria-label="{measure} over frames">{_axes(measure, frame_count)}{lines}</svg>'
    )


def _protocol(name: str) -> Protocol:
    return "identity" if name == "identity" else "matched"


def _x(frame: int, frame_count: int) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * frame / max(frame_count - 1, 1)


def _y(value: float) -> float:
    return TOP + (HEIGHT - TOP - BOTTOM) * (1 - value)


def _line(values: NDArray[np.float64], frame_count: int, object_id: int, protocol: Protocol) -> str:
    first = FIRST_FRAME[protocol]
    points = [(_x(place, frame_count), _y(value)) for place, value in enumerate(values.tolist(), first)]
    colour, dash = colour_of(object_id), DASHES[protocol]
    if len(points) == 1:
        return f'<circle cx="{points[0][0]:.1f}" cy="{points[0][1]:.1f}" r="2.5" fill="{colour}"/>'
    text = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return (
        f'<polyline points="{text}" fill="none" stroke="{colour}" stroke-width="1.5" '
        f'stroke-dasharray="{dash or "none"}"/>'
    )


def _axes(measure: str, frame_count: int) -> str:
    marks = [f'<text x="{LEFT}" y="11">{measure}, % over frames; solid identity, dashed matched</text>']
    for share in (0.0, 0.5, 1.0):
        y = _y(share)
        marks.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ccc"/>'
            f'<text x="{LEFT - 4}" y="{y + 4:.1f}" text-anchor="end">{100 * share:.0f}</text>'
        )
    for frame, anchor in ((0, "start"), (frame_count - 1, "end")):
        x = _x(frame, frame_count)
        marks.append(f'<text x="{x:.1f}" y="{HEIGHT - 7}" text-anchor="{anchor}">{frame}</text>')
    return "".join(marks)
