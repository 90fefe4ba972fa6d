"""A small Hugging Face hub on this machine: what fetching a model asks of the real one."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "1" * 40


@contextmanager
def serve(repositories: dict[str, Path | int], requests: list[str] | None = None) -> Iterator[str]:
    """Serve each repository `org/name` from a folder, or refuse it with an HTTP status; gives the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def log_message(self, *arguments: object) -> None:
            if requests is not None:
                requests.append(self.requestline)

        def answer(self, *, body: bool) -> None:
            path = self.path.partition("?")[0].strip("/")
            repository = "/".join(path.removeprefix("api/models/").split("/")[:2])
            folder = repositories.get(repository, 404)
            if isinstance(folder, int):
                code = {401: "RepoNotFound", 403: "GatedRepo", 404: "RepoNotFound"}[folder]
                self.reply(folder, b"{}", {"X-Error-Code": code}, body=body)
            elif path.startswith("api/models/"):
                files = [{"rfilename": file.name, "size": file.stat().st_size} for file in folder.iterdir()]
                listing = {"id": repository, "sha": COMMIT, "siblings": files}
                self.reply(200, json.dumps(listing).encode(), {"Content-Type": "application/json"}, body=body)
            elif (folder / Path(path).name).is_file():
                content = (folder / Path(path).name).read_bytes()
                headers = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Repo-Commit": COMMIT}
                self.reply(200, content, headers, body=body)
            else:
                self.reply(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT}, body=body)

        def reply(self, status: int, content: bytes, headers: dict[str, str], *, body: bool) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            if body:
                self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
