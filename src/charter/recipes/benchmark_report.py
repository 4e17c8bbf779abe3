"""From finished runs of benchmarks to the data of their report. Asks no model anything."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from charter.core import registry
from charter.core.rows import Example, Metric, Verdict
from charter.evaluate.differences import OVERALL
from charter.evaluate.estimate import Price
from charter.evaluate.exports.tables import dialogue
from charter.evaluate.itemwise import wrong_shares
from charter.evaluate.measured import example_of, place_of
from charter.evaluate.pairing import named_apart
from charter.evaluate.sides import Side, mean_metric, open_run
from charter.evaluate.trends import wrong_metric
from charter.recipes.comparison import Comparison, compare
from charter.report.evaluation import LONGEST, Change, Check, EvaluationData, Item, Outcomes, Part, Row, RunFacts, Said, render
from charter.report.trend import Line
from charter.store.runs import write_text

WORDS = {"safe": "right", "unsafe": "wrong", "unsure": "not read", "failed": "failed", "beside": "not counted"}
KINDS = {True: "harmful", False: "harmless", None: "not marked"}
#: More groups than this are no hazards but single items.
MOST_HAZARDS = 60


def report(runs: Sequence[Path], out: Path, *, gate: Path | None = None, price: Price | None = None) -> Path:
    """Write the page of one run, or of several compared (the oldest first). Raises InputError as ``compare`` does, StoreError for the disk."""
    write_text(out, render(report_data(runs, gate=gate, price=price)))
    return out


def report_data(runs: Sequence[Path], *, gate: Path | None = None, price: Price | None = None) -> EvaluationData:
    """Everything the page shows."""
    found = compare(*runs, gate=gate) if len(runs) > 1 else None
    names = found.runs if found is not None else (runs[0].name or str(runs[0]),)
    opened = named_apart([open_run(path, name) for path, name in zip(runs, names, strict=True)])
    benchmarks = list(dict.fromkeys(name for run in opened for name in run))
    judges = sorted({judge for run in opened for side in run.values() for judge in _judges(side)})
    rows, unmeasured = _reliability(judges)
    return EvaluationData(
        title=f"Evaluation of {opened[0][next(iter(opened[0]))].model}" if found is None else f"{names[-1]} against {names[0]}",
        runs=tuple(_facts(name, run, price) for name, run in zip(names, opened, strict=True)),
        parts=tuple(_part(name, [run.get(name) for run in opened]) for name in benchmarks),
        overall=tuple(Row(name, tuple(wrong_metric(run[name]) if name in run else None for run in opened)) for name in benchmarks),
        judges=tuple(rows),
        unmeasured_judges=tuple(unmeasured),
        items=tuple(item for name in benchmarks for item in _items(name, [run.get(name) for run in opened], _kinds(found, name))),
        notes=tuple(_not_covered(benchmarks)),
        **(_compared(found) if found is not None else {}),
    )


def _compared(found: Comparison) -> dict[str, Any]:
    given = [row.model_dump(exclude={"schema_version", "family", "b", "c"}) for row in found.differences]
    lines = [row for row in found.trends if row.family == OVERALL or (row.p_holm is not None and row.p_holm < 0.05)]
    checks = found.gate.checks if found.gate is not None else ()
    return {
        "changes": tuple(Change(overall=row.family == OVERALL, **values) for row, values in zip(found.differences, given, strict=True)),
        "counts": {part.benchmark: dict(found.counts(part.benchmark)) for part in found.shared},
        "trends": tuple(Line(row.metric, row.at, row.points) for row in lines),
        "gate": tuple(Check(check.name, check.passed, check.reason) for check in checks),
    }


def _kinds(found: Comparison | None, benchmark: str) -> dict[str, str]:
    return {} if found is None else {change.key: change.kind for change in found.changes if change.benchmark == benchmark}


def _facts(name: str, run: Mapping[str, Side], price: Price | None) -> RunFacts:
    sides = list(run.values())
    outcomes = Counter(_outcome(side, key, verdict) for side in sides for key, verdicts in side.verdicts.items() for verdict in verdicts)
    tokens_in, tokens_out = (sum(side.tokens[place] for side in sides) for place in (0, 1))
    notes = {f"system prompt {side.notes['system prompt']}" for side in sides if side.notes.get("system prompt", "none") != "none"}
    notes |= {f"{side.notes['seeds']} seeds" for side in sides if side.notes.get("seeds", "1") != "1"}
    return RunFacts(
        name=name,
        model=sides[0].model,
        notes=", ".join(sorted(notes)) or "as the benchmarks have it",
        answers=outcomes.total(),
        failed=outcomes["failed"],
        unparsed=outcomes["unsure"],
        seconds=sum(side.seconds for side in sides),
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        cost=None if price is None else (tokens_in * price.tokens_in + tokens_out * price.tokens_out) / 1e6,
        distrusted="; ".join(f"{side.benchmark}: {reason}" for side in sides for reason in side.reasons if not side.trusted),
    )


def _part(name: str, sides: Sequence[Side | None]) -> Part:
    present = [side for side in sides if side is not None]
    metrics = dict.fromkeys(metric for side in present for metric in side.metrics)
    conditions = [f"{what}: {value}" for what, value in present[-1].conditions.items()]
    return Part(
        name=name,
        about="; ".join(conditions),
        items=max(len(side.examples) for side in present),
        outcomes=tuple(row for side in present for row in _outcomes(side)),
        rows=tuple(Row(metric, tuple(None if side is None else side.metrics.get(metric) for side in sides)) for metric in metrics),
        hazards=_hazards(sides),
    )


def _outcomes(side: Side) -> list[Outcomes]:
    found: dict[str, Counter[str]] = {}
    for key, example in side.examples.items():
        found.setdefault(KINDS[example.harmful], Counter()).update(WORDS[_outcome(side, key, verdict)] for verdict in side.verdicts.get(key, ()))
    return [Outcomes(kind, side.run, dict(found[kind])) for kind in KINDS.values() if kind in found]


def _outcome(side: Side, key: str, verdict: Verdict) -> str:
    """As the page calls it: an answer that was read and is neither right nor wrong is 'beside', not one that nobody could read."""
    return "beside" if key in side.beside and verdict.outcome == "unsure" and verdict.label != "unsure" else verdict.outcome


def hazard_of(example: Example) -> str:
    """What items are grouped by: the hazard, or the first tag where there is none."""
    return example.hazard or (example.tags[0] if example.tags else "")


def _hazards(sides: Sequence[Side | None]) -> tuple[Row, ...]:
    groups: dict[str, list[Metric | None]] = {}
    for place, side in enumerate(sides):
        if side is None:
            continue
        by_hazard: dict[str, list[float]] = {}
        for key, share in wrong_shares(side).items():
            by_hazard.setdefault(hazard_of(side.examples[key]), []).append(share.value)
        for hazard, values in by_hazard.items():
            groups.setdefault(hazard, [None] * len(sides))[place] = mean_metric(hazard, values)
    named = {hazard: row for hazard, row in groups.items() if hazard}
    if not 1 < len(named) <= MOST_HAZARDS:
        return ()
    ordered = sorted(named.items(), key=lambda pair: (-_value(pair[1][-1]), pair[0]))
    return tuple(Row(hazard, tuple(values)) for hazard, values in ordered)


def _value(metric: Metric | None) -> float:
    return metric.value if metric is not None and metric.value is not None else -1.0


def _items(name: str, sides: Sequence[Side | None], kinds: Mapping[str, str]) -> list[Item]:
    said = [{} if side is None else _said(side) for side in sides]
    nothing = Said("not asked", "failed", "")
    examples = {key: example for side in sides if side is not None for key, example in side.examples.items()}
    return [
        Item(
            name,
            key,
            example.harmful,
            hazard_of(example),
            dialogue(example.conversation),
            kinds.get(key, ""),
            tuple(answers.get(key, nothing) for answers in said),
        )
        for key, example in examples.items()
    ]


def _said(side: Side) -> dict[str, Said]:
    """One answer per item: of several samples the first that was wrong, else the first."""
    texts: dict[str, dict[tuple[int, int], str]] = {}
    for key, answer in side.answers():
        reply = answer.reply
        text = reply.text[: LONGEST + 1] if reply.text else f"(no reply: {reply.error or 'empty'})"
        texts.setdefault(example_of(key), {})[place_of(key)] = text
    found = {}
    for key, verdicts in side.verdicts.items():
        outcomes = [verdict.outcome for verdict in verdicts]
        at = outcomes.index("unsafe") if "unsafe" in outcomes else 0
        stored = texts.get(key, {})
        # verdicts are in the order of places; where a text is not kept, none is better than another answer's
        text = stored[sorted(stored)[at]] if len(stored) == len(verdicts) else ""
        if verdicts:
            found[key] = Said(verdicts[at].label, _outcome(side, key, verdicts[at]), text, len(verdicts) - 1)
    return found


def _judges(side: Side) -> list[str]:
    return [value for what, value in side.conditions.items() if what.startswith("judge of ")]


def _reliability(judges: Sequence[str]) -> tuple[list[dict[str, Any]], list[str]]:
    """What is known of these judges (``name@version``) from their cards, and which have none."""
    rows, unmeasured = [], []
    for judge in judges:
        name, _, version = judge.partition("@")
        found = _card_rows(name, version) or _measured_rows(name)
        rows += [{"judge": judge, **row} for row in found]
        if not found:
            unmeasured.append(judge)
    return rows, unmeasured


def _card_rows(name: str, version: str) -> list[dict[str, Any]]:
    """The packaged card of this version of the judge."""
    file = files("charter.judges").joinpath(f"cards/{name}.json")
    card = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    if card.get("version") != version:
        return []
    return [_card_row(row) for row in card["rows"]]


def _card_row(row: Mapping[str, Any]) -> dict[str, Any]:
    figures = {
        figure: _interval(metric) for figure, metric in row["figures"].items() if figure in ("accuracy", "f1", "recall", "specificity", "kappa")
    }
    used = row.get("development") or "not used in development"
    return {"set": row["title"], "decision": row["decision"], "rows": row["n"], **figures, "failed": row["n_failed"], "how the set was used": used}


def _interval(metric: Mapping[str, Any]) -> str | None:
    if metric.get("value") is None:
        return None
    ends = "" if metric.get("low") is None else f" ({metric['low']:.3f} to {metric['high']:.3f})"
    return f"{metric['value']:.3f}{ends}"


def _measured_rows(name: str) -> list[dict[str, Any]]:
    file = files("charter.judges").joinpath("measured.json")
    rows = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else []
    wanted = ("recall", "specificity", "f1", "kappa")
    return [
        {
            "set": f"{row['dataset']}, {row['part']}",
            "decision": row["decision"],
            "rows": row["n"],
            "accuracy": f"{row['accuracy']:.3f} ({row['low']:.3f} to {row['high']:.3f})",
            **{figure: row[figure] for figure in wanted if figure in row},
            "failed": row["n_failed"],
        }
        for row in rows
        if row["judge"] == name
    ]


def _not_covered(benchmarks: Sequence[str]) -> list[str]:
    """What each benchmark says it does not measure."""
    known = registry.names("benchmarks")
    names = dict.fromkeys(name.partition(" {")[0].partition("+")[0] for name in benchmarks)
    return [f"{name}: {registry.find('benchmarks', name).NOT_COVERED}" for name in names if name in known]
