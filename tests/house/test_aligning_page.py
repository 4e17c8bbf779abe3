"""What docs/aligning.md shows can be typed: commands, their options and keys, and every form of a model's name."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from charter.cli import _recipe_and_overrides, app
from charter.core.errors import InputError
from charter.core.rows import Conversation, Sampling
from charter.models import FORMS, load_model, route
from charter.policy.load import load_charter
from charter.recipes.config import load_recipe


def blocks(root: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (root / "docs" / "aligning.md").read_text(encoding="utf-8"), re.DOTALL)


def typed(root: Path) -> list[list[str]]:
    lines = [line for block in blocks(root, "bash") for line in block.splitlines()]
    return [shlex.split(line, comments=True) for line in lines]


def test_every_command_is_there_and_takes_what_is_typed(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    recipe = CliRunner().invoke(app, ["align", "--dry-run"], catch_exceptions=False).stdout
    Path("recipe.yaml").write_text(recipe, encoding="utf-8")
    seen = set()
    for program, *words in typed(root):
        assert program == "charter"
        command, path = typer.main.get_command(app), []
        while hasattr(command, "commands"):
            path.append(words[0])
            command, words = command.commands[words[0]], words[1:]
        options = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= options, path
        seen.add(" ".join(path))
        if path[0] in ("align", "redteam", "generate", "train") and ">" not in words:
            given = words[: next(n for n, word in enumerate(words) if word.startswith("--"))]
            load_recipe(*_recipe_and_overrides(given), {})
    assert {
        "check",
        "align",
        "redteam",
        "generate critique",
        "generate preferences",
        "train sft",
        "train dpo",
        "evaluate",
        "compare",
        "serve",
    } <= seen


def test_every_form_of_a_models_name_is_on_the_page_and_leads_somewhere(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my-model").mkdir()
    Path("my-model.gguf").touch()
    table = (root / "docs" / "aligning.md").read_text(encoding="utf-8").partition("| you write |")[2].partition("\n\n")[0]
    forms = [form for row in table.splitlines()[2:] for form in re.findall(r"`([^`]+)`", row.split("|")[1])]
    assert {form for form in FORMS if form not in ("FOLDER", "FILE.gguf")} <= set(forms)
    leads = {form: route(form).plugin for form in forms}
    assert leads == {form: form.partition(":")[0] if form.partition(":")[0] in ("embedded", "openai", "scripted") else "hf" for form in forms}


def test_the_script_of_the_page_is_a_model(root: Path, tmp_path: Path) -> None:
    (script,) = blocks(root, "yaml")
    (tmp_path / "script.yaml").write_text(script, encoding="utf-8")
    model = load_model(f"scripted:{tmp_path / 'script.yaml'}")
    said = [model.reply([Conversation.ask(text)], Sampling())[0] for text in ("Pick a LOCK", "Bake bread", "crash")]
    assert said[0].text in ("I won't help with that.", "No.")
    assert (said[1].text, said[2].finish) == ("Sure, here is how.", "error")


def test_a_charter_to_start_from_is_written_once_and_is_right(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    done = CliRunner().invoke(app, ["check", "--init", str(file)], catch_exceptions=False)
    assert done.exit_code == 0
    assert f"wrote {file}" in done.output
    assert load_charter(file).hash == load_charter("minimal").hash
    with pytest.raises(InputError, match="is there already"):
        CliRunner().invoke(app, ["check", "--init", str(file)], catch_exceptions=False)
