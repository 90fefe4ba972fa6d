"""Train the embedded `shapes` model from scratch: two small CLIPs, the proposer f and the classifier g.

    python scripts/train_shapes.py --out carvid/shapes

Both see drawn scenes only (`carvid.shapes.scenes`), from seeds that clips never use. f learns the names of things in
small windows, then to point at the things in crops; g learns what is inside a visual prompt, in windows and then in
whole frames. Both start with the same first stage; then f's stages and g's run side by side in two processes of one
thread each. `--stage NAME` runs one stage alone, from the weights that an earlier stage left in `--work`. Seeded.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import shutil
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from shapes_training.classifier import classifier_loss
from shapes_training.clips import Heads, make_model, save
from shapes_training.prompted import FRAME_WIDTH, from_scenes, from_windows
from shapes_training.proposer import Figures, proposer_loss, windows_loss
from shapes_training.sampling import SQUASHED, Scenes, Windows
from shapes_training.words import TOKENIZER_FILES, Texts, write_tokenizer
from torch import Tensor, nn
from transformers import CLIPModel, CLIPTokenizer

SHOWN_EVERY = 100
WARM_UP_STEPS = 100


@dataclass(frozen=True)
class Stage:
    """A stretch of training with its own learning rate.

    role: proposer (f) or classifier (g). start: the stage whose weights it starts from; None for random weights.
    views: what it sees: windows around one thing, prompted (the same under a visual prompt), crops, or whole frames.
    batch: images per step; windows have their own batch size. kept: tokens kept of a prompted frame, for g.
    """

    name: str
    role: str
    views: str
    start: str | None
    steps: int
    rate: float
    seed: int
    batch: int = 0
    kept: int = 225


PROMPTS = ("contour", "gray")
# The shipped weights came from these stages while they were worked out one by one: `wide` started from `names` after
# 600 of its steps. A rerun gives a similar model, not the same weights.
STAGES = (
    Stage("names", "proposer", "windows", None, 1800, 1.2e-3, seed=10),
    Stage("names again", "proposer", "windows", "names", 1200, 1e-3, seed=13),
    Stage("crops", "proposer", "crops", "names again", 1000, 8e-4, seed=11, batch=24),
    Stage("wide", "classifier", "windows", "names", 1200, 1.2e-3, seed=20),
    Stage("prompted", "classifier", "prompted", "wide", 1000, 8e-4, seed=22),
    Stage("prompted again", "classifier", "prompted", "prompted", 900, 8e-4, seed=23),
    Stage("frames", "classifier", "frames", "prompted again", 600, 5e-4, seed=21, batch=48, kept=90),
)


def train(stage: Stage, work: Path) -> None:
    """Run one stage and save its weights in `work`/<name>."""
    torch.manual_seed(stage.seed)
    torch.set_num_threads(1)
    rng = np.random.default_rng(stage.seed)
    folder = work / stage.name
    if stage.start is None:
        write_tokenizer(folder)
    else:
        # The weights depend on the tokenizer's numbering.
        folder.mkdir(parents=True, exist_ok=True)
        for name in TOKENIZER_FILES:
            shutil.copyfile(work / stage.start / name, folder / name)
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    model = make_model(tokenizer)
    if stage.start is not None:
        model = CLIPModel.from_pretrained(work / stage.start, dtype=torch.float32)
    source, texts, heads = _source(stage, rng), Texts(model, tokenizer, rng), Heads()
    optimiser = torch.optim.AdamW(
        [*model.parameters(), *heads.parameters()], lr=stage.rate, weight_decay=0.02, betas=(0.9, 0.98)
    )
    started, running = time.monotonic(), Figures()
    for step in range(stage.steps):
        warm = min(1.0, (step + 1) / WARM_UP_STEPS)
        rate = stage.rate * (warm * 0.5 * (1 + math.cos(math.pi * step / stage.steps)) + 0.01)
        for group in optimiser.param_groups:
            group["lr"] = rate
        loss, figures = _loss(stage, model, heads, texts, source)
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


def train_role(role: str, work: Path) -> str:
    """Run all stages of f or of g after the first stage."""
    for stage in STAGES[1:]:
        if stage.role == role:
            train(stage, work)
    return role


def _source(stage: Stage, rng: np.random.Generator) -> Scenes | Windows:
    if stage.views in ("crops", "frames"):
        return Scenes(rng)
    return Windows(rng, FRAME_WIDTH / SQUASHED if stage.role == "classifier" else 1.0)


def _loss(
    stage: Stage, model: CLIPModel, heads: Heads, texts: Texts, source: Scenes | Windows
) -> tuple[Tensor, Figures]:
    if stage.views == "windows":
        assert isinstance(source, Windows)
        return windows_loss(model, heads, texts, source)
    if stage.role == "classifier":
        if isinstance(source, Windows):
            prompted = from_windows(source, PROMPTS)
        else:
            prompted = from_scenes(source, stage.batch, PROMPTS)
        return classifier_loss(model, heads, texts, prompted, stage.kept)
    return proposer_loss(model, heads, texts, source, stage.batch)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to put proposer/ and classifier/ in")
    parser.add_argument(
        "--work", type=Path, default=Path("out/shapes"), help="folder for the weights of each stage"
    )
    parser.add_argument("--stage", choices=[stage.name for stage in STAGES], help="run only this stage")
    arguments = parser.parse_args()
    if arguments.stage is not None:
        train(next(stage for stage in STAGES if stage.name == arguments.stage), arguments.work)
    else:
        train(STAGES[0], arguments.work)
        # New interpreters: torch's threads do not survive a fork.
        with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as processes:
            for role in processes.map(train_role, ("proposer", "classifier"), [arguments.work] * 2):
                print(f"{role} is trained")
    for role in ("proposer", "classifier"):
        last = [stage.name for stage in STAGES if stage.role == role][-1]
        if (arguments.work / last / "model.safetensors").is_file():
            shutil.copytree(arguments.work / last, arguments.out / role, dirs_exist_ok=True)


if __name__ == "__main__":
    main()
