"""The release gate by rules: one YAML file says, for every number that matters, what a new checkpoint must show before it may ship.

Every rule must hold, and what was not measured does not hold. Because all must hold, testing several needs no correction: a wrong pass is no likelier
than by the easiest rule alone (intersection-union test: Berger 1982, Technometrics 24:295). Rules read intervals, never points.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from charter.core.config import Config, Document, Problem, parse, read_yaml
from charter.core.errors import InputError
from charter.core.rows import Metric
from charter.evaluate.corrected import is_corrected
from charter.evaluate.differences import Difference
from charter.evaluate.gate import GateCheck, GateResult, no_yes, trust_checks

HINT = "see docs/compare.md for what a policy may say"


class Rule(Config):
    """What one number must show. Values and margins are in the number's own unit: 0.03 is three points of a share."""

    metric: str = Field(min_length=1, description="a metric's name; * stands for any text, and then every metric that fits must hold")
    test: Literal["superiority", "non-inferiority", "bound"] = Field(
        description="superiority: better by more than chance; non-inferiority: not worse by more than the margin; bound: of the new run alone"
    )
    better: Literal["lower", "higher"] | None = Field(default=None, description="which way is better; needed unless the test is bound")
    margin: float | None = Field(
        default=None,
        ge=0,
        allow_inf_nan=False,
        description="superiority: better by at least this (default 0); non-inferiority: how much worse may be",
    )
    alpha: float | None = Field(default=None, gt=0, lt=1, description="superiority: p must be below this; the policy's alpha without")
    max: float | None = Field(default=None, allow_inf_nan=False, description="bound: the interval's upper end may be at most this")
    min: float | None = Field(default=None, allow_inf_nan=False, description="bound: the interval's lower end must be at least this")

    _number = field_validator("margin", "alpha", "max", "min", mode="before")(no_yes)

    @model_validator(mode="after")
    def _whole(self) -> Rule:
        if self.test == "bound":
            wrong = [name for name in ("better", "margin", "alpha") if getattr(self, name) is not None]
            if wrong:
                raise ValueError(f"a bound has no {wrong[0]!r}; it has 'max', 'min' or both")
            if self.max is None and self.min is None:
                raise ValueError("a bound needs 'max', 'min' or both")
            return self
        if self.max is not None or self.min is not None:
            raise ValueError(f"'max' and 'min' belong to the test bound, not to {self.test}")
        if self.better is None:
            raise ValueError(f"{self.test} needs 'better: lower' or 'better: higher'")
        if self.test == "non-inferiority" and self.margin is None:
            raise ValueError("non-inferiority needs a 'margin': how much worse the number may be")
        if self.test == "non-inferiority" and self.alpha is not None:
            raise ValueError("non-inferiority goes by the 95 % interval; it has no 'alpha'")
        return self


class Policy(Config):
    """When a checkpoint may ship: every rule holds, and not too much failed."""

    alpha: float = Field(default=0.05, gt=0, lt=1, description="superiority: p must be below this")
    max_failed_share: float = Field(
        default=0.10, ge=0, le=1, description="at most this share of a metric's answers may be failed or unread, in any run"
    )
    rules: tuple[Rule, ...] = Field(min_length=1, description="what every named number must show")

    _number = field_validator("alpha", "max_failed_share", mode="before")(no_yes)


class Loaded(Config):
    """A policy and where its rules stand, for messages."""

    name: str
    policy: Policy
    lines: tuple[int, ...]


def load_policy(path: Path) -> Loaded:
    """The policy in a YAML file. Raises InputError with a line per mistake: file, line, key, what is right."""
    document = read_yaml(path)
    policy = parse(Policy, document, HINT)
    return Loaded(name=document.name, policy=policy, lines=tuple(_line(document, place) for place in range(len(policy.rules))))


def _line(document: Document, place: int) -> int:
    return document.lines.get(("rules", place, "metric"), document.lines.get(("rules", place), 0))


def expand(loaded: Loaded, known: Collection[str]) -> list[tuple[Rule, str]]:
    """Each rule with each metric that it names. ``known``: the metrics of any run. A rule with * that pairs runs leaves judge-corrected numbers out:
    they are of each run alone. Raises InputError for a name that none has, with near ones."""
    problems, found = [], []
    for rule, line in zip(loaded.policy.rules, loaded.lines, strict=True):
        fits = _fits(rule.metric, known)
        if "*" in rule.metric and rule.test != "bound":
            fits = [name for name in fits if not is_corrected(name)] or fits
        if not fits:
            problems.append(Problem(line, f"metric {rule.metric!r}", f"no run has it; {_near(rule.metric, known)}"))
        found += [(rule, name) for name in fits]
    if problems:
        raise InputError("\n".join(f"{loaded.name}: {problem}" for problem in problems), "charter compare A B --all lists every metric")
    return found


def _fits(wanted: str, known: Collection[str]) -> list[str]:
    if "*" not in wanted:
        return [wanted] if wanted in known else []
    pattern = re.compile(".*".join(map(re.escape, wanted.split("*"))))
    return [name for name in known if pattern.fullmatch(name)]


def _near(wanted: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(wanted, known, n=3, cutoff=0.5)
    if close:
        return f"did you mean {' or '.join(map(repr, close))}?"
    first = sorted(known)[:5]
    return f"there are {len(known)} metrics, such as {', '.join(map(repr, first))}" if first else "the runs have no metric at all"


def decide(
    loaded: Loaded, before: Mapping[str, Metric], after: Mapping[str, Metric], paired: Mapping[str, Difference], distrusted: Mapping[str, str]
) -> GateResult:
    """Hold every rule against the metrics of the old and the new run and their paired differences.

    ``distrusted``: runs that cannot be trusted, with the reason: none may ship. Raises InputError for a rule about a metric that no run has, and for
    one about a share that no share could break.
    """
    known = list(dict.fromkeys([*after, *before, *paired]))
    chosen = expand(loaded, known)
    _possible(loaded, chosen, (before, after))
    checks = trust_checks(distrusted)
    seen: set[str] = set()
    for rule, name in chosen:
        checks.append(_bound(rule, name, after.get(name)) if rule.test == "bound" else _paired(rule, name, paired.get(name), loaded.policy))
        runs = {"after": after} if rule.test == "bound" else {"before": before, "after": after}
        for run, metrics in runs.items():
            check = f"failures/{run}/{name}"
            if check not in seen and name in metrics:
                seen.add(check)
                checks.append(_failures(check, run, metrics[name], loaded.policy))
    return GateResult(passed=all(check.passed for check in checks), checks=tuple(checks))


def _possible(loaded: Loaded, chosen: Iterable[tuple[Rule, str]], runs: Sequence[Mapping[str, Metric]]) -> None:
    """Raises InputError where a number is held against what it does not reach: three points are 0.03, and a margin of 3 would let everything pass."""
    problems = []
    for rule, name in chosen:
        found = _range([metrics[name] for metrics in runs if name in metrics])
        if found is None:
            continue
        (least, most), said = found
        line = loaded.lines[loaded.policy.rules.index(rule)]
        wrong = {key: value for key in ("max", "min") if (value := getattr(rule, key)) is not None and not least <= value <= most}
        if rule.margin is not None and (rule.margin > 1.0 or (rule.margin == 1.0 and rule.test == "non-inferiority")):
            wrong["margin"] = rule.margin
        problems += [Problem(line, key, f"{value:g} of {name}: {said}, three points are 0.03") for key, value in wrong.items()]
    if problems:
        raise InputError("\n".join(dict.fromkeys(f"{loaded.name}: {problem}" for problem in problems)), HINT)


def _range(found: Sequence[Metric]) -> tuple[tuple[float, float], str] | None:
    """What the number's values are between, and how that is said; None for one that may be anything. Shares are known by how they were counted.
    Means of scores and scores from -1 to 1 are not: they are taken for such where every run has them there, interval and all."""
    if any(metric.is_share for metric in found):
        return (0.0, 1.0), "a share is between 0 and 1"
    ends = [end for metric in found for end in (metric.value, metric.low, metric.high) if end is not None]
    if not ends or not all(-1.0 <= end <= 1.0 for end in ends):
        return None
    return (-1.0, 1.0), "it is between -1 and 1 in every run, with its interval"


def _paired(rule: Rule, name: str, found: Difference | None, policy: Policy) -> GateCheck:
    check = f"{rule.test}/{name}"
    if found is None or found.difference is None or found.low is None or found.high is None or found.p is None:
        if is_corrected(name):
            why = "a judge-corrected number is of its run alone and is not paired; name the one without /corrected, or give it a bound"
        elif found is None or not found.n:
            why = "it was not measured on the same items in both runs"
        else:
            why = "too few items or clusters to tell, or it goes by steps that no part of the items moves"
        return GateCheck(name=check, passed=False, reason=f"{name} could not be compared: {why}.")
    sign = 1 if rule.better == "lower" else -1
    worst = found.high if sign == 1 else -found.low
    change = f"{found.difference:+.4g} over {found.n} pairs, 95 % interval {found.low:+.4g} to {found.high:+.4g}"
    if rule.test == "non-inferiority":
        margin = rule.margin or 0.0
        passed = worst <= margin
        said = "is not worse by more than the margin" if passed else "may be worse by more than the margin"
        return GateCheck(name=check, passed=passed, reason=f"{name} {said}: {change}, where {sign * margin:+.4g} is allowed at the {_end(sign)} end.")
    alpha, margin = rule.alpha or policy.alpha, rule.margin or 0.0
    passed = sign * found.difference < 0 and found.p < alpha and (not margin or worst <= -margin)
    if passed:
        said = "got better"
    elif sign * found.difference >= 0:
        said = "did not get better"
    elif found.p >= alpha:
        said = "got better, but no more than chance explains"
    else:
        said = "got better, but perhaps by less than the margin"
    needed = f"p = {found.p:.2g} where below {alpha:g} is needed" + (f", and {-sign * margin:+.4g} at the {_end(sign)} end" if margin else "")
    return GateCheck(name=check, passed=passed, reason=f"{name} {said}: {change}, {needed}.")


def _end(sign: int) -> str:
    return "upper" if sign == 1 else "lower"


def _bound(rule: Rule, name: str, metric: Metric | None) -> GateCheck:
    check = f"bound/{name}"
    if metric is None or metric.value is None or metric.low is None or metric.high is None:
        return GateCheck(
            name=check, passed=False, reason=f"{name} was not measured in the new run, or has no interval, so its bound cannot be shown."
        )
    over, under = rule.max is not None and metric.high > rule.max, rule.min is not None and metric.low < rule.min
    wanted = [f"{word} {value:g}" for word, value in (("at most", rule.max), ("at least", rule.min)) if value is not None]
    said = "is within its bound" if not (over or under) else "may be above its bound" if over else "may be below its bound"
    value = f"{100 * metric.value:.1f} % of {metric.n}" if metric.is_share else f"{metric.value:.4g} over n = {metric.n}"
    interval = f"{value}, 95 % interval {metric.low:.4g} to {metric.high:.4g}"
    reason = f"{name} {said}: {interval}, where {' and '.join(wanted)} is needed."
    return GateCheck(name=check, passed=not (over or under), reason=reason)


def _failures(check: str, run: str, metric: Metric, policy: Policy) -> GateCheck:
    lost, total = metric.n_failed + metric.n_unparsed, metric.answers
    if not total:
        return GateCheck(name=check, passed=False, reason=f"In the run {run}, {metric.name} was measured on nothing.")
    share = lost / total
    reason = (
        f"In the run {run}, {lost} of {total} answers for {metric.name} failed or could not be read ({100 * share:.1f} %), "
        f"where at most {100 * policy.max_failed_share:.1f} % may."
    )
    return GateCheck(name=check, passed=share <= policy.max_failed_share, reason=reason)
