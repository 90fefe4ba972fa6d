"""Print how carvid.words reads the expressions of lists, how many clues of each kind it finds, and how long it takes.

python scripts/read_expressions.py LIST...      a line "video object expression" each, or a meta_expressions.json
    --counts       the counts and the time alone
    --draw N       only N expressions, drawn by --seed
    --unread       only print the expressions: for a reader who must not see the program's reading
    --alone        of Ref-DAVIS 2017 val: how many have a clue though their object is the only annotated one of its kind
    --by-hand F    how many of those that two readers read are read the same, draw by draw; F is
                   tests/data/read_by_hand.json, and a LIST's path has the name that F gives it
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


def by_hand(path: Path, lists: list[Path]) -> None:
    """Print for each draw how many expressions have exactly the clues, by kind and value, that the readers found."""
    videos = {each: json.loads(each.read_text("utf-8"))["videos"] for each in lists}
    right: Counter[int] = Counter()
    count: Counter[int] = Counter()
    for row in json.loads(path.read_text("utf-8")):
        (known,) = (videos[each] for each in lists if row["list"] in each.parts)
        text = known[row["video"]]["expressions"][row["expression"]]["exp"]
        found = same_as_by_hand(text, row["clues"])
        right[row["draw"]] += found
        count[row["draw"]] += 1
        if not found:
            show(text)
            print("    by hand:", row["clues"])
    for draw in sorted(count):
        print(f"draw {draw}: {right[draw]} of {count[draw]}, {right[draw] / count[draw]:.1%}")


#: The objects of Ref-DAVIS 2017 val that share their video with another annotated one of their kind.
RIVALS = {
    "dogs-jump": "12",
    "gold-fish": "12345",
    "india": "123",
    "judo": "12",
    "lab-coat": "12345",
    "loading": "13",
    "pigs": "123",
    "soapbox": "23",
}


def alone(path: Path) -> None:
    """Print by kind of clue how many expressions have one, and of how many the object has no annotated rival."""
    kinds: Counter[str] = Counter()
    lone: Counter[str] = Counter()
    for name, video in json.loads(path.read_text("utf-8"))["videos"].items():
        for entry in video["expressions"].values():
            found = {clue.kind for clue in read(entry["exp"]).clues}
            found |= {"any"} if found else set()
            kinds.update(found)
            lone.update(found if entry["obj_id"] not in RIVALS.get(name, "") else ())
    for kind, count in kinds.most_common():
        print(f"  {kind:9} {count:4}, the only one of its kind {lone[kind]:4}")


def same_as_by_hand(text: str, clues: list[list[str]]) -> bool:
    """Whether a text has exactly these clues: kind and value; of a `not` the kind alone."""
    found = [[clue.kind, "" if clue.kind == "not" else clue.value] for clue in read(text).clues]
    return sorted(found) == sorted(clues)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("lists", nargs="+", type=Path)
    parser.add_argument("--counts", action="store_true")
    parser.add_argument("--draw", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--unread", action="store_true")
    parser.add_argument("--alone", action="store_true")
    parser.add_argument("--by-hand", type=Path)
    given = parser.parse_args()
    if given.alone:
        alone(*given.lists)
        return
    if given.by_hand is not None:
        by_hand(given.by_hand, given.lists)
        return
    texts = [text for path in given.lists for text in expressions(path)]
    if given.draw is not None:
        texts = random.Random(given.seed).sample(texts, given.draw)
    for text in texts if not given.counts else ():
        print(text) if given.unread else show(text)
    if texts and not given.unread:
        summary(texts)


if __name__ == "__main__":
    main()
