"""Formats by name: listed once, loaded when used, and open to formats that are not carvid's."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from carvid import cli
from carvid.errors import UsageError
from carvid.export import FORMATS, ExportOptions, export_dataset
from carvid.export.formats import find_format
from tests.labelled import Labelled, scene, write_dataset
from tests.test_export_output import run

ROOT = Path(__file__).resolve().parents[1]

AREAS = """
class AreasExporter:
    name = "areas"
    summary = "the area of each mask, as CSV"
    pictures = "unused"

    def write(self, job, tree, tally):
        with tree.text("areas.csv") as file:
            for video in job.videos:
                for frame, annotations in job.annotations(video):
                    tally.frames += 1
                    for each in annotations:
                        tally.masks += each.area_px > 0
                        file.write(f"{frame.frame_index},{each.object_id},{each.area_px}\\n")
"""


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    one = Labelled("a.mp4", tmp_path / "a.mp4", ("a", "b", "c"), scene(2))
    return write_dataset(tmp_path / "dataset", [one])


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_has_the_name_it_is_listed_by(name: str) -> None:
    exporter = find_format(name)
    assert (exporter.name, exporter.pictures in ("needed", "optional", "unused")) == (name, True)


def test_a_format_of_ones_own_is_a_file_and_its_name(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "trial_format.py").write_text(AREAS)
    monkeypatch.syspath_prepend(str(tmp_path))
    done = run("export", dataset, "--to", "trial_format:AreasExporter", "-o", tmp_path / "out")
    assert done.exit_code == 0, done.stderr
    assert done.stdout == f"areas: 1 videos, 2 frames, 3 masks: {tmp_path / 'out'}\n"
    lines = (tmp_path / "out" / "areas.csv").read_text().splitlines()
    assert [line.rsplit(",", 1)[0] for line in lines] == ["0,1", "0,2", "0,3", "1,1", "1,2", "1,3"]
    assert json.loads((tmp_path / "out" / "index.json").read_bytes())["format"] == "areas"
    # One line makes it one of carvid's.
    monkeypatch.setitem(FORMATS, "areas", "trial_format:AreasExporter")
    assert export_dataset(dataset, "areas", tmp_path / "out", ExportOptions(overwrite=True)).masks == 3


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("no_such_module:Exporter", "cannot be loaded: No module named 'no_such_module'"),
        ("carvid.export.coco:Nothing", "cannot be loaded: .*has no attribute 'Nothing'"),
        (":Exporter", "there is no format ':Exporter'; choose one of coco, "),
        ("coco:", "there is no format 'coco:'; choose one of coco, "),
        ("", "there is no format ''; choose one of coco, "),
    ],
)
def test_a_format_that_is_not_there(dataset: Path, tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        export_dataset(dataset, name, tmp_path / "out")


def test_the_help_and_the_documentation_list_the_registry() -> None:
    helped = CliRunner().invoke(cli.app, ["export", "--help"], terminal_width=400).stdout
    assert ", ".join(FORMATS) + "; or MODULE:CLASS" in helped
    script = runpy.run_path(str(ROOT / "scripts" / "format_table.py"))
    text = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")
    assert script["written"](text) == text, "run python scripts/format_table.py"
    assert [line.split("`")[1] for line in script["table"]().splitlines()[2:]] == list(FORMATS)


def test_naming_the_formats_imports_none_of_what_they_need() -> None:
    code = "import sys, carvid.cli; print(sorted({'av', 'cv2', 'PIL', 'torch'} & sys.modules.keys()))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"
