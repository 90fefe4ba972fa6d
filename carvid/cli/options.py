"""Options that several commands share. Where a default is None, the preset or the library decides."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from carvid.errors import UsageError

Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="Both CLIPs: a name (see `carvid models`), a Hugging Face repository, a folder or a file.",
    ),
]
Proposer = Annotated[
    str | None, typer.Option("--proposer", help="The CLIP of f, the mask proposal generator.")
]
Classifier = Annotated[str | None, typer.Option("--classifier", help="The CLIP of g, the mask classifier.")]
Preset = Annotated[
    str,
    typer.Option(
        "--preset",
        help="default, voc, coco, context, refcoco, refcoco+, refcocog, refdavis, or a .yaml file.",
    ),
]
Mode = Annotated[
    str | None,
    typer.Option("--mode", help="refer: queries do not compete in f; semantic: they share one softmax."),
]
Eta = Annotated[float | None, typer.Option("--eta", help="Where a proposal is binarised for its prompt.")]
Theta = Annotated[float | None, typer.Option("--theta", help="The score a query needs to stay.")]
Lam = Annotated[float | None, typer.Option("--lambda", help="Where a CAM is cut for the affinity's boxes.")]
Cam = Annotated[
    str | None, typer.Option("--cam", help="clip-es (with the affinity step) or gradcam (without).")
]
Prompts = Annotated[
    list[str] | None,
    typer.Option(
        "--prompt",
        help="A visual prompt; repeat it to draw several. circle, rectangle, contour, blur, gray, black.",
    ),
]
Templates = Annotated[
    list[str] | None, typer.Option("--templates", help="How g words a query, {} in its place; repeatable.")
]
Background = Annotated[
    list[str] | None,
    typer.Option(
        "--background", help="A background text instead of the preset's; repeatable; none for no such text."
    ),
]
Negatives = Annotated[
    list[str] | None,
    typer.Option(
        "--negatives", help="A text that may win against a query in g; repeatable; none for no such text."
    ),
]
Crf = Annotated[
    bool | None, typer.Option("--crf/--no-crf", help="Refine by the dense CRF, or cut the proposals at eta.")
]
Sam = Annotated[
    str | None,
    typer.Option("--sam", help="Refine the masks by Segment Anything: a name, a folder or a file."),
]
SamPoints = Annotated[
    str, typer.Option("--sam-points", help="full: the whole point grid; guided: only near the masks.")
]
SamEvery = Annotated[int, typer.Option("--sam-every", help="Run SAM on one frame of so many.")]
Truncate = Annotated[
    bool, typer.Option("--truncate", help="Cut queries that are too long instead of refusing them.")
]
Carry = Annotated[
    int | None,
    typer.Option(
        "--carry",
        help="Start a frame with the queries present in the last one; with all on every K-th and after a cut.",
    ),
]
Batch = Annotated[
    str,
    typer.Option(
        "--batch",
        help="Frames that go through the models together: a number, or auto for what a GPU's memory holds.",
    ),
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:N or mps.")]
Dtype = Annotated[str, typer.Option("--dtype", help="auto, float32, bfloat16 or float16.")]
Offline = Annotated[bool, typer.Option("--offline", help="Use cached weights only.")]
AllowPickle = Annotated[
    bool, typer.Option("--allow-pickle", help="Read .bin and .pt weights too (tensors only, never code).")
]
Reader = Annotated[str, typer.Option("--reader", help="Video reader: pyav or decord.")]
StartFrame = Annotated[int, typer.Option("--start-frame", help="First frame, counted from 0.")]
StopFrame = Annotated[int | None, typer.Option("--stop-frame", help="The frame to stop before.")]
Every = Annotated[int, typer.Option("--every", help="Take one frame of so many.")]
Strict = Annotated[bool, typer.Option("--strict", help="Make damage in the source an error.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what carvid wrote there before.")]
Json = Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")]
Out = Annotated[Path, typer.Option("--out", "-o", help="Output folder.")]


def texts(given: list[str] | None) -> list[str] | None:
    """The texts of a repeatable option: None where it was not given, no text for the one word `none`."""
    return [] if given == ["none"] else given or None


def batch(text: str) -> int | None:
    """--batch as the library takes it: None for auto. Raises UsageError for what is neither that nor a number."""
    if text == "auto":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(f"--batch is {text!r}; expected auto or a whole number from 1")
    return int(text)
