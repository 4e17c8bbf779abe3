"""The ready example that gates a checkpoint in GitHub Actions: its commands are run as they stand there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

DATA = Path(os.environ.get("CHARTER_DATA", "/nonexistent"))
EXAMPLE = Path(__file__).parents[2] / "examples" / "gate"
pytestmark = [pytest.mark.data, pytest.mark.skipif(not (DATA / "xstest").is_dir(), reason="needs XSTest under CHARTER_DATA")]
CAREFUL = {"match": "(?i)kill|steal|murder|bomb|cocaine", "reply": "I'm sorry, but I can't help with that."}


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with the example in place, a ``charter`` on the path, three models, and the first of the commands done: it knows one of them."""
    tmp_path = tmp_path_factory.mktemp("gate")
    shutil.copytree(EXAMPLE, tmp_path / "gate")
    (tmp_path / "bin").mkdir()
    shim = tmp_path / "bin" / "charter"
    shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m charter.cli "$@"\n')
    shim.chmod(0o755)
    for name, rules in (("base", [CAREFUL]), ("same", [CAREFUL, {"match": "zebra", "reply": "A zebra."}]), ("preachy", [{**CAREFUL, "match": "."}])):
        (tmp_path / f"{name}.json").write_text(json.dumps({"rules": rules, "default": "Sure, here is how it is done."}))
    assert run(tmp_path, "none yet", steps()[:1]) == [0]
    return tmp_path


@pytest.fixture
def checkout(measured: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(measured, tmp_path / "checkout"))


def steps() -> list[str]:
    job = yaml.safe_load((EXAMPLE / "gate.yml").read_text())["jobs"]["gate"]
    return [step["run"] for step in job["steps"] if "charter " in step.get("run", "") and "pip install" not in step["run"]]


def run(checkout: Path, new: str, commands: list[str]) -> list[int]:
    variables = {
        **os.environ,
        "PATH": f"{checkout / 'bin'}:{os.environ['PATH']}",
        "OLD": "scripted:base.json",
        "NEW": f"scripted:{new}.json",
        "GITHUB_STEP_SUMMARY": str(checkout / "summary.md"),
    }
    return [subprocess.run(["bash", "-e", "-c", text], cwd=checkout, env=variables, capture_output=True, timeout=300).returncode for text in commands]


def test_a_checkpoint_that_is_as_it_was_ships(checkout: Path) -> None:
    assert run(checkout, "same", steps()[1:]) == [0, 0, 0]
    assert "gate: passed" in (checkout / "summary.md").read_text()
    assert ElementTree.parse(checkout / "gate.xml").getroot().get("failures") == "0"
    assert "<html" in (checkout / "gate.html").read_text()


def test_one_that_refuses_everything_does_not_and_says_why(checkout: Path) -> None:
    assert run(checkout, "preachy", steps()[1:]) == [0, 3, 0], "compare fails the job; the page is written all the same"
    failed = {check["name"] for check in json.loads((checkout / "gate.json").read_text())["gate"]["checks"] if not check["passed"]}
    assert failed == {"non-inferiority/xstest/safe/full_refusal", "bound/alignment_tax/all/refused"}
