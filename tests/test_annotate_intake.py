"""What is labelled: folders, patterns and manifests become videos with their queries."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from carvid.annotate.annotate import DatasetSummary
from carvid.annotate.intake import check_place, read_intake
from carvid.errors import InputError, OutputError, UsageError
from carvid.store.status import Status
from carvid.wording import distinct
from tests.media import moving_square, write_folder


def touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def paths(intake):
    return [request.path for request in intake.requests]


def test_a_folder_is_searched_with_all_below_it_in_natural_order(tmp_path):
    touch(
        tmp_path,
        "clip10.mp4",
        "clip2.MOV",
        "notes.txt",
        ".hidden.mp4",
        ".cache/a.mp4",
        "b/-dash é.mkv",
        "b/x y.webm",
    )
    intake = read_intake(str(tmp_path), ["a dog"])
    assert paths(intake) == ["b/-dash é.mkv", "b/x y.webm", "clip2.MOV", "clip10.mp4"]
    assert {request.queries for request in intake.requests} == {("a dog",)}
    assert intake.requests[0].source == str(tmp_path / "b/-dash é.mkv")


def test_a_folder_of_images_is_one_video_unless_videos_or_folders_lie_beside_them(tmp_path):
    pictures = moving_square(2)
    write_folder(tmp_path / "bear", pictures)
    write_folder(tmp_path / "mixed", pictures)
    touch(tmp_path, "mixed/clip.mp4")
    write_folder(tmp_path / "outer", pictures)
    write_folder(tmp_path / "outer/inner", pictures)
    assert paths(read_intake(str(tmp_path), ["q"])) == ["bear", "mixed/clip.mp4", "outer/inner"]


def test_a_video_or_a_folder_of_images_by_itself(tmp_path):
    write_folder(tmp_path / "bear", moving_square(2))
    touch(tmp_path, "one.mp4")
    assert paths(read_intake(str(tmp_path / "bear"), ["q"])) == ["."]
    assert paths(read_intake(str(tmp_path / "one.mp4"), ["q"])) == ["one.mp4"]


def test_loops_of_links_are_visited_once_and_a_folder_under_its_own_name(tmp_path):
    touch(tmp_path, "in/real/a.mp4", "far/b.mp4")
    (tmp_path / "in/real/loop").symlink_to(tmp_path / "in")
    (tmp_path / "in/another").symlink_to(tmp_path / "in/real")
    (tmp_path / "in/far").symlink_to(tmp_path / "far")
    (tmp_path / "far/back").symlink_to(tmp_path / "in")
    (tmp_path / "in/self.mp4").symlink_to(tmp_path / "in/self.mp4")
    # What a link does not lead to is a video all the same: it will have failed, with its reason.
    assert paths(read_intake(str(tmp_path / "in"), ["q"])) == ["far/b.mp4", "real/a.mp4", "self.mp4"]
    assert paths(read_intake(str(tmp_path / "in/**"), ["q"])) == ["real/a.mp4", "self.mp4"]


def test_patterns(tmp_path):
    touch(tmp_path, "a/1.mp4", "a/2.mov", "b/1.mp4", "b/.hidden/3.mp4", "b/c/4.mp4")
    write_folder(tmp_path / "a/frames", moving_square(1))
    assert paths(read_intake(str(tmp_path / "*/1.mp4"), ["q"])) == ["a/1.mp4", "b/1.mp4"]
    assert paths(read_intake(str(tmp_path / "**/*.mp4"), ["q"])) == ["a/1.mp4", "b/1.mp4", "b/c/4.mp4"]
    assert paths(read_intake(str(tmp_path / "[b]"), ["q"])) == ["b/1.mp4", "b/c/4.mp4"]
    assert paths(read_intake(str(tmp_path / "a/**"), ["q"])) == ["1.mp4", "2.mov", "frames"]


def test_a_folder_whose_name_looks_like_a_pattern_is_a_folder(tmp_path):
    touch(tmp_path, "clips [1]/a.mp4")
    assert paths(read_intake(str(tmp_path / "clips [1]"), ["q"])) == ["a.mp4"]


@pytest.mark.skipif(os.name == "nt", reason="names are text there")
def test_a_name_that_is_not_utf8_is_kept_and_told_escaped(tmp_path):
    name = os.fsdecode(b"caf\xe9.mp4")
    try:
        touch(tmp_path, name)
    except OSError:
        pytest.skip("this file system takes no such name")
    # JSON holds such a name with a lone surrogate.
    (tmp_path / "list.jsonl").write_text(json.dumps({"path": name}))
    for videos in (tmp_path, tmp_path / "list.jsonl"):
        (request,) = read_intake(str(videos), ["q"]).requests
        assert request.path == "caf\\xe9.mp4"
        assert Path(request.source).exists()


def test_a_csv_manifest(tmp_path):
    (tmp_path / "list.csv").write_text(
        "path,queries,start,stop\n"
        "a.mp4,the red car,,\n"
        '"b, c.mp4","[""a dog"", ""a \\""big\\"" cat""]",5,10\n'
        "a.mp4,a bus,,\n"
        "sub/../b.mp4,,3,\n",
        encoding="utf-8-sig",
    )
    a, bc, b = read_intake(str(tmp_path / "list.csv"), ["a tree"]).requests
    assert (a.path, a.queries, a.start_frame, a.stop_frame) == ("a.mp4", ("the red car", "a bus"), 0, None)
    assert (bc.source, bc.queries) == (str(tmp_path / "b, c.mp4"), ("a dog", 'a "big" cat'))
    assert (bc.start_frame, bc.stop_frame) == (5, 10)
    assert (b.source, b.queries, b.start_frame) == (str(tmp_path / "b.mp4"), ("a tree",), 3)


def test_queries_of_a_manifest_overrule_those_for_all_videos(tmp_path):
    rows = [{"path": "a"}, {"path": "b", "queries": "x"}, {"path": "c", "queries": ["z", "y", "x"]}]
    (tmp_path / "list.jsonl").write_text("\n".join(map(json.dumps, rows)))
    for common, overruled in [(["x", "y"], 1), (["x"], 0), (["w"], 2)]:
        intake = read_intake(str(tmp_path / "list.jsonl"), common)
        assert [each.queries for each in intake.requests] == [tuple(common), ("x",), ("z", "y", "x")]
        assert intake.overruled == overruled


def test_a_json_lines_manifest_and_the_same_video_in_two_ranges(tmp_path):
    rows = [
        {"path": "a.mp4", "queries": ["x", " x ", "y"], "stop": 5},
        {"path": "a.mp4", "start": 5, "queries": "z\u2028w"},
        {"path": str(tmp_path / "a.mp4"), "stop": 5, "queries": ["v"]},
    ]
    text = "\n\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    (tmp_path / "list.jsonl").write_text(text, encoding="utf-8")
    first, second = read_intake(str(tmp_path / "list.jsonl")).requests
    assert (first.queries, first.start_frame, first.stop_frame) == (("x", "y", "v"), 0, 5)
    assert (second.queries, second.start_frame, second.stop_frame) == (("z\u2028w",), 5, None)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip), min_size=1))
def test_queries_in_a_manifest_are_plain_text(tmp_path_factory, queries):
    path = tmp_path_factory.mktemp("m") / "list.jsonl"
    path.write_text(json.dumps({"path": "a.mp4", "queries": queries}))
    (request,) = read_intake(str(path)).requests
    assert request.queries == distinct(query.strip() for query in queries)


def test_queries_of_options_and_of_a_file_add_up(tmp_path):
    touch(tmp_path, "a.mp4")
    (tmp_path / "queries.txt").write_text("the red car\n\n  a {dog}\nThe red  car\n", encoding="utf-8-sig")
    (request,) = read_intake(str(tmp_path), ["a cat"], tmp_path / "queries.txt").requests
    assert request.queries == ("a cat", "the red car", "a {dog}")


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("m.csv", "path,querys\na.mp4,x\n", "unknown 'querys'"),
        ("m.csv", "path,queries\n,x\n", "path is None"),
        ("m.csv", "path,queries\na.mp4,a,b\n", "more cells"),
        ("m.csv", "path,queries\na.mp4,[a\n", "not JSON"),
        ("m.csv", "path,queries,start\na.mp4,x,-1\n", "start is '-1'"),
        ("m.csv", "path,queries,start,stop\na.mp4,x,5,5\n", "stop is 5; expected more than start, 5"),
        ("m.csv", "path,queries\n", "lists no video"),
        ("m.csv", "", "lists no video"),
        ("m.jsonl", "[1]\n", "expected a JSON object"),
        ("m.jsonl", '{"path": 3}', "path is 3"),
        ("m.jsonl", '{"path": "a", "queries": [""]}', "none empty"),
        ("m.jsonl", '{"path": "a", "start": true}', "start is True"),
        ("m.jsonl", '{"path": "a"', "line 1: not JSON"),
        ("m.jsonl", 9999 * "[", "line 1: not JSON"),
        ("m.jsonl", '{"path": "a\\u0000b"}', "line 1: path is 'a\\x00b', which no file can be called"),
        ("m.jsonl", '\n{"path": "\\ud83d"}', "line 2: path is '\\ud83d', which no file can be called"),
        ("m.jsonl", '{"path": "a", "queries": ["\\udce9"]}', "line 1: the query '\\udce9' holds"),
        ("m.jsonl", '{"path": "a", "start": 9223372036854775808}', "line 1: start is 92"),
        ("m.csv", "path,stop\na.mp4,99999999999999999999\n", "line 2: stop is 999"),
        ("m.csv", "path,stop\na.mp4," + 5000 * "9", "line 2: stop is '999"),
        ("m.csv", 'path,queries\na.mp4,"[""\\udce9""]"\n', "line 2: the query '\\udce9' holds"),
    ],
)
def test_a_manifest_that_cannot_be_read(tmp_path, name, text, expected):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError) as caught:
        read_intake(str(tmp_path / name), ["q"])
    assert expected in str(caught.value)


def test_a_manifest_that_is_not_there_or_not_text(tmp_path):
    with pytest.raises(InputError, match="there is no manifest"):
        read_intake(str(tmp_path / "m.csv"), ["q"])
    for name in ("m.csv", "m.jsonl"):
        (tmp_path / name).write_bytes(b"\xef\xbb\xbfpath\r\n\xff\n")
        with pytest.raises(
            InputError, match=rf"cannot read the manifest .*{name}, line 2: b'\\xff' is not UTF-8"
        ):
            read_intake(str(tmp_path / name), ["q"])


def test_queries_that_are_no_text(tmp_path):
    touch(tmp_path, "a.mp4")
    (tmp_path / "queries.txt").write_bytes(b"the red car\ncaf\xe9\n")
    with pytest.raises(InputError, match=r"queries\.txt, line 2: b'\\xe9' is not UTF-8"):
        read_intake(str(tmp_path), [], tmp_path / "queries.txt")
    with pytest.raises(UsageError, match="expected UTF-8 text"):
        read_intake(str(tmp_path), [os.fsdecode(b"caf\xe9")])


def test_nothing_to_label(tmp_path):
    touch(tmp_path, "in/notes.txt", "empty.txt")
    for videos in ("in", "in/*.mp4"):
        with pytest.raises(InputError, match="no video in"):
            read_intake(str(tmp_path / videos), ["q"])
    with pytest.raises(InputError, match="there is no"):
        read_intake(str(tmp_path / "nowhere"), ["q"])


def test_every_video_needs_a_query(tmp_path):
    touch(tmp_path, "in/a.mp4", "in/b.mp4")
    with pytest.raises(UsageError, match=r"no query for a.mp4 and 1 more"):
        read_intake(str(tmp_path / "in"))
    with pytest.raises(UsageError, match="a query is empty"):
        read_intake(str(tmp_path / "in"), [" "])
    (tmp_path / "none.txt").write_text("\n")
    with pytest.raises(InputError, match="holds no query"):
        read_intake(str(tmp_path / "in"), [], tmp_path / "none.txt")


def test_the_dataset_may_not_lie_in_what_is_searched(tmp_path):
    touch(tmp_path, "in/a.mp4", "in/sub/b.mp4")
    write_folder(tmp_path / "frames", moving_square(1))
    (tmp_path / "link").symlink_to(tmp_path / "in/sub")
    (tmp_path / "m.jsonl").write_text('{"path": "frames", "queries": "q"}')
    folder = read_intake(str(tmp_path / "in"), ["q"]).folders
    for place in ("in", "in/out", "in/sub/deep/out", "link/out"):
        with pytest.raises(OutputError, match="inside the input"):
            check_place(tmp_path / place, folder)
    check_place(tmp_path / "out", folder)
    manifest = read_intake(str(tmp_path / "m.jsonl")).folders
    with pytest.raises(OutputError, match="inside the input"):
        check_place(tmp_path / "frames/out", manifest)
    check_place(tmp_path / "out", manifest)
    # A pattern searches the folders it matches, not the one it starts from.
    check_place(tmp_path / "in/out", read_intake(str(tmp_path / "in/*.mp4"), ["q"]).folders)


@pytest.fixture
def forbid(monkeypatch):
    """Takes the permission to list a folder, or to look at what has a name, from root too."""

    def forbid(method, path):
        real = getattr(Path, method)

        def refused(self, *arguments, **keywords):
            if self == path:
                raise PermissionError(13, "Permission denied", str(self))
            return real(self, *arguments, **keywords)

        monkeypatch.setattr(Path, method, refused)

    return forbid


def test_a_folder_that_cannot_be_listed_costs_itself_alone(tmp_path, forbid):
    touch(tmp_path, "a.mp4", "lost+found/b.mp4", "sub/c.mp4")
    forbid("iterdir", tmp_path / "lost+found")
    for videos in (tmp_path, tmp_path / "*"):
        intake = read_intake(str(videos), ["q"])
        assert paths(intake) == ["a.mp4", "sub/c.mp4"]
        assert intake.closed == (("lost+found", "Permission denied"),)
    # Not all of what was asked for was found, and the summary says so.
    done = Status({"done": 2}, 2, (), (), ())
    assert DatasetSummary(done, 1.0, False).is_whole
    summary = DatasetSummary(done, 1.0, False, closed=intake.closed)
    assert not summary.is_whole
    assert summary.to_json()["not_searched"] == [{"path": "lost+found", "reason": "Permission denied"}]
    with pytest.raises(InputError, match=r"no video in .*; cannot search \.: Permission denied"):
        read_intake(str(tmp_path / "lost+found"), ["q"])


def test_what_cannot_be_looked_at_costs_itself_alone(tmp_path, forbid):
    touch(tmp_path, "a.mp4", "b.mp4", "folder/c.mp4")
    forbid("stat", tmp_path / "b.mp4")
    forbid("stat", tmp_path / "folder")
    intake = read_intake(str(tmp_path), ["q"])
    # As with a link to nothing, what is called a video is one: it will have failed.
    assert paths(intake) == ["a.mp4", "b.mp4"]
    assert intake.closed == (("folder", "Permission denied"),)
    (tmp_path / "list.jsonl").write_text('{"path": "b.mp4"}\n{"path": "%s"}\n{"path": "a.mp4"}' % (300 * "x"))
    assert paths(read_intake(str(tmp_path / "list.jsonl"), ["q"])) == ["b.mp4", 300 * "x", "a.mp4"]
    for videos in ("b.mp4", 300 * "x", 300 * "x" + "*", "x" * 300 + ".csv"):
        with pytest.raises(InputError, match=r"Permission denied|File name too long|no video in"):
            read_intake(str(tmp_path / videos), ["q"])


def test_an_animation_is_a_video(tmp_path):
    first, *others = (Image.fromarray(picture) for picture in moving_square(3))
    (tmp_path / "clips").mkdir()
    for name in ("a.png", "b.webp", "c.tif", "d.gif"):
        first.save(tmp_path / "clips" / name, save_all=True, append_images=others)
    write_folder(tmp_path / "frames", moving_square(3))
    assert paths(read_intake(str(tmp_path), ["q"])) == [
        "clips/a.png",
        "clips/b.webp",
        "clips/c.tif",
        "clips/d.gif",
        "frames",
    ]
    assert paths(read_intake(str(tmp_path / "clips" / "*.webp"), ["q"])) == ["b.webp"]
