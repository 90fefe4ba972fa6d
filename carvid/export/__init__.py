"""A labelled dataset in the format asked for: one file per format, one registry, one way to write."""

from carvid.export.export import ExportOptions, ExportSummary, export_dataset
from carvid.export.formats import FORMATS

__all__ = ["FORMATS", "ExportOptions", "ExportSummary", "export_dataset"]
