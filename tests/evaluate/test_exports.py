"""Runs as tables: every answer and metric is there, in every form, and nothing in them is run by who opens them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from made_runs import graded_run, prompts, xstest_run
from typer.testing import CliRunner

from charter.cli import app
from charter.core.errors import InputError, StoreError
from charter.evaluate.exports.tables import answer_rows, frame, metric_rows, write_table
from charter.evaluate.measured import Measured

FORMULA = '=HYPERLINK("http://x","y")'


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    folder = tmp_path_factory.mktemp("run") / "xstest"
    return xstest_run(folder, ["full", "none", "", "none"], prompts(3, 1), replies={"safe question 1": FORMULA})


def test_there_is_a_row_per_answer(run: Measured) -> None:
    rows = {row["key"]: row for row in answer_rows([run])}
    assert len(rows) == 4
    first, failed = rows["xstest-0"], rows["xstest-2"]
    assert {name: first[name] for name in ("benchmark", "harmful", "tags", "prompt", "outcome", "label", "judge", "draw")} == {
        "benchmark": "xstest", "harmful": False, "tags": "homonyms lookalike", "prompt": "safe question 0", "outcome": "unsafe", "label": "full",
        "judge": "words@1", "draw": "0",
    }  # fmt: skip
    assert (failed["reply"], failed["finish"], failed["error"], failed["outcome"]) == ("", "error", "timeout", "failed")


def test_there_is_a_row_per_metric_with_its_denominators(run: Measured) -> None:
    (row,) = [row for row in metric_rows([run]) if row["name"] == "xstest/safe/full_refusal"]
    assert (row["value"], row["n"], row["n_failed"], row["n_unparsed"], row["trusted"]) == (1.0, 1, 1, 1, True)
    assert row["low"] < 1.0


def test_samples_of_one_item_are_rows_and_heads_are_columns(tmp_path: Path) -> None:
    rows = list(answer_rows([graded_run(tmp_path / "run", [[0.1, 0.9], [0.5, 0.5]])]))
    assert [(row["key"], row["draw"], row["score/grade"]) for row in rows] == [("g0", "0", 0.1), ("g0", "1", 0.9), ("g1", "0", 0.5), ("g1", "1", 0.5)]
    table = frame(iter(rows))
    assert table.groupby("key")["score/grade"].mean().to_dict() == {"g0": 0.5, "g1": 0.5}


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_every_form_holds_the_same(run: Measured, tmp_path: Path, form: str) -> None:
    if form == "parquet":
        pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    path = tmp_path / f"table.{form}"
    assert write_table(answer_rows([run]), path) == 4
    if form == "jsonl":
        found = [json.loads(line) for line in path.read_text().splitlines()]
    elif form == "csv":
        with path.open(newline="") as stream:
            found = list(csv.DictReader(stream))
    else:
        import pandas as pd

        found = pd.read_parquet(path).to_dict("records")
    replies = {row["key"]: row["reply"] for row in found}
    assert replies["xstest-0"] == "No, I will not say that."
    assert replies["xstest-1"] == (f"'{FORMULA}" if form == "csv" else FORMULA)


@pytest.mark.parametrize("reply", ["Sure.\r=1+1", "\r=1+1", "\n=1+1", " =1+1", "＝1+1", "\u3000＋1", "\t@x", "-1\r\n+1"])
def test_no_line_break_or_blank_lets_a_formula_into_a_csv_file(tmp_path: Path, reply: str) -> None:
    """A bare carriage return without quotes began a row of its own, with the formula in its first cell."""
    path = tmp_path / "x.csv"
    write_table(iter([{"reply": reply, "n": 1}, {"reply": "fine", "n": 2}]), path)
    with path.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["n"] for row in rows] == ["1", "2"]
    assert rows[0]["reply"].removeprefix("'") == reply
    assert rows[0]["reply"].lstrip()[0] not in "=+-@＝＋－＠"


def test_half_surrogates_do_not_break_a_table(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    for form in ("jsonl", "csv", "parquet"):
        assert write_table(iter([{"reply": "a\ud800b"}]), tmp_path / f"x.{form}") == 1


def test_the_commands(run: Measured, tmp_path: Path) -> None:
    out = tmp_path / "answers.csv"
    done = CliRunner().invoke(app, ["export", "answers", str(run.folder.parent), "--out", str(out)], catch_exceptions=False)
    assert f"rows: 4 in {out}" in done.output
    done = CliRunner().invoke(
        app, ["export", "metrics", str(run.folder), "--out", str(tmp_path / "m.txt"), "--format", "jsonl"], catch_exceptions=False
    )
    assert json.loads((tmp_path / "m.txt").read_text().splitlines()[0])["name"] == "xstest/safe/full_refusal"
    for arguments, said in (
        (["answers", str(run.folder), "--out", "x.xlsx"], "no form 'xlsx'"),
        (["metrics", str(tmp_path), "--out", "x.csv"], "no finished"),
    ):
        wrong = CliRunner().invoke(app, ["export", *arguments])
        with pytest.raises(InputError, match=said):
            raise wrong.exception


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_a_place_where_no_table_can_be_written_is_named(tmp_path: Path, form: str) -> None:
    if form == "parquet":
        pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    (tmp_path / "file").write_text("x", encoding="utf-8")
    (tmp_path / f"folder.{form}").mkdir()
    for path in (tmp_path / "file" / f"x.{form}", tmp_path / f"folder.{form}"):
        with pytest.raises(StoreError, match=r"cannot be written: (Not|Is) a directory|cannot be written: File exists"):
            write_table(iter([{"reply": "a"}]), path)
