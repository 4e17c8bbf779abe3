"""Thresholds from data: as low as they can be while the guard raises no more false alarms than asked for.

All rails of a stage get the same share of the allowed false alarms, and that share is as large as it can be while the stage as a whole (a row is a
false alarm if any rail holds it back) stays within what was asked for. The share is then measured again on rows that did not choose the thresholds
(two halves by the hash of the id, each judged by thresholds from the other), because a threshold fits its own data too well.

Rails whose score is no estimate of harm (``CALIBRATES = False``: a length, how sure an address is one) keep theirs: labels say nothing about
them. They are calibrated where they are named, on rows that are labelled for them. A text that is only masked is not held back.

A rail of something else than harm (``OWN_LABEL = True``: jailbreaks, injections, toxic words) is lowered only where rows are labelled for it, or
where it is named: that a row is harmful does not say that it is one of those. Harmless rows may raise it.

What no threshold of a rail changes counts as well: outcomes without a score, hazards with a threshold of their own, thresholds that are kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from charter.core import registry
from charter.core.errors import DataError
from charter.core.progress import SILENT, Reporter
from charter.core.rows import Metric
from charter.core.seeds import derive
from charter.core.stats import rate
from charter.guard._scored import Marks, Scored, score_rows
from charter.guard.engine import RailCall
from charter.guard.policy import STAGES, Calibration, GuardPolicy, RailEntry, Stage
from charter.guard.rows import CheckRow, CheckRows

#: Points of a curve that are kept.
POINTS = 20
#: The threshold that holds everything back: a threshold is over 0.
LEAST = 1e-9


class Point(NamedTuple):
    """What a threshold would do."""

    threshold: float
    false_alarms: Metric
    caught: Metric


class RailResult(NamedTuple):
    """One rail: its threshold before and after, and the trade-off it was chosen from. ``chosen`` is None where there was nothing to choose."""

    rail: str
    before: float
    after: float
    chosen: Point | None
    curve: tuple[Point, ...]
    note: str


class StageResult(NamedTuple):
    """One stage as a whole, at the new thresholds. ``held_out`` is the false alarms on rows that did not choose them. ``warning`` says what
    holds back more harmless rows than were allowed, '' if nothing does."""

    stage: Stage
    rails: tuple[RailResult, ...]
    false_alarms: Metric
    held_out: Metric
    caught: Metric
    warning: str = ""


def calibrate(
    policy: GuardPolicy,
    data: CheckRows,
    max_false_alarms: float,
    only: Sequence[str] = (),
    rails: Mapping[str, RailCall] | None = None,
    reporter: Reporter = SILENT,
) -> tuple[GuardPolicy, list[StageResult]]:
    """The policy with new thresholds, and what they do. Rows with a reply calibrate the output rails, others the input rails.

    ``only``: labels of rails to calibrate; the others keep their thresholds and count as they are. Without it, every rail whose score estimates harm.
    Raises DataError when there are too few labelled rows to tell, or a name is no rail.
    """
    _check_names(policy, only)
    results: list[StageResult] = []
    for stage in STAGES:
        rows = [row for row in data.rows if row.stage == stage and row.harmful is not None]
        if rows and policy.rails(stage):
            results.append(_stage(policy, stage, rows, max_false_alarms, only, rails or {}, reporter))
    if not results:
        raise DataError("no row is labelled for a stage that has rails", 'give rows "harmful": true or false')
    for result in results:
        policy = _with_thresholds(policy, result, data.hash, max_false_alarms)
    return policy, results


def _check_names(policy: GuardPolicy, only: Sequence[str]) -> None:
    known = [entry.label for stage in STAGES for entry in policy.rails(stage)]
    for name in only:
        if name not in known:
            raise DataError(f"the guard has no rail {name!r}; it has {', '.join(known)}")


def _stage(
    policy: GuardPolicy,
    stage: Stage,
    rows: list[CheckRow],
    max_false_alarms: float,
    only: Sequence[str],
    rails: Mapping[str, RailCall],
    reporter: Reporter,
) -> StageResult:
    harmless = sum(not row.harmful for row in rows)
    if harmless * max_false_alarms < 1:
        needed = int(np.ceil(1 / max_false_alarms))
        raise DataError(f"{harmless} harmless rows for the {stage} cannot show {max_false_alarms:.2%} false alarms", f"give at least {needed}")
    scored = score_rows(policy, stage, rows, rails, reporter)
    acting = {entry.label: entry.threshold for entry in policy.rails(stage) if not entry.shadow and _acts(scored[entry.label], entry)}
    mute = _without_estimate(policy, stage, rails, rows, only)
    free = [name for name in acting if (not only or name in only) and name not in mute and _has_levels(scored[name])]
    allowed = int(max_false_alarms * harmless + 1e-9)
    truth = np.array([bool(row.harmful) for row in rows])
    floors = {name: acting[name] for name in free if name in _unlabelled(policy, stage, rails, rows, only)}
    thresholds = acting | _choose(scored, acting, free, truth, allowed, floors)
    alarms = _alarms(scored, thresholds, truth)
    kept = {name: "threshold kept" + (": its score is no estimate of harm" if name in mute else "") for name in acting if name not in free}
    kept |= {
        name: f"threshold kept: no row is labelled {name}; where every harmful row is one for it, --rail {name} lowers it"
        for name, floor in floors.items()
        if thresholds[name] == floor
    }
    results = [_rail(name, scored[name], acting[name], thresholds[name], kept.get(name, "")) for name in acting]
    held_out = _held_out(rows, scored, acting, free, max_false_alarms, stage, floors)
    warnings = [
        _warning(scored, thresholds, free, truth, max_false_alarms) if int(alarms.sum()) > allowed else "",
        _fitted(held_out, max_false_alarms),
    ]
    return StageResult(
        stage,
        tuple(results),
        rate(f"false_alarms/{stage}", int(alarms.sum()), harmless),
        held_out,
        rate(f"caught/{stage}", int((_withheld(scored, thresholds) & truth).sum()), len(rows) - harmless),
        "; ".join(filter(None, warnings)),
    )


def _acts(scored: Scored, entry: RailEntry) -> bool:
    """Whether the rail ever holds anything back; one that only observes may by its hazards, or when it is unsure."""
    return entry.action != "allow" or bool((scored.anyway != "").any()) or not bool(np.isnan(scored.scores).all())


def _without_estimate(
    policy: GuardPolicy, stage: Stage, rails: Mapping[str, RailCall], rows: Sequence[CheckRow], only: Sequence[str]
) -> frozenset[str]:
    """Rails whose scores these labels say nothing about. Rails that are given are taken to estimate harm."""
    shelved = [entry for entry in policy.rails(stage) if entry.label not in rails]
    mute = {entry.label for entry in shelved if not getattr(registry.find("rails", entry.rail), "CALIBRATES", True)}
    return frozenset(name for name in mute if name not in only or not any(name in row.labels for row in rows))


def _unlabelled(policy: GuardPolicy, stage: Stage, rails: Mapping[str, RailCall], rows: Sequence[CheckRow], only: Sequence[str]) -> frozenset[str]:
    """Rails of something else than harm for which no row is labelled, and which nobody names. Rails that are given are taken to estimate harm."""
    own = [e.label for e in policy.rails(stage) if e.label not in rails and getattr(registry.find("rails", e.rail), "OWN_LABEL", False)]
    return frozenset(name for name in own if name not in only and not any(row.labels.get(name) for row in rows))


def _fitted(held_out: Metric, share: float) -> str:
    """What to say where the thresholds keep what was asked for on the rows that chose them alone."""
    if held_out.value is None or held_out.low is None or held_out.low <= share:
        return ""
    return (
        f"on rows that chose nothing {held_out.value:.2%} are held back, surely more than the {share:.2%} asked for: these thresholds fit their own "
        "rows; give more rows, or name fewer rails"
    )


def _warning(scored: Mapping[str, Scored], thresholds: Mapping[str, float], free: Sequence[str], truth: Marks, share: float) -> str:
    """Which rails and rules hold back harmless rows that no threshold would let go, and how many."""
    told: list[str] = []
    for name, threshold in thresholds.items():
        kept = f"scores of {threshold:g}" if name in free else f"its threshold of {threshold:g}, kept"
        wrong = scored[name].withheld(threshold) & ~scored[name].harmful & ~truth
        own = Counter(str(why) or kept for why in scored[name].anyway[wrong])
        told += [f"{name} holds {count} ({why})" for why, count in own.most_common() if count]
    held = int(_alarms(scored, thresholds, truth).sum())
    return f"{share:.2%} false alarms cannot be kept: {held} of {int((~truth).sum())} harmless rows are held back anyway: {', '.join(told)}"


def _has_levels(scored: Scored) -> bool:
    """Whether there is a threshold to choose: a rule that says 0 or 1 has none."""
    return len(set(scored.scores[~np.isnan(scored.scores)].tolist()) - {0.0, 1.0}) > 0


def _withheld(scored: Mapping[str, Scored], thresholds: Mapping[str, float], harmful: bool | None = None) -> Marks:
    """Rows that any of the rails holds back; with ``harmful``, only those rails count for which the row is so."""
    length = len(next(iter(scored.values())).scores)
    by_rail = [(scored[name], scored[name].withheld(threshold)) for name, threshold in thresholds.items()]
    counted = (held if harmful is None else held & (rail.harmful == harmful) for rail, held in by_rail)
    any_of: Marks = np.logical_or.reduce([np.zeros(length, dtype=np.bool_), *counted])
    return any_of


def _alarms(scored: Mapping[str, Scored], thresholds: Mapping[str, float], truth: Marks) -> Marks:
    """Harmless rows that a rail holds back which should not: one labelled as that rail's to hold is no false alarm."""
    return _withheld(scored, thresholds, harmful=False) & ~truth


def _choose(
    scored: Mapping[str, Scored], acting: Mapping[str, float], free: Sequence[str], truth: Marks, allowed: int, floors: Mapping[str, float]
) -> dict[str, float]:
    """Thresholds, none under its floor, with equal shares of false alarms, the largest share with which the stage stays within ``allowed`` rows
    (bisection; what is held back only grows); without a share where the rest alone holds back too many."""

    def at(share: int) -> dict[str, float]:
        return {name: floors[name] if _stays(scored[name], floors.get(name), share) else threshold_for(scored[name], share) for name in free}

    def alarms(share: int) -> int:
        thresholds = dict(acting) | at(share)
        return int(_alarms(scored, thresholds, truth).sum())

    low, high = 0, allowed
    while low < high:
        middle = (low + high + 1) // 2
        if alarms(middle) <= allowed:
            low = middle
        else:
            high = middle - 1
    return at(low)


def _stays(scored: Scored, floor: float | None, alarms: int) -> bool:
    """Whether a threshold that may only be raised need not be."""
    return floor is not None and int((scored.reach(floor) & ~scored.harmful).sum()) <= alarms


def threshold_for(scored: Scored, alarms: int) -> float:
    """The lowest threshold at which at most ``alarms`` harmless rows reach it, half-way to the next score that was seen. 1.0 if there is none."""
    known = ~np.isnan(scored.scores)
    harmless = np.sort(scored.scores[known & ~scored.harmful])[::-1]
    if alarms >= len(harmless):
        return LEAST
    edge = float(harmless[alarms])
    above = scored.scores[known & (scored.scores > edge)]
    next_up = float(above.min()) if len(above) else 1.0
    middle = (edge + next_up) / 2
    rounded = float(np.ceil(middle * 10_000) / 10_000)
    if edge < rounded <= next_up:
        return rounded
    return middle if edge < middle else next_up


def _rail(name: str, scored: Scored, before: float, after: float, kept: str) -> RailResult:
    """``kept``: why the threshold stays, '' where it was chosen."""
    failed = int(scored.failed.sum())
    notes = [kept] if kept else []
    notes += [f"{failed} rows not scored"] if failed else []
    notes += [f"{count} rows held back by {why}" for why, count in Counter(str(why) for why in scored.anyway if why).most_common()]
    if kept:
        return RailResult(name, before, before, None, (), "; ".join(notes))
    steps = sorted({threshold_for(scored, n) for n in np.unique(np.linspace(0, (~scored.harmful).sum() - 1, POINTS).astype(int))})
    curve = tuple(_point(name, scored, threshold) for threshold in steps)
    if after >= 1.0:
        notes.append("harmless rows score 1: this rail cannot be calibrated to so few false alarms")
    return RailResult(name, before, after, _point(name, scored, after), curve, "; ".join(notes))


def _point(name: str, scored: Scored, threshold: float) -> Point:
    held, known = scored.held(threshold), ~scored.failed
    metrics = []
    for what, rows in (("false_alarms", ~scored.harmful), ("caught", scored.harmful)):
        metrics.append(rate(f"{what}/{name}", int((held & rows).sum()), int((known & rows).sum()), int((~known & rows).sum())))
    return Point(threshold, *metrics)


def _held_out(
    rows: Sequence[CheckRow],
    scored: Mapping[str, Scored],
    acting: Mapping[str, float],
    free: Sequence[str],
    share: float,
    stage: Stage,
    floors: Mapping[str, float],
) -> Metric:
    """False alarms on each half at the thresholds of the other."""
    first = np.array([derive(0, "calibrate", row.id) % 2 == 0 for row in rows])
    truth = np.array([bool(row.harmful) for row in rows])
    alarms = 0
    for chooses, measured in ((first, ~first), (~first, first)):
        own = {name: found.of(chooses) for name, found in scored.items()}
        other = {name: found.of(measured) for name, found in scored.items()}
        allowed = int(share * (chooses & ~truth).sum() + 1e-9)
        thresholds = dict(acting) | _choose(own, acting, free, truth[chooses], allowed, floors)
        alarms += int(_alarms(other, thresholds, truth[measured]).sum())
    return rate(f"false_alarms_held_out/{stage}", alarms, int((~truth).sum()))


def _with_thresholds(policy: GuardPolicy, result: StageResult, data_hash: str, max_false_alarms: float) -> GuardPolicy:
    found = {rail.rail: rail for rail in result.rails}
    entries = []
    for entry in policy.rails(result.stage):
        rail = found.get(entry.label)
        if rail is None or rail.chosen is None:
            entries.append(entry)
            continue
        flag_at = entry.flag_at if entry.flag_at is not None and entry.flag_at < rail.after else None
        told = _calibration(rail.chosen, data_hash, max_false_alarms)
        entries.append(entry.model_copy(update={"threshold": rail.after, "flag_at": flag_at, "calibrated": told}))
    return policy.model_copy(update={result.stage: tuple(entries)})


def _calibration(point: Point, data_hash: str, max_false_alarms: float) -> Calibration:
    alarms, caught = point.false_alarms, point.caught
    return Calibration(
        data=data_hash,
        max_false_alarms=max_false_alarms,
        false_alarms=_triple(alarms),
        caught=_triple(caught) if caught.n else None,
        harmless=alarms.n,
        harmful=caught.n,
        failed=alarms.n_failed + caught.n_failed,
    )


def _triple(metric: Metric) -> tuple[float, float, float]:
    value, low, high = metric.value or 0.0, metric.low or 0.0, metric.high or 0.0
    return round(value, 4), round(low, 4), round(high, 4)
