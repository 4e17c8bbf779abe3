from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from charter.core import errors
from charter.core.errors import InputError
from charter.core.rows import Metric
from charter.report.summary import CharterRef, GateSummary, Measured, PairedSummary, StageSummary, Summary, read_summary, write_summary

DOCS = Path(__file__).parents[2] / "docs" / "summary.md"
METRIC_FIELDS = {"name", "value", "low", "high", "n", "n_failed", "n_unparsed", "method"}
CONTRACT: dict[type[BaseModel], set[str]] = {
    Summary: {"model", "charter", "seconds", "stages", "before", "after", "paired", "gate", "checkpoint", "recipe", "seed"},
    CharterRef: {"name", "hash"},
    StageSummary: {"name", "seconds", "rows_in", "rows_out", "dropped"},
    Measured: {"harmful_compliance", "over_refusal", "partial_refusal", "groups"},
    PairedSummary: {"b", "c", "n", "p", "difference", "interval"},
    GateSummary: {"passed", "reasons", "failed"},
}


def written(tmp_path: Path, summary: Summary) -> dict[str, Any]:
    write_summary(tmp_path / "summary.json", summary)
    found: dict[str, Any] = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    return found


def test_the_written_fields_are_exactly_the_contract(tmp_path: Path, summary: Summary) -> None:
    found = written(tmp_path, summary)
    assert set(found) == CONTRACT[Summary]
    assert set(found["charter"]) == CONTRACT[CharterRef]
    assert set(found["stages"][0]) == CONTRACT[StageSummary]
    assert set(found["paired"]) == {"harmful_compliance", "over_refusal"}
    assert set(found["paired"]["over_refusal"]) == CONTRACT[PairedSummary]
    assert set(found["gate"]) == CONTRACT[GateSummary]
    for side in ("before", "after"):
        assert set(found[side]) == CONTRACT[Measured]
        assert set(found[side]["over_refusal"]) == METRIC_FIELDS
        assert set(found[side]["groups"]["over_refusal/plain"]) == METRIC_FIELDS


def test_what_is_written_is_read_back_the_same(tmp_path: Path, summary: Summary) -> None:
    written(tmp_path, summary)
    assert read_summary(tmp_path / "summary.json") == summary


@pytest.mark.parametrize("where", [(), ("charter",), ("stages", 0), ("before",), ("after", "over_refusal"), ("paired", "over_refusal"), ("gate",)])
def test_an_unknown_field_is_refused_by_name(tmp_path: Path, summary: Summary, where: tuple[Any, ...]) -> None:
    found = written(tmp_path, summary)
    place: Any = found
    for step in where:
        place = place[step]
    place["surprise"] = 1
    (tmp_path / "odd.json").write_text(json.dumps(found), encoding="utf-8")
    with pytest.raises(InputError, match=r"odd\.json: .*surprise") as caught:
        read_summary(tmp_path / "odd.json")
    assert "docs/summary.md" in caught.value.hint


@pytest.mark.parametrize("field", sorted(CONTRACT[Summary]))
def test_every_field_is_needed(tmp_path: Path, summary: Summary, field: str) -> None:
    found = written(tmp_path, summary)
    del found[field]
    (tmp_path / "short.json").write_text(json.dumps(found), encoding="utf-8")
    with pytest.raises(InputError, match=f"{field}: Field required"):
        read_summary(tmp_path / "short.json")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"value": None}, "all numbers or all null"),
        ({"value": 0.0, "low": 0.0, "high": 0.1, "n": 0}, "over no items"),
        ({"value": 1.2, "low": 0.0, "high": 1.3}, "shares from 0 to 1"),
        ({"value": 0.9, "low": 0.0, "high": 0.1}, "does not hold the value"),
        ({"value": float("nan"), "low": 0.0, "high": 0.1}, "shares from 0 to 1"),
        ({"n_failed": -1}, "counts"),
    ],
)
def test_a_metric_that_cannot_be_is_refused(summary: Summary, change: dict[str, Any], complaint: str) -> None:
    broken = summary.before.over_refusal.model_copy(update=change)
    with pytest.raises(ValidationError, match=complaint):
        Measured(harmful_compliance=broken, over_refusal=broken, partial_refusal=broken, groups={})


def test_the_gate_cannot_pass_on_what_was_not_compared(summary: Summary) -> None:
    fields = {name: getattr(summary, name) for name in Summary.model_fields}
    with pytest.raises(ValidationError, match="cannot pass on what was not compared: over_refusal"):
        Summary(**{**fields, "paired": {"harmful_compliance": summary.paired["harmful_compliance"]}})
    with pytest.raises(ValidationError, match="paired holds accuracy"):
        Summary(**{**fields, "paired": {**summary.paired, "accuracy": summary.paired["over_refusal"]}})


def test_what_was_not_measured_is_null_not_zero(tmp_path: Path, summary: Summary) -> None:
    none = Metric(name="over_refusal", value=None, low=None, high=None, n=0, n_failed=12, method="wilson95")
    after = summary.after.model_copy(update={"over_refusal": none})
    found = written(tmp_path, summary.model_copy(update={"after": after}))
    assert found["after"]["over_refusal"]["value"] is None
    assert read_summary(tmp_path / "summary.json").after.over_refusal.n_failed == 12


@pytest.mark.parametrize(("content", "complaint"), [(b"{", "Invalid JSON"), (b"\xff", "not UTF-8"), (b'{"seed": "7"}', "seed: Input should be")])
def test_a_broken_file_is_one_clear_error(tmp_path: Path, content: bytes, complaint: str) -> None:
    (tmp_path / "summary.json").write_bytes(content)
    with pytest.raises(InputError, match=complaint):
        read_summary(tmp_path / "summary.json")


def test_a_missing_file_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_summary(tmp_path / "summary.json")


def test_the_documented_example_is_valid_and_every_field_is_explained(tmp_path: Path) -> None:
    text = DOCS.read_text(encoding="utf-8")
    example = re.search(r"```json\n(.*?)```", text, re.DOTALL)
    assert example is not None
    (tmp_path / "summary.json").write_text(example[1], encoding="utf-8")
    found = read_summary(tmp_path / "summary.json")
    assert json.loads(example[1]) == json.loads(json.dumps(found.model_dump(mode="json")))
    explained = set(re.findall(r"^\| `([a-z_]+)` \|", text, re.MULTILINE))
    for model, fields in CONTRACT.items():
        assert set(model.model_fields) == fields
        assert fields <= explained
    assert explained >= METRIC_FIELDS


def test_the_documented_exit_codes_are_those_of_the_program() -> None:
    rows = dict(re.findall(r"^\| (\d) \| ([^|]+) \|", DOCS.read_text(encoding="utf-8"), re.MULTILINE))
    assert {int(code) for code in rows} == {errors.EXIT_PASSED, errors.EXIT_ERROR, errors.EXIT_USAGE, errors.EXIT_GATE_FAILED}
    assert "passed" in rows[str(errors.EXIT_PASSED)]
    assert "gate" in rows[str(errors.EXIT_GATE_FAILED)]
