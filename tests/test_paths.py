"""What lies at a path, and every room's own error where that cannot be known."""

import os
from pathlib import Path

import pytest

from carvid.annotate.annotate import annotate
from carvid.davis.dataset import read_truth
from carvid.davis.evaluate import evaluate
from carvid.errors import CarvidError, InputError, OutputError, UsageError, WeightsError
from carvid.paths import exists, is_dir, is_file, look, real
from carvid.recipe import load_recipe
from carvid.sinks.output import check_output
from carvid.store.database import open_dataset
from carvid.stream import open_frames
from carvid.stream.identity import identify_source
from carvid.weights.names import Family, resolve

LONG = 256 * "x"
FAMILY = Family(model="a CLIP", vocabulary=True, instead="")


def test_what_lies_at_a_path(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "nothing").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "link").symlink_to("file")
    found = {
        name: (exists(path, InputError), is_dir(path, InputError), is_file(path, InputError))
        for name in (".", "file", "link", "nothing", "loop", "file/below", "nowhere", "a\0b", "\ud83d")
        for path in [tmp_path / name]
    }
    there = {".": (True, True, False), "file": (True, False, True), "link": (True, False, True)}
    assert found == {name: there.get(name, (False, False, False)) for name in found}
    assert look(tmp_path / "nowhere") is None
    assert real(tmp_path / "link") == Path(os.path.realpath(tmp_path)) / "file"
    assert real(tmp_path / "loop").name == "loop"


@pytest.mark.parametrize("ask", [exists, is_dir, is_file])
def test_what_cannot_be_looked_at_is_an_error_of_the_asking_room(tmp_path, monkeypatch, ask):
    for error in (InputError, OutputError):
        with pytest.raises(error, match=r"cannot look at .*x: File name too long; check its name"):
            ask(tmp_path / LONG, error)

    def refused(path, **keywords):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "stat", refused)
    with pytest.raises(InputError, match=r"cannot look at .*: Permission denied; .* permissions"):
        ask(tmp_path / "a", InputError)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda long: open_frames(long), InputError),
        (lambda long: identify_source(long), InputError),
        (lambda long: check_output(long, None, overwrite=False), OutputError),
        (lambda long: check_output(long / "below", None, overwrite=False), OutputError),
        (lambda long: load_recipe(f"{long}.yaml"), UsageError),
        (lambda long: load_recipe(LONG), UsageError),
        (lambda long: resolve(str(long), {}, FAMILY), WeightsError),
        (lambda long: resolve("~no-such-user/x", {}, FAMILY), WeightsError),
        (lambda long: annotate(str(long), long.parent / "out", load_recipe(), queries=["q"]), InputError),
        (lambda long: annotate(__file__, long, load_recipe(), queries=["q"]), OutputError),
        (lambda long: read_truth(long), InputError),
        (lambda long: open_dataset(long), InputError),
        (lambda long: evaluate(long.parent, long), InputError),
    ],
)
def test_a_name_that_is_too_long_is_one_message_in_every_room(tmp_path, call, error):
    with pytest.raises(CarvidError) as caught:
        call(tmp_path / LONG)
    assert type(caught.value) is error
    assert list(tmp_path.iterdir()) == []


def test_a_loop_of_links_is_nothing(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OutputError, match="symbolic link to nothing"):
        check_output(tmp_path / "loop", tmp_path / "a.mp4", overwrite=False)
    # As a source it is nothing, which opening it says.
    assert identify_source(tmp_path / "loop") == {"name": "loop", "size_bytes": None, "sha256": None}
    with pytest.raises(InputError, match="there is no file or folder"):
        open_frames(tmp_path / "loop")
