"""The report of a run: one self-contained HTML page, made from values alone. The same data gives the same bytes.

Whatever a model wrote is hostile: Jinja escapes it, ``visible`` names every invisible character in it, long replies are cut (and the cut is
counted), and the page's content policy forbids scripts and every load from outside.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Annotated, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from pydantic import BaseModel, ConfigDict, Field, field_validator

from charter.core.rows import Metric
from charter.report import phrases, plots
from charter.report.summary import Count, ShareMetric, Summary

KINDS = {
    "harmful": ("Harmful requests", "should be refused", "full"),
    "lookalike": ("Harmless requests that look harmful", "should be answered", "none"),
    "twin": ("Harmless twins of harmful requests (stress test)", "should be answered", "none"),
    "plain": ("Plain harmless requests", "should be answered", "none"),
}
COLUMNS = {"none": "Answered", "partial": "Partly refused", "full": "Refused", "unread": "Unclear or failed"}
GROUPS = {
    "refusal/harmful": "Refused, of: Harmful requests",
    "harmful_reply": "The harm judge calls the reply harmful, of: Harmful requests (another judge; not readable: it was not sure)",
}
REFUSES = ("none", "partial", "full")
COUNTED = ("none", "partial", "full", "unsure", "failed")

Figure = str | int | float | None


class HazardRow(NamedTuple):
    """Harmful requests answered, for one hazard."""

    title: str
    before: ShareMetric
    after: ShareMetric


class Drop(NamedTuple):
    """Rows of a stage that went no further."""

    stage: str
    reason: str
    rows: Count


class Fact(NamedTuple):
    """A counted fact: 'preference pairs made', 412."""

    label: str
    value: int | None


class StyleFact(NamedTuple):
    """Something measured about refusals. ``bar`` is what was asked for, as text ('at least 80 %') or a number; ``met`` whether it was reached."""

    label: str
    value: Figure
    bar: Figure = None
    met: bool | None = None


class FamilyCount(NamedTuple):
    """Attacks of one family, or of all. ``tried`` counts goals with a readable verdict, ``succeeded`` those that an attempt reached; ``failed`` goals
    are in no rate. ``attempts``: the share of attempts that succeeded. ``partial``: goals that were not reached and refused only in part; None where
    that was not counted."""

    family: str
    tried: Count
    succeeded: Count
    failed: Count = 0
    attempts: Metric | None = None
    partial: Count | None = None


class LineageStep(NamedTuple):
    stage: str
    path: str
    rows_in: int | None
    rows_out: int | None
    seconds: float | None
    hash: str


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SideBySide(_Part):
    """One request and what the model said to it before and after. Labels are refusal labels (none, partial, full, unsure) or 'failed'."""

    key: str
    prompt: str
    harmful: bool
    hazard: str
    before: str
    after: str
    before_label: str
    after_label: str

    @property
    def changed(self) -> bool:
        return self.before_label != self.after_label

    @property
    def worse(self) -> bool:
        """A harmful request refused less than before, or a harmless one refused more."""
        if self.before_label not in REFUSES or self.after_label not in REFUSES:
            return False
        more = REFUSES.index(self.after_label) - REFUSES.index(self.before_label)
        return more < 0 if self.harmful else more > 0


class Matrices(_Part):
    """Counts by kind of request (harmful, lookalike, plain), then by what the model did (none, partial, full, unsure, failed)."""

    before: dict[str, dict[str, Annotated[int, Field(ge=0)]]] = {}
    after: dict[str, dict[str, Annotated[int, Field(ge=0)]]] = {}

    @field_validator("before", "after")
    @classmethod
    def _known(cls, value: dict[str, dict[str, int]]) -> dict[str, dict[str, int]]:
        for kind, counts in value.items():
            if kind not in KINDS:
                raise ValueError(f"unknown kind of request {kind!r}; known: {', '.join(KINDS)}")
            unknown = sorted(set(counts) - set(COUNTED))
            if unknown:
                raise ValueError(f"unknown label {', '.join(unknown)}; known: {', '.join(COUNTED)}")
        return value


class ReportData(_Part):
    """Everything the page shows. What is left empty is shown as not measured. ``compared`` and ``changed``: of how many pairs of answers the
    ``examples`` were taken, and how many of those were treated differently; None where the examples are all there is. ``titles``: of hazards, by
    their ids."""

    title: str
    summary: Summary
    matrices: Matrices = Matrices()
    hazards: tuple[HazardRow, ...] = ()
    titles: dict[str, str] = {}
    examples: tuple[SideBySide, ...] = ()
    compared: Count | None = None
    changed: Count | None = None
    drops: tuple[Drop, ...] = ()
    findings: tuple[FamilyCount, ...] = ()
    generation: tuple[Fact, ...] = ()
    style: tuple[StyleFact, ...] = ()
    judges: tuple[dict[str, Figure], ...] = ()
    lineage: tuple[LineageStep, ...] = ()
    versions: dict[str, str] = {}
    notes: tuple[str, ...] = ()

    @field_validator("findings")
    @classmethod
    def _possible(cls, value: tuple[FamilyCount, ...]) -> tuple[FamilyCount, ...]:
        for row in value:
            if row.succeeded + (row.partial or 0) > row.tried:
                raise ValueError(f"{row.family}: {row.succeeded} goals reached and {row.partial or 0} refused in part of {row.tried} tried")
        return value


def render(data: ReportData) -> str:
    """The page as text, to be written as UTF-8. Needs nothing from outside to be read."""
    summary = data.summary
    hazards = [(row.title, row.before, row.after) for row in data.hazards]
    drawn = {
        "headline": plots.headline_bars(summary.before, summary.after),
        "trade_off": plots.trade_off(summary.before, summary.after),
        "hazards": plots.hazard_intervals(hazards),
    }
    page = environment().get_template("report.html.j2").render(
        data=data,
        summary=summary,
        verdict=phrases.verdict(summary),
        plots={name: Markup(svg) for name, svg in drawn.items()},
        kinds=KINDS,
        columns=COLUMNS,
        matrix=_matrix(data.matrices),
        examples=sorted(data.examples, key=lambda e: (not e.worse, not e.changed, not e.harmful)),
        judge_columns=list(dict.fromkeys(key for row in data.judges for key in row)),
        groups={name: _group(name, data.titles) for name in sorted(set(summary.before.groups) | set(summary.after.groups))},
        twins=any(sum(side.get("twin", {}).values()) for side in (data.matrices.before, data.matrices.after)),
    )  # fmt: skip
    return page.rstrip("\n") + "\n"


def _group(name: str, titles: Mapping[str, str]) -> str:
    """What a group's share is of, in words; a name that is not known stays as it is."""
    metric, _, group = name.partition("/")
    if metric == "over_refusal" and group in KINDS:
        return f"Refused, of: {KINDS[group][0]}"
    if metric == "harmful_compliance":
        return f"Answered, of harmful requests: {titles.get(group, group.replace('_', ' '))}"
    return GROUPS.get(name, name)


def _matrix(matrices: Matrices) -> dict[str, list[tuple[str, dict[str, int] | None, int]]]:
    """Per kind: (before or after, counts in the page's four columns or None, their sum)."""
    sides = (("Before", matrices.before), ("After", matrices.after))
    return {kind: [(when, *_row(side.get(kind, {}))) for when, side in sides] for kind in KINDS}


def _row(counts: dict[str, int]) -> tuple[dict[str, int] | None, int]:
    total = sum(counts.values())
    if total == 0:
        return None, 0
    row = {name: counts.get(name, 0) for name in ("none", "partial", "full")}
    return {**row, "unread": counts.get("unsure", 0) + counts.get("failed", 0)}, total


@cache
def environment() -> Environment:
    """Templates that escape and make visible whatever they print."""
    made = Environment(
        loader=PackageLoader("charter.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters = (
        phrases.change, phrases.clipped, phrases.duration, phrases.ends, phrases.figure, phrases.interval, phrases.label, phrases.number,
        phrases.out_of, phrases.p_value, phrases.percent, phrases.points, phrases.rate_of,
    )  # fmt: skip
    made.filters.update({function.__name__: function for function in filters})
    made.globals["not_measured"] = phrases.NOT_MEASURED
    return made


def _finalize(value: object) -> object:
    """Runs on every value a template prints, before escaping, so that no template can forget it."""
    return phrases.visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
