"""How far a dataset is reviewed: what was said of each mask, and counts of it; without the masks themselves."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby

from carvid.store.checks import COUNT, ID, NUMBER, TEXT, one_of, or_null, table
from carvid.store.database import LABELLED, Dataset, newest_masks
from carvid.store.schema import ACCEPTED, HAND, REJECTED, SKIPPED
from carvid.store.seen import NEWEST
from carvid.store.verdicts import VERDICTS

CORRECTED, UNREVIEWED = "corrected", "unreviewed"

STATES = (UNREVIEWED, ACCEPTED, CORRECTED, REJECTED, SKIPPED)
"""What a mask may be. A correction that was accepted, or of which nothing was said, is corrected."""


@dataclass(frozen=True)
class ReviewedMask:
    """A mask of an object in a frame, without its pixels; score and present as in `Annotation`."""

    frame_index: int
    object_id: int
    state: str
    score: float | None
    present: bool


@dataclass
class Progress:
    """How far the masks of one query in one video are reviewed.

    masks: all that there are: the query's objects in each labelled frame. states: how many are in each of `STATES`.
    """

    query: str
    masks: int
    states: Counter[str] = field(default_factory=Counter)


# A mask of which something was said, and how it stands; of a mask that nobody touched there is no row.
_TOUCHED = (
    "(SELECT video_id, frame_index, object_id FROM annotations WHERE revision > 0"
    " UNION SELECT video_id, frame_index, object_id FROM verdicts) AS touched"
    " JOIN frames ON frames.video_id = touched.video_id AND frames.frame_index = touched.frame_index"
    " JOIN objects ON objects.video_id = touched.video_id AND objects.object_id = touched.object_id"
)
_STATE = (
    "(SELECT verdict FROM verdicts WHERE verdicts.video_id = frames.video_id"
    " AND verdicts.frame_index = frames.frame_index AND verdicts.object_id = objects.object_id"
    f" AND verdicts.revision = {NEWEST})"
)
_SOURCE = (
    "(SELECT source FROM annotations AS last WHERE last.video_id = frames.video_id"
    " AND last.frame_index = frames.frame_index AND last.object_id = objects.object_id AND last.revision > 0"
    " AND last.query_id = objects.query_id AND last.width = frames.width AND last.height = frames.height"
    " ORDER BY last.revision DESC LIMIT 1)"
)
_VERDICT = or_null(one_of(*VERDICTS))


def state_of(source: str | None, verdict: str | None) -> str:
    """What a mask is, from where its newest revision comes and what was said of that."""
    if source == HAND and verdict in (None, ACCEPTED):
        return CORRECTED
    return verdict or UNREVIEWED


def touched(dataset: Dataset, video_id: int) -> dict[tuple[int, int], str]:
    """(frame index, object id) -> state, of each mask of a video that is no longer unreviewed."""
    rows = dataset.rows(
        {"frames.frame_index": COUNT, "objects.object_id": ID, _SOURCE: or_null(TEXT), _STATE: _VERDICT},
        f"{_TOUCHED} WHERE touched.video_id = ?",
        (video_id,),
    )
    found = {(frame, number): state_of(source, verdict) for frame, number, source, verdict in rows}
    return {place: state for place, state in found.items() if state != UNREVIEWED}


def reviewed_masks(dataset: Dataset, video_id: int) -> Iterator[ReviewedMask]:
    """Every mask of a video that is done, by frame and object. A track that is not in a frame has no score there."""
    states = touched(dataset, video_id)
    objects = [each.id for each in dataset.objects(video_id)]
    columns = table(
        "annotations",
        object_id=or_null(ID),
        query_id=or_null(ID),
        revision=or_null(COUNT),
        source=or_null(TEXT),
        created=or_null(TEXT),
        score=or_null(NUMBER),
        present=or_null(COUNT),
    )
    rows = dataset.rows(
        {"frames.frame_index": COUNT, **columns},
        f"{LABELLED} WHERE frames.video_id = ?"
        " ORDER BY frames.frame_index, annotations.object_id, annotations.revision",
        (video_id,),
    )
    for frame_index, group in groupby(rows, key=lambda row: row[0]):
        newest = newest_masks(row[1:] for row in group)
        for number in objects:
            *_, score, present = newest.get(number, (None, False))
            state = states.get((frame_index, number), UNREVIEWED)
            yield ReviewedMask(frame_index, number, state, score, bool(present))


def counts(dataset: Dataset) -> Mapping[int, Counter[str]]:
    """Video id -> how many of its masks are in each state but unreviewed; none for a video that nobody touched."""
    found: dict[int, Counter[str]] = defaultdict(Counter)
    for video, _, source, verdict in _touched_rows(dataset):
        found[video][state_of(source, verdict)] += 1
    return found


def progress(dataset: Dataset) -> Iterator[tuple[int, list[Progress]]]:
    """Per video that is done, by id: the progress of each of its queries, in the order given."""
    by_query: dict[int, dict[int, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    for video_id, query_id, source, verdict in _touched_rows(dataset):
        by_query[video_id][query_id][state_of(source, verdict)] += 1
    for video in dataset.videos():
        if not video.is_done:
            continue
        several = Counter(each.query.id for each in dataset.objects(video.id))
        rows = []
        for query in dataset.queries(video.id):
            masks = several[query.id] * (video.frame_count or 0)
            states = by_query[video.id][query.id]
            states[UNREVIEWED] = masks - sum(n for state, n in states.items() if state != UNREVIEWED)
            rows.append(Progress(query.text, masks, states))
        yield video.id, rows


def next_unreviewed(
    dataset: Dataset, video_id: int, frame_index: int, object_id: int
) -> dict[str, int] | None:
    """The next mask that is not reviewed, after that one: by video, frame and object, and round again."""
    done = [video.id for video in dataset.videos() if video.is_done]
    behind = [number for number in done if number > video_id]
    before = [number for number in done if number < video_id]
    for turn, video in enumerate((video_id, *behind, *before, video_id)):
        states = touched(dataset, video)
        numbers = [each.id for each in dataset.objects(video)]
        for frame in dataset.frames(video) if numbers else ():
            for number in numbers:
                place = frame.frame_index, number
                if place not in states and (turn or place > (frame_index, object_id)):
                    return {"video": video, "frame": place[0], "object": number}
    return None


def correction_counts(dataset: Dataset, video_id: int) -> dict[int, int]:
    """Frame index -> how often its masks were corrected; it grows with each change that is made by hand."""
    return dict(
        dataset.rows(
            {"annotations.frame_index": COUNT, "count(*)": COUNT},
            "annotations WHERE video_id = ? AND revision > 0 GROUP BY frame_index",
            (video_id,),
        )
    )


def object_counts(dataset: Dataset) -> dict[int, int]:
    """Video id -> how many objects it has."""
    return dict(
        dataset.rows({"objects.video_id": ID, "count(*)": COUNT}, "objects GROUP BY objects.video_id")
    )


def _touched_rows(dataset: Dataset) -> Iterator[tuple[int, int, str | None, str | None]]:
    """Video id, query id, source of the newest revision above 0, and verdict on the newest one."""
    columns = {"objects.video_id": ID, "objects.query_id": ID, _SOURCE: or_null(TEXT), _STATE: _VERDICT}
    yield from dataset.rows(columns, _TOUCHED)
