"""The picture of the README: three frames of a drawn clip with the masks of the embedded model over them.

python scripts/draw_pictures.py docs/pictures
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from carvid import VideoSegmenter
from carvid.frame import Frame
from carvid.shapes.scenes import moving_clip
from carvid.sinks.legend import Legend

SEED, FRAMES, SHOWN = 3_000_009, 24, (0, 11, 23)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    scenes = list(moving_clip(SEED, FRAMES))
    queries = [f"the {thing.name}" for thing in scenes[0].things] + ["the pink fish"]
    segmenter = VideoSegmenter.from_pretrained("shapes", queries=queries, device="cpu")
    height, width = scenes[0].image.shape[:2]
    legend = Legend(queries, height, width)
    strip = Image.new("RGB", (len(SHOWN) * width, height))
    for place, index in enumerate(SHOWN):
        result = segmenter.step(Frame(index, None, scenes[index].image, str(index)))
        painted = result.plot(scenes[index].image)
        canvas = np.array(painted)
        legend.draw(canvas, result)
        strip.paste(Image.fromarray(canvas), (place * width, 0))
    out.mkdir(parents=True, exist_ok=True)
    strip.quantize(128).save(out / "shapes.png", optimize=True)


if __name__ == "__main__":
    main()
