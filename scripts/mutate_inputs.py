"""Does carvid refuse input it cannot read? Damage every kind of input, read it, and count the outcomes.

A damaged input may be read, or refused by a CarvidError. Any other error, a crash, and a read that does not end are
faults. The same seed makes the same damage:

    python scripts/mutate_inputs.py                            # 2,000 inputs, a Markdown table
    python scripts/mutate_inputs.py --kind presets             # one kind alone
    python scripts/mutate_inputs.py --kind presets --seed 17   # one input, with its traceback
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import sqlite3
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from carvid.errors import CarvidError  # noqa: E402
from tests.mutations import STRANGE, damage, mutate_bytes, mutate_json  # noqa: E402

#: Seconds allowed for one read, and for a process to start.
READING_SECONDS, START_SECONDS = 30.0, 180.0

READ, REFUSED = "read", "refused"


@dataclass(frozen=True)
class Kind:
    """One kind of input.

    count: how many damaged inputs to try. make: writes undamaged input into an empty folder.
    damage: damages a copy of that folder. read: reads the input in it, as a command of carvid's would.
    """

    count: int
    make: Callable[[Path], object]
    damage: Callable[[Path, Random], object]
    read: Callable[[Path], object]


@dataclass
class Tally:
    """The outcomes for one kind of input, and its faults by seed."""

    outcomes: Counter[str] = field(default_factory=Counter)
    faults: dict[int, str] = field(default_factory=dict)


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
    from carvid.recipe.presets import configs_folder

    shutil.copy(configs_folder() / "voc.yaml", folder / "text.yaml")
    values = {"base": "voc", "eta": 0.4, "prompts": ["circle"], "background": ["ground"], "negatives": None}
    (folder / "json.yaml").write_text(json.dumps(values))  # JSON is YAML


def damage_preset(folder: Path, random: Random) -> None:
    path = folder / random.choice(("text.yaml", "json.yaml"))
    mutate = mutate_json if path.name == "json.yaml" else mutate_bytes
    path.write_bytes(mutate(path.read_bytes(), random))


def read_presets(folder: Path) -> None:
    from carvid.recipe import load_recipe

    for path in sorted(folder.iterdir()):
        load_recipe(str(path)).background_texts(["a dog"])


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
        # A value that the schema rejects does no damage.
        with suppress(sqlite3.Error, OverflowError, UnicodeEncodeError):
            connection.execute(f"UPDATE {table} SET {column} = ?", (value,))
    connection.close()


def read_database(folder: Path) -> None:
    from carvid.export import export_dataset
    from carvid.review import review_dataset
    from carvid.store.database import open_dataset
    from carvid.store.status import read_status

    dataset = folder / "dataset"
    read_status(dataset).to_json()
    with open_dataset(dataset) as opened:
        opened.meta()
        opened.settings()
        for video in opened.videos():
            for _, annotations in opened.annotations(video.id):
                [annotation.label_mask() for annotation in annotations]
    for name in ("coco", "masks", "yolo-seg", "labelstudio"):
        export_dataset(dataset, name, folder / name)
    review_dataset(dataset)


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
    """READ or REFUSED, for the damage that `seed` makes (none for None). Raises every error except CarvidError."""
    kind = KINDS[name]
    with tempfile.TemporaryDirectory(prefix="carvid-mutate-") as parent:
        folder = Path(parent, "input")
        shutil.copytree(whole, folder)
        if seed is not None:
            kind.damage(folder, Random(f"{name} {seed}"))
        try:
            kind.read(folder)
        except CarvidError:
            return REFUSED
        return READ


def work(name: str, whole: Path, seeds: range, results: Connection) -> None:
    """Run in its own process: send the outcome without damage, which imports everything, then that of each seed."""
    # Libraries report damage on stderr.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    for seed in (None, *seeds):
        try:
            found = outcome(name, whole, seed)
        except BaseException as error:  # noqa: BLE001 - every error is what is looked for
            found = _described(error)
        results.send(found)


def _described(error: BaseException) -> str:
    ours = [step for step in traceback.extract_tb(error.__traceback__) if f"{ROOT}/carvid/" in step.filename]
    place = f" in {Path(ours[-1].filename).relative_to(ROOT)}:{ours[-1].lineno}" if ours else ""
    return f"{type(error).__name__}{place}: {' '.join(str(error).split())[:120]}"


def outcomes(name: str, whole: Path, count: int) -> Iterator[tuple[int, str]]:
    """Every seed with its outcome; a process that dies or hangs is replaced for the remaining seeds."""
    context = multiprocessing.get_context("spawn")
    seed = 0
    while seed < count:
        results, sending = context.Pipe(duplex=False)
        process = context.Process(target=work, args=(name, whole, range(seed, count), sending), daemon=True)
        process.start()
        sending.close()
        try:
            if (found := _receive(results, START_SECONDS)) != READ:
                raise RuntimeError(f"{name} without damage: {found}; expected {READ}")
            while seed < count:
                yield seed, _receive(results, READING_SECONDS)
                seed += 1
        except TimeoutError:
            yield seed, f"still reading after {READING_SECONDS:g} s"
            seed += 1
        except EOFError:
            process.join()
            yield seed, f"the process died ({process.exitcode})"
            seed += 1
        finally:
            process.kill()
            process.join()


def _receive(results: Connection, seconds: float) -> Any:
    if not results.poll(seconds):
        raise TimeoutError
    return results.recv()


def main() -> int:
    """Damage, read, count; returns 1, the exit code, if there was a fault."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kind", choices=KINDS, action="append")
    parser.add_argument("--count", type=int, help="inputs of each kind; 2,000 in all if not given")
    parser.add_argument(
        "--seed", type=int, help="read the one input of this seed, and show its error in full"
    )
    options = parser.parse_args()
    names = options.kind or list(KINDS)
    tallies = {name: Tally() for name in names}
    for name in names:
        kind, tally = KINDS[name], tallies[name]
        with tempfile.TemporaryDirectory(prefix="carvid-mutate-") as parent:
            whole = Path(parent, name)
            whole.mkdir()
            kind.make(whole)
            if options.seed is not None:
                print(f"{name} {options.seed}: {outcome(name, whole, options.seed)}")
                continue
            for seed, found in outcomes(name, whole, options.count or kind.count):
                tally.outcomes[found if found in (READ, REFUSED) else "else"] += 1
                if found not in (READ, REFUSED):
                    tally.faults[seed] = found
                    print(f"{name} {seed}: {found}", file=sys.stderr, flush=True)
    if options.seed is None:
        print_table(tallies)
    return 1 if any(tally.faults for tally in tallies.values()) else 0


def print_table(tallies: dict[str, Tally]) -> None:
    """One row per kind, then each fault with the seeds that reproduce it."""
    rows = [(name, tally.outcomes) for name, tally in tallies.items()]
    rows.append(("all", sum((counts for _, counts in rows), Counter[str]())))
    print("| input | tried | read | refused by CarvidError | anything else |\n|---|--:|--:|--:|--:|")
    for name, counts in rows:
        print(f"| {name} | {counts.total()} | {counts[READ]} | {counts[REFUSED]} | {counts['else']} |")
    print()
    for name, tally in tallies.items():
        seeds: dict[str, list[int]] = {}
        for seed, fault in tally.faults.items():
            seeds.setdefault(fault, []).append(seed)
        for fault, them in seeds.items():
            print(f"- `--kind {name} --seed` {', '.join(map(str, them))}: {fault}")


if __name__ == "__main__":
    sys.exit(main())
