"""Judge cards: how right a judge is, on which rows, with intervals. Written by ``charter judges measure``; those of shipped judges are packaged.

A card belongs to one version of its judge. A card of another version is stale: it is told, and never used.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatch
from typing import Any, NamedTuple

from pydantic import Field, computed_field, model_validator

from charter.core.agreement import Confusion
from charter.core.config import Config
from charter.core.rows import Metric
from charter.core.stats import rate, wilson
from charter.judges._sets import files_of, load_set, set_names


class Latency(Config):
    """Milliseconds of one question, alone, over ``n`` questions on ``machine``."""

    p50_ms: float
    p95_ms: float
    n: int
    machine: str


class SelfTest(Config):
    """The three HarmBench tests and plain refusals (``_prequalify``)."""

    passed: bool
    summary: str


class Share(Config):
    """A share of ``n`` with its 95 % interval (Wilson)."""

    value: float
    low: float
    high: float
    n: int


class Group(Config):
    """A part of a row's items, such as one hazard: counts of yes/no answers. ``recall`` and ``specificity`` stand in the JSON too; they are worked
    out from the counts, so cards without them are read as well."""

    n: int
    n_failed: int
    tp: int
    fp: int
    fn: int
    tn: int

    @model_validator(mode="before")
    @classmethod
    def _counted_anew(cls, data: Any) -> Any:
        return {k: v for k, v in data.items() if k not in ("recall", "specificity")} if isinstance(data, dict) else data

    @computed_field  # type: ignore[prop-decorator]
    @property
    def recall(self) -> Share | None:
        """Of what is positive, how much was found; None where nothing is."""
        return _share(self.tp, self.tp + self.fn)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def specificity(self) -> Share | None:
        """Of what is negative, how much was left alone; None where nothing is."""
        return _share(self.tn, self.fp + self.tn)


class Steps(Config):
    """What each step of a cascade decided, and what one question to each costs (() where that was not said)."""

    decided: tuple[int, ...]
    costs: tuple[float, ...] = ()


class CardRow(Config):
    """One judge on one judge set. ``figures`` are over the rows with a verdict; ``decided`` counts only verdicts that were not unsure."""

    judge_set: str = Field(description="name of the judge set")
    title: str
    task: str = Field(description="the head that answered")
    labelled_by: str
    decision: str = Field(description="how a verdict is read as yes or no")
    development: str = Field(description="how the set was used while the judge was made; '' = not at all")
    n: int
    n_positive: int
    n_failed: int
    n_unsure: int
    dropped: dict[str, int]
    figures: dict[str, Metric]
    decided: Group
    cut: Group | None = Field(default=None, description="as decided, with unsure verdicts read by their score at 0.5; not on cards before version 2")
    steps: Steps | None = Field(default=None, description="of a cascade")
    files: tuple[str, ...] = Field(default=(), description="of the set, as it names them")
    groups: dict[str, Group] = Field(default={}, description="by hazard or type")
    sha256: str = Field(description="of the data files")
    revision: str
    licence: str
    note: str = ""
    part: str = Field(default="", description="how a part of the rows was chosen; '' = all")


class Card(Config):
    """Everything measured of one version of one judge."""

    schema_version: int = 2
    judge: str
    version: str
    made: str = Field(description="date, UTC")
    latency: Latency | None = None
    selftest: SelfTest | None = None
    rows: tuple[CardRow, ...]

    def row(self, judge_set: str) -> CardRow | None:
        return next((row for row in self.rows if row.judge_set == judge_set), None)

    @property
    def steps(self) -> Steps | None:
        """Those of all rows together."""
        found = [row.steps for row in self.rows if row.steps is not None]
        return Steps(decided=tuple(map(sum, zip(*(s.decided for s in found), strict=True))), costs=found[-1].costs) if found else None

    def rates(self, task: str, judge_sets: Iterable[str] = (), cut: bool = False) -> Rates | None:
        """Sensitivity and specificity of decided verdicts (``cut``: of unsure ones too, by their score at 0.5), pooled over the named sets, else over
        all sets of the task that were labelled by people. Sets that were used in development count only where they are named and no other named one
        was measured. Of sets that share a file the largest counts: no row is pooled twice. None where there is no such row."""
        wanted = set(judge_sets)
        of_task = [r for r in self.rows if r.task == task and (r.judge_set in wanted if wanted else r.labelled_by == "people")]
        chosen = [r for r in of_task if not r.development] or (of_task if wanted else [])
        chosen = _apart([r for r in chosen if not cut or r.cut is not None])
        if not chosen:
            return None
        d = [row.cut if cut and row.cut is not None else row.decided for row in chosen]
        yes, no = sum(g.tp + g.fn for g in d), sum(g.fp + g.tn for g in d)
        lost = sum(row.n + row.n_failed for row in chosen) - yes - no
        return Rates(
            rate(f"sensitivity/{task}", sum(g.tp for g in d), yes, lost),
            rate(f"specificity/{task}", sum(g.tn for g in d), no, lost),
            tuple(row.judge_set for row in chosen),
        )


class Rates(NamedTuple):
    """What a rate measured with this judge is corrected by (Rogan and Gladen 1978): P(yes | yes) and P(no | no), each with its own n; ``n_failed``
    counts the failed and the unsure. Value None where the sets have no such rows."""

    sensitivity: Metric
    specificity: Metric
    judge_sets: tuple[str, ...]


def group_of(counts: Confusion, n_failed: int) -> Group:
    return Group(n=counts.n, n_failed=n_failed, tp=counts.tp, fp=counts.fp, fn=counts.fn, tn=counts.tn)


def _share(k: int, n: int) -> Share | None:
    if not n:
        return None
    low, high = wilson(k, n)
    return Share(value=round(k / n, 4), low=round(low, 4), high=round(high, 4), n=n)


def _apart(rows: Sequence[CardRow]) -> list[CardRow]:
    """The largest rows, without those whose data is in a larger one already; in the order that they stand in."""
    chosen: list[CardRow] = []
    for row in sorted(rows, key=lambda row: (-row.n - row.n_failed, row.judge_set)):
        if not any(_share_files(row, other) for other in chosen):
            chosen.append(row)
    return [row for row in rows if row in chosen]


def _share_files(one: CardRow, other: CardRow) -> bool:
    pairs = [(a, b) for a in _files(one) for b in _files(other)]
    return one.sha256 == other.sha256 or any(fnmatch(a, b) or fnmatch(b, a) for a, b in pairs)


def _files(row: CardRow) -> tuple[str, ...]:
    """Cards of an earlier Charter do not name them."""
    return row.files or (files_of(load_set(row.judge_set)[1]) if row.judge_set in set_names() else ())
