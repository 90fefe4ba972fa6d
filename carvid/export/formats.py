"""The formats by name.

A format is a class with what `carvid.export.exporter.Exporter` asks for, in a file of its own, and a line here.
One that is not to be part of carvid needs no line: `find_format` takes its `module:Class` as a name.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from carvid.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from carvid.export.exporter import Exporter

FORMATS = {
    "coco": "carvid.export.coco:CocoExporter",
    "ytvis": "carvid.export.ytvis:YouTubeVisExporter",
    "ytvos": "carvid.export.ytvos:YouTubeVosExporter",
    "davis": "carvid.export.davis:DavisExporter",
    "mots": "carvid.export.mots:MotsExporter",
    "yolo-seg": "carvid.export.yolo:YoloSegExporter",
    "cvat": "carvid.export.cvat:CvatExporter",
    "labelstudio": "carvid.export.labelstudio:LabelStudioExporter",
    "masks": "carvid.export.masks:MasksExporter",
    "rgba": "carvid.export.rgba:RgbaExporter",
}
"""Name -> `module:Class`, in the order of the documentation; not imported before a format is used."""


def find_format(name: str) -> Exporter:
    """The exporter of that name, or of that `module:Class`. Raises UsageError if there is none."""
    module, _, class_name = FORMATS.get(name, name).partition(":")
    if not module or not class_name:
        raise UsageError(
            f"there is no format {name!r}; choose one of {', '.join(FORMATS)}{did_you_mean(name, FORMATS)}"
        )
    try:
        found: type[Exporter] = getattr(import_module(module), class_name)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"the format {name!r} cannot be loaded: {error}") from error
    return found()
