"""Print how carvid.words reads the expressions of lists, how many clues of each kind it finds, and how long it takes.

python scripts/read_expressions.py LIST...      a line "video object expression" each, or a meta_expressions.json
    --counts       the counts and the time alone
    --draw N       only N expressions, drawn by --seed
    --unread       only print the expressions: for a reader who must not see the program's reading
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from carvid.words import read


def expressions(path: Path) -> list[str]:
    """The expressions of a list, in its order; of those in quotation marks, what is between them."""
    if path.suffix == ".json":
        videos = json.loads(path.read_text("utf-8"))["videos"].values()
        return [entry["exp"].strip() for video in videos for entry in video["expressions"].values()]
    lines = path.read_text("latin-1").splitlines()
    return [line.split(maxsplit=2)[2].strip().strip('"') for line in lines if len(line.split()) > 2]


def show(text: str) -> None:
    reading = read(text)
    print(f"{text}\n    head: {reading.head}")
    for clue in reading.clues:
        print(f"    {clue.kind} {clue.value}: {clue.words!r}" + (f" -> {clue.other!r}" if clue.other else ""))


def summary(texts: list[str]) -> None:
    seconds = []
    kinds: Counter[str] = Counter()
    spoken = 0
    read("a dog")  # reads the vocabulary and compiles the grammar, once
    for text in texts:
        start = time.perf_counter()
        reading = read(text)
        seconds.append(time.perf_counter() - start)
        kinds.update({clue.kind for clue in reading.clues})
        spoken += bool(reading.clues)
    print(f"{len(texts)} expressions, {spoken} with a clue")
    for kind, count in kinds.most_common():
        print(f"  {kind:9} {count:5} {count / len(texts):6.1%}")
    print(
        f"  median {statistics.median(seconds) * 1e3:.2f} ms, longest {max(seconds) * 1e3:.2f} ms an expression"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("lists", nargs="+", type=Path)
    parser.add_argument("--counts", action="store_true")
    parser.add_argument("--draw", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--unread", action="store_true")
    given = parser.parse_args()
    texts = [text for path in given.lists for text in expressions(path)]
    if given.draw is not None:
        texts = random.Random(given.seed).sample(texts, given.draw)
    for text in texts if not given.counts else ():
        print(text) if given.unread else show(text)
    if texts and not given.unread:
        summary(texts)


if __name__ == "__main__":
    main()
