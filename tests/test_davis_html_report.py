"""The report: complete in itself, true to the scores, and alive in a browser where there is one."""

import os
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest

from carvid.davis.evaluate import evaluate
from tests.davis_trees import boxes, write_images, write_masks, write_texts, write_truth

ONE = boxes(_1=(1, 1))
BOTH = boxes(_1=(1, 1), _2=(7, 11))
SWAPPED = boxes(_2=(1, 1), _1=(7, 11))
TRUTH = {"cat": [BOTH] * 4, "dog": [ONE] * 5}
LINES = ['cat 1 "the <b>left</b> cat & co"', 'cat 2 "the other @@ cat"', 'dog 1 "</script>a dog"']
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Page(HTMLParser):
    """The rows of the sortable table, and every element's tag and attributes."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.rows, self._in_cell, self._in_table = [], [], False, False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag == "table":
            self._in_table = dict(attrs).get("class") == "sortable"
        if self._in_table and tag == "tr":
            self.rows.append([])
        if self._in_table and tag in ("td", "th"):
            self.rows[-1].append("")
            self._in_cell = True

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self._in_cell = False

    def handle_data(self, data):
        if self._in_table and self._in_cell:
            self.rows[-1][-1] += data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture
def report(tmp_path):
    root = write_truth(tmp_path / "davis", TRUTH)
    write_texts(root, LINES)
    write_images(root, {"cat": TRUTH["cat"]})
    out = tmp_path / "out"
    for index, cats in enumerate([SWAPPED, BOTH]):
        write_masks(out / "valid" / f"anno_{index}", {"cat": [cats] * 4, "dog": [ONE] * 5})
    evaluate(root, out, workers=1, report=out / "deep" / "report.html")
    return out / "deep" / "report.html"


def test_the_table_holds_each_object_of_each_set_with_its_expression(report):
    rows = Page(report.read_text("utf-8")).rows
    assert len(rows) == 1 + 6
    assert rows[0][:5] == ["Set", "Video", "Object", "Expression", "J&F identity"]
    assert rows[1] == ["0", "cat", "1", "the <b>left</b> cat & co", *["0.00"] * 3, *["100.00"] * 4]
    assert rows[2][3] == "the other @@ cat"
    assert rows[3] == ["0", "dog", "1", "</script>a dog", *["100.00"] * 6, "0.00"]


def test_no_network_and_no_other_file(report):
    text = report.read_text("utf-8")
    page = Page(text)
    assert len(page.all("img")) == 2 * 4
    for attributes in (attributes for _, attributes in page.elements):
        for name in ("src", "href"):
            assert attributes.get(name, "data:").startswith("data:")
    assert not re.search(r"https?://|url\(|@import", text)


def test_frames_are_shown_where_the_tree_has_them(report):
    kinds = [attributes["src"][:16] for attributes in Page(report.read_text("utf-8")).all("img")]
    assert kinds.count("data:image/jpeg;") == 4
    assert kinds.count("data:image/png;b") == 4


def test_plots_of_j_and_f_per_video_and_set(report):
    page = Page(report.read_text("utf-8"))
    assert len(page.all("details")) == 4
    labels = [attributes["aria-label"] for attributes in page.all("svg")]
    assert labels == ["J over frames", "F over frames"] * 4
    lines = page.all("polyline")
    # Three objects, two sets, J and F, two protocols.
    assert len(lines) == 24
    assert sorted({len(line["points"].split()) for line in lines}) == [2, 3, 4, 5]


def test_without_frames_and_expressions_the_page_says_so(tmp_path):
    root = write_truth(tmp_path / "davis", TRUTH)
    out = write_masks(tmp_path / "out", {"cat": [boxes(_1=(1, 1), _5=(7, 11))] * 4, "dog": [ONE] * 5})
    evaluate(root, out, workers=1, report=out / "report.html")
    text = (out / "report.html").read_text("utf-8")
    assert "no expressions: neither the folder" in text
    assert "labels above the object count (2)" in text
    assert Page(text).rows[2][4:] == ["–", "–", "–", "100.00", "100.00", "100.00", "–"]


def test_a_folder_whose_name_is_not_utf8_is_told_escaped(tmp_path):
    root = write_truth(tmp_path / "davis", TRUTH)
    out = tmp_path / os.fsdecode(b"caf\xe9")
    try:
        write_masks(out, {"cat": [BOTH] * 4, "dog": [ONE] * 5})
    except OSError:
        pytest.skip("this file system takes no such name")
    evaluate(root, out, workers=1, report=tmp_path / "report.html")
    assert "caf\\udce9: Ref-DAVIS" in (tmp_path / "report.html").read_text("utf-8")


def browse(page, tmp_path):
    """The page's DOM after its scripts ran, and what the browser logged."""
    assert CHROMIUM is not None
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--dump-dom"]
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    done = subprocess.run(
        [CHROMIUM, *options, profile, "--enable-logging=stderr", page.as_uri()],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_in_a_browser_it_renders_sorts_and_logs_nothing(report, tmp_path):
    text = report.read_text("utf-8")
    clicks = {"up": [6], "down": [6, 6], "by_text": [3], "broken": []}
    found = {}
    for name, columns in clicks.items():
        script = "".join(
            f"document.querySelectorAll('table.sortable th button')[{column}].click();" for column in columns
        )
        page = tmp_path / f"{name}.html"
        script = script or "throw new Error('seen');"
        page.write_text(text.replace("</body>", f"<script>{script}</script></body>"), "utf-8")
        dom, console = browse(page, tmp_path)
        # The broken page shows that an error would be seen.
        assert bool(console) == (name == "broken"), console
        found[name] = Page(dom).rows[1:]
    up = [float(row[6]) for row in found["up"]]
    assert up == [0, 0, 100, 100, 100, 100]
    assert [float(row[6]) for row in found["down"]] == up[::-1]
    assert [row[3][:4] for row in found["by_text"]][-2:] == ["the "] * 2
    assert len(found["up"]) == 6
