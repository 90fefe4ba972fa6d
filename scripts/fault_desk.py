"""Does the desk lose an edit that it has acknowledged? Kill `carvid serve` at random moments while people edit.

Draws two videos with masks, and serves them. Two clients send corrections, some of several masks at once, and verdicts,
as fast as these are answered. At a random moment the server gets SIGKILL. Then the dataset must be sound and hold every
mask and verdict that was acknowledged, bit for bit; of the one call of each client that was under way, all or nothing.
Then the next server goes on with the same dataset.

    python scripts/fault_desk.py --faults 100
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from carvid.media.rle import encode_rle  # noqa: E402
from carvid.store.database import open_dataset  # noqa: E402
from carvid.store.schema import DATABASE  # noqa: E402
from tests.desk_cases import FRAMES, HEIGHT, WIDTH, make_dataset  # noqa: E402

TOKEN = "a-token-for-the-faults"
LONGEST_SECONDS = 1.5
OBJECTS = (1, 2)

# (video, frame, object) and its revision.
Place = tuple[int, int, int]


@dataclass
class Client:
    """Edits one video, and remembers what was acknowledged.

    masks: by place and revision, the counts of each mask. verdicts: by place, the last one. under_way: the call that
    was sent and not answered when the server died: what it would have made of these.
    """

    video: int
    random: random.Random
    revisions: dict[Place, int] = field(default_factory=dict)
    masks: dict[tuple[Place, int], str] = field(default_factory=dict)
    verdicts: dict[Place, tuple[str, int]] = field(default_factory=dict)
    under_way: tuple[str, list[tuple[Place, Any]]] | None = None
    acknowledged: int = 0

    def edit(self, port: int, ended: threading.Event) -> None:
        """Edit until the server is gone."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        try:
            while not ended.is_set():
                (self._correct if self.random.random() < 0.8 else self._say)(connection, port)
        except (OSError, http.client.HTTPException):
            return
        finally:
            connection.close()

    def _correct(self, connection: http.client.HTTPConnection, port: int) -> None:
        places = self._places(self.random.choice((1, 1, 3, 12)))
        sent = []
        for place in places:
            seed = self.random.randrange(1 << 30)
            mask = np.random.default_rng(seed).random((HEIGHT, WIDTH)) < self.random.choice((0, 0.1, 0.5))
            sent.append((place, encode_rle(mask)))
        self.under_way = (
            "masks",
            [((place, self.revisions.get(place, 0) + 1), code["counts"]) for place, code in sent],
        )
        changes = [
            {
                "frame": frame,
                "object": number,
                "revision": self.revisions.get((video, frame, number), 0),
                "rle": code,
            }
            for (video, frame, number), code in sent
        ]
        self._post(connection, port, "corrections", {"changes": changes})
        for (place, revision), counts in self.under_way[1]:
            self.masks[place, revision] = counts
            self.revisions[place] = revision
        self.under_way = None
        self.acknowledged += len(sent)

    def _say(self, connection: http.client.HTTPConnection, port: int) -> None:
        places = self._places(2)
        verdict = self.random.choice(("accepted", "rejected", "skipped"))
        seen = [
            {"frame": frame, "object": number, "revision": self.revisions.get((video, frame, number), 0)}
            for video, frame, number in places
        ]
        self.under_way = "verdicts", [(place, (verdict, self.revisions.get(place, 0))) for place in places]
        self._post(connection, port, "verdicts", {"verdict": verdict, "masks": seen})
        self.verdicts.update(self.under_way[1])
        self.under_way = None
        self.acknowledged += len(places)

    def _places(self, count: int) -> list[Place]:
        every = [(self.video, frame, number) for frame in range(FRAMES) for number in OBJECTS]
        return self.random.sample(every, count)

    def _post(self, connection: http.client.HTTPConnection, port: int, kind: str, sent: Any) -> None:
        headers = {
            "Authorization": f"Bearer {TOKEN}",
            "Origin": f"http://127.0.0.1:{port}",
            "Content-Type": "application/json",
        }
        connection.request("POST", f"/api/videos/{self.video}/{kind}", json.dumps(sent), headers)
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status == 200, body


def start(dataset: Path, token: Path) -> tuple[subprocess.Popen[str], int]:
    """`carvid serve` and its port."""
    command = [sys.executable, "-m", "carvid", "serve", str(dataset), "--no-browser", "--port", "0"]
    server = subprocess.Popen(
        [*command, "--token-file", str(token)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert server.stdout is not None
    line = server.stdout.readline()
    found = re.search(r"http://127\.0\.0\.1:(\d+)", line)
    assert found, line
    return server, int(found[1])


def check(dataset: Path, client: Client) -> None:
    """Settle whether the call under way was carried out, and compare what the dataset holds with what it must hold."""
    with closing(sqlite3.connect(dataset / DATABASE)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        rows = connection.execute(
            "SELECT frame_index, object_id, revision, rle FROM annotations WHERE video_id = ? AND revision > 0",
            (client.video,),
        ).fetchall()
        said = connection.execute(
            "SELECT frame_index, object_id, verdict, revision FROM verdicts WHERE video_id = ?",
            (client.video,),
        ).fetchall()
    masks = {((client.video, frame, number), revision): counts for frame, number, revision, counts in rows}
    verdicts = {
        (client.video, frame, number): (verdict, revision) for frame, number, verdict, revision in said
    }
    if client.under_way is not None:
        kind, made = client.under_way
        known, found = (client.masks, masks) if kind == "masks" else (client.verdicts, verdicts)
        with_it = {**known, **dict(made)}
        assert found in (known, with_it), "part of a call was carried out, or something acknowledged is lost"
        if found == with_it:
            known.update(made)
            if kind == "masks":
                client.revisions.update({place: revision for (place, revision), _ in made})
        client.under_way = None
    assert masks == client.masks, "a mask that was acknowledged is lost"
    assert verdicts == client.verdicts, "a verdict that was acknowledged is lost"
    with open_dataset(dataset) as opened:
        newest = {
            ((client.video, frame.frame_index, each.object_id), each.revision): each.rle["counts"]
            for frame, found in opened.annotations(client.video)
            for each in found
            if each.revision
        }
    assert newest == {
        (place, revision): client.masks[place, revision] for place, revision in client.revisions.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--faults", type=int, default=100, help="How often the server is killed.")
    parser.add_argument("--seed", type=int, default=0, help="Chooses the moments and the edits.")
    options = parser.parse_args()
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="carvid-fault-desk-") as folder:
        dataset = make_dataset(Path(folder))
        token = Path(folder, "token")
        token.write_text(TOKEN)
        clients = [Client(video, random.Random(chance.random())) for video in (1, 2)]
        under_way = 0
        for _ in range(options.faults):
            server, port = start(dataset, token)
            ended = threading.Event()
            threads = [threading.Thread(target=client.edit, args=(port, ended)) for client in clients]
            for thread in threads:
                thread.start()
            time.sleep(chance.uniform(0, LONGEST_SECONDS))
            server.send_signal(signal.SIGKILL)
            server.wait()
            ended.set()
            for thread in threads:
                thread.join()
            under_way += sum(client.under_way is not None for client in clients)
            for client in clients:
                check(dataset, client)
            if server.stdout is not None:
                server.stdout.close()
        edits = sum(client.acknowledged for client in clients)
    print(f"{options.faults} kills, {under_way} calls under way; {edits} acknowledged edits, none lost")


if __name__ == "__main__":
    main()
