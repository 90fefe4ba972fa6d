"""scripts/check_media.py prints what carvid and PyAV disagree about."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.media import moving_square, packet_spans, write_video, zero

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "check_media.py"


def test_frames_that_carvid_leaves_out_are_shown(tmp_path: Path) -> None:
    pictures = moving_square(20, 48, 144)
    write_video(tmp_path / "a.mkv", pictures, gop=10)
    write_video(tmp_path / "b.mkv", pictures, gop=10, options={"bf": "0"})
    position, size, _ = packet_spans(tmp_path / "b.mkv")[13]
    zero(tmp_path / "b.mkv", position + size // 2, size // 4)
    (tmp_path / "c.txt").write_text("no video")
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path)], capture_output=True, text=True, check=True
    )
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in done.stdout.splitlines()]
    by_name = {row[0]: row for row in rows}
    # ffmpeg may be installed or not.
    assert [*by_name["a.mkv"][:3], *by_name["a.mkv"][4:]] == ["a.mkv", "20", "20", "20", "0.0", "", ""]
    carvid, _, _, same, off_by, missing, remark = by_name["b.mkv"][1:]
    assert (carvid, same, off_by, missing) == ("13", "13", "0.0", "13")
    assert remark.startswith("frames 13 to 19: ")
    assert by_name["c.txt"][1] == "0"
    assert "c.txt is" in by_name["c.txt"][-1]
