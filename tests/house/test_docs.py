"""Pages that are made from the code are up to date, and no link leads nowhere."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from charter.cli import app

LINK = re.compile(r"\]\(([^)\s#]+)(?:#[^)]*)?\)")


def make_docs(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "tools/make_docs.py", *arguments]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)


def test_the_generated_pages_are_up_to_date(root: Path) -> None:
    done = make_docs(root, "--check")
    assert done.returncode == 0, done.stderr


def test_a_stale_page_is_named_and_written_again(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("docs", "tools"):
        shutil.copytree(root / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(app, "rich_markup_mode", app.rich_markup_mode)  # the tool turns it off, for a process of its own
    spec = importlib.util.spec_from_file_location("make_docs_of_a_copy", tmp_path / "tools" / "make_docs.py")
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    made = tool.pages()
    monkeypatch.setattr(tool, "pages", lambda: made)  # the same three times, and dear to make

    def make_docs(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["make_docs.py", *arguments])
        code: int = tool.main()
        return code

    page = tmp_path / "docs" / "recipes.md"
    page.write_text(page.read_text(encoding="utf-8").replace("| `seed` |", "| `sead` |"), encoding="utf-8")
    assert make_docs("--check") == 1
    told = capsys.readouterr().err
    assert "error: docs/recipes.md is out of date; run: make docs" in told
    assert "sead" in told
    assert make_docs() == 0
    assert capsys.readouterr().out == "wrote docs/recipes.md\n"
    assert make_docs("--check") == 0


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
