"""Label Studio's labelling configuration: which image is shown, and which brush paints on it with which labels."""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree import ElementTree

from carvid.errors import UsageError


@dataclass(frozen=True)
class Brush:
    """Where predictions go. from_name, to_name: the tags. key: of a task's data, the image. labels: the queries."""

    from_name: str
    to_name: str
    key: str
    labels: tuple[str, ...]


def read_brush(config: str) -> Brush:
    """The first BrushLabels of a configuration that paints on an Image.

    Raises UsageError for what is no such configuration, and for one with a document type, whose entities could make
    any amount of text.
    """
    if "<!DOCTYPE" in config or "<!ENTITY" in config:
        raise UsageError("the labelling configuration has a document type or entities; expected plain tags")
    try:
        root = ElementTree.fromstring(config)
    except (ElementTree.ParseError, ValueError) as error:
        raise UsageError(f"the labelling configuration is no XML: {error}") from error
    images = {tag.get("name", ""): tag.get("value", "") for tag in root.iter("Image")}
    for tag in root.iter("BrushLabels"):
        to_name, from_name = tag.get("toName", ""), tag.get("name", "")
        if to_name in images and from_name:
            labels = tuple(label.get("value", "") for label in tag.iter("Label"))
            if not labels or not all(label.strip() for label in labels):
                raise UsageError(
                    f"BrushLabels {from_name!r} has no Label, or one without a value; each value is a query"
                )
            return Brush(from_name, to_name, _key(images[to_name]), labels)
    raise UsageError(
        "the labelling configuration has no BrushLabels whose toName is an Image; expected, for example, "
        '<View><Image name="image" value="$image"/><BrushLabels name="mask" toName="image">'
        '<Label value="the red car"/></BrushLabels></View>'
    )


def _key(value: str) -> str:
    key = value.removeprefix("$")
    if key == value or not key:
        raise UsageError(f"the Image's value is {value!r}; expected $ and the key of the task's data")
    return key
