"""The benchmarks by name. To add one, write a file with a `carvid.evaluate.contract.Benchmark`, and a line here."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from carvid.errors import UsageError

if TYPE_CHECKING:
    from carvid.evaluate.contract import Benchmark

#: For each benchmark, its object as module:name; imported only when it is used.
BENCHMARKS: dict[str, str] = {
    "voc": "carvid.evaluate.voc:VOC",
    "context": "carvid.evaluate.context:CONTEXT",
    "coco-object": "carvid.evaluate.coco_object:COCO_OBJECT",
    "refcoco": "carvid.evaluate.refcoco:REFCOCO",
    "refcoco+": "carvid.evaluate.refcoco:REFCOCO_PLUS",
    "refcocog": "carvid.evaluate.refcoco:REFCOCOG",
    "grefcoco": "carvid.evaluate.grefcoco:GREFCOCO",
}


def benchmark(name: str) -> Benchmark:
    """The benchmark of that name. Raises UsageError for an unknown one."""
    if name not in BENCHMARKS:
        raise UsageError(f"no benchmark {name!r}; expected one of {', '.join(BENCHMARKS)}")
    module, attribute = BENCHMARKS[name].split(":")
    found: Benchmark = getattr(import_module(module), attribute)
    return found
