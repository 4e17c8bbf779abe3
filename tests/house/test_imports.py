"""Rooms import downwards only: the contracts of ``.importlinter``, checked by import-linter itself."""

from __future__ import annotations

import configparser
import subprocess
import sys
from pathlib import Path

import pytest


def lint(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [Path(sys.executable).with_name("lint-imports"), "--no-logo", "--no-cache", *arguments]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)


def test_every_contract_is_kept(root: Path) -> None:
    done = lint(root)
    assert done.returncode == 0, done.stdout
    assert " 0 broken" in done.stdout


def test_the_contracts_can_break(root: Path, tmp_path: Path) -> None:
    """The same layers upside down must fail, or the test above would show nothing."""
    settings = configparser.ConfigParser()
    settings.read(root / ".importlinter", encoding="utf-8")
    layers = settings["importlinter:contract:layers"]["layers"].split("\n")
    settings["importlinter:contract:layers"]["layers"] = "\n".join(reversed(layers))
    for name in settings.sections():
        if name not in ("importlinter", "importlinter:contract:layers"):
            settings.remove_section(name)
    file = tmp_path / "reversed.ini"
    with file.open("w", encoding="utf-8") as stream:
        settings.write(stream)
    done = lint(root, "--config", str(file))
    assert done.returncode != 0
    assert "BROKEN" in done.stdout


def test_every_room_has_a_layer(root: Path) -> None:
    settings = configparser.ConfigParser()
    settings.read(root / ".importlinter", encoding="utf-8")
    contract = settings["importlinter:contract:layers"]
    named = set(contract["layers"].replace("|", " ").split())
    rooms = {file.parent.name for file in (root / "src" / "charter").glob("*/__init__.py")}
    assert contract.getboolean("exhaustive")
    if missing := rooms - named:
        pytest.fail(f"no layer in .importlinter names {sorted(missing)}")
