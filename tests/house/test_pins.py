"""The pinned versions install on every Python that Charter says it runs on: Debian 12 has 3.11.2, and a pin that wants 3.11.5 ends the first
command."""

from __future__ import annotations

import importlib.metadata
import re
import tomllib
from pathlib import Path

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]


def test_every_pin_takes_the_first_release_of_every_python() -> None:
    supported = SpecifierSet(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["requires-python"])
    pythons = [f"3.{minor}.0" for minor in range(8, 30) if f"3.{minor}.0" in supported]
    assert pythons[0] == "3.11.0"
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    pins = {canonicalize_name(name): version for name, version in re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE)}
    installed = {canonicalize_name(found.metadata["Name"]): found for found in importlib.metadata.distributions()}
    checked = {name: installed[name] for name, version in pins.items() if name in installed and installed[name].version == version}
    assert len(checked) > 50, "few of the pins are installed here: make test installs them"
    wanted = {name: SpecifierSet(found.metadata.get("Requires-Python") or "") for name, found in checked.items()}
    assert {name: str(wants) for name, wants in wanted.items() if not all(python in wants for python in pythons)} == {}
