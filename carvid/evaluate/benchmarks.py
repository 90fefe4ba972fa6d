"""The benchmarks by name. To add one, write a file with a `carvid.evaluate.contract.Benchmark`, and a line here."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from carvid.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from carvid.evaluate.contract import Benchmark

#: For each benchmark, its object as module:name; imported only when it is used.
BENCHMARKS = {
    "voc": "carvid.evaluate.voc:VOC",
    "context": "carvid.evaluate.context:CONTEXT",
    "coco-object": "carvid.evaluate.coco_object:COCO_OBJECT",
    "refcoco": "carvid.evaluate.refcoco:REFCOCO",
    "refcoco+": "carvid.evaluate.refcoco:REFCOCO_PLUS",
    "refcocog": "carvid.evaluate.refcoco:REFCOCOG",
    "grefcoco": "carvid.evaluate.grefcoco:GREFCOCO",
    "ref-ytvos": "carvid.evaluate.ref_ytvos:REF_YTVOS",
    "mevis": "carvid.evaluate.mevis:MEVIS",
    "refdavis": "carvid.evaluate.ref_davis:REF_DAVIS",
    "shapes": "carvid.evaluate.drawn_images:SHAPES",
}

#: What runs as a benchmark does, but has no truth to score against.
UNSCORED = {"images": "carvid.evaluate.image_folder:PICTURES"}


def benchmark(name: str) -> Benchmark:
    """The benchmark of that name. Raises UsageError for an unknown one."""
    if name not in BENCHMARKS:
        near = did_you_mean(name, BENCHMARKS)
        raise UsageError(f"no benchmark {name!r}; expected one of {', '.join(BENCHMARKS)}{near}")
    found: Benchmark = runnable(name)
    return found


def runnable(name: str) -> Any:
    """The object of that name, which is a benchmark's or one of `UNSCORED`."""
    module, attribute = {**BENCHMARKS, **UNSCORED}[name].split(":")
    return getattr(import_module(module), attribute)
