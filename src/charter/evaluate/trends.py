"""Where a number goes over several checkpoints: its value at each, and its slope over the items that all of them measured."""

from __future__ import annotations

import math
from collections.abc import Sequence

from charter.core.resampling import Estimate, trend
from charter.core.rows import Metric, Row
from charter.core.seeds import derive
from charter.core.stats import holm, rate
from charter.evaluate.differences import OVERALL
from charter.evaluate.itemwise import Parts, Taker, cluster_of, weighs_alike, wrong_name, wrong_shares
from charter.evaluate.pairing import Shared
from charter.evaluate.sides import Side, mean_metric


class Trend(Row):
    """``points``: the metric in each run, as that run published it. ``slope``: its change per unit of ``at`` over the ``n`` items that all runs
    measured, with 95 % interval and p; None where it is no mean of the same items from 0 to 1."""

    metric: str
    family: str
    at: tuple[float, ...]
    points: tuple[Metric, ...]
    n: int = 0
    slope: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    p_holm: float | None = None


def trends(shared: Shared, at: Sequence[float], taker: Taker | None = None) -> list[Trend]:
    """Every number that all sides have, in the order of the last. ``at``: where each run stands, such as its training steps."""
    taker = taker or Taker()
    parts = [taker.parts(side) for side in shared.sides]
    wrong = wrong_name(shared.sides[0])
    points = {wrong: tuple(wrong_metric(side) for side in shared.sides)}
    for name in shared.sides[-1].metrics:
        if all(name in side.metrics for side in shared.sides):
            points[name] = tuple(side.metrics[name] for side in shared.sides)
    found = []
    for name, metrics in points.items():
        estimate, n = _slope(name, shared, parts, at)
        ends = {key: value if math.isfinite(value) else None for key, value in estimate.items()}
        family = OVERALL if name == wrong else shared.benchmark
        found.append(Trend.model_validate({"metric": name, "family": family, "at": tuple(at), "points": metrics, "n": n, **ends}))
    return found


def adjusted(found: Sequence[Trend]) -> list[Trend]:
    """The same, with p adjusted by Holm within each family."""
    rows = list(found)
    for family in dict.fromkeys(row.family for row in rows):
        places = [place for place, row in enumerate(rows) if row.family == family]
        values = holm([math.nan if (p := rows[place].p) is None else p for place in places])
        for place, value in zip(places, values, strict=True):
            rows[place] = rows[place].model_copy(update={"p_holm": value if math.isfinite(value) else None})
    return rows


def wrong_metric(side: Side) -> Metric:
    """``<benchmark>/wrong`` of one run, over the items with a readable answer; those that are neither right nor wrong are no part of it."""
    shares = [share.value for share in wrong_shares(side).values()]
    answers = [verdict.outcome for key, verdicts in side.verdicts.items() if key not in side.beside for verdict in verdicts]
    failed, unparsed = answers.count("failed"), answers.count("unsure")
    if set(shares) <= {0.0, 1.0}:
        return rate(wrong_name(side), shares.count(1.0), len(shares), failed, unparsed, len(answers))
    return mean_metric(wrong_name(side), shares, failed, unparsed, len(answers))


def _slope(name: str, shared: Shared, parts: Sequence[Parts], at: Sequence[float]) -> tuple[dict[str, float], int]:
    if not weighs_alike(name, shared.sides, parts, shared.keys):
        return {}, 0
    tables = [part.by_metric.get(name, {}) for part in parts]
    keys = [key for key in shared.keys if all(key in table for table in tables)]
    values = [[table[key].value for table in tables] for key in keys]
    if not values or len(set(at)) < 2 or not all(0.0 <= value <= 1.0 for row in values for value in row):
        return {}, len(keys)
    clusters = [cluster_of(shared.sides[-1].examples[key]) for key in keys]
    found: Estimate = trend(values, at, clusters, seed=derive(0, "trend", name))
    return {"slope": found.value, "low": found.low, "high": found.high, "p": found.p}, len(keys)
