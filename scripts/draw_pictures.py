"""Draw the README's picture: three frames of the demo's clip under the masks of the embedded model.

python scripts/draw_pictures.py docs/pictures
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

import carvid
from carvid.shapes.drawn_tree import write_dataset
from carvid.sinks.legend import Legend

FRAMES, SHOWN = 24, (0, 11, 23)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (clip,) = write_dataset(root, clips=1, frames=FRAMES)
        queries = [f"the {name}" for name in (*clip.expressions, *clip.absent[:1])]
        segmenter = carvid.VideoSegmenter.from_pretrained("shapes", queries=queries, device="cpu")
        with carvid.open_frames(root / "JPEGImages" / "480p" / clip.name) as stream:
            frames = [frame for frame in stream if frame.index in SHOWN]
    height, width = frames[0].image.shape[:2]
    legend = Legend(queries, height, width)
    strip = Image.new("RGB", (len(frames) * width, height))
    for place, (frame, result) in enumerate(zip(frames, segmenter.run(frames), strict=True)):
        canvas = np.array(result.plot(frame.image))
        legend.draw(canvas, result)
        strip.paste(Image.fromarray(canvas), (place * width, 0))
    out.mkdir(parents=True, exist_ok=True)
    strip.quantize(128).save(out / "shapes.png", optimize=True)


if __name__ == "__main__":
    main()
