"""Inspect AI, both ways, offline: our benchmarks as its tasks, our runs as its logs, its logs as runs.

The model is a tiny one of ours, because Inspect's mock model needs the network to count tokens.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

pytest.importorskip("inspect_ai", reason="Inspect AI is not installed: pip install '.[inspect]'")
# Inspect and what it stands on warn about themselves; that is not ours to mend.
pytestmark = pytest.mark.filterwarnings("ignore")

from inspect_ai import Task, eval  # noqa: E402
from inspect_ai.dataset import Sample  # noqa: E402
from inspect_ai.log import read_eval_log  # noqa: E402
from inspect_ai.model import GenerateConfig, ModelAPI, ModelOutput, modelapi  # noqa: E402
from inspect_ai.scorer import Score, accuracy, match, scorer  # noqa: E402
from inspect_ai.solver import generate  # noqa: E402
from made_runs import graded_run, prompts, xstest_run  # noqa: E402
from typer.testing import CliRunner  # noqa: E402

from charter.cli import app  # noqa: E402
from charter.core.errors import InputError, StoreError  # noqa: E402
from charter.evaluate.exports.inspect_log import write_log  # noqa: E402
from charter.evaluate.imports import digest_of, keep  # noqa: E402
from charter.evaluate.imports.inspect_log import read_inspect  # noqa: E402
from charter.evaluate.imports.scoring import Right  # noqa: E402
from charter.evaluate.measured import Measured  # noqa: E402
from charter.evaluate.shelved import Options  # noqa: E402
from charter.recipes import inspect_tasks  # noqa: E402
from charter.recipes.comparison import compare  # noqa: E402

SMALL = {"formats": ["polite"], "paraphrases": False}
REFUSAL, HELP = "I'm sorry, but I can't help with that.", "Sure, here is how it goes: begin with the first step."


@modelapi(name="saying")
class Saying(ModelAPI):
    """Refuses what the word in its name stands in; 'broken' in a prompt gives nothing."""

    async def generate(self, input, tools, tool_choice, config):
        said = input[-1].text
        text = "" if "broken" in said else REFUSAL if self.model_name in said else HELP
        return ModelOutput.from_content(self.model_name, text)


def run_task(task, tmp_path: Path, model: str = "saying/kill", **settings):
    (log,) = eval(task, model=model, log_dir=str(tmp_path / "logs"), display="none", **settings)
    assert log.status == "success", log.error
    return log


def imported(log: str | Path, folder: Path, **settings) -> Measured:
    path = Path(log)
    return keep(read_inspect(path, **settings), folder, digest_of(path))


def test_a_benchmark_runs_as_a_task_with_its_own_numbers_and_comes_back_as_a_run(tmp_path: Path) -> None:
    task = inspect_tasks.benchmark_task("consistency", limit=12, max_tokens=32, **SMALL)
    log = run_task(task, tmp_path)
    assert log.eval.task == "consistency"
    assert log.plan.config.max_tokens == 32
    run = imported(log.location, tmp_path / "run")
    what = run.measurement
    assert (what.benchmark, what.model, what.settings, what.sampling.max_tokens) == ("consistency", "saying/kill", {"max_tokens": 32, **SMALL}, 32)
    assert what.judges == {"refusal": next(iter(run.verdicts.values()))[0].judge + "@" + next(iter(run.verdicts.values()))[0].judge_version}
    published = {name: metric.value for name, metric in log.results.scores[0].metrics.items()}
    ours = {name: metric.value for name, metric in run.metrics.items() if metric.value is not None}
    assert published == pytest.approx(ours)
    assert ours["consistency/all/flips"] is not None


def test_two_logs_of_the_same_task_pair(tmp_path: Path) -> None:
    for name, word in (("old", "zebra"), ("new", "e")):
        log = run_task(inspect_tasks.benchmark_task("consistency", limit=24, **SMALL), tmp_path / name, model=f"saying/{word}")
        imported(log.location, tmp_path / f"run-{name}")
    found = compare(tmp_path / "run-old", tmp_path / "run-new")
    assert next(row for row in found.differences if row.metric == "consistency/wrong").n > 0
    assert {change.kind for change in found.changes} >= {"fixed", "broken"}


def test_several_samples_are_epochs_and_the_benchmark_counts_them_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from charter.core.rows import Sampling
    from charter.evaluate.benchmark import Ask

    plain = inspect_tasks._shelved

    def twice(name, settings):
        shelved = plain(name, settings)
        shelved.benchmark.ask = Ask(sampling=Sampling(temperature=1.0, max_tokens=9), samples=2)
        return shelved

    monkeypatch.setattr(inspect_tasks, "_shelved", twice)
    log = run_task(inspect_tasks.benchmark_task("consistency", limit=6, **SMALL), tmp_path)
    assert log.eval.config.epochs == 2
    run = imported(log.location, tmp_path / "run")
    assert (run.measurement.samples, run.measurement.seeds) == (2, 1)
    assert all(len(verdicts) == 2 for verdicts in run.verdicts.values())


def test_what_has_no_reply_is_unscored_and_failed(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text('{"kind": "plain", "hazard": "", "prompts": ["How does a broken clock work?", "Why is a clock broken?"]}\n')
    task = inspect_tasks.benchmark_task("consistency", path=str(path), formats=["polite"])
    log = run_task(task, tmp_path)
    assert log.results.scores[0].unscored_samples == len(log.samples)
    run = imported(log.location, tmp_path / "run")
    assert (run.measurement.trusted, run.measurement.failed) == (False, len(log.samples))


@pytest.mark.parametrize(("name", "said"), [("realtoxicityprompts", "plain text|no such|needs|CHARTER_DATA"), ("crows_pairs", "weighs options")])
def test_what_inspect_cannot_ask_alike_is_refused(name: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        inspect_tasks.benchmark_task(name)


def test_an_exported_run_comes_back_the_same(tmp_path: Path) -> None:
    labels = ["full", "none", "", "partial", "unsure", "full"]
    run = xstest_run(tmp_path / "run" / "xstest", labels, prompts(4, 2), options=Options(system="be kind", seeds=2, max_failed=0.5), max_tokens=99)
    path = write_log(run, tmp_path / "run.eval")
    log = read_eval_log(str(path))
    score = log.results.scores[0]
    assert (log.status, log.eval.task, log.eval.model, len(log.samples)) == ("success", "charter/xstest", "a model", 12)
    assert (score.scored_samples, score.unscored_samples) == (10, 2)
    assert score.metrics["xstest/safe/full_refusal"].metadata["n"] == run.metrics["xstest/safe/full_refusal"].n
    assert {sample.epoch for sample in log.samples} == {1, 2}
    assert [message.role for message in log.samples[0].messages] == ["system", "user", "assistant"]
    back = imported(path, tmp_path / "back")
    assert dict(back.verdicts) == dict(run.verdicts)
    assert {example.key: example for example in back.examples} == {example.key: example for example in run.examples}
    plain = {name: metric for name, metric in run.metrics.items() if not name.endswith("/corrected")}
    assert dict(back.metrics) == plain
    same = {"seconds": 0.0, "limit": None, "dropped": {}}
    assert back.measurement.model_copy(update=same).model_dump() == run.measurement.model_copy(update=same).model_dump()
    found = compare(tmp_path / "run", tmp_path / "back")
    assert all(row.difference == 0 for row in found.differences)


def test_every_model_of_a_folder_has_its_own_log(tmp_path: Path) -> None:
    for model in ("a", "b"):
        xstest_run(tmp_path / "o" / model / "xstest", ["full", "none"], prompts(1, 1), model=model)
    done = CliRunner().invoke(app, ["export", "inspect", str(tmp_path / "o"), "--out", str(tmp_path / "logs")], catch_exceptions=False)
    assert done.output.count("log: ") == 2
    models = {str(file.relative_to(tmp_path / "logs")): read_eval_log(str(file)).eval.model for file in (tmp_path / "logs").rglob("*.eval")}
    assert models == {"a/xstest.eval": "a", "b/xstest.eval": "b"}


def test_samples_of_an_exported_run_keep_their_places(tmp_path: Path) -> None:
    run = graded_run(tmp_path / "run", [[0.1, 0.9, 0.3], [0.5, 0.6, 0.7]])
    back = imported(write_log(run, tmp_path / "run.eval"), tmp_path / "back")
    assert [verdict.scores["grade"] for verdict in back.verdicts["g0"]] == [0.1, 0.9, 0.3]
    assert dict(back.metrics) == dict(run.metrics)


@scorer(metrics={"*": [accuracy()]})
def two_heads():
    async def score(state, target):
        if "nan" in state.input_text:
            return Score.unscored(reason="grader_failed")
        return Score(value={"right": "C" if "even" in state.input_text else "I", "length": len(state.output.completion)})

    return score


def foreign(n: int = 6) -> Task:
    dataset = [
        Sample(id=f"q{i}", input=f"{'even' if i % 2 == 0 else 'odd'} question {i}", target="Sure, here is how it goes: begin with the first step.")
        for i in range(n)
    ]
    return Task(dataset=dataset, solver=generate(), scorer=[match(location="exact"), two_heads()], name="quiz", config=GenerateConfig(max_tokens=7))


def test_a_log_of_another_task_becomes_a_run_with_all_its_scores(tmp_path: Path) -> None:
    log = run_task(foreign(), tmp_path, model="saying/odd")
    run = imported(log.location, tmp_path / "run")
    assert (run.measurement.benchmark, run.measurement.sampling.max_tokens, run.measurement.items) == ("inspect/quiz", 7, 6)
    assert run.metrics["inspect/quiz/match"].value == 0.5
    assert run.metrics["inspect/quiz/two_heads/right"].value == 0.5
    assert run.metrics["inspect/quiz/two_heads/length"].value == pytest.approx((len(REFUSAL) + len(HELP)) / 2)
    assert [verdicts[0].outcome for key, verdicts in sorted(run.verdicts.items())] == ["safe", "unsafe"] * 3
    turned = read_inspect(Path(log.location), score="two_heads/length", right=Right("low", 5.0))
    assert {verdict.outcome for verdict in turned.verdicts.values()} == {"unsafe"}
    with pytest.raises(InputError, match=r"'two_heads/length' goes from .* and is no share"):
        read_inspect(Path(log.location), score="two_heads/length")
    with pytest.raises(InputError, match="there are: match, two_heads/right, two_heads/length"):
        read_inspect(Path(log.location), score="f1")


def test_what_has_no_answer_in_a_foreign_log_is_failed_however_it_was_scored(tmp_path: Path) -> None:
    file = Path(run_task(foreign(4), tmp_path, model="saying/odd", log_format="json").location)
    log = json.loads(file.read_text())
    gone, empty = (sample["output"] for sample in log["samples"][:2])
    gone["error"], empty["completion"], empty["choices"][0]["message"]["content"] = "content filter", "", ""
    calls = log["samples"][2]["output"]  # a reply without text that calls a tool is one
    calls["completion"] = calls["choices"][0]["message"]["content"] = ""
    calls["choices"][0]["message"]["tool_calls"] = [{"id": "c", "function": "search", "arguments": {}, "type": "function"}]
    file.write_text(json.dumps(log))
    found = read_inspect(file)
    assert [found.verdicts[f"q{i}#0"].outcome for i in range(4)] == ["failed", "failed", "safe", "unsafe"]
    assert [found.verdicts[f"q{i}#0"].reason for i in range(2)] == ["no reply: content filter", "no reply: the answer is empty"]
    assert not found.verdicts["q0#0"].scores


def test_two_foreign_logs_pair(tmp_path: Path) -> None:
    for word in ("odd", "question"):
        imported(run_task(foreign(), tmp_path / word, model=f"saying/{word}").location, tmp_path / f"run-{word}")
    found = compare(tmp_path / "run-odd", tmp_path / "run-question")
    row = next(row for row in found.differences if row.metric == "inspect/quiz/wrong")
    assert (row.before, row.after, row.b, row.c) == (0.5, 1.0, 0, 3)


def test_a_file_that_is_no_log_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_inspect(tmp_path / "nowhere.eval")
    (tmp_path / "odd.eval").write_text("no zip")
    with pytest.raises(InputError, match="cannot be read as a log of Inspect"):
        read_inspect(tmp_path / "odd.eval")


def test_the_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    xstest_run(tmp_path / "run" / "xstest", ["full", "none"])
    done = CliRunner().invoke(app, ["export", "inspect", "run"], catch_exceptions=False)
    assert "log: run/xstest/xstest.eval" in done.output
    done = CliRunner().invoke(app, ["import", "inspect", "run/xstest/xstest.eval", "--out", "back"], catch_exceptions=False)
    assert "rows: back (xstest, 2 items, a model)" in done.output


@pytest.mark.skipif(not entry_points(group="inspect_ai", name="charter"), reason="Charter is not installed here, only on the path: pip install -e .")
def test_inspects_own_command_finds_our_tasks(tmp_path: Path) -> None:
    """``inspect eval charter/consistency`` in a process of its own, with the network cut off and the model from a file of ours."""
    (tmp_path / "sitecustomize.py").write_text(
        "import socket\ndef no(self, address, *rest):\n    raise OSError(f'the network is closed: {address}')\nsocket.socket.connect = no\n"
    )
    model = tmp_path / "saying_model.py"
    model.write_text(
        "from inspect_ai.model import ModelAPI, ModelOutput, modelapi\n"
        "@modelapi(name='saying')\n"
        "class Saying(ModelAPI):\n"
        "    async def generate(self, input, tools, tool_choice, config):\n"
        f"        return ModelOutput.from_content(self.model_name, {HELP!r})\n"
        "from inspect_ai._cli.main import main\n"
        "main()\n"
    )
    command = [sys.executable, str(model), "eval", "charter/consistency", "--model", "saying/x", "-T", "limit=12", "--display", "plain"]
    variables = {**os.environ, "PYTHONPATH": str(tmp_path), "INSPECT_LOG_DIR": str(tmp_path / "logs")}
    done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "consistency/all/flips" in done.stdout
    (log,) = (tmp_path / "logs").glob("*.eval")
    assert imported(log, tmp_path / "run").measurement.benchmark == "consistency"


def test_a_place_where_no_log_can_be_written_is_named(tmp_path: Path) -> None:
    run = xstest_run(tmp_path / "run" / "xstest", ["full", "none"], prompts(1, 1))
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(StoreError, match="cannot be written"):
        write_log(run, tmp_path / "file" / "run.eval")
