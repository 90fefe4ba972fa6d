"""Takes the pictures of docs/desk.md: the desk in light and in dark, over clips that the embedded model has labelled.

python scripts/picture_desk.py docs/pictures
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from PIL import Image  # noqa: E402

from carvid.shapes.scenes import moving_clip  # noqa: E402
from tests.browser import open_browser, prefer, press, wait_for  # noqa: E402
from tests.desk_cases import TOKEN, open_desk  # noqa: E402
from tests.media import write_video  # noqa: E402

SEEDS = (40, 37, 55)
SIZE = 1360, 860


def label(folder: Path) -> Path:
    """Draw clips and label them with `carvid annotate`."""
    clips = folder / "clips"
    clips.mkdir()
    for number, seed in enumerate(SEEDS, 1):
        write_video(
            clips / f"street-{number}.mp4", [scene.image for scene in moving_clip(seed, 40, 480, 854)]
        )
    queries = [
        word
        for thing in next(moving_clip(SEEDS[0], 1, 480, 854)).things
        for word in ("-q", f"the {thing.name}")
    ]
    command = [sys.executable, "-m", "carvid", "annotate", str(clips), *queries, "--model", "shapes", "-o"]
    subprocess.run([*command, str(folder / "labels")], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return folder / "labels"


def settled(driver: Any) -> None:
    wait_for(driver, "document.documentElement.dataset.saved === 'yes'")
    wait_for(driver, "document.getElementById('toast').hidden")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="The folder for desk-light.png and desk-dark.png.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="carvid-picture-desk-") as place:
        folder = Path(place)
        dataset = label(folder)
        with open_browser(folder / "profile", size=SIZE) as driver, open_desk(dataset) as desk:
            desk.desk.ranking.of_video(1)
            driver.get(f"{desk.origin}/#token={TOKEN}&video=1&frame=0")
            wait_for(driver, "document.documentElement.dataset.frame !== undefined")
            for key in ("a", "a", "Shift+a", "Shift+a", "r", "s", "2", "g", "a", "a", "o"):
                press(driver, key)
            settled(driver)
            for scheme in ("light", "dark"):
                prefer(driver, scheme)
                picture = options.out / f"desk-{scheme}.png"
                driver.save_screenshot(str(picture))
                Image.open(picture).convert("RGB").save(picture, optimize=True)
                print(picture)


if __name__ == "__main__":
    main()
