"""One self-contained HTML page about a set of scores: tables, J and F over time, the worst frames."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path

from carvid.davis.columns import gap
from carvid.davis.dataset import GroundTruth
from carvid.davis.expressions import Expressions, find_expressions
from carvid.davis.label_measures import columns_of, explanations
from carvid.davis.plots import colour_of, plot_over_frames
from carvid.davis.protocols import PROTOCOLS, ObjectScore
from carvid.davis.scores import ProtocolScore, Scores, SetScore
from carvid.davis.worst_frames import WorstFrame, picture_pair, worst_frames
from carvid.media.whole_file import output_errors, write_whole
from carvid.paths import real

MEASURES = ("J&F", "J", "F")


# Other scores to set beside those of the page, under a heading.
Beside = tuple[str, Scores] | None


def write_report(
    path: Path, scores: Scores, truth: GroundTruth, davis_root: Path, beside: Beside = None
) -> None:
    """Writes the page, whole or not at all; it needs no network and no other file.

    Frames and expressions are shown where `davis_root` has them; problems with the expressions are listed on
    the page.
    """
    with output_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, render_report(scores, truth, davis_root, beside).encode("utf-8", "backslashreplace"))


def render_report(scores: Scores, truth: GroundTruth, davis_root: Path, beside: Beside = None) -> str:
    """The page's HTML."""
    problems: list[str] = []
    indices = [one.index for one in scores.sets]
    names = {video.name for video in truth.videos}
    expressions = find_expressions(davis_root, truth.split, indices, names, problems)
    parts = {
        "TITLE": escape(f"{real(scores.predictions).name}: Ref-DAVIS 2017 {scores.split}"),
        "NOTES": "".join(
            f"<p class=note>{escape(note)}</p>" for note in [*scores.refusals, *scores.left_out, *problems]
        ),
        "SUMMARY": _summary(scores) + ("" if beside is None else _beside(*beside)),
        "OBJECTS": _objects(scores, expressions),
        "VIDEOS": _videos(scores),
        "PLOTS": "".join(_plots(one, expressions) for one in scores.sets),
        "WORST": "".join(
            _figure(frame, scores, truth, davis_root, expressions) for frame in worst_frames(scores)
        ),
    }
    page = files("carvid.davis").joinpath("report.html").read_text("utf-8")
    # One pass over the template, so that inserted text is never itself searched for marks.
    pieces = page.split("@@")
    return "".join(parts[piece] if place % 2 else piece for place, piece in enumerate(pieces))


def _summary(scores: Scores) -> str:
    rows = [(f"set {one.index}", one.protocols, one.label_columns) for one in scores.sets]
    if len(scores.sets) > 1:
        rows.append((f"mean of {len(scores.sets)} sets", scores.overall, scores.label_columns))
    body = "".join(
        f"<tr><th scope=row>{name}</th>"
        + "".join(_numbers(_means(pair[protocol])) for protocol in PROTOCOLS)
        + _number((gap(pair["identity"], pair["matched"]) or {}).get("J&F-Mean"))
        + _numbers([*labels.values()])
        + "</tr>"
        for name, pair, labels in rows
    )
    head = _head(["Set"], list(scores.label_columns))
    return f"<table><thead>{head}</thead><tbody>{body}</tbody></table>"


def _beside(heading: str, scores: Scores) -> str:
    return f"\n<h3>{escape(heading)}</h3>\n{_summary(scores)}"


def _means(score: ProtocolScore) -> tuple[float | None, ...]:
    averages = score.averages
    return (None, None, None) if averages is None else (averages.jf_mean, averages.j.mean, averages.f.mean)


def _objects(scores: Scores, expressions: Expressions | None) -> str:
    rows = []
    for one in scores.sets:
        for (video, object_id), pair in _by_object(one).items():
            values = [_object_means(pair.get(protocol)) for protocol in PROTOCOLS]
            identity, matched = values[0][0], values[1][0]
            difference = None if identity is None or matched is None else matched - identity
            text = expressions.of(one.index, video).get(object_id, "") if expressions else ""
            rows.append(
                f"<tr><td>{one.index}</td><td>{escape(video)}</td><td>{object_id}</td>"
                f"<td class=text>{escape(text)}</td>"
                + "".join(_numbers(three) for three in values)
                + _number(difference)
                + "</tr>"
            )
    head = _head(["Set", "Video", "Object", "Expression"])
    return f"<table class=sortable><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>"


def _videos(scores: Scores) -> str:
    """The section with what was asked for beside J and F, by video; nothing where nothing was."""
    columns = scores.label_columns
    if not columns:
        return ""
    rows = "".join(
        f"<tr><td>{one.index}</td><td>{escape(video)}</td>"
        + _numbers([*columns_of([measures]).values()])
        + "</tr>"
        for one in scores.sets
        for video, measures in one.labels.items()
    )
    notes = "".join(f"<p>{escape(note)}</p>" for note in explanations(columns))
    head = _titles(["Set", "Video", *columns])
    table = f"<table class=sortable><thead>{head}</thead><tbody>{rows}</tbody></table>"
    return f"\n<h2>Videos</h2>\n{notes}{table}"


def _by_object(one: SetScore) -> dict[tuple[str, int], dict[str, ObjectScore]]:
    """(video, object) -> protocol -> score; a refused protocol has none."""
    found: dict[tuple[str, int], dict[str, ObjectScore]] = {}
    for protocol, score in one.protocols.items():
        for video in score.videos:
            for scored in video.objects:
                found.setdefault((video.video, scored.object_id), {})[protocol] = scored
    return found


def _object_means(score: ObjectScore | None) -> tuple[float | None, ...]:
    if score is None:
        return (None, None, None)
    return ((score.j.mean + score.f.mean) / 2, score.j.mean, score.f.mean)


def _head(first: Sequence[str], last: Sequence[str] = ()) -> str:
    of_protocols = (f"{name} {protocol}" for protocol in PROTOCOLS for name in MEASURES)
    return _titles([*first, *of_protocols, "J&F gap", *last])


def _titles(titles: Sequence[str]) -> str:
    return "<tr>" + "".join(f"<th scope=col>{escape(title)}</th>" for title in titles) + "</tr>"


def _numbers(values: Sequence[float | None]) -> str:
    return "".join(_number(value) for value in values)


def _number(value: float | None) -> str:
    return "<td class=number>–</td>" if value is None else f"<td class=number>{100 * value:.2f}</td>"


def _plots(one: SetScore, expressions: Expressions | None) -> str:
    """A foldable block per video: J and F over the frames, one colour per object, one dash per protocol."""
    videos: dict[str, dict[int, dict[str, ObjectScore]]] = {}
    for (video, object_id), pair in _by_object(one).items():
        videos.setdefault(video, {})[object_id] = pair
    blocks: list[str] = []
    for video, objects in videos.items():
        queries = expressions.of(one.index, video) if expressions else {}
        blocks.append(
            f"<details{'' if blocks else ' open'}><summary>{escape(video)}, set {one.index}</summary>"
            + "".join(plot_over_frames(measure, objects) for measure in ("J", "F"))
            + _legend({object_id: queries.get(object_id, "") for object_id in objects})
            + "</details>"
        )
    return "".join(blocks)


def _legend(lines: dict[int, str]) -> str:
    items = "".join(
        f'<li><span class=swatch style="background:{colour_of(object_id)}"></span>'
        f"{object_id} {escape(text)}</li>"
        for object_id, text in lines.items()
    )
    return f"<ul class=legend>{items}</ul>"


def _figure(
    frame: WorstFrame, scores: Scores, truth: GroundTruth, root: Path, expressions: Expressions | None
) -> str:
    queries = expressions.of(frame.set_index, frame.video) if expressions else {}
    lines = {
        object_id: f"{queries.get(object_id, '')} (J {100 * j:.1f}, F {100 * f:.1f})"
        for object_id, (j, f) in frame.values.items()
    }
    name = f"{frame.video}, set {frame.set_index}, frame {frame.frame_id}"
    images = "".join(
        f'<img alt="{what}: {escape(name)}" src="{source}">'
        for what, source in zip(
            ("annotation", "prediction"), picture_pair(frame, scores, truth, root), strict=True
        )
    )
    return (
        f"<figure>{images}<figcaption>{escape(name)}: J&amp;F {100 * frame.jf:.1f} ({frame.protocol}); "
        f"annotation left, prediction right{_legend(lines)}</figcaption></figure>"
    )
