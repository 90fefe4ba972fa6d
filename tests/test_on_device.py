"""Nothing between the frame and its scores needs a value on the host.

The meta device stands in for an accelerator: its tensors have shapes and no values, so whatever would wait for a
value (item, tolist, nonzero, a copy to the host, an if on a tensor) raises, and so does mixing it with the CPU's.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from carvid.car.classifier import ClassifierTexts, FrameClassifier
from carvid.car.clip_rnn import ClipRnn, see
from carvid.car.proposals import ProposalTexts
from carvid.car.recurrence import Asked
from carvid.clip.load import LoadedClip
from carvid.media.packed import PackedMasks, to_host, unpack_bits
from carvid.sam.matching import label_map
from carvid.segmenter import VideoSegmenter
from carvid.stopwatch import Stopwatch
from tests.tiny_clip import make_tiny_clip

META = torch.device("meta")
QUERIES = ["red car", "blue star", "old fish"]


def on_meta(part: object) -> Any:
    """The same with every tensor on the meta device."""
    if isinstance(part, torch.Tensor):
        return part.to(META)
    if isinstance(part, tuple):
        return tuple(map(on_meta, part))
    if is_dataclass(part) and not isinstance(part, type):
        return replace(part, **{field.name: on_meta(getattr(part, field.name)) for field in fields(part)})
    return part


def moved(clip: LoadedClip) -> LoadedClip:
    return replace(clip, tower=on_meta(clip.tower), device=META)


def segmenter(tmp_path: Path, **options: object) -> VideoSegmenter:
    clip = make_tiny_clip(tmp_path / "clip", seed=1, layers=4)
    return VideoSegmenter.from_pretrained(clip, queries=QUERIES, device="cpu", **options)


@pytest.mark.parametrize("mode", ["refer", "semantic"])
@pytest.mark.parametrize("cam", ["clip-es", "gradcam"])
@torch.inference_mode()
def test_two_frames_go_from_pixels_to_scores_on_their_device(tmp_path: Path, mode: str, cam: str) -> None:
    prompts = ("blur", "gray", "rectangle", "contour")
    on_host = segmenter(tmp_path, mode=mode, cam=cam, prompts=prompts, preset="refcoco")
    f_texts, g_texts = on_host.texts
    rnn = ClipRnn(
        moved(on_host.model.proposer),
        moved(on_host.model.classifier),
        [ProposalTexts(f_texts.queries.to(META), f_texts.background.to(META), f_texts.logit_scale)],
        ClassifierTexts(g_texts.queries.to(META), g_texts.negatives.to(META), g_texts.logit_scale),
        on_host.recipe,
    )
    images, watch, live = torch.empty(2, 60, 90, 3, dtype=torch.uint8, device=META), Stopwatch(), (0, 2)
    proposers = rnn.proposer.on(see(images, moved(on_host.model.proposer), on_host.recipe, watch), (60, 90))
    for image, proposer in zip(images, proposers, strict=True):
        assert proposer.propose((0, 1, 2)).device == META
        proposals = proposer.propose(live)
        classifier = FrameClassifier(image, rnn.g_texts, 0.5, prompts)
        asked = Asked(live, proposals)
        queries, drawn = classifier.draw(asked)
        classifier.learn(queries, rnn.encode(drawn, watch))
        scores = classifier.answer(asked).scores
        labels = label_map(proposals > 0.5, proposals)
        bits = PackedMasks.pack(proposals > 0.5).bits
        for tensor, shape in ((scores, (2,)), (labels, (60, 90)), (bits, (2, 675))):
            assert (tensor.device, tuple(tensor.shape)) == (META, shape)


@pytest.mark.parametrize("asks", [torch.Tensor.item, torch.Tensor.cpu, torch.nonzero, bool])
def test_the_stand_in_tells(asks: Callable[[torch.Tensor], object]) -> None:
    with pytest.raises(RuntimeError, match="meta"):
        asks(torch.empty(1, device=META))


def test_masks_travel_as_bits() -> None:
    masks = torch.from_numpy(np.random.default_rng(0).random((4, 5, 7)) < 0.5)
    assert to_host(masks) is masks
    unpacked = unpack_bits(PackedMasks.pack(masks).bits.numpy(), (5, 7))
    assert np.array_equal(unpacked, masks.numpy())


def test_a_result_travels_with_its_proposals(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (60, 90, 3)).astype(np.uint8)
    result = segmenter(tmp_path).step(image)
    sent = pickle.loads(pickle.dumps(result))
    assert np.array_equal(sent.evidence.proposals, result.evidence.proposals)
    assert np.array_equal(sent.masks, result.masks)
    assert replace(result, name="other").evidence is result.evidence
