"""A dataset that carvid 0.1.0 wrote, of schema version 1: upgraded in place, read and exported as before."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from carvid.errors import InputError, OutputError
from carvid.export import ExportOptions, export_dataset
from carvid.media.palette import read_label_png
from carvid.review import review_dataset
from carvid.store import migrations, opening
from carvid.store.agreement import requests_of
from carvid.store.database import open_dataset
from carvid.store.ledger import Ledger
from carvid.store.migrations import STEPS, VERSION
from carvid.store.rows import FrameRow, Query, VideoObject
from carvid.store.schema import DATABASE, SCHEMA_VERSION
from carvid.store.status import read_status
from tests.sinks_cases import small_disk

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "tests" / "data"
QUERIES = (Query(1, "the red circle"), Query(2, "the blue square"), Query(3, "the green triangle"))


def version_1(folder: Path, *changes: str) -> Path:
    """The dataset of 2 folders of 3 drawn frames, with these statements run on it."""
    folder.mkdir(exist_ok=True)
    dump = (DATA / "dataset_version_1.sql").read_text()
    dump = dump.replace("@VIDEOS@", "/data/videos").replace("@MODELS@", "/data/models")
    with closing(sqlite3.connect(folder / DATABASE)) as connection:
        connection.executescript("PRAGMA journal_mode = WAL;" + dump)
        for change in changes:
            connection.execute(change)
        connection.commit()
    return folder


def rows(dataset: Path, statement: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(dataset / DATABASE)) as connection:
        return connection.execute(statement).fetchall()


def stored_version(dataset: Path) -> object:
    return rows(dataset, "SELECT value FROM meta WHERE key = 'schema_version'")[0][0]


def tables(dataset: Path) -> dict[object, object]:
    return dict(rows(dataset, "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))


def test_a_version_1_dataset_is_read_as_before(tmp_path: Path) -> None:
    with open_dataset(version_1(tmp_path)) as dataset:
        assert dataset.meta() == {
            "carvid": "0.1.0",
            "created": "2026-11-25T12:35:07+00:00",
            "schema_version": str(SCHEMA_VERSION),
        }
        first, second = dataset.videos()
        assert (first.path, first.source) == ("shapes-000", "/data/videos/shapes-000")
        assert (second.status, second.frame_count, second.size_bytes) == ("done", 3, 68468)
        objects = [VideoObject(query.id, query) for query in QUERIES]
        assert list(dataset.objects(1)) == list(dataset.objects(2)) == objects
        found = list(dataset.annotations(1))
        assert [frame for frame, _ in found] == [FrameRow(1, i, f"{i:05d}", None, 426, 240) for i in range(3)]
        every = [annotation for _, annotations in found for annotation in annotations]
        assert [(each.object_id, each.query_id) for each in every] == [(1, 1), (2, 2), (3, 3)] * 3
        assert {(each.revision, each.source, each.created) for each in every} == {(0, "model", None)}
        triangles = every[2::3]
        assert [each.area_px for each in triangles] == [4435, 4385, 4559]
        assert [int(each.mask().sum()) for each in triangles] == [4435, 4385, 4559]
        assert triangles[0].box_xywh == (19, 66, 95, 89)
        assert triangles[0].score == 0.955476403236389160156
        assert triangles[0].proposal_iou == 0.894382997180655
        assert triangles[0].label_rle is triangles[0].rle
        assert [each.area_px for _, annotations in dataset.annotations(2) for each in annotations] == [0] * 9
    assert read_status(tmp_path).frames == 6


def test_a_version_1_dataset_is_exported_and_ranked_as_before(tmp_path: Path) -> None:
    dataset = version_1(tmp_path / "dataset")
    plain = ExportOptions(pictures=False)
    for name in ("coco", "ytvos", "davis"):
        export_dataset(dataset, name, tmp_path / name, plain)
    coco = (tmp_path / "coco" / "annotations" / "instances_default.json").read_bytes()
    assert coco == (DATA / "dataset_version_1_coco.json").read_bytes()
    meta = json.loads((tmp_path / "ytvos" / "train" / "meta.json").read_bytes())
    triangle = {"category": "others", "frames": ["00000", "00001", "00002"]}
    assert meta == {"videos": {"000001": {"objects": {"3": triangle}}, "000002": {"objects": {}}}}
    for folder, label in (("ytvos/train/Annotations", 3), ("davis/Annotations/480p", 1)):
        maps = [read_label_png(tmp_path / folder / "000001" / f"{i:05d}.png") for i in range(3)]
        assert [np.unique(found).tolist() for found in maps] == [[0, label]] * 3
        assert [int((found == label).sum()) for found in maps] == [4435, 4385, 4559]
    assert (tmp_path / "davis" / "ImageSets" / "2017" / "val.txt").read_text() == "000001\n"
    assert review_dataset(dataset).frames == 6


def test_a_writer_upgrades_and_goes_on(tmp_path: Path) -> None:
    dataset = version_1(
        tmp_path,
        "UPDATE videos SET status = 'waiting' WHERE id = 2",
        "DELETE FROM frames WHERE video_id = 2",
        "DELETE FROM annotations WHERE video_id = 2",
    )
    with Ledger(dataset, "me") as ledger:
        assert [request.path for request in requests_of(ledger).values()] == ["shapes-000", "shapes-001"]
        task = ledger.claim(60)
        assert task is not None
        assert (task.video_id, task.query_ids) == (2, (1, 2, 3))
    assert rows(dataset, "SELECT DISTINCT video_id FROM objects") == [(1,)]


def test_an_upgraded_database_has_the_tables_of_a_new_one(tmp_path: Path) -> None:
    upgraded = version_1(tmp_path / "upgraded")
    open_dataset(upgraded).close()
    (tmp_path / "new").mkdir()
    Ledger(tmp_path / "new", "me").close()
    assert tables(upgraded) == tables(tmp_path / "new")
    assert stored_version(upgraded) == str(VERSION) == str(1 + len(STEPS))
    assert rows(upgraded, "PRAGMA integrity_check") == [("ok",)]


def test_a_version_2_dataset_gets_what_is_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = version_1(tmp_path)
    with closing(sqlite3.connect(dataset / DATABASE)) as connection:
        monkeypatch.setattr(migrations, "STEPS", STEPS[:1])
        migrations.migrate(connection, 1)
        connection.commit()
        monkeypatch.undo()
    assert stored_version(dataset) == "2"
    before = rows(dataset, "SELECT * FROM annotations")
    frames, objects = rows(dataset, "SELECT * FROM frames"), rows(dataset, "SELECT * FROM objects")
    open_dataset(dataset).close()
    assert rows(dataset, "SELECT * FROM annotations") == before
    assert len(frames) == len(objects) == 6
    assert rows(dataset, "SELECT * FROM frames") == [(*row, None, None, None) for row in frames]
    assert rows(dataset, "SELECT * FROM objects") == [(*row, 0) for row in objects]


def test_a_step_that_fails_leaves_the_version_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = version_1(tmp_path)
    before = tables(dataset)
    monkeypatch.setattr(migrations, "STEPS", (STEPS[0] + "SELECT no_such_function();\n",))
    for fails in (lambda: open_dataset(dataset), lambda: Ledger(dataset, "me")):
        with pytest.raises((InputError, OutputError), match="no such function"):
            fails()
        assert stored_version(dataset) == "1"
        assert tables(dataset) == before
    monkeypatch.undo()
    assert read_status(dataset).frames == 6


def test_a_process_killed_while_it_upgrades_leaves_version_1(tmp_path: Path) -> None:
    dataset = version_1(tmp_path)
    code = """
        import os, signal, sys
        from carvid.store import migrations, opening
        from carvid.store.database import open_dataset
        def migrate(connection, version):
            migrations.migrate(connection, version)
            os.kill(os.getpid(), signal.SIGKILL)
        opening.migrate = migrate
        open_dataset(sys.argv[1])
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(dataset)]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == -signal.SIGKILL
    assert stored_version(dataset) == "1"
    assert len(rows(dataset, "SELECT query_id, label_rle FROM annotations")) == 18
    assert read_status(dataset).frames == 6
    assert stored_version(dataset) == str(VERSION)


def test_a_dataset_that_an_earlier_carvid_is_labelling_is_left_alone(tmp_path: Path) -> None:
    lease = f"UPDATE videos SET status = 'running', lease_owner = 'x', lease_expires = {time.time() + 60}"
    dataset = version_1(tmp_path, lease + " WHERE id = 2")
    for opened in (lambda: open_dataset(dataset), lambda: Ledger(dataset, "me")):
        with pytest.raises(InputError, match=r"an earlier carvid is labelling .*try again a minute later"):
            opened()
    assert stored_version(dataset) == "1"


def test_an_earlier_carvid_that_has_it_open_cannot_write_labels_into_it(tmp_path: Path) -> None:
    dataset = version_1(tmp_path)
    with closing(sqlite3.connect(dataset / DATABASE)) as earlier:
        assert earlier.execute("SELECT count(*) FROM annotations").fetchone() == (18,)
        open_dataset(dataset).close()
        with pytest.raises(sqlite3.OperationalError, match="19 columns but 13 values"):
            earlier.execute(f"INSERT INTO annotations VALUES ({', '.join('?' * 13)})", range(13))


def test_what_cannot_be_written_is_told_how_to_be_read(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "size=1m") as disk:
        version_1(disk)
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        with pytest.raises(InputError, match=r"has schema version 1 .* cannot be written: .*or copy it"):
            open_dataset(disk)


def test_a_dataset_that_another_process_keeps_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = version_1(tmp_path)
    monkeypatch.setattr(opening, "BUSY_SECONDS", 0.05)
    with closing(sqlite3.connect(dataset / DATABASE, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(OutputError, match=r"database is locked; another process .*same command") as told:
            Ledger(dataset, "me")
        assert "free some space" not in str(told.value)
        with pytest.raises(InputError, match=r"schema version 1 .*another process"):
            open_dataset(dataset)
    assert read_status(dataset).frames == 6
