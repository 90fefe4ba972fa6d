"""Small labelled datasets on disk, written row by row from arrays, for the tests of export and review."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from carvid.media.rle import bounding_box_xywh, encode_rle
from carvid.store.schema import DATABASE, SCHEMA_VERSION, TABLES
from carvid.stream.identity import identify_source

Masks = NDArray[np.bool_]
THETA = 0.3


@dataclass(frozen=True)
class Labelled:
    """A video and its masks, (T, N, H, W) bool; scores (T, N) and proposal_ious (T, N) as lists.

    Where masks overlap, the label map gives a pixel to the last object that holds it.
    objects: the place of each object's query, from 0; each query has one object by default.
    names: of the frames; their indices by default.
    """

    path: str
    source: Path
    queries: tuple[str, ...]
    masks: Masks
    scores: Sequence[Sequence[float]] | None = None
    proposal_ious: Sequence[Sequence[float | None]] | None = None
    first: int = 0
    stop: int | None = None
    frame_rate: Fraction | None = Fraction(25)
    status: str = "done"
    objects: tuple[int, ...] | None = None
    names: tuple[str, ...] | None = None


def label_masks(masks: Masks) -> Masks:
    """(N, H, W): what of each mask no later mask holds."""
    return np.array([mask & ~masks[i + 1 :].any(axis=0) for i, mask in enumerate(masks)], np.bool_)


def write_dataset(folder: Path, videos: Sequence[Labelled], *, every: int = 1) -> Path:
    """A dataset folder that holds these videos, with ids from 1; one of `every` frames of a source is labelled."""
    folder.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(folder / DATABASE)
    connection.executescript("PRAGMA journal_mode = WAL;" + TABLES)
    facts = {"schema_version": str(SCHEMA_VERSION), "carvid": "0.1.0", "created": "2026-11-25T12:35:07+00:00"}
    connection.executemany("INSERT INTO meta VALUES (?, ?)", facts.items())
    settings = json.dumps({"settings": {"theta": THETA}, "stream": {"reader": "pyav", "every": every}})
    connection.execute("INSERT INTO settings VALUES (1, ?, '')", (settings,))
    texts = list(dict.fromkeys(text for video in videos for text in video.queries))
    connection.executemany("INSERT INTO queries VALUES (?, ?)", enumerate(texts, 1))
    for number, video in enumerate(videos, 1):
        _write_video(connection, number, video, [texts.index(text) + 1 for text in video.queries], every)
    connection.commit()
    connection.close()
    return folder


def _write_video(
    connection: sqlite3.Connection, number: int, video: Labelled, ids: list[int], every: int
) -> None:
    count, _, height, width = video.masks.shape
    done = video.status == "done"
    identity = identify_source(video.source) if done and video.source.exists() else {}
    connection.execute(
        "INSERT INTO videos (id, path, source, start_frame, stop_frame, sha256, size_bytes, status, error,"
        " width, height, frame_rate, frame_count) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            number,
            video.path,
            str(video.source),
            video.first,
            video.stop,
            identity.get("sha256"),
            identity.get("size_bytes"),
            video.status,
            "no decodable frame" if video.status == "failed" else None,
            width,
            height,
            video.frame_rate and f"{video.frame_rate.numerator}/{video.frame_rate.denominator}",
            count,
        ),
    )
    connection.executemany(
        "INSERT INTO video_queries VALUES (?, ?, ?)", [(number, *p) for p in enumerate(ids)]
    )
    if not done:
        return
    places = range(len(ids)) if video.objects is None else video.objects
    queries = [ids[place] for place in places]
    connection.executemany(
        "INSERT INTO objects VALUES (?, ?, ?, 0)", [(number, *each) for each in enumerate(queries, 1)]
    )
    for t, masks in enumerate(video.masks):
        index = video.first + t * every
        seconds = None if video.frame_rate is None else float(index / video.frame_rate)
        connection.execute(
            "INSERT INTO frames VALUES (?, ?, ?, ?, ?, ?, NULL, NULL, NULL)",
            (number, index, video.names[t] if video.names else f"{index:05d}", seconds, width, height),
        )
        parts = label_masks(masks)
        for i, mask in enumerate(masks):
            counts, part = encode_rle(mask)["counts"], encode_rle(parts[i])["counts"]
            box = bounding_box_xywh(mask) or (None, None, None, None)
            default_score = 0.9 if mask.any() else 0.1
            score = video.scores[t][i] if video.scores else default_score
            proposal_iou = video.proposal_ious[t][i] if video.proposal_ious else (1.0 if mask.any() else None)
            connection.execute(
                f"INSERT INTO annotations VALUES ({', '.join('?' * 19)})",
                (
                    number,
                    index,
                    i + 1,
                    0,
                    "model",
                    None,
                    queries[i],
                    width,
                    height,
                    counts,
                    None if part == counts else part,
                    *box,
                    int(mask.sum()),
                    score,
                    int(mask.any()),
                    proposal_iou,
                ),
            )


def disk(height: int, width: int, y: float, x: float, radius: float) -> NDArray[np.bool_]:
    rows, columns = np.mgrid[0:height, 0:width]
    inside: NDArray[np.bool_] = (rows - y) ** 2 + (columns - x) ** 2 <= radius**2
    return inside


def scene(count: int = 4, height: int = 48, width: int = 64) -> Masks:
    """(count, 3, H, W): a ring that moves, a disk over part of it from frame 1 on, and a query never present.

    The ring has a speck beside it and a hole in it, so it is of two parts; the disk reaches the frame's edge.
    """
    masks = np.zeros((count, 3, height, width), np.bool_)
    for t in range(count):
        ring = disk(height, width, 22, 24 + 2 * t, 14) & ~disk(height, width, 20, 24 + 2 * t, 6)
        ring[2, 60] = True
        masks[t, 0] = ring
        if t:
            masks[t, 1] = disk(height, width, 40, 38, 10)
    return masks
