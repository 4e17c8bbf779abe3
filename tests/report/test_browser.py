"""The page in a real browser: it opens from a file, runs nothing, fits a phone."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from charter.report.page import Drop, ReportData, SideBySide, render

BROWSER = shutil.which("chromium")
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium on this machine: apt-get install chromium")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--hide-scrollbars", "--no-first-run")


def browse(folder: Path, page: str, *flags: str) -> str:
    file = folder / "report.html"
    file.write_text(page, encoding="utf-8")
    command = [str(BROWSER), *FLAGS, f"--user-data-dir={folder / 'profile'}", *flags, file.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=True).stdout


@pytest.mark.parametrize(("width", "height"), [(1200, 900), (360, 740)])
def test_the_page_is_drawn(tmp_path: Path, page: str, width: int, height: int) -> None:
    shot = tmp_path / "page.png"
    browse(tmp_path, page, f"--screenshot={shot}", f"--window-size={width},{height}")
    picture = shot.read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert int.from_bytes(picture[16:20], "big") == width
    assert len(picture) > 20_000  # an empty page of this size is a few kB


def test_hostile_replies_neither_run_nor_load(tmp_path: Path, data: ReportData) -> None:
    text = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\"></details><h1>owned</h1>"
    bad = SideBySide(key=text, prompt=text, harmful=True, hazard=text, before=text, after=text, before_label="none", after_label="full")
    seen = browse(tmp_path, render(data.model_copy(update={"examples": (bad,)})), "--dump-dom")
    assert "<title>Safety report" in seen
    assert not re.search(r"<(img|script)|<h1>owned", seen)
    assert "&lt;script&gt;document.title" in seen


# Content wider than the window, and plot labels that lie over each other (a quarter of a line is free space around the letters).
PROBE = """<script>
const meet = (a, b) => {
  const free = Math.min(a.height, a.width, b.height, b.width) / 4;
  return a.left + free < b.right && b.left + free < a.right && a.top + free < b.bottom && b.top + free < a.bottom;
};
let met = [];
for (const svg of document.querySelectorAll("svg")) {
  const boxes = [...svg.querySelectorAll("text")].map(t => [t.getBoundingClientRect(), t.textContent]);
  boxes.forEach(([a, text], i) => boxes.slice(i + 1).forEach(([b, other]) => meet(a, b) && met.push(text + "|" + other)));
}
parent.document.title = [innerWidth, document.documentElement.scrollWidth, document.querySelectorAll("svg text").length, met.join(",")].join(" ");
</script></body>"""


def probe(folder: Path, page: str, width: int) -> tuple[int, int, str]:
    """Width of the content, number of plot labels and those that meet, in a frame ``width`` pixels wide (the browser's own window
    cannot be narrower than 500). The page itself allows no script, so a copy without its policy is asked, with everything folded opened."""
    folder.mkdir(exist_ok=True)
    free = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page).replace("<details", "<details open")
    frame = f'<title>-</title><iframe style="border:0" width="{width}" height="800" srcdoc="{html.escape(free.replace("</body>", PROBE))}"></iframe>'
    seen = browse(folder, frame, "--dump-dom", "--window-size=1300,900")
    found = re.search(r"<title>(\d+) (\d+) (\d+) (.*?)</title>", seen, re.DOTALL)
    assert found is not None
    assert int(found[1]) == width
    return int(found[2]), int(found[3]), found[4]


def test_a_phone_needs_no_sideways_scrolling(tmp_path: Path, data: ReportData, empty: ReportData) -> None:
    word = "W" * 900
    long = SideBySide(key=word, prompt=word, harmful=False, hazard=word, before=word, after=word, before_label="none", after_label=word)
    full = data.model_copy(update={"examples": (*data.examples, long), "notes": (word,), "title": word, "drops": (Drop(word, word, 3),)})
    for index, case in enumerate((data, empty, full)):
        assert probe(tmp_path / str(index), render(case), 360)[0] == 360


@pytest.mark.parametrize("width", [360, 1200])
def test_labels_of_the_plots_do_not_meet(tmp_path: Path, page: str, width: int) -> None:
    _, labels, met = probe(tmp_path, page, width)
    assert labels > 40
    assert met == ""


def test_the_page_can_be_printed(tmp_path: Path, page: str) -> None:
    paper = tmp_path / "page.pdf"
    browse(tmp_path, page, f"--print-to-pdf={paper}", "--no-pdf-header-footer")
    content = paper.read_bytes()
    assert content.startswith(b"%PDF")
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", content)) <= 12
