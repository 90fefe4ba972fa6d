"""Trains the embedded `shapes` model from scratch: two small CLIPs, the proposer f and the classifier g.

    python scripts/train_shapes.py --out carvid/shapes

Both see generated scenes only (`carvid.shapes.scenes`), from seeds that clips never use. The stages below are run one
after the other on one thread: f on crops, f on whole scenes, then g from f's weights, first where only the prompted
thing shows. `--stage NAME` runs one, from the folders an earlier one left in `--work`. Seeded.
"""

from __future__ import annotations

import argparse
import math
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from shapes_training.classifier import classifier_loss
from shapes_training.clips import Heads, make_model, save
from shapes_training.prompted import from_scenes
from shapes_training.proposer import Figures, proposer_loss
from shapes_training.sampling import Scenes
from shapes_training.words import Texts, write_tokenizer
from torch import Tensor, nn
from transformers import CLIPModel, CLIPTokenizer

SHOWN_EVERY = 100
WARM_UP_STEPS = 100


@dataclass(frozen=True)
class Stage:
    """A stretch of training with a learning rate of its own.

    start: the stage whose weights it starts from; None from random ones. cosine_steps: where the learning rate's
    cosine would end. cropped: f sees crops of scenes. kept: tokens a prompted image keeps, g only. circled: share of
    circle and blur prompts, g only. words: weight of the loss on colour and shape apart.
    """

    name: str
    role: str
    start: str | None
    steps: int
    cosine_steps: int
    batch: int
    rate: float
    seed: int
    cropped: bool = False
    kept: int = 225
    prompts: tuple[str, ...] = ("contour", "gray")
    words: float = 0.0


BLACK = ("contour", "black")
# The shipped weights were made by these stages while the script grew: a rerun gives a model of the same kind.
STAGES = (
    Stage("crops", "proposer", None, 2000, 2600, batch=24, rate=1e-3, seed=0, cropped=True),
    Stage("scenes", "proposer", "crops", 500, 500, batch=8, rate=4e-4, seed=1),
    Stage("black", "classifier", "crops", 500, 1500, batch=24, rate=8e-4, seed=0, prompts=BLACK),
    Stage(
        "words",
        "classifier",
        "black",
        500,
        1100,
        batch=72,
        rate=1e-3,
        seed=2,
        kept=72,
        words=1.0,
        prompts=BLACK,
    ),
    Stage("gray", "classifier", "words", 900, 900, batch=48, rate=1.2e-3, seed=5, kept=90, words=1.0),
)


def train(stage: Stage, work: Path) -> None:
    """Run one stage; its weights go to `work`/<name>."""
    torch.manual_seed(stage.seed)
    torch.set_num_threads(1)
    rng = np.random.default_rng(stage.seed)
    folder = work / stage.name
    write_tokenizer(folder)
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    model = make_model(tokenizer)
    if stage.start is not None:
        model = CLIPModel.from_pretrained(work / stage.start, dtype=torch.float32)
    scenes, texts, heads = Scenes(rng), Texts(model, tokenizer, rng), Heads()
    optimiser = torch.optim.AdamW(
        [*model.parameters(), *heads.parameters()], lr=stage.rate, weight_decay=0.02, betas=(0.9, 0.98)
    )
    started, running = time.monotonic(), Figures()
    for step in range(stage.steps):
        warm = min(1.0, (step + 1) / WARM_UP_STEPS)
        rate = stage.rate * (warm * 0.5 * (1 + math.cos(math.pi * step / stage.cosine_steps)) + 0.01)
        for group in optimiser.param_groups:
            group["lr"] = rate
        loss, figures = _loss(stage, model, heads, texts, scenes)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        for key, value in figures.items():
            running[key] = 0.98 * running.get(key, value) + 0.02 * value
        if step % SHOWN_EVERY == 0 or step == stage.steps - 1:
            shown = " ".join(f"{key} {value:.3f}" for key, value in running.items())
            save(model, folder)
            print(f"{stage.name} {step:6d} {time.monotonic() - started:6.0f} s  {shown}", flush=True)


def _loss(
    stage: Stage, model: CLIPModel, heads: Heads, texts: Texts, scenes: Scenes
) -> tuple[Tensor, Figures]:
    if stage.role == "classifier":
        prompted = from_scenes(scenes, stage.batch, stage.prompts)
        return classifier_loss(model, heads, texts, prompted, stage.kept, stage.words)
    return proposer_loss(model, heads, texts, scenes, stage.batch, stage.cropped, stage.words)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="gets proposer/ and classifier/")
    parser.add_argument("--work", type=Path, default=Path("out/shapes"), help="gets a folder per stage")
    parser.add_argument("--stage", choices=[stage.name for stage in STAGES], help="run this one alone")
    arguments = parser.parse_args()
    for stage in STAGES:
        if arguments.stage in (None, stage.name):
            train(stage, arguments.work)
    for role in ("proposer", "classifier"):
        last = [stage.name for stage in STAGES if stage.role == role][-1]
        if (arguments.work / last / "model.safetensors").is_file():
            shutil.copytree(arguments.work / last, arguments.out / role, dirs_exist_ok=True)


if __name__ == "__main__":
    main()
