"""Importing Charter is quick and pulls in nothing heavy; the light install does what needs no model."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import venv
from pathlib import Path

import pytest

HEAVY = ("torch", "transformers", "trl", "peft", "datasets", "openai", "matplotlib", "scipy")
IMPORT_LIMIT_S = 0.3
# CPU seconds, not the clock's: another process on the machine must not fail the test.
PROBE = """
import sys, time
before = time.process_time()
import {module}
print(time.process_time() - before, *sorted(sys.modules))
"""


def imported(module: str) -> tuple[float, set[str]]:
    done = subprocess.run([sys.executable, "-c", PROBE.format(module=module)], capture_output=True, text=True, check=True)
    seconds, *names = done.stdout.split()
    return float(seconds), set(names)


def test_importing_charter_is_quick_and_light() -> None:
    runs = [imported("charter") for _ in range(5)]
    assert statistics.median(seconds for seconds, _ in runs) < IMPORT_LIMIT_S
    assert runs[0][1].isdisjoint(HEAVY)


def test_importing_the_command_line_pulls_in_nothing_heavy() -> None:
    seconds, modules = imported("charter.cli")
    assert modules.isdisjoint(HEAVY)
    assert seconds < 2.0


@pytest.mark.parametrize("room", ["charter.recipes.align", "charter.recipes.single"])
def test_a_recipe_can_be_read_without_torch(room: str) -> None:
    assert imported(room)[1].isdisjoint({"torch", "transformers", "trl", "peft", "datasets"})


def run(folder: Path, *command: object) -> subprocess.CompletedProcess[str]:
    variables = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    variables["CHARTER_CACHE"] = str(folder / "cache")
    return subprocess.run([str(part) for part in command], cwd=folder, env=variables, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_light_install_works_without_torch(root: Path, tmp_path: Path) -> None:
    """A fresh environment, ``pip install`` of the folder without extras, and every command that needs no local model."""
    place = tmp_path / "venv"
    venv.create(place, with_pip=True)
    python = place / "bin" / "python"
    install = run(tmp_path, python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "-c", root / "constraints.txt", root)
    if install.returncode != 0 and ("No matching distribution" in install.stderr or "connection" in install.stderr.lower()):
        pytest.skip("pip reaches no package index")
    assert install.returncode == 0, install.stderr
    assert run(tmp_path, python, "-c", "import torch").returncode != 0, "torch came with the light install"

    data = tmp_path / "mine.jsonl"
    rows = [{"id": f"a{n}", "prompt": f"How do I cook rice for {n}?", "harmful": False} for n in range(2, 6)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    charter = place / "bin" / "charter"
    for arguments in (
        ["--help"],
        ["check", "default"],
        ["list", "attacks"],
        ["list", "trainers"],
        ["align", "--dry-run"],
        ["doctor"],
        ["evaluate", "scripted", "--data", data, "--out", tmp_path / "out", "--json", tmp_path / "out.json"],
    ):
        done = run(tmp_path, charter, *arguments)
        assert done.returncode == 0, (arguments, done.stderr)
        assert "Traceback" not in done.stderr
    assert json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["metrics"]["over_refusal"]["n"] == 4

    refused = run(tmp_path, charter, "evaluate", "embedded", "--data", data, "--out", tmp_path / "other")
    assert refused.returncode == 1
    assert "Traceback" not in refused.stderr
    assert [line for line in refused.stderr.splitlines() if line.startswith("error:")] == [
        "error: local models need torch, which is not installed"
    ], refused.stderr
    assert "pip install '.[local]'" in refused.stderr
