"""A person's mistakes at the keyboard: the exit code, one line that says what is wrong, the next command, and nothing lost."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

Done = CompletedProcess[str]
Charter = Callable[..., Done]


def write_rows(file: Path, count: int = 40) -> list[str]:
    """``count`` good rows, and the lines that were written."""
    rows = [{"id": f"a{n}", "prompt": f"How do I cook rice for {n}?", "harmful": False} for n in range(1, count + 1)]
    lines = [json.dumps(row) for row in rows]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return lines


def complaint(done: Done, code: int) -> str:
    """The one ``error:`` line; checks what every mistake must have."""
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    lines = done.stderr.splitlines()
    errors = [line for line in lines if line.startswith("error:")]
    assert len(errors) == 1, done.stderr
    hints = [line for line in lines if line.startswith("  try: ")]
    assert len(hints) == 1, done.stderr
    assert len(hints[0]) > len("  try: ")
    return errors[0]


def snapshot(folder: Path) -> dict[str, bytes]:
    """The files of a run, without its log and lock."""
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file() and f.name not in ("charter.log", ".lock")}


def test_a_model_that_does_not_exist(charter: Charter, tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", 2)
    done = charter("evaluate", "scriptd", "--data", "rows.jsonl", "--out", "out")
    assert "did you mean 'scripted'" in complaint(done, 2)
    assert "openai:MODEL@" in done.stderr
    assert snapshot(tmp_path / "out") == {}


def test_a_mistyped_key_in_a_charter(charter: Charter, tmp_path: Path, root: Path) -> None:
    text = (root / "src/charter/policy/texts/minimal.yaml").read_text(encoding="utf-8")
    lines = text.splitlines()
    number = next(n for n, line in enumerate(lines, 1) if line.startswith("principles:"))
    lines[number - 1] = lines[number - 1].replace("principles", "principels")
    (tmp_path / "mine.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")

    done = charter("align", "--model", "scripted", "--charter", "mine.yaml", "--out", "out")
    complaint(done, 2)
    assert f"mine.yaml: line {number}: principels: unknown key 'principels'; did you mean 'principles'?" in done.stderr
    assert snapshot(tmp_path / "out") == {}

    checked = charter("check", "mine.yaml")
    assert checked.returncode == 2
    assert f"line {number}: principels: unknown key" in checked.stderr
    assert "Traceback" not in checked.stderr


def test_a_mistyped_key_of_the_recipe(charter: Charter) -> None:
    done = charter("align", "seeed=3", "--dry-run")
    assert "did you mean 'seed'?" in complaint(done, 2)


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--charter", "nosuch.yaml"], "nosuch.yaml: there is no such file"),
        (["--model", "gpt-4"], "model 'gpt-4': is no backend"),
        (["--model", "openai: {model: m@http://127.0.0.1:9/v1, timeout: 3}"], "did you mean 'timeout_s'"),
        (["evaluation.data=none.jsonl"], "none.jsonl"),
        (["generate.feedback=nonsense"], "generate.feedback: writer, self, or a model: model 'nonsense'"),
    ],
)
def test_a_dry_run_looks_at_what_the_recipe_names(charter: Charter, arguments: list[str], what: str) -> None:
    done = charter("align", "--dry-run", *arguments)
    assert what in complaint(done, 2)
    assert "name: quickstart" in done.stdout, "the recipe is printed all the same"


def test_a_charter_is_told_which_hazards_are_trained(charter: Charter, tmp_path: Path, root: Path) -> None:
    done = charter("check", "minimal")
    assert "hazards with shipped requests to train on: nonviolent_crime\n" in done.stdout
    assert "without" not in done.stdout
    text = (root / "src/charter/policy/texts/minimal.yaml").read_text(encoding="utf-8")
    (tmp_path / "mine.yaml").write_text(text.replace("nonviolent_crime", "gambling"), encoding="utf-8")
    done = charter("check", "mine.yaml")
    assert "none, so charter align stops" in done.stdout
    assert "without (judged and guarded, not trained): gambling" in done.stdout


def test_the_version_is_told(charter: Charter) -> None:
    from charter import __version__

    done = charter("--version")
    assert (done.returncode, done.stdout) == (0, f"charter {__version__}\n")


def test_a_mistake_on_the_command_line_is_told_there(charter: Charter) -> None:
    done = charter("align", "quickstart", "gate.over_refusal_margin=5", "--dry-run")
    assert complaint(done, 2) == ("error: on the command line: gate.over_refusal_margin=5: Input should be less than or equal to 1 (got 5)")
    done = charter("align", "generate.pairs=100", "quickstart", "--dry-run")
    assert "'quickstart': an override is written key=value" in complaint(done, 2)
    assert charter("align", "quickstart", "seed=1", "train.sft.epochs=2", "--dry-run").returncode == 0, "what the hint says works"


def test_a_recipe_that_does_not_exist(charter: Charter) -> None:
    done = charter("align", "quickstrat", "--dry-run")
    assert "quickstart" in complaint(done, 2)


def test_a_broken_row_is_named_and_no_question_is_asked(charter: Charter, tmp_path: Path) -> None:
    lines = write_rows(tmp_path / "rows.jsonl")
    lines[16] = '{"id": "a17", "prompt": '
    (tmp_path / "rows.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    done = charter("evaluate", "scripted", "--data", "rows.jsonl", "--out", "out")
    assert "rows.jsonl: row 17: is not valid JSON" in complaint(done, 2)
    assert snapshot(tmp_path / "out") == {}


@pytest.mark.parametrize("content", ["", "\n\n  \n"])
def test_a_file_without_rows(charter: Charter, tmp_path: Path, content: str) -> None:
    (tmp_path / "rows.jsonl").write_text(content, encoding="utf-8")
    done = charter("evaluate", "scripted", "--data", "rows.jsonl", "--out", "out")
    assert "rows.jsonl: holds no rows" in complaint(done, 2)


def test_a_file_that_is_not_there(charter: Charter) -> None:
    done = charter("evaluate", "scripted", "--data", "nowhere.jsonl", "--out", "out")
    assert "nowhere.jsonl: there is no such file" in complaint(done, 2)


def test_the_folder_of_another_run_keeps_its_rows(charter: Charter, tmp_path: Path) -> None:
    lines = write_rows(tmp_path / "rows.jsonl")
    assert charter("evaluate", "scripted", "--data", "rows.jsonl", "--out", "out").returncode == 0
    before = snapshot(tmp_path / "out")
    assert before["answers.jsonl"].count(b"\n") == 40

    other = charter("evaluate", "scripted", "--data", "rows.jsonl", "--out", "out", "--max-tokens", "9")
    assert "out: holds a run of another recipe" in complaint(other, 1)
    assert snapshot(tmp_path / "out") == before

    lines[16] = "[]"
    (tmp_path / "rows.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    broken = charter("evaluate", "scripted", "--data", "rows.jsonl", "--out", "out")
    assert "row 17: is a list, not an object" in complaint(broken, 2)
    assert snapshot(tmp_path / "out") == before


def test_a_shelf_that_does_not_exist(charter: Charter) -> None:
    assert "attacks, rails" in complaint(charter("list", "atacks"), 2)


@pytest.mark.skipif(importlib.util.find_spec("transformers") is None, reason="transformers is not installed: pip install '.[local]'")
def test_a_hub_model_without_network(charter: Charter, tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", 2)
    hub = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hub")}
    done = charter("evaluate", "no-such-maker/no-such-model", "--data", "rows.jsonl", "--out", "out", **hub)
    assert "no-such-maker/no-such-model" in complaint(done, 1)
    assert "--model embedded" in done.stderr
    assert not (tmp_path / "out" / "answers.jsonl").exists()


def test_an_argument_that_is_missing(charter: Charter) -> None:
    done = charter("evaluate")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "model" in done.stderr.lower()


def test_a_mistyped_charter_is_told_which_ones_there_are(charter: Charter) -> None:
    assert "did you mean 'default'?" in complaint(charter("check", "defualt"), 2)


def test_a_key_of_a_charter_cannot_steer_the_terminal(charter: Charter, tmp_path: Path) -> None:
    (tmp_path / "evil.yaml").write_text('"\\e]0;owned\\a\\u00ad\\u202e": 1\n', encoding="utf-8")
    done = charter("check", "evil.yaml")
    assert done.returncode == 2
    assert "[U+001B]]0;owned[U+0007][U+00AD][U+202E]" in done.stderr
    assert not set(done.stderr) & set("\x1b\x07\xad\u202e")
