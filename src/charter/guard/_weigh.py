"""From what a rail said to what it asks for: thresholds, hazards, failures. One place decides it, for single checks, batches and streams alike."""

from __future__ import annotations

import math
from collections.abc import Iterable

from charter.core.rows import Verdict
from charter.guard._build import Built
from charter.guard._plan import Result
from charter.guard.decision import Account, strictest
from charter.guard.policy import SEVERITY, WITHHOLDS, Action, GuardPolicy, Stage
from charter.policy.charter import Charter

_OUTCOMES = ("safe", "unsafe", "unsure", "failed")
#: Kinds of failure are told by name, so that nothing of a text can stand in a reason.
_LONGEST_REASON = 80


class Hazards:
    """What verdicts call a hazard, as the charter's ids. Judges name hazards by the charter's ids or by MLCommons codes; one code may be two ids."""

    def __init__(self, charter: Charter) -> None:
        self._ids: dict[str, tuple[str, ...]] = {hazard.id: (hazard.id,) for hazard in charter.hazards}
        for hazard in charter.hazards:
            for code in hazard.ailuminate:
                self._ids[code] = (*self._ids.get(code, ()), hazard.id)

    def ids(self, named: Iterable[str]) -> tuple[str, ...]:
        """The charter's ids, in order; a name it does not know stays as it is."""
        return tuple(dict.fromkeys(name for given in named for name in self._ids.get(given, (given,))))


def is_verdict(found: object) -> bool:
    """Whether a rail returned a verdict that can be weighed; anything else is a failure, whatever it looks like."""
    if not isinstance(found, Verdict) or found.outcome not in _OUTCOMES:
        return False
    score = found.score
    return score is None or (isinstance(score, (int, float)) and math.isfinite(score) and 0.0 <= score <= 1.0)


def weigh(policy: GuardPolicy, hazards: Hazards, stage: Stage, built: Built, result: Result) -> Account:
    """The account of one rail in one check. A rail that was cancelled or skipped asks for nothing."""
    entry, verdict = built.entry, result.verdict
    status, error = result.status, result.error
    if status == "ok" and (verdict is None or not is_verdict(verdict)):
        status, error, verdict = "failed", "returned no verdict", None
    if status == "ok" and verdict is not None and verdict.outcome == "failed":
        status, error = "failed", "could not judge"
    action: Action = "allow"
    reason, bypass = error, ""
    named = hazards.ids(verdict.hazards) if verdict is not None else ()
    if status in ("failed", "timeout"):
        action, reason = entry.on_error, error[:_LONGEST_REASON]
        bypass = "" if action in WITHHOLDS else f"{built.label}: {status}"
    elif status == "ok" and verdict is not None:
        action, reason, bypass = _by_score(policy, built, verdict, named)
    return Account(
        rail=built.label,
        stage=stage,
        status=status,
        action=action,
        reason=reason,
        score=verdict.score if verdict is not None else None,
        threshold=entry.threshold,
        hazards=named,
        latency_ms=round(result.seconds * 1000, 3),
        cached=result.cached,
        shadow=entry.shadow,
        bypass="" if entry.shadow else bypass,
        kind=entry.rail,
    )


def _by_score(policy: GuardPolicy, built: Built, verdict: Verdict, named: tuple[str, ...]) -> tuple[Action, str, str]:
    """(action, reason, bypass). The threshold decides where there is a score; the judge's own label only where there is none."""
    entry = built.entry
    if verdict.score is None and verdict.outcome == "unsure":
        open_ = entry.on_unsure in ("allow", "flag")
        return entry.on_unsure, "unsure", f"{built.label}: unsure" if open_ else ""
    plain = _fired(verdict, entry.threshold, entry.action)
    ruled = [
        _fired(verdict, rule.threshold or entry.threshold, rule.action or entry.action) if (rule := policy.hazards.get(name)) else plain
        for name in named
    ]
    action = strictest(ruled) if ruled else plain
    if verdict.score is not None and action == "allow" and entry.flag_at is not None and verdict.score >= entry.flag_at:
        action = "flag"
    softened = SEVERITY.index(action) < SEVERITY.index(plain) and action not in WITHHOLDS
    bypass = f"{built.label}: hazard {' '.join(named)}" if softened else ""
    return action, _reason(verdict, named), bypass


def _fired(verdict: Verdict, threshold: float, action: Action) -> Action:
    fires = verdict.score >= threshold if verdict.score is not None else verdict.outcome == "unsafe"
    return action if fires else "allow"


def _reason(verdict: Verdict, named: tuple[str, ...]) -> str:
    told = f"score {verdict.score:.2f}" if verdict.score is not None else verdict.outcome
    return f"{told} ({', '.join(named)})" if named else told
