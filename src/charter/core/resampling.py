"""Intervals and tests by resampling, for what no closed formula covers: means of scores, ratios, items that share a template, trends.

One engine, ``cluster_bootstrap``: the studentised bootstrap over clusters (Davison and Hinkley 1997, sections 2.4, 3.8, 5.2) of any smooth function
of totals, with the standard error of each draw by the delta method. Its symmetric form is used: it is the most accurate one for two-sided intervals
(Hall 1988, Annals of Statistics 16:927), and its interval leaves out 0 just where p is below 1 - level. Everything is vectorised and seeded.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
#: Takes totals of shape (..., k) and gives values of shape (...); nan where it is undefined.
Statistic = Callable[[Floats], Floats]

DRAWS = 9_999
#: Fewer draws are made where draws x different rows would be more than this, but never fewer than ``FEWEST``.
WORK = 10_000_000
FEWEST = 999
#: Cells (draws x different rows) held at once, 8 bytes each.
CELLS = 2_000_000
#: A tail with fewer draws than this is too thin to be read off; Student's t, stretched to the draws' own quantile, goes on from there.
THIN_TAIL = 10
#: In a small sample of skewed clusters the symmetric interval is too short by a part of the order skewness squared / n squared (its error is of the
#: order 1/n squared: Hall 1988). So much of it is added; measured by ``benchmarks/coverage.py``, and nothing from about a hundred clusters on.
SKEWNESS = 15.0


_points_only: ContextVar[bool] = ContextVar("points_only", default=False)


@contextmanager
def points_only() -> Iterator[None]:
    """Inside, ``cluster_bootstrap`` draws no intervals (they are nan): for who needs a number many times, as a jackknife does, and not its error."""
    token = _points_only.set(True)
    try:
        yield
    finally:
        _points_only.reset(token)


class Estimate(NamedTuple):
    """A value with its interval, the two-sided p of its being 0, and how many clusters were drawn from. nan where there is no telling."""

    value: float
    low: float
    high: float
    p: float
    n_clusters: int


def cluster_bootstrap(
    totals: ArrayLike, statistic: Statistic, *, bounds: tuple[float, float], seed: int, draws: int = DRAWS, level: float = 0.95
) -> Estimate:
    """The statistic of the column sums of ``totals`` (clusters x k), with its interval over clusters, inside ``bounds``.

    ``totals[c]`` holds whatever the statistic needs, summed over the items of cluster c: for a rate (successes, items), for BBQ's s_DIS
    (biased answers, answers that are not UNKNOWN). Items that share nothing are clusters of one. With one cluster, or a statistic that is
    undefined, the interval is nan. Draws that are undefined count as infinitely far off. Where all clusters agree there is no variance to draw
    from, and the interval is as wide as Wilson's for none of the clusters that hold anything: no change seen in a few is no proof of none.

    Raises ValueError for a table that is empty or not finite.
    """
    rows = np.asarray(totals, dtype=np.float64)
    if rows.ndim != 2 or not len(rows) or not np.isfinite(rows).all():
        raise ValueError(f"cluster_bootstrap needs a finite table of clusters x totals with at least one row, got shape {rows.shape}")
    with np.errstate(divide="ignore", invalid="ignore"):
        n, value = len(rows), float(statistic(rows.sum(0)))
    if n == 1 or not math.isfinite(value) or _points_only.get():
        return Estimate(value, math.nan, math.nan, math.nan, n)
    with np.errstate(divide="ignore", invalid="ignore"):
        return _studentised(_Delta(rows, statistic), rows, bounds, seed, draws, level)


def _studentised(delta: _Delta, rows: Floats, bounds: tuple[float, float], seed: int, draws: int, level: float) -> Estimate:
    n, (value, error) = len(rows), (float(x) for x in delta(rows.sum(0), delta.squares(rows).sum(0)))
    if not delta.floor * n > 1e-7 * max(1.0, abs(value)):  # what is left below is the rounding of the gradient
        return no_variance(value, int(rows.any(1).sum()), bounds, level)
    away = _draw(delta, rows, value, min(draws, max(FEWEST, WORK // n)), seed)
    away *= 1 + SKEWNESS * (delta.skewness / n) ** 2
    reach = float(np.quantile(away, level, method="higher"))
    half = reach * math.hypot(error, delta.floor)
    return Estimate(value, max(bounds[0], value - half), min(bounds[1], value + half), _p(value, error, delta.floor, away, reach, level, n - 1), n)


def paired_bootstrap(
    before: ArrayLike,
    after: ArrayLike,
    clusters: Sequence[Hashable] | None = None,
    *,
    seed: int,
    bounds: tuple[float, float] = (-1.0, 1.0),
    draws: int = DRAWS,
    level: float = 0.95,
) -> Estimate:
    """Mean of ``after - before`` over items (one value each, aligned; shares from 0 to 1 unless ``bounds`` of the difference say otherwise).

    ``clusters`` names the cluster of each item (a template, a conversation); without it every item is its own. Values of several samples of one
    item are averaged first, by the caller: samples are no new items (Miller 2024, arXiv 2411.00640).
    Raises ValueError for lists of unlike lengths or without items.
    """
    old, new = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
    if old.shape != new.shape or old.ndim != 1 or not len(old):
        raise ValueError(f"paired_bootstrap needs two lists of one length, not empty, got shapes {old.shape} and {new.shape}")
    return cluster_bootstrap(_by_cluster(new - old, clusters), ratio, bounds=bounds, seed=seed, draws=draws, level=level)


def trend(values: ArrayLike, at: Sequence[float], clusters: Sequence[Hashable] | None = None, *, seed: int, draws: int = DRAWS) -> Estimate:
    """Mean over items of the least-squares slope of their values over the checkpoints ``at`` (steps, or 0, 1, 2 …): change per unit of ``at``.

    ``values`` is items x checkpoints, from 0 to 1. Each item is its own control (summary measures: Matthews, Altman, Campbell and Royston 1990, BMJ
    300:230), so that hard and easy items do not blur the trend. Raises ValueError without two different checkpoints.
    """
    table, x = np.asarray(values, dtype=np.float64), np.asarray(at, dtype=np.float64)
    if table.ndim != 2 or table.shape[1:] != x.shape or not len(table):
        raise ValueError(f"trend needs items x {len(x)} checkpoints, got shape {table.shape}")
    centred = x - x.mean()
    if not float(centred @ centred) > 0:
        raise ValueError("trend needs at least two different checkpoints")
    weights = centred / float(centred @ centred)
    steepest = float(weights[weights > 0].sum())
    return cluster_bootstrap(_by_cluster(table @ weights, clusters), ratio, bounds=(-steepest, steepest), seed=seed, draws=draws)


def grouped_jackknife(whole: float, without: Sequence[float], *, bounds: tuple[float, float], level: float = 0.95) -> Estimate:
    """An interval for a number that can only be worked out anew: ``without[g]`` is it without the g-th of G random groups of clusters.

    Delete-a-group jackknife (Kott 2001, Journal of Official Statistics 17:521) with Student's t at G - 1 degrees of freedom.
    nan where any of the numbers is undefined, or with fewer than two groups.
    """
    from scipy.special import stdtr

    replicates, groups = np.asarray(without, dtype=np.float64), len(without)
    if groups < 2 or not math.isfinite(whole) or not np.isfinite(replicates).all():
        return Estimate(whole, math.nan, math.nan, math.nan, groups)
    error = math.sqrt((groups - 1) / groups * float(((replicates - replicates.mean()) ** 2).sum()))
    if not error > 0:
        return no_variance(whole, groups, bounds, level)
    half = _t_quantile(level, groups - 1) * error
    p = 2 * float(stdtr(groups - 1, -abs(whole) / error))
    return Estimate(whole, max(bounds[0], whole - half), min(bounds[1], whole + half), p, groups)


def logit_t(value: float, error: float, freedom: int, level: float = 0.95) -> tuple[float, float]:
    """Interval for a number between 0 and 1 with standard error ``error``: Student's t on the logit scale, so that it stays inside and is as
    lopsided as such numbers are near their ends. 0 to 1 where there is no degree of freedom. Raises ValueError for a value that is not
    strictly inside."""
    if not 0 < value < 1:
        raise ValueError(f"logit_t needs a value between 0 and 1, got {value}")
    if freedom < 1:
        return 0.0, 1.0
    centre, half = math.log(value / (1 - value)), _t_quantile(level, freedom) * error / (value * (1 - value))
    low, high = (1 / (1 + math.exp(-min(700.0, max(-700.0, end)))) for end in (centre - half, centre + half))
    return low, high


def ratio(totals: Floats) -> Floats:
    """The first total over the second: a mean of items in clusters of unlike sizes."""
    quotient: Floats = totals[..., 0] / totals[..., 1]
    return quotient


class _Delta:
    """A statistic with its standard error by the delta method, from totals and totals of squares."""

    def __init__(self, rows: Floats, statistic: Statistic) -> None:
        self._statistic, self._n, k = statistic, len(rows), rows.shape[1]
        self._left, self._right = np.triu_indices(k)
        self._twice = np.where(self._left == self._right, 1.0, 2.0)
        self._step = np.diag(1e-4 * np.maximum(np.abs(rows.sum(0)), 1e-3))
        influence = rows @ self._gradient(rows.sum(0))
        # Half of one cluster's largest influence: of the order 1/n where the error is of the order 1/sqrt(n), so it is lost in a large sample; in a
        # small one it keeps draws without any rare event from being divided by nothing.
        apart = influence - influence.mean()
        farthest = float(np.abs(apart).max())
        self.floor = 0.5 * farthest
        self.skewness = _skewness(apart / farthest) if 0 < farthest < math.inf else 0.0

    def squares(self, rows: Floats) -> Floats:
        """Products of all pairs of columns."""
        products: Floats = rows[:, self._left] * rows[:, self._right]
        return products

    def __call__(self, sums: Floats, squares: Floats) -> tuple[Floats, Floats]:
        """Value and standard error for sums of shape (..., k)."""
        n, gradient = self._n, self._gradient(sums)
        second = (squares * self._twice * gradient[..., self._left] * gradient[..., self._right]).sum(-1)
        variance = n / (n - 1) * (second - (sums * gradient).sum(-1) ** 2 / n) if n > 1 else second * 0
        return self._value(sums), np.sqrt(np.maximum(variance, 0.0))

    def _gradient(self, sums: Floats) -> Floats:
        slopes = [(self._value(sums + h) - self._value(sums - h)) / (2 * h.sum()) for h in self._step]
        return np.stack(slopes, axis=-1)

    def _value(self, sums: Floats) -> Floats:
        return np.asarray(self._statistic(sums), dtype=np.float64)


def _skewness(apart: Floats) -> float:
    """Of differences from their mean, of which the farthest is 1: their powers alone could be too small or too large for a float."""
    return float((apart**3).mean() / (apart**2).mean() ** 1.5)


def _draw(delta: _Delta, rows: Floats, value: float, draws: int, seed: int) -> Floats:
    """How far each draw is from ``value``, in its own standard errors; without sign."""
    different, counts = np.unique(rows, axis=0, return_counts=True)
    squares = delta.squares(different)
    rng, away = np.random.default_rng(seed), []
    for start in range(0, draws, size := max(1, CELLS // len(different))):
        weights = _weights(rng, counts, min(size, draws - start))
        values, errors = delta(weights @ different, weights @ squares)
        distance = np.abs(values - value) / np.hypot(errors, delta.floor)
        away.append(np.where(np.isfinite(distance), distance, np.inf))
    return np.concatenate(away)


def _weights(rng: np.random.Generator, counts: NDArray[np.int64], draws: int) -> Floats:
    """How often each different row is in each draw (draws x different rows): multinomial, by whichever way is quicker."""
    n, different = int(counts.sum()), len(counts)
    if different < n / 4:
        return rng.multinomial(n, counts / n, size=draws).astype(np.float64)
    place = np.repeat(np.arange(different), counts)[rng.integers(0, n, (draws, n), dtype=np.int32)]
    place += np.arange(draws)[:, None] * different
    return np.bincount(place.ravel(), minlength=draws * different).reshape(draws, different).astype(np.float64)


def _p(value: float, error: float, floor: float, away: Floats, reach: float, level: float, freedom: int) -> float:
    from scipy.special import stdtr

    observed = abs(value) / math.hypot(error, floor)
    beyond = int((away >= observed).sum())
    read_off = (1 + beyond) / (1 + len(away))
    if beyond >= THIN_TAIL or not 0 < reach < math.inf:
        return read_off
    stretched = observed * _t_quantile(level, freedom) / reach
    return min(read_off, 2 * float(stdtr(freedom, -stretched)))


def no_variance(value: float, n: int, bounds: tuple[float, float], level: float) -> Estimate:
    """The interval where every one of ``n`` clusters says the same. At most a share of z²/(n + z²) of others is compatible with that
    (Wilson), each as far off as the bounds allow. The p is that of n equal signs."""
    from scipy.special import ndtri

    z = float(ndtri(0.5 + level / 2))
    unseen = z * z / (n + z * z)
    low, high = (value + unseen * (bound - value) if math.isfinite(bound) else math.nan for bound in bounds)
    return Estimate(value, low, high, 1.0 if abs(value) < 1e-12 else min(1.0, 2.0 * 0.5**n), n)


def _t_quantile(level: float, freedom: int) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 0.5 + level / 2))


def _by_cluster(values: Floats, clusters: Sequence[Hashable] | None) -> Floats:
    """(sum of values, number of items) by cluster."""
    if clusters is None:
        return np.stack([values, np.ones_like(values)], axis=1)
    if len(clusters) != len(values):
        raise ValueError(f"{len(values)} items have {len(clusters)} clusters")
    place: dict[Hashable, int] = {}
    index = np.array([place.setdefault(cluster, len(place)) for cluster in clusters])
    return np.stack([np.bincount(index, values), np.bincount(index)], axis=1).astype(np.float64)
