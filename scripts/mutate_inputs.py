"""Does carvid refuse what it cannot read? Damage every kind of input, read each, and count what comes out.

A damaged input may be read, or refused by a CarvidError; an error of another kind, a crash and a reading that does
not end are faults. The same seed makes the same damage:

    python scripts/mutate_inputs.py                            # 2,000 inputs, a Markdown table
    python scripts/mutate_inputs.py --kind presets             # one kind alone
    python scripts/mutate_inputs.py --kind presets --seed 17   # one input, with its traceback
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.damaged_inputs import KINDS, READ, REFUSED, outcome  # noqa: E402

#: Seconds that one reading may take, and that a process may take to start.
READING_SECONDS, START_SECONDS = 30.0, 180.0


@dataclass
class Tally:
    """What came of one kind; faults by seed."""

    outcomes: Counter[str] = field(default_factory=Counter)
    faults: dict[int, str] = field(default_factory=dict)


def work(name: str, whole: Path, seeds: range, results: Connection) -> None:
    """In a process of its own: send the outcome without damage, which imports everything, then of each seed."""
    # Libraries complain of damage there.
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
    """Every seed with its outcome; a process that dies or hangs is replaced for the seeds after."""
    context = multiprocessing.get_context("spawn")
    seed = 0
    while seed < count:
        results, sending = context.Pipe(duplex=False)
        process = context.Process(target=work, args=(name, whole, range(seed, count), sending), daemon=True)
        process.start()
        sending.close()
        try:
            if (found := _receive(results, START_SECONDS)) != READ:
                raise RuntimeError(f"{name} without damage: {found}")
            while seed < count:
                yield seed, _receive(results, READING_SECONDS)
                seed += 1
        except TimeoutError:
            yield seed, f"no end within {READING_SECONDS:g} s"
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
    """Damage, read, count; exit code 1 where anything but a CarvidError came out."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kind", choices=KINDS, action="append")
    parser.add_argument("--count", type=int, help="inputs of each kind, instead of 2,000 in all")
    parser.add_argument(
        "--seed", type=int, help="read the one input of this seed here, and let its error through"
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
    """One row a kind, then each fault with the seeds that make it again."""
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
