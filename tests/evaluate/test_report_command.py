"""``charter report`` over runs of benchmarks: the rows become the page."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_runs import graded_run, prompts, xstest_run
from typer.testing import CliRunner

from charter.cli import app
from charter.core.errors import InputError
from charter.evaluate.estimate import Price
from charter.evaluate.measured import find_measured, load_measured
from charter.recipes import single
from charter.recipes.benchmark_report import report_data
from charter.recipes.comparison import compare


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("runs")
    for step, (refused, complied) in {"old": (30, 0), "mid": (15, 0), "new": (4, 1)}.items():
        labels = ["full"] * refused + ["none"] * (60 - refused) + ["none"] * complied + ["full"] * (38 - complied) + ["", "unsure"]
        xstest_run(
            root / step / "xstest",
            labels,
            prompts(60, 40),
            model=f"checkpoint {step}",
            replies={"safe question 0": "No, I will not say that.</script><b>"},
        )
    graded_run(root / "new" / "graded", [[0.2, 0.9, 0.3], [0.9, 0.8, 0.9]], model="checkpoint new")
    return [root / step for step in ("old", "mid", "new")]


def test_the_page_shows_every_run_and_benchmark(runs: list[Path]) -> None:
    data = report_data(runs, price=Price(1.0, 2.0))
    assert [run.name for run in data.runs] == ["old", "mid", "new"]
    assert data.runs[0].cost == pytest.approx((99 * 7 * 1.0 + 99 * 5 * 2.0) / 1e6)
    assert (data.runs[2].answers, data.runs[2].failed, data.runs[2].unparsed) == (106, 1, 1)
    assert [part.name for part in data.parts] == ["xstest", "graded"]
    assert [metric and round(metric.value, 3) for metric in data.overall[1].values] == [None, None, 0.333]
    assert data.counts["xstest"] == {"broken": 1, "fixed": 26, "still wrong": 4, "still right": 67, "left out": 2, "not counted": 0}
    assert {line.metric for line in data.trends} >= {"xstest/wrong", "xstest/safe/full_refusal"}
    assert data.unmeasured_judges == ("words@1",)
    hazards = {row.metric: row.values for row in data.parts[0].hazards}
    assert set(hazards) == {"homonyms", "definitions", "contrast_homonyms"}
    assert (hazards["homonyms"][0].n, hazards["homonyms"][0].value) == (30, 0.5)
    outcomes = {(row.kind, row.run): row.counts for row in data.parts[0].outcomes}
    assert outcomes["harmful", "new"] == {"right": 37, "wrong": 1, "failed": 1, "not read": 1}
    assert any("English only" in note for note in data.notes)


def test_items_carry_what_each_run_said(runs: list[Path]) -> None:
    items = {(item.benchmark, item.key): item for item in report_data(runs).items}
    first = items["xstest", "xstest-20"]
    assert (first.kind, first.harmful, first.hazard, first.prompt) == ("fixed", False, "homonyms", "safe question 20")
    assert [(said.label, said.outcome) for said in first.said] == [("full", "unsafe"), ("none", "safe"), ("none", "safe")]
    failed = items["xstest", "xstest-98"].said[0]
    assert (failed.outcome, failed.text) == ("failed", "(no reply: timeout)")
    worst = items["graded", "g0"].said
    assert [said.label for said in worst[:2]] == ["not asked"] * 2
    assert (worst[2].text, worst[2].outcome, worst[2].more) == ("0.2", "unsafe", 2)


def test_the_report_of_an_align_run_goes_where_it_is_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(single, "is_align_run", lambda folder: True)
    monkeypatch.setattr(single, "rewrite_report", lambda run, place: place or run / "report.html")
    done = CliRunner().invoke(app, ["report", str(tmp_path), "--out", str(tmp_path / "page.html")])
    assert done.output == f"report: {tmp_path / 'page.html'}\n"
    refused = CliRunner().invoke(app, ["report", str(tmp_path), "--price", "1,2"])
    assert "takes no --price" in str(refused.exception)


def test_the_text_under_a_verdict_is_the_one_that_was_read(tmp_path: Path) -> None:
    """Answers come in any order (a backend may ask the longest first), and a run of fewer draws leaves those of the longer one in the log."""
    folder = tmp_path / "run" / "graded"
    graded_run(folder, [[0.9, 0.2], [0.3, 0.8]])
    log = folder / "answers.jsonl"
    log.write_text("".join(reversed(log.read_text().splitlines(keepends=True))))
    assert {item.key: item.said[0][1:3] for item in report_data([folder]).items} == {"g0": ("unsafe", "0.2"), "g1": ("unsafe", "0.3")}
    found = compare(folder, folder)
    assert [[answer.reply.text for answer in said[0]] for said in found.answers("graded", ["g0", "g1"]).values()] == [["0.9", "0.2"], ["0.3", "0.8"]]
    measured = folder / "measurements.jsonl"
    measured.write_text(measured.read_text().replace('"samples": 2', '"samples": 1'))
    assert {item.key: item.said[0][1:3] for item in report_data([folder]).items} == {"g0": ("safe", "0.9"), "g1": ("unsafe", "0.3")}
    assert [answer.reply.text for _, answer in load_measured(folder).answers()] == ["0.3", "0.9"]


def test_a_run_that_was_set_aside_as_damaged_is_not_looked_into(tmp_path: Path) -> None:
    graded_run(tmp_path / "o" / "graded", [[0.9]])
    graded_run(tmp_path / "o" / "graded.damaged", [[0.1]])
    assert find_measured(tmp_path / "o") == [tmp_path / "o" / "graded"]
    assert find_measured(tmp_path / "o" / "graded.damaged") == [tmp_path / "o" / "graded.damaged"]


def test_the_command_writes_one_page(runs: list[Path], tmp_path: Path) -> None:
    alone = CliRunner().invoke(app, ["report", str(runs[0])], catch_exceptions=False)
    assert f"report: {runs[0] / 'report.html'}" in alone.output
    gate = tmp_path / "policy.yaml"
    gate.write_text("rules:\n  - {metric: xstest/safe/full_refusal, test: superiority, better: lower}\n")
    done = CliRunner().invoke(app, ["report", *map(str, runs), "--gate", str(gate), "--out", str(tmp_path / "page.html")], catch_exceptions=False)
    assert done.exit_code == 0
    page = (tmp_path / "page.html").read_text()
    assert "<b>Passed</b>" in page
    assert "that.</script><b>" not in page
    assert "that.\\u003c/script\\u003e\\u003cb\\u003e" in page


@pytest.mark.parametrize(
    ("arguments", "said"), [(["--gate", "policy.yaml"], "only one is named"), (["--price", "1"], "two numbers are needed"), ([], "no evaluation")]
)
def test_mistakes_are_named(runs: list[Path], tmp_path: Path, arguments: list[str], said: str) -> None:
    place = runs[0] if arguments else tmp_path
    done = CliRunner().invoke(app, ["report", str(place), *arguments])
    with pytest.raises(InputError, match=said):
        raise done.exception
