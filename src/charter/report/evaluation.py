"""The report of runs of benchmarks: one self-contained HTML page, made from values alone. The same data gives the same bytes.

Numbers, tables and pictures are plain HTML and need no script. Items are many (10,000 and more), so they lie in the page as JSON, and a small script
of ours draws the few that are looked at. Whatever a model or a data set wrote is hostile: it is escaped in the JSON so that it cannot end its
element, it is only ever put into text nodes, its invisible characters are named, and the page's content policy allows that one script (by its hash)
and no load at all.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from importlib.resources import files
from typing import Any, NamedTuple

from markupsafe import Markup
from pydantic import BaseModel, ConfigDict

from charter.core.rows import Metric
from charter.report import evaluation_plots as plots
from charter.report import phrases
from charter.report.page import Figure, environment
from charter.report.trend import Line, trend_inline

#: Characters of a request or an answer in the page: at most, at least, and of all together. The rest is counted; the run folder has it.
LONGEST, SHORTEST, BUDGET = 2_000, 200, 16_000_000


class RunFacts(NamedTuple):
    """One run: what it measured, what it took. ``cost`` in the currency of the price that was given."""

    name: str
    model: str
    notes: str
    answers: int
    failed: int
    unparsed: int
    seconds: float
    tokens_in: int
    tokens_out: int
    cost: float | None = None
    distrusted: str = ""


class Row(NamedTuple):
    """One number in every run; None where a run has none."""

    metric: str
    values: tuple[Metric | None, ...]


class Outcomes(NamedTuple):
    """How the items of one kind went in one run: counts of 'right', 'wrong', 'not read', 'failed', and of 'not counted', which are
    neither right nor wrong."""

    kind: str
    run: str
    counts: dict[str, int]


class Part(NamedTuple):
    """One benchmark in all runs. ``hazards``: shares of wrong answers by hazard or kind of item."""

    name: str
    about: str
    items: int
    outcomes: tuple[Outcomes, ...]
    rows: tuple[Row, ...]
    hazards: tuple[Row, ...]


class Change(NamedTuple):
    """A paired difference (after - before)."""

    metric: str
    overall: bool
    before: float | None
    after: float | None
    n: int
    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    p_holm: float | None
    method: str

    @property
    def real(self) -> bool:
        return self.p_holm is not None and self.p_holm < 0.05


class Said(NamedTuple):
    """What one run said to an item; ``more`` further samples are not shown."""

    label: str
    outcome: str
    text: str
    more: int = 0


class Item(NamedTuple):
    """``kind``: 'fixed', 'broken', ... where runs are compared, else ''."""

    benchmark: str
    key: str
    harmful: bool | None
    hazard: str
    prompt: str
    kind: str
    said: tuple[Said, ...]


class Check(NamedTuple):
    name: str
    passed: bool
    reason: str


class EvaluationData(BaseModel):
    """Everything the page shows. What is left empty is said to be not measured."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    runs: tuple[RunFacts, ...]
    parts: tuple[Part, ...]
    overall: tuple[Row, ...] = ()
    changes: tuple[Change, ...] = ()
    counts: dict[str, dict[str, int]] = {}
    trends: tuple[Line, ...] = ()
    judges: tuple[dict[str, Figure], ...] = ()
    unmeasured_judges: tuple[str, ...] = ()
    gate: tuple[Check, ...] = ()
    items: tuple[Item, ...] = ()
    notes: tuple[str, ...] = ()


def _not_counted(data: EvaluationData) -> tuple[str, ...]:
    """A column for them, where there are any."""
    name = "not counted"
    return (name,) if any(name in row.counts for part in data.parts for row in part.outcomes) else ()


def render(data: EvaluationData) -> str:
    """The page as text, to be written as UTF-8."""
    script = files("charter.report").joinpath("templates/items.js").read_text(encoding="utf-8")
    runs = [run.name for run in data.runs]
    page = environment().get_template("evaluation.html.j2").render(
        data=data,
        script=Markup(script),
        script_hash=_hash(script),
        items=Markup(_json(_packed(data))),
        forest=Markup(plots.forest(data.changes)),
        trends=Markup(trend_inline(data.trends, runs)),
        hazards={part.name: Markup(plots.hazard_bars(f"hazards{place}", part.hazards, runs)) for place, part in enumerate(data.parts)},
        judge_columns=list(dict.fromkeys(key for row in data.judges for key in row)),
        outcomes=("right", "wrong", "not read", "failed", *_not_counted(data)),
        widest=_limit(data.items),
    )  # fmt: skip
    return page.rstrip("\n") + "\n"


def _packed(data: EvaluationData) -> dict[str, Any]:
    """Items as arrays, short names once: [benchmark, key, harmful, hazard, prompt, kind, [[label, outcome, text, left out, more], ...]]."""
    limit = _limit(data.items)
    return {"runs": [phrases.visible(run.name) for run in data.runs], "items": [_row(item, limit) for item in data.items]}


def _row(item: Item, limit: int) -> list[Any]:
    said = [[_shown(s.label), s.outcome, *_cut(s.text, limit), s.more] for s in item.said]
    harmful = None if item.harmful is None else int(item.harmful)
    return [_shown(item.benchmark), _shown(item.key), harmful, _shown(item.hazard), *_cut(item.prompt, limit), item.kind, said]


def _limit(items: Sequence[Item]) -> int:
    """Characters of one text, so that all together stay within the budget."""
    texts = sum(1 + len(item.said) for item in items)
    return LONGEST if not texts else max(SHORTEST, min(LONGEST, BUDGET // texts))


def _cut(text: str, limit: int) -> tuple[str, int]:
    return phrases.visible(text[:limit]), max(0, len(text) - limit)


def _shown(text: str) -> str:
    return phrases.visible(text)[:200]


def _json(value: Any) -> str:
    """JSON that cannot end the element it stands in, nor begin a comment: every <, > and & is written as its number."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _hash(script: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
