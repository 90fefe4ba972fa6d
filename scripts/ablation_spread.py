"""How sure the rows of an ablation of a semantic benchmark are: what each gains or loses against the whole, with the
standard deviation of that difference over resampled images, and how many of the queries that survive are there.

    carvid ablate shapes drawn -o out
    python scripts/ablation_spread.py shapes drawn out

Every row sees the same resampled images (a paired bootstrap). A second table says where rows go wrong: what the pixels
of things are called, how much of what is predicted lies on the background, in how many images a class that is not
there has over .3 of the background, and how many of the classes in an image survive where it has one, two or three.
Prints Markdown.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from carvid.evaluate.ablation import Row
from carvid.evaluate.benchmarks import benchmark
from carvid.evaluate.contract import Choice
from carvid.evaluate.records import read_record
from carvid.evaluate.semantic import ASKED, SemanticDataSet, confusion_of, mask_path
from carvid.evaluate.truth_png import read_labels

RESAMPLES = 1000
NUMBERS = (1, 2, 3)
TAKEN = 0.3


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name")
    parser.add_argument("root", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--first", type=int)
    arguments = parser.parse_args()
    data = benchmark(arguments.name).read(arguments.root, Choice(first=arguments.first))
    assert isinstance(data, SemanticDataSet), "a benchmark of label maps"
    with (arguments.out / "ablation.csv").open() as file:
        listed = [Row(row["what"], row["row"]) for row in csv.DictReader(file) if row["what"] != "clips"]
    folders = [arguments.out / "rows" / row.folder for row in listed]
    count = len(data.samples)
    # How often each image is drawn: (RESAMPLES + 1, count); once each comes first.
    drawn = np.random.default_rng(0).multinomial(count, [1 / count] * count, RESAMPLES)
    weights = np.concatenate([np.ones((1, count), np.int64), drawn])
    counted = [confusions(data, folder) for folder in folders]
    means = [mean_ious(weights, confusion) for confusion in counted]
    print(f"{count} images.\n")
    print("| what | row | mIoU | against the whole | h_T precision | h_T recall |\n|---|---|--:|--:|--:|--:|")
    for row, folder, found in zip(listed, folders, means, strict=True):
        against = found - means[0]
        difference = "" if row is listed[0] else f"{against[0]:+.3f} ± {against[1:].std():.3f}"
        survivors = data.score(folder, "refuse").overall
        shares = [survivors["h_T precision"], survivors["h_T recall"]]
        cells = [f"{found[0]:.3f}", difference, *("-" if one is None else f"{one:.3f}" for one in shares)]
        print("| " + " | ".join((row.group, row.name, *cells)) + " |")
    print(
        "\n| what | row | right | called background | called another | predicted on background | ground taken "
        f"| {' | '.join(f'h_T recall of {n}' for n in NUMBERS)} |\n|---|---|{'--:|' * (5 + len(NUMBERS))}"
    )
    for row, folder, confusion in zip(listed, folders, counted, strict=True):
        pixels = [f"{share:.2f}" for share in pixel_shares(confusion.sum(0))]
        recalled = [f"{share:.2f}" for share in recalls(data, folder, confusion)]
        cells = [*pixels, str(ground_taken(confusion)), *recalled]
        print("| " + " | ".join((row.group, row.name, *cells)) + " |")


def pixel_shares(confusion: NDArray[np.int64]) -> tuple[float, float, float, float]:
    """Of the pixels of things, those called right, background, and another thing; of the pixels called a thing, those
    of the background."""
    things = confusion[1:]
    right, missed = np.trace(things[:, 1:]) / things.sum(), things[:, 0].sum() / things.sum()
    return right, missed, 1 - right - missed, confusion[0, 1:].sum() / max(1, confusion[:, 1:].sum())


def ground_taken(confusion: NDArray[np.int64]) -> int:
    """The images in which a class that is not there has over TAKEN of the background."""
    ground = confusion[:, 0]
    absent = confusion[:, 1:].sum(2) == 0
    return int(((ground[:, 1:] > TAKEN * ground.sum(1, keepdims=True)) & absent).any(1).sum())


def recalls(data: SemanticDataSet, folder: Path, confusion: NDArray[np.int64]) -> list[float]:
    """The recall of h_T in the images with each of NUMBERS classes; NaN where there are none."""
    kept, there = dict.fromkeys(NUMBERS, 0), dict.fromkeys(NUMBERS, 0)
    for sample, of_image in zip(data.samples, confusion, strict=True):
        present = np.flatnonzero(of_image[1:].sum(1))
        record = read_record(folder, sample.name)
        assert record is not None, f"no record of {sample.name} in {folder}"
        if len(present) in there:
            there[len(present)] += len(present)
            kept[len(present)] += np.count_nonzero(np.array(record.asked[ASKED].present_frames)[present])
    return [kept[number] / there[number] if there[number] else float("nan") for number in NUMBERS]


def confusions(data: SemanticDataSet, folder: Path) -> NDArray[np.int64]:
    """(images, classes, classes); see `carvid.evaluate.semantic.confusion_of`."""
    classes = len(data.benchmark.classes("paper")) + 1
    return np.stack(
        [
            confusion_of(
                read_labels(data.truth / f"{sample.name}{data.benchmark.truth_suffix}"),
                read_labels(folder / mask_path(sample.name)),
                classes,
            )
            for sample in data.samples
        ]
    )


def mean_ious(weights: NDArray[np.int64], confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """mIoU for each row of weights (R, images), over the classes that occur."""
    total = np.tensordot(weights, confusion, 1)
    shared = np.einsum("rcc->rc", total)
    either = total.sum(1) + total.sum(2) - shared
    ious = np.where(either > 0, shared / np.maximum(either, 1), np.nan)
    return np.asarray(np.nanmean(ious, 1))


if __name__ == "__main__":
    main()
