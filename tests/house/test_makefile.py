"""``make demo`` and ``make test`` with a stand-in for python: what is installed when, and what a person is told when something is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="no make on this machine: apt-get install make")

# The stand-in: it makes a .venv whose python and charter are stand-ins too, and writes down every call.
PYTHON = """#!/bin/sh
echo "$(basename "$0") $*" >> "$CALLS"
case "$1 $2" in
  "-c "*version_info*) exit "${OLD:-0}" ;;
  "-c "*ensurepip*) exit "${NO_ENSUREPIP:-0}" ;;
  "-m venv") mkdir -p .venv/bin && cp "$0" .venv/bin/python && cp "$0" .venv/bin/charter ;;
  "-m pip") if [ "$3" = install ]; then echo "pip: no index" >&2; exit "${NO_INDEX:-0}"; fi ;;
  "-m pytest") echo "data: ${CHARTER_DATA-unset}"; echo "=== 1 passed ===" ;;
  "align --out") mkdir -p "$3" && touch "$3/report.html" && exit "${GATE:-0}" ;;
esac
"""


class Place:
    """A fresh clone with the stand-in as its python."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.folder = folder / "clone"
        self.folder.mkdir()
        for name in ("Makefile", "pyproject.toml", "constraints.txt"):
            shutil.copy(root / name, self.folder)
        self.python = folder / "python3"
        self.python.write_text(PYTHON, encoding="utf-8")
        self.python.chmod(0o755)
        self.log = folder / "calls"

    def make(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        self.log.write_text("", encoding="utf-8")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS", "CHARTER"))}
        variables = {**kept, "CALLS": str(self.log), **environment}
        command = ["make", f"PYTHON={self.python}", *arguments]
        return subprocess.run(command, cwd=self.folder, env=variables, capture_output=True, text=True, check=False)

    @property
    def installs(self) -> list[str]:
        return [line for line in self.log.read_text(encoding="utf-8").splitlines() if "-m pip install" in line]


@pytest.fixture
def place(root: Path, tmp_path: Path) -> Place:
    return Place(root, tmp_path)


def error_lines(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [line for line in done.stderr.splitlines() if line.startswith("error:")]


def test_the_demo_installs_once_and_names_the_report(place: Place) -> None:
    first = place.make("demo")
    assert first.returncode == 0
    assert "report: runs/demo/report.html" in first.stdout
    assert len(place.installs) == 1
    assert "-c constraints.txt" in place.installs[0]
    assert ".[train]" in place.installs[0]
    second = place.make("demo")
    assert second.returncode == 0
    assert place.installs == []


def test_new_pins_install_again_and_the_test_environment_serves_the_demo(place: Place) -> None:
    place.make("test")
    assert ".[train,dev]" in place.installs[0]
    place.make("demo")
    assert place.installs == []
    with (place.folder / "constraints.txt").open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    place.make("test")
    assert len(place.installs) == 1


def test_a_failed_gate_is_shown(place: Place) -> None:
    done = place.make("demo", GATE="3")
    assert done.returncode != 0
    assert "exit code 3" in done.stdout
    assert "Error 3" in done.stderr
    assert "report: runs/demo/report.html" in done.stdout


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"NO_ENSUREPIP": "1"}, "apt-get install python3-venv"),
        ({"OLD": "1"}, "not Python 3.11 to 3.13"),
        ({"NO_INDEX": "1"}, "PIP_INDEX_URL"),
    ],
)
def test_what_is_missing_is_said_in_one_line_and_can_be_mended(place: Place, environment: dict[str, str], told: str) -> None:
    done = place.make("demo", **environment)
    assert done.returncode != 0
    assert len(error_lines(done)) == 1
    assert told in error_lines(done)[0]
    assert "report:" not in done.stdout
    assert place.make("demo").returncode == 0


def test_real_data_are_found_beside_the_checkout_unless_named(place: Place) -> None:
    assert "data: unset" in place.make("test").stdout
    data = place.folder.parent / "shared" / "data"
    data.mkdir(parents=True)
    assert f"data: {data}" in place.make("test").stdout
    assert "data: elsewhere" in place.make("test", CHARTER_DATA="elsewhere").stdout
    assert "data: \n" in place.make("test", CHARTER_DATA="").stdout


def test_the_last_line_of_make_test_is_that_of_pytest(place: Place) -> None:
    assert place.make("test").stdout.splitlines()[-1] == "=== 1 passed ==="


def test_make_alone_explains_itself(place: Place) -> None:
    done = place.make()
    assert done.returncode == 0
    assert "make demo" in done.stdout
    assert place.log.read_text(encoding="utf-8") == ""
