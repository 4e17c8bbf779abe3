"""The page in a real browser: it opens from a file, runs nothing, fits a phone."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from charter.report.page import ReportData, SideBySide, render

BROWSER = shutil.which("chromium")
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium on this machine: apt-get install chromium")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--hide-scrollbars", "--no-first-run")


def browse(folder: Path, page: str, *flags: str) -> str:
    file = folder / "report.html"
    file.write_text(page, encoding="utf-8")
    command = [str(BROWSER), *FLAGS, f"--user-data-dir={folder / 'profile'}", *flags, file.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


@pytest.mark.parametrize(("width", "height"), [(1200, 900), (360, 740)])
def test_the_page_is_drawn(tmp_path: Path, data: ReportData, width: int, height: int) -> None:
    shot = tmp_path / "page.png"
    browse(tmp_path, render(data), f"--screenshot={shot}", f"--window-size={width},{height}")
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
