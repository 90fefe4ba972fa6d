"""Fetching in real processes, from a small hub on this machine or from addresses that do not answer."""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.hub_server import COMMIT, serve
from tests.tiny_clip import make_tiny_clip

OPENAI_B16 = "openai/clip-vit-base-patch16"
OPENAI_L14 = "openai/clip-vit-large-patch14"

FETCH = """
import json, sys, time
from carvid.clip.names import CLIP, NAMED_CLIPS, resolve_pair
from carvid.weights import catalog
from carvid.weights.locate import locate
from carvid.errors import CarvidError
action, name, options = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
if action == "resolve":
    import socket
    socket.getaddrinfo = lambda *arguments, **options: time.sleep(60)
seen = []
out = {}
start = time.monotonic()
try:
    if action == "pull":
        report = lambda repository, done, total: seen.append([repository, done, total])
        out["folders"] = [str(folder) for folder in catalog.pull(name, NAMED_CLIPS, CLIP, progress=report)]
    elif action == "models":
        out["models"] = {entry.name: entry.cached for entry in catalog.list_models(NAMED_CLIPS.values())}
    else:
        out["folders"] = [str(locate(spec, **options).folder) for spec in resolve_pair(name)]
except CarvidError as error:
    out["error"], out["message"], out["exit"] = type(error).__name__, str(error), error.exit_code
out["seconds"] = time.monotonic() - start
out["seen"] = seen
out["torch"] = "torch" in sys.modules
print(json.dumps(out))
"""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = make_tiny_clip(tmp_path_factory.mktemp("tiny") / "safe", layers=1, text_layers=1)
    (folder / "README.md").write_text("not needed")
    (folder / "flax_model.msgpack").write_bytes(b"not needed")
    return folder


@pytest.fixture(scope="module")
def pickled(tiny, tmp_path_factory):
    """A repository as OpenAI's ViT-B/16 may be on the hub: no safetensors. Nothing here reads the weights."""
    folder = tmp_path_factory.mktemp("pickled") / "repository"
    shutil.copytree(tiny, folder)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    return folder


@pytest.fixture
def carvid(tmp_path):
    """Run FETCH in a process of its own, with an empty cache under tmp_path/home."""

    def run(action, name, endpoint="http://127.0.0.1:9", environment=None, **options):
        variables = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("HF_", "HUGGINGFACE")) and not key.lower().endswith("_proxy")
        }
        variables |= {"HF_HOME": str(tmp_path / "home"), "HF_ENDPOINT": endpoint, "HF_HUB_DISABLE_XET": "1"}
        arguments = [sys.executable, "-c", FETCH, action, name, json.dumps(options)]
        start = time.monotonic()
        done = subprocess.run(
            arguments,
            env=variables | (environment or {}),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""  # no progress bar of another library, no warning, no traceback
        out = json.loads(done.stdout)
        assert not out["torch"]  # so that what cannot be had is reported before torch is loaded
        out["process_seconds"] = time.monotonic() - start
        return out

    return run


def names(folder):
    return {path.name for path in Path(folder).iterdir()}


def assert_unavailable(out, repository, tmp_path):
    assert (out["error"], out["exit"]) == ("WeightsError", 3)
    message = out["message"]
    assert "\n" not in message
    for part in (
        repository,
        str(tmp_path / "home" / "hub"),
        "carvid models pull",
        "--offline",
        "--model DIR",
    ):
        assert part in message
    assert "--model shapes" in message
    assert out["seconds"] < 5


def test_fetches_what_is_needed_and_then_asks_no_more(carvid, tiny, tmp_path):
    requests = []
    with serve({"org/tiny": tiny}, requests) as endpoint:
        first = carvid("locate", "org/tiny", endpoint)
        asked = len(requests)
        second = carvid("locate", "org/tiny", endpoint)
    assert first["folders"] == second["folders"]
    assert len(requests) == asked
    (folder, same) = first["folders"]
    assert folder == same == str(tmp_path / "home" / "hub" / "models--org--tiny" / "snapshots" / COMMIT)
    assert sorted(path.name for path in Path(folder).iterdir()) == [
        "config.json",
        "merges.txt",
        "model.safetensors",
        "preprocessor_config.json",
        "tokenizer_config.json",
        "vocab.json",
    ]
    assert Path(folder, "model.safetensors").read_bytes() == (tiny / "model.safetensors").read_bytes()
    # with the hub gone, and in every way of being offline
    assert carvid("locate", "org/tiny")["folders"] == first["folders"]
    assert carvid("locate", "org/tiny", offline=True)["folders"] == first["folders"]
    assert carvid("locate", "org/tiny", environment={"HF_HUB_OFFLINE": "1"})["folders"] == first["folders"]


def test_shards_are_fetched_by_their_index(carvid, tiny, tmp_path):
    sharded = tmp_path / "sharded"
    shutil.copytree(tiny, sharded)
    (sharded / "model.safetensors").rename(sharded / "model-00001-of-00001.safetensors")
    index = {"weight_map": {"logit_scale": "model-00001-of-00001.safetensors"}}
    (sharded / "model.safetensors.index.json").write_text(json.dumps(index))
    with serve({"org/sharded": sharded}) as endpoint:
        out = carvid("locate", "org/sharded", endpoint)
    assert "model-00001-of-00001.safetensors" in names(out["folders"][0])


def test_a_pickle_is_accepted_for_built_in_names_only(carvid, pickled):
    with serve({OPENAI_B16: pickled, "org/pickled": pickled}) as endpoint:
        assert "pytorch_model.bin" in names(carvid("locate", "clip-b16", endpoint)["folders"][0])
        refused = carvid("locate", "org/pickled", endpoint)
        assert refused["error"] == "WeightsError"
        assert "only as pytorch_model.bin, which is a pickle: pass --allow-pickle" in refused["message"]
        allowed = carvid("locate", "org/pickled", endpoint, allow_pickle=True)
        assert "pytorch_model.bin" in names(allowed["folders"][0])


def test_pull_and_what_is_cached(carvid, tiny, pickled):
    with serve({OPENAI_B16: pickled, OPENAI_L14: tiny}) as endpoint:
        before = carvid("models", "", endpoint)["models"]
        assert (before["clip"], before["clip-b16"], before["random:clip"]) == (False, False, True)
        out = carvid("pull", "clip", endpoint)
        assert len(out["folders"]) == 2
        assert {repository for repository, _, _ in out["seen"]} == {OPENAI_B16, OPENAI_L14}
        for repository in (OPENAI_B16, OPENAI_L14):
            steps = [(done, total) for name, done, total in out["seen"] if name == repository]
            assert steps[-1][0] == steps[-1][1] > 10_000
            assert all(done <= total for done, total in steps)
        after = carvid("models", "", endpoint)["models"]
        assert (after["clip"], after["clip-b16"]) == (True, True)
        assert len(carvid("pull", "clip-b16", endpoint)["folders"]) == 1
        assert carvid("pull", "random:clip", endpoint)["folders"] == []


def test_pull_says_so_when_the_hub_is_gone_though_cached(carvid, tiny, tmp_path):
    with serve({"org/tiny": tiny}) as endpoint:
        carvid("pull", "org/tiny", endpoint)
    assert_unavailable(carvid("pull", "org/tiny"), "org/tiny", tmp_path)


def test_pull_of_a_path_is_a_usage_error(carvid, tiny):
    out = carvid("pull", str(tiny))
    assert (out["error"], out["exit"]) == ("UsageError", 2)


def test_a_closed_port(carvid, tmp_path):
    with closing(socket.socket()) as unused:
        unused.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{unused.getsockname()[1]}"
    out = carvid("locate", "clip", endpoint)
    assert_unavailable(out, OPENAI_B16, tmp_path)
    assert endpoint in out["message"]


def test_a_server_that_accepts_and_never_answers(carvid, tmp_path):
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        out = carvid("locate", "clip", endpoint)
    assert_unavailable(out, OPENAI_B16, tmp_path)
    assert out["process_seconds"] < 20  # the process ends too: nothing waits for the hanging call


def test_a_server_that_answers_a_byte_at_a_time(carvid, tmp_path):
    with closing(socket.create_server(("127.0.0.1", 0))) as server:

        def trickle():
            connection, _ = server.accept()
            with connection:
                try:
                    for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b" " * 200:
                        connection.sendall(bytes([byte]))
                        time.sleep(0.1)
                except OSError:  # the other side has given up
                    return

        thread = threading.Thread(target=trickle, daemon=True)
        thread.start()
        out = carvid("locate", "clip", f"http://127.0.0.1:{server.getsockname()[1]}")
        thread.join()
    assert_unavailable(out, OPENAI_B16, tmp_path)
    assert "did not answer within 3 s" in out["message"]


def test_a_host_that_cannot_be_resolved(carvid, tmp_path):
    assert_unavailable(carvid("locate", "clip", "http://hub.invalid"), OPENAI_B16, tmp_path)


def test_a_name_server_that_does_not_answer(carvid, tmp_path):
    out = carvid("resolve", "clip", "http://hub.invalid")
    assert_unavailable(out, OPENAI_B16, tmp_path)
    assert "did not answer within 3 s" in out["message"]
    assert out["process_seconds"] < 20


@pytest.mark.parametrize(
    ("status", "reason"),
    [(404, "knows no such repository"), (401, "knows no such repository"), (403, "the repository is gated")],
)
def test_a_repository_that_is_refused(carvid, tmp_path, status, reason):
    with serve({"org/name": status}) as endpoint:
        out = carvid("locate", "org/name", endpoint)
    assert_unavailable(out, "org/name", tmp_path)
    assert reason in out["message"]


@pytest.mark.parametrize(
    ("environment", "options", "reason"),
    [({"HF_HUB_OFFLINE": "1"}, {}, "HF_HUB_OFFLINE is set"), ({}, {"offline": True}, "--offline is set")],
)
def test_offline_without_a_cache(carvid, tiny, tmp_path, environment, options, reason):
    requests = []
    with serve({OPENAI_B16: tiny}, requests) as endpoint:
        out = carvid("locate", "clip", endpoint, environment, **options)
    assert_unavailable(out, OPENAI_B16, tmp_path)
    assert reason in out["message"]
    assert "is not in the cache" in out["message"]
    assert requests == []


def test_offline_with_half_a_cache(carvid, tiny, tmp_path):
    with serve({"org/tiny": tiny}) as endpoint:
        folder = carvid("locate", "org/tiny", endpoint)["folders"][0]
        Path(folder, "model.safetensors").unlink()
        out = carvid("locate", "org/tiny", endpoint, offline=True)
        assert_unavailable(out, "org/tiny", tmp_path)
        assert "holds no weights" in out["message"]
        # and with a network what is missing is fetched again
        assert "model.safetensors" in names(carvid("locate", "org/tiny", endpoint)["folders"][0])


def test_a_cache_that_cannot_be_written(carvid, tiny, tmp_path):
    (tmp_path / "home").write_text("a file where the cache folder should be")
    with serve({"org/tiny": tiny}) as endpoint:
        out = carvid("locate", "org/tiny", endpoint)
    assert_unavailable(out, "org/tiny", tmp_path)
