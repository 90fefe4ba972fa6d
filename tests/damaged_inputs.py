"""Every kind of input that carvid reads: how a whole one is made, damaged and read. `scripts/mutate_inputs.py` reads
thousands, the tests some of each."""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from carvid.errors import CarvidError
from tests.mutations import STRANGE, damage, mutate_bytes, mutate_json

READ, REFUSED = "read", "refused"


@dataclass(frozen=True)
class Kind:
    """One kind of input.

    count: how many are damaged. make: writes whole ones into an empty folder.
    damage: damages a copy of that folder. read: reads what lies in it, as a command of carvid's would.
    """

    count: int
    make: Callable[[Path], object]
    damage: Callable[[Path, Random], object]
    read: Callable[[Path], object]


def make_videos(folder: Path) -> None:
    from tests.media import moving_square, write_video

    pictures = moving_square(6)
    write_video(folder / "a.mp4", pictures, gop=3)
    write_video(folder / "b.mkv", pictures, gop=3)
    write_video(folder / "c.avi", pictures, codec="mpeg4")


def read_videos(folder: Path) -> None:
    for path in sorted(folder.iterdir()):
        read_frames(path)


def read_frames(path: Path) -> None:
    from carvid.stream import open_frames

    with open_frames(path) as frames:
        for _ in frames:
            pass


def make_images(folder: Path) -> None:
    import numpy as np
    from PIL import Image

    from carvid.media.palette import write_label_png
    from tests.media import moving_square

    (folder / "frames").mkdir()
    for number, (picture, suffix) in enumerate(zip(moving_square(3), ("png", "jpg", "webp"), strict=True)):
        Image.fromarray(picture).save(folder / "frames" / f"{number}.{suffix}")
    write_label_png(folder / "labels.png", np.eye(48, 64, dtype=np.uint8))


def read_images(folder: Path) -> None:
    from carvid.media.palette import read_label_png

    read_frames(folder / "frames")
    read_label_png(folder / "labels.png")


def make_preset(folder: Path) -> None:
    from carvid.recipe import load_recipe
    from carvid.recipe.presets import configs_folder

    shutil.copy(configs_folder() / "voc.yaml", folder / "text.yaml")
    values = {"base": "voc", **load_recipe("context", keyframes=4, sam="sam-vit-b", crf_steps=3).to_json()}
    (folder / "json.yaml").write_text(json.dumps(values))  # JSON is YAML


def damage_preset(folder: Path, random: Random) -> None:
    path = folder / random.choice(("text.yaml", "json.yaml"))
    mutate = mutate_json if path.name == "json.yaml" else mutate_bytes
    path.write_bytes(mutate(path.read_bytes(), random))


def read_presets(folder: Path) -> None:
    from carvid.recipe import load_recipe
    from carvid.recipe.record import fingerprint

    for path in sorted(folder.iterdir()):
        recipe = load_recipe(str(path))
        recipe.background_texts(["a dog"])
        fingerprint(recipe.describe())


def make_weights(folder: Path) -> None:
    from tests.tiny_clip import make_tiny_clip
    from tests.tiny_sam import make_tiny_sam

    make_tiny_clip(folder / "clip", layers=1, text_layers=1)
    make_tiny_sam(folder / "sam")


def damage_configuration(folder: Path, random: Random) -> None:
    damage(
        random.choice(sorted(path for path in folder.glob("*/*") if path.suffix != ".safetensors")), random
    )


def damage_tensors(folder: Path, random: Random) -> None:
    damage(folder / random.choice(("clip", "sam")) / "model.safetensors", random)


def read_weights(folder: Path) -> None:
    import numpy as np
    import torch

    from carvid.clip.load import load_pair
    from carvid.clip.names import resolve_pair
    from carvid.sam.load import load_sam
    from carvid.sam.names import resolve_sam
    from carvid.sam.tower import sam_tower

    options: dict[str, Any] = {"device": torch.device("cpu"), "dtype": torch.float32}
    f, _ = load_pair(*resolve_pair(folder / "clip"), **options)
    sam = sam_tower(load_sam(resolve_sam(folder / "sam"), **options))
    with torch.inference_mode():
        f.texts.embed(["the red car"])
        f.tower.embed(torch.zeros(1, 3, 32, 32))
        sam.decode(sam.look(torch.zeros(20, 30, 3, dtype=torch.uint8)), np.array([[4.0, 4.0]]))


def make_results(folder: Path) -> None:
    import numpy as np

    from carvid.sinks.results import ResultsSink
    from tests.sinks_cases import result_for, square_frame

    with ResultsSink(folder / "results.jsonl", ["the square", "a dog"]) as sink:
        for index in range(3):
            frame = square_frame(index)
            sink.write(frame, result_for(frame, [np.eye(48, 64, dtype=bool)] * 2, [0.8, 0.4]))
    manifest = {
        "versions": {"carvid": "0", "torch": None},
        "frames": 3,
        "complete": True,
        "queries": ["a dog"],
    }
    (folder / "run.json").write_text(json.dumps(manifest))


def read_results(folder: Path) -> None:
    from carvid.sinks.output import check_output
    from carvid.sinks.results import read_results
    from carvid.sinks.run_record import read_manifest

    for record in read_results(folder / "results.jsonl"):
        [query["mask"].sum() for query in record["queries"]]
    read_manifest(folder / "run.json")
    check_output(folder, None, overwrite=True)


def make_database(folder: Path) -> None:
    from tests.labelled import Labelled, scene, write_dataset
    from tests.media import NTSC, moving_square, write_video

    path = write_video(folder / "a.mp4", moving_square(3))
    video = Labelled("a.mp4", path, ("the disk", "a dog"), scene(3)[:, :2], frame_rate=NTSC)
    write_dataset(folder / "dataset", [video])


def damage_database(folder: Path, random: Random) -> None:
    path = folder / "dataset" / "annotations.sqlite"
    if random.random() < 0.5:
        damage(path, random)
        return
    with sqlite3.connect(path) as connection:
        tables = [
            name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
        table = random.choice(tables)
        column = random.choice([row[1] for row in connection.execute(f"PRAGMA table_info({table})")])
        value = random.choice([*STRANGE, b"", b"\x00\xff", '{"a":' * 20_000])
        if isinstance(value, list | dict):
            value = json.dumps(value)
        # A value that the schema rejects is no damage: the database stays whole.
        with suppress(sqlite3.Error, OverflowError, UnicodeEncodeError):
            connection.execute(f"UPDATE {table} SET {column} = ?", (value,))
    connection.close()


def read_database(folder: Path) -> None:
    from carvid.export import export_dataset
    from carvid.export.formats import FORMATS
    from carvid.review import review_dataset
    from carvid.store.agreement import agree, changed_sources, requests_of
    from carvid.store.database import open_dataset
    from carvid.store.ledger import Ledger
    from carvid.store.status import read_status

    dataset = folder / "dataset"
    read_status(dataset).to_json()
    with open_dataset(dataset) as opened:
        opened.meta()
        opened.settings()
        for video in opened.videos():
            for _, annotations in opened.annotations(video.id):
                [annotation.label_mask() for annotation in annotations]
    for name in FORMATS:
        export_dataset(dataset, name, folder / name)
    review_dataset(dataset)
    # As `carvid annotate` does to go on.
    with Ledger(dataset, "me") as ledger:
        requests_of(ledger)
        changed_sources(ledger)
        agree(ledger, {"settings": {}}, "another hash", replace=True)
        while ledger.claim(60):
            pass


def damage_one(folder: Path, random: Random) -> None:
    damage(random.choice(sorted(path for path in folder.rglob("*") if path.is_file())), random)


KINDS: dict[str, Kind] = {
    "videos": Kind(250, make_videos, damage_one, read_videos),
    "images": Kind(350, make_images, damage_one, read_images),
    "presets": Kind(350, make_preset, damage_preset, read_presets),
    "configurations": Kind(300, make_weights, damage_configuration, read_weights),
    "safetensors": Kind(300, make_weights, damage_tensors, read_weights),
    "results": Kind(250, make_results, damage_one, read_results),
    "databases": Kind(200, make_database, damage_database, read_database),
}


def outcome(name: str, whole: Path, seed: int | None) -> str:
    """What comes of the damage that `seed` makes, or of none. Raises what the reading raises, but for CarvidError.

    whole: the folder that `Kind.make` filled.
    """
    kind = KINDS[name]
    return _outcome(whole, None if seed is None else Random(f"{name} {seed}"), kind.damage, kind.read)


def refusals(
    whole: Path,
    name: str,
    make_worse: Callable[[Path, Random], object],
    read: Callable[[Path], object],
    seeds: int,
) -> int:
    """How many of the damaged copies of the folder `whole` are refused; an error of another kind passes through."""
    return sum(
        _outcome(whole, Random(f"{name} {seed}"), make_worse, read) == REFUSED for seed in range(seeds)
    )


def _outcome(
    whole: Path,
    random: Random | None,
    make_worse: Callable[[Path, Random], object],
    read: Callable[[Path], object],
) -> str:
    with tempfile.TemporaryDirectory(prefix="carvid-mutate-") as parent:
        folder = Path(parent, "input")
        shutil.copytree(whole, folder)
        if random is not None:
            make_worse(folder, random)
        try:
            read(folder)
        except CarvidError:
            return REFUSED
        return READ
