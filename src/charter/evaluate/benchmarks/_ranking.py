"""How well scores put what is so before what is not: the area under the precision-recall curve, with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from charter.core.resampling import Floats, logit_t
from charter.core.rows import Metric
from charter.core.stats import wilson


class Point(NamedTuple):
    """A judge's score, and whether the label holds."""

    score: float
    is_so: bool


class Thresholds(NamedTuple):
    """By threshold, from the highest score down: positives and items in it, and both with all above it."""

    positives: Floats
    positives_so_far: Floats
    items_so_far: Floats


def average_precision(points: Sequence[Point]) -> float | None:
    """Sum over thresholds of (recall gained) x (precision), as scikit-learn's; equal scores are one threshold. None without positives."""
    if not any(point.is_so for point in points):
        return None
    cut = _thresholds(points)[0]
    return float((cut.positives * cut.positives_so_far / cut.items_so_far).sum() / cut.positives.sum())


def auprc(name: str, points: Sequence[Point], counts: Mapping[str, int]) -> Metric:
    """Average precision with the jackknife's standard error on the logit scale, and as many degrees of freedom as there are positives, less one;
    at 1, Wilson's for p of p. None without positives or without negatives: a list of one kind has no order to be right about.

    (The logit interval of Boyd, Eng and Page 2013, which knows p and the value alone, holds the truth 99 times in 100 close to 1; this one 95.)"""
    value, positives = average_precision(points), sum(point.is_so for point in points)
    method = "average precision, logit jackknife95"
    if value is None or positives == len(points):
        return Metric(name=name, value=None, low=None, high=None, n=len(points), method=method, **counts)
    low, high = wilson(positives, positives) if value >= 1.0 else logit_t(value, _jackknife_error(points), positives - 1)
    return Metric(name=name, value=min(1.0, value), low=low, high=high, n=len(points), method=method, **counts)


def _thresholds(points: Sequence[Point]) -> tuple[Thresholds, Floats]:
    """The thresholds, and how many items each has."""
    is_so = np.array([point.is_so for point in points], dtype=np.float64)
    _, place = np.unique([-point.score for point in points], return_inverse=True)
    positives, items = (np.bincount(place, each).astype(np.float64) for each in (is_so, np.ones(len(points))))
    return Thresholds(positives, np.cumsum(positives), np.cumsum(items)), items


def _jackknife_error(points: Sequence[Point]) -> float:
    """Standard error of the average precision from leaving out each item in turn (Efron and Stein 1981); 0 with a single positive.

    Without one item of a threshold the terms above it stay, and every later one has one item, and perhaps one positive, less: sums over the
    thresholds give all the values at once."""
    cut, items = _thresholds(points)
    p, p_all, all_ = cut
    if p.sum() < 2:
        return 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        term = p * p_all / all_
        lower = np.where(all_ > 1, (p_all - 1) / (all_ - 1), 0.0)
        without_positive = (np.cumsum(term) - term + (p - 1) * lower + _after(p * lower)) / (p.sum() - 1)
        shorter = np.where(all_ > 1, p * p_all / (all_ - 1), 0.0)
        without_negative = (np.cumsum(term) - term + shorter + _after(shorter)) / p.sum()
    weights = np.concatenate([p, items - p])
    values = np.where(weights > 0, np.concatenate([without_positive, without_negative]), 0.0)
    n = weights.sum()
    mean = (weights * values).sum() / n
    return float(np.sqrt((n - 1) / n * (weights * (values - mean) ** 2).sum()))


def _after(values: Floats) -> Floats:
    """For each place, the sum of those after it."""
    rest: Floats = values.sum() - np.cumsum(values)
    return rest
