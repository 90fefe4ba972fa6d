"""A labelled dataset in the format asked for: one file per format, one registry, one way to write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from carvid.export.formats import FORMATS

if TYPE_CHECKING:
    from carvid.export.export import ExportOptions, ExportSummary, export_dataset

__all__ = ["FORMATS", "ExportOptions", "ExportSummary", "export_dataset"]


def __getattr__(name: str) -> Any:
    # OpenCV and FFmpeg take seconds to import; the names of the formats, which `carvid --help` needs, do not.
    if name in __all__:
        from carvid.export import export

        return getattr(export, name)
    raise AttributeError(f"module 'carvid.export' has no attribute {name!r}")
