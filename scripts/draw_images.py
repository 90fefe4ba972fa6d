"""Draw the images of the benchmark `shapes`, which the embedded model knows: python scripts/draw_images.py ROOT"""

from __future__ import annotations

import argparse
from pathlib import Path

from carvid.shapes.image_tree import write_images


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path)
    parser.add_argument("--images", type=int, default=128)
    arguments = parser.parse_args()
    names = write_images(arguments.root, arguments.images)
    print(f"{len(names)} images in {arguments.root}")


if __name__ == "__main__":
    main()
