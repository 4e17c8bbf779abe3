"""What the rails of a stage said about labelled rows, as calibration counts it: scores that a threshold decides, and rows that are held back anyway.

A verdict without a score acts by its outcome, and a hazard's rule by its own threshold: no threshold of the rail changes that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from charter.core.progress import Reporter
from charter.guard.decision import Account
from charter.guard.engine import Guard, RailCall
from charter.guard.policy import SEVERITY, STAGES, Action, GuardPolicy, RailEntry, Stage
from charter.guard.rows import CheckRow

GROUP = 64
Scores = NDArray[np.float64]
Marks = NDArray[np.bool_]


class Scored(NamedTuple):
    """One rail over rows; all of one length. ``scores``: those that its threshold decides, else NaN. ``harmful``: what it should hold back.
    ``anyway``: what holds a row back whatever the threshold, '' for nothing. ``failed``: rows without a verdict. ``masked``: rows that the rail
    at most masks."""

    scores: Scores
    harmful: Marks
    anyway: NDArray[np.str_]
    failed: Marks
    masked: Marks

    def of(self, rows: Marks) -> Scored:
        """The same rail over some of the rows."""
        return Scored(self.scores[rows], self.harmful[rows], self.anyway[rows], self.failed[rows], self.masked[rows])

    def held(self, threshold: float) -> Marks:
        """Rows that the rail acts on: holds back or masks. A row that it could not judge is not among them: failures are shown apart."""
        found: Marks = self.reach(threshold) | (self.anyway != "")
        return found

    def withheld(self, threshold: float) -> Marks:
        """Rows that do not pass: of what a rail masks the rest goes on."""
        found: Marks = self.held(threshold) & ~self.masked
        return found

    def reach(self, threshold: float) -> Marks:
        """Rows whose score decides and is at least ``threshold``."""
        found: Marks = np.nan_to_num(self.scores, nan=-1.0) >= threshold
        return found


def score_rows(policy: GuardPolicy, stage: Stage, rows: Sequence[CheckRow], rails: Mapping[str, RailCall], reporter: Reporter) -> dict[str, Scored]:
    """Every rail of the stage over every row: as a shadow, so that none cancels another."""
    entries = {entry.label: entry for entry in policy.rails(stage)}
    shadows = tuple(entry.model_copy(update={"shadow": True, "only_if": None}) for entry in entries.values())
    alone = {"input": (), "output": (), stage: shadows, "unguarded": STAGES, "cache": 0, "media": "allow"}
    guard = Guard(policy.model_copy(update=alone), rails=rails)
    found: dict[str, list[_Row]] = {name: [] for name in entries}
    with reporter.track(f"{stage} rows", len(rows)) as advance:
        for at in range(0, len(rows), GROUP):
            group = rows[at : at + GROUP]
            for checked in guard.check_many([row.conversation for row in group], stage):
                by_rail = {account.rail: account for account in checked.accounts}
                for name, entry in entries.items():
                    found[name].append(_row(policy, entry, by_rail.get(name)))
            advance(len(group))
    return {name: _scored(name, own, rows) for name, own in found.items()}


class _Row(NamedTuple):
    score: float
    anyway: str = ""
    failed: bool = False
    masked: bool = False


def _scored(name: str, found: Sequence[_Row], rows: Sequence[CheckRow]) -> Scored:
    return Scored(
        np.array([row.score for row in found]),
        np.array([bool(row.label(name)) for row in rows]),
        np.array([row.anyway for row in found], dtype=np.str_),
        np.array([row.failed for row in found]),
        np.array([row.masked for row in found]),
    )


def _row(policy: GuardPolicy, entry: RailEntry, account: Account | None) -> _Row:
    """As the guard weighs it, with the rail's threshold left open."""
    if account is None or account.status != "ok":
        return _Row(np.nan, failed=True)
    if account.score is None:
        return _Row(np.nan, "its outcome, without a score" if _holds(entry, account.action) else "", masked=_masks(entry, [account.action]))
    open_, anyway = not account.hazards and _holds(entry, entry.action), ""
    rules = [policy.hazards.get(name) for name in account.hazards]
    actions = [(rule.action if rule else None) or entry.action for rule in rules] or [entry.action]
    for name, rule, action in zip(account.hazards, rules, actions, strict=False):
        holds = _holds(entry, action)
        if rule is None or rule.threshold is None:
            open_ = open_ or holds
        elif holds and account.score >= rule.threshold:
            anyway = anyway or f"the rule for {name}"
    return _Row(account.score if open_ else np.nan, anyway, masked=_masks(entry, actions))


def _masks(entry: RailEntry, actions: Sequence[Action]) -> bool:
    """Whether a mask is the strictest that can come of it. A rule that says mask to a rail which finds no places blocks."""
    return entry.action == "mask" and all(SEVERITY.index(action) <= SEVERITY.index("mask") for action in actions)


def _holds(entry: RailEntry, action: Action) -> bool:
    """Whether the text does not pass as it is; masking counts. For a rail that only flags, a flag counts: that is what its threshold is for."""
    return SEVERITY.index(action) >= SEVERITY.index("flag" if entry.action == "flag" else "mask")
