"""How sure the rows of an ablation of a semantic benchmark are: what each gains or loses against the whole, with the
standard deviation of that difference over resampled images, and how many of the queries that survive are there.

    carvid ablate shapes drawn -o out
    python scripts/ablation_spread.py shapes drawn out

Every row sees the same resampled images (a paired bootstrap). Prints a Markdown table.
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
from carvid.evaluate.semantic import SemanticDataSet, confusion_of, mask_path
from carvid.evaluate.truth_png import read_labels

RESAMPLES = 1000


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
    means = {
        row: mean_ious(weights, confusions(data, folder)) for row, folder in zip(listed, folders, strict=True)
    }
    whole = means[listed[0]]
    print(f"{count} images.\n")
    print("| what | row | mIoU | against the whole | h_T precision | h_T recall |\n|---|---|--:|--:|--:|--:|")
    for row, folder in zip(listed, folders, strict=True):
        against = means[row] - whole
        difference = "" if row is listed[0] else f"{against[0]:+.3f} ± {against[1:].std():.3f}"
        survivors = data.score(folder, "refuse").overall
        shares = [survivors["h_T precision"], survivors["h_T recall"]]
        cells = [
            f"{means[row][0]:.3f}",
            difference,
            *("-" if one is None else f"{one:.3f}" for one in shares),
        ]
        print("| " + " | ".join((row.group, row.name, *cells)) + " |")


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
