"""The formats by name."""

from __future__ import annotations

from carvid.errors import UsageError
from carvid.export.coco import CocoExporter
from carvid.export.cvat import CvatExporter
from carvid.export.davis import DavisExporter
from carvid.export.exporter import Exporter
from carvid.export.labelstudio import LabelStudioExporter
from carvid.export.masks import MasksExporter
from carvid.export.rgba import RgbaExporter
from carvid.export.yolo import YoloSegExporter
from carvid.export.ytvos import YouTubeVosExporter

_EXPORTERS: tuple[Exporter, ...] = (
    CocoExporter(),
    YouTubeVosExporter(),
    DavisExporter(),
    YoloSegExporter(),
    CvatExporter(),
    LabelStudioExporter(),
    MasksExporter(),
    RgbaExporter(),
)

FORMATS: dict[str, Exporter] = {exporter.name: exporter for exporter in _EXPORTERS}
"""Name -> exporter, in the order of the documentation."""


def find_format(name: str) -> Exporter:
    """The exporter of that name. Raises UsageError, naming those there are."""
    if name not in FORMATS:
        raise UsageError(f"there is no format {name!r}; choose one of {', '.join(FORMATS)}")
    return FORMATS[name]
