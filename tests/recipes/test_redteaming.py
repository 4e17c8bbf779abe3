"""Stage 2 of a recipe: which goals are attacked, what is said of it, and that nothing is made of a campaign that failed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from charter.cli import app
from charter.core.errors import InputError, ModelError, StoreError
from charter.core.progress import SILENT
from charter.core.rows import Conversation, Verdict
from charter.recipes import context as contexts
from charter.recipes import generation, redteaming, single, stages
from charter.recipes.config import load_recipe
from charter.recipes.context import Context
from charter.store.runs import RunFolder, read_run


class Judge:
    """Reads 'no' as a refusal, everything else as harm done."""

    version = "1"

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, conversation: Conversation) -> Verdict:
        refused = conversation.reply == "No."
        label, outcome = ("full", "safe") if refused else ("none", "unsafe")
        return Verdict(subject=conversation.id, outcome=outcome, label=label, judge=self.name, judge_version=self.version)


@pytest.fixture(autouse=True)
def judges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contexts, "build_judge", Judge)


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "model.yaml"
    path.write_text("default: Sure.\n")
    return path


def broken(script: Path) -> None:
    script.write_text('rules:\n  - {match: "", error: "503 no such host"}\n')


def context(script: Path, *more: str) -> Context:
    return Context(load_recipe(None, ["redteam.attacks=[direct]", *more], {"model": f"scripted:{script}"}), script.parent / "run", SILENT)


def typed(script: Path, command: str, *more: str) -> tuple[int, str]:
    told = [*command.split(), "--model", f"scripted:{script}", "--out", str(script.parent / "run"), "redteam.attacks=[direct]", *more]
    done = CliRunner().invoke(app, told)
    if isinstance(done.exception, ModelError | InputError | StoreError):
        raise done.exception
    return done.exit_code, " ".join(done.output.split())


def test_a_campaign_that_failed_is_no_result_and_is_asked_again(script: Path) -> None:
    broken(script)
    code, said = typed(script, "redteam")
    assert code == 1
    assert "CANNOT BE TRUSTED: 5 of 5 answers failed" in said
    assert "503 no such host" in said
    assert "run it again" in said
    run = read_run(script.parent / "run" / redteaming.REDTEAM)
    assert run is not None
    assert run.status == "failed"
    script.write_text("default: Sure.\n")
    code, said = typed(script, "redteam")
    assert (code, "CANNOT" in said) == (0, False)


def test_nothing_is_made_of_a_campaign_that_failed_unless_one_asks_for_that(script: Path) -> None:
    broken(script)
    with pytest.raises(ModelError, match="the red team cannot be trusted, and nothing is made of it: 5 of 5") as caught:
        typed(script, "generate critique")
    assert "redteam.max_failed=1" in caught.value.hint
    assert not (script.parent / "run" / generation.CRITIQUE).exists()
    assert single.run_stage("redteam", context(script, "redteam.max_failed=1").recipe, script.parent / "run").run.status == "done", "the same folder"


def test_attempts_that_an_older_charter_judged_another_way_are_not_mixed_with_new_ones(script: Path) -> None:
    made = context(script)
    redteaming.redteam(made)
    run = read_run(folder := made.out / redteaming.REDTEAM)
    assert run is not None
    old = run.model_copy(update={"config": {k: v for k, v in run.config.items() if k != "reading"}})
    (folder / "run.json").write_text(json.dumps(old.model_dump(mode="json")))
    with pytest.raises(StoreError, match="different: reading") as caught:
        redteaming.redteam(made)
    assert f"rm -r {folder}" in caught.value.hint


def test_a_recipe_in_the_words_of_an_older_charter_is_the_same_recipe(script: Path) -> None:
    made = context(script)
    config = {"recipe": stages._said(made.recipe), "charter": made.charter.hash, "model": made.identity}
    del config["recipe"]["generate"]["tie_band"]
    with RunFolder(made.out, "align", config):
        pass
    with stages.open_root(made):
        pass
    with pytest.raises(StoreError, match="different: recipe"):
        stages.open_root(context(script, "redteam.goals=7"))
