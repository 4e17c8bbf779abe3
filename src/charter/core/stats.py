"""Intervals and paired tests by formula. Every function gives its source; all are checked against published numbers in the tests.

What has no formula (means of scores, ratios, clusters, trends) is in ``core.resampling``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from charter.core.rows import Metric

Z95 = 1.959963984540054


class Interval(NamedTuple):
    low: float
    high: float


class Paired(NamedTuple):
    """A paired comparison of two yes/no outcomes. ``b``: yes before, no after; ``c``: no before, yes after.
    ``difference`` = after - before, in share points from -1 to 1."""

    b: int
    c: int
    n: int
    difference: float
    low: float
    high: float
    p: float


def wilson(k: int, n: int, z: float = Z95) -> Interval:
    """Wilson score interval for k of n (Wilson 1927; Brown, Cai and DasGupta 2001, eq. 4).

    Raises ValueError if n is 0 or k is outside 0..n: a share of nothing is not a number.
    """
    if n <= 0 or not 0 <= k <= n:
        raise ValueError(f"wilson needs 0 <= k <= n and n > 0, got k={k}, n={n}")
    p = k / n
    centre = p + z * z / (2 * n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    low = 0.0 if k == 0 else (centre - half) / scale
    high = 1.0 if k == n else (centre + half) / scale
    return Interval(max(0.0, low), min(1.0, high))


def rate(name: str, k: int, n: int, n_failed: int = 0, n_unparsed: int = 0, n_answers: int | None = None) -> Metric:
    """``k`` of ``n`` as a Metric with its Wilson interval. With n = 0 the value is None: unmeasured, not zero."""
    value, (low, high) = (k / n, wilson(k, n)) if n else (None, (None, None))
    answers = None if n_answers == n + n_failed + n_unparsed else n_answers
    lost = {"n_failed": n_failed, "n_unparsed": n_unparsed, "n_answers": answers}
    return Metric.model_validate({"name": name, "value": value, "low": low, "high": high, "n": n, **lost, "method": "wilson95"})


def mcnemar_exact(b: int, c: int) -> float:
    """Two-sided exact McNemar test: binomial(b + c, 1/2) (McNemar 1947). 1.0 if nothing changed."""
    if b < 0 or c < 0:
        raise ValueError(f"mcnemar_exact needs counts >= 0, got b={b}, c={c}")
    m, k = b + c, min(b, c)
    if m == 0:
        return 1.0
    tail = sum(math.comb(m, i) for i in range(k + 1)) / 2**m
    return min(1.0, float(2 * tail))


def paired_difference(both: int, b: int, c: int, neither: int, z: float = Z95) -> Paired:
    """Difference of two paired shares with Newcombe's score interval with continuity-corrected correlation
    (Newcombe 1998, Statistics in Medicine 17:2635, method 10), and McNemar's exact p.

    ``both``/``neither``: items with the outcome in both runs / in none; ``b`` only before; ``c`` only after.
    Raises ValueError with no pairs at all.
    """
    n = both + b + c + neither
    if n == 0:
        raise ValueError("a paired comparison needs at least one item answered in both runs")
    before, after = both + b, both + c
    p1, p2 = after / n, before / n
    (l1, u1), (l2, u2) = wilson(after, n, z), wilson(before, n, z)
    phi = _phi(both, c, b, neither)
    d = p1 - p2
    low = d - math.sqrt(max(0.0, (p1 - l1) ** 2 - 2 * phi * (p1 - l1) * (u2 - p2) + (u2 - p2) ** 2))
    high = d + math.sqrt(max(0.0, (u1 - p1) ** 2 - 2 * phi * (u1 - p1) * (p2 - l2) + (p2 - l2) ** 2))
    return Paired(b=b, c=c, n=n, difference=d, low=max(-1.0, low), high=min(1.0, high), p=mcnemar_exact(b, c))


def _phi(e: int, f: int, g: int, h: int) -> float:
    margin = (e + f) * (g + h) * (e + g) * (f + h)
    if margin == 0:
        return 0.0
    n, cross = e + f + g + h, e * h - f * g
    if cross > n / 2:
        cross_corrected = cross - n / 2
    elif cross >= 0:
        cross_corrected = 0.0
    else:
        cross_corrected = float(cross)
    return cross_corrected / math.sqrt(margin)


def cohen_kappa(a: list[str], b: list[str]) -> float:
    """Agreement beyond chance of two labellers over the same items (Cohen 1960); nan when chance agreement is 1."""
    if len(a) != len(b) or not a:
        raise ValueError("cohen_kappa needs two label lists of the same length, not empty")
    n = len(a)
    observed = sum(x == y for x, y in zip(a, b, strict=True)) / n
    chance = sum((a.count(label) / n) * (b.count(label) / n) for label in set(a) | set(b))
    return math.nan if chance == 1.0 else (observed - chance) / (1 - chance)


def holm(p: Sequence[float]) -> list[float]:
    """p-values adjusted for having looked at all of them (Holm 1979): reject where the adjusted one is below alpha, and the chance of any false
    rejection is below alpha whatever depends on what. nan (no test) stays nan and does not count. Raises ValueError for a p outside 0..1."""
    tested = sorted((value, place) for place, value in enumerate(p) if not math.isnan(value))
    if tested and not 0.0 <= tested[0][0] <= tested[-1][0] <= 1.0:
        raise ValueError(f"holm needs p-values from 0 to 1, got {tested[0][0]} to {tested[-1][0]}")
    adjusted, worst = [math.nan] * len(p), 0.0
    for rank, (value, place) in enumerate(tested):
        worst = max(worst, min(1.0, (len(tested) - rank) * value))
        adjusted[place] = worst
    return adjusted
