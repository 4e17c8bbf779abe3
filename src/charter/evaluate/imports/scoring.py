"""Right or wrong, from another harness's scores: one score, the first or the one that is named, says whether the item went as it should. Of shares,
from a half up it did. Where a score leaves 0 to 1 (marks of 1 to 10, BLEU, perplexity) nobody but the user knows from where."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from charter.core.errors import InputError
from charter.core.rows import Outcome, Verdict

Better = Literal["high", "low"]
#: By which rounding may take a share over its ends.
_SLACK = 1e-9


@dataclass(frozen=True)
class Right:
    """What the user says of it: right from ``at`` up, or below it where low is right; ``at`` None: a half, for scores that are shares."""

    better: Better = "high"
    at: float | None = None


@dataclass(frozen=True)
class Main:
    """The score that says right or wrong, and how. ``said``: the rule in words; '' where it is the usual one, of the first score."""

    name: str
    at: float = 0.5
    better: Better = "high"
    said: str = ""

    def right(self, value: float) -> bool:
        return value >= self.at if self.better == "high" else value < self.at

    @property
    def setting(self) -> dict[str, object]:
        """For the run's settings: runs in which right means something else do not compare."""
        return {"right": self.said} if self.said else {}


def main_score(source: str, items: Iterable[Mapping[str, float]], wanted: str, right: Right, usual: Sequence[str] = ()) -> Main:
    """The score that says whether an item went as it should: the one that is ``wanted``, else the first of ``usual`` that there is, else the first.

    Raises InputError where no item has it, naming the others, and where it is no share and nobody said from where an item is right.
    """
    values: dict[str, list[float]] = {}
    for scores in items:
        for name, value in scores.items():
            if math.isfinite(value):
                values.setdefault(name, []).append(value)
    names = sorted(values, key=lambda name: usual.index(name) if name in usual else len(usual))
    if not names:
        raise InputError(f"{source}: no item has a numeric score", "look into the file: there is nothing to compare")
    if wanted and wanted not in names:
        raise InputError(f"{source}: no item has the score {wanted!r}; there are: {', '.join(names)}", f"--score {names[0]!r}")
    name = wanted or names[0]
    low, high = min(values[name]), max(values[name])
    if right.at is None and not -_SLACK <= low <= high <= 1 + _SLACK:
        raise InputError(
            f"{source}: the score {name!r} goes from {low:g} to {high:g} and is no share, so nothing says from where an item is right",
            "--right-from X, or --right-below X where low is right, with X in that score's own unit; or another --score",
        )
    at = 0.5 if right.at is None else right.at
    said = "" if (name, at, right.better) == (names[0], 0.5, "high") else f"{name} {'from' if right.better == 'high' else 'below'} {at:g}"
    return Main(name, at, right.better, said)


def verdict_of(subject: str, scores: Mapping[str, float], main: Main, judge: str, reason: str = "") -> Verdict:
    """A verdict from another harness's scores. It is failed, without any, where there is a ``reason`` why there was nothing to score; and without the
    main score, because nobody judged the item."""
    known = {} if reason else {name: value for name, value in scores.items() if math.isfinite(value)}
    name, _, version = judge.partition("@")
    given = {"subject": subject, "scores": known, "judge": name, "judge_version": version or "1", "reason": reason}
    if main.name not in known:
        return Verdict.model_validate({**given, "outcome": "failed", "reason": reason or f"no score {main.name!r}"})
    outcome: Outcome = "safe" if main.right(known[main.name]) else "unsafe"
    return Verdict.model_validate({**given, "outcome": outcome, "label": f"{known[main.name]:g}"})
