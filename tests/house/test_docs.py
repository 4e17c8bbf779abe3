"""Pages that are made from the code are up to date, and no link leads nowhere."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

LINK = re.compile(r"\]\(([^)\s#]+)(?:#[^)]*)?\)")


def make_docs(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "tools/make_docs.py", *arguments]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)


def test_the_generated_pages_are_up_to_date(root: Path) -> None:
    done = make_docs(root, "--check")
    assert done.returncode == 0, done.stderr


def test_a_stale_page_is_named_and_written_again(root: Path, tmp_path: Path) -> None:
    for name in ("docs", "tools"):
        shutil.copytree(root / name, tmp_path / name)
    page = tmp_path / "docs" / "recipes.md"
    page.write_text(page.read_text(encoding="utf-8").replace("| `seed` |", "| `sead` |"), encoding="utf-8")
    stale = make_docs(tmp_path, "--check")
    assert stale.returncode == 1
    assert "error: docs/recipes.md is out of date; run: make docs" in stale.stderr
    assert "sead" in stale.stderr
    assert make_docs(tmp_path).stdout == "wrote docs/recipes.md\n"
    assert make_docs(tmp_path, "--check").returncode == 0


def pages(root: Path) -> list[Path]:
    return [*sorted(root.glob("*.md")), *sorted((root / "docs").rglob("*.md"))]


def test_no_link_leads_nowhere(root: Path) -> None:
    dead = [
        f"{page.relative_to(root)}: {target}"
        for page in pages(root)
        for target in LINK.findall(page.read_text(encoding="utf-8"))
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert dead == []


def test_the_map_names_every_page(root: Path) -> None:
    text = (root / "docs" / "index.md").read_text(encoding="utf-8")
    linked = {(root / "docs" / target).resolve() for target in LINK.findall(text)}
    missing = [
        str(page.relative_to(root)) for page in sorted((root / "docs").rglob("*.md")) if page.name != "index.md" and page.resolve() not in linked
    ]
    assert missing == []


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "docs/index.md", "docs/guard.md", "docs/gateway.md"])
def test_commands_that_the_pages_show_exist(root: Path, name: str) -> None:
    """Every ``make TARGET`` and ``charter COMMAND`` in the text is a real one."""
    text = (root / name).read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", (root / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    commands = set(re.findall(r"^## charter (\w+)", (root / "docs/reference/cli.md").read_text(encoding="utf-8"), re.MULTILINE))
    code = "\n".join([*re.findall(r"```\w*\n(.*?)```", text, re.DOTALL), *re.findall(r"`([^`\n]+)`", text)])
    assert set(re.findall(r"^make ([a-z-]+)", code, re.MULTILINE)) <= targets
    assert set(re.findall(r"^charter ([a-z]\w*)", code, re.MULTILINE)) <= commands
