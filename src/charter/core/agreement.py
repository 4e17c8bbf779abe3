"""How right yes/no answers and scores are, against labels that are known. Pure numpy; every figure is checked against scikit-learn in the tests.

``gold`` is True for a positive; ``scores`` are higher for likelier positives. A figure whose denominator is nothing is None, never 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from charter.core.resampling import no_variance
from charter.core.rows import Metric

Labels = NDArray[np.bool_]
Scores = NDArray[np.float64]
Figures = Callable[[NDArray[np.int64]], Sequence[float | None]]
#: Ends of an interval that are nearer than this are the same: sums in another order differ by as much.
SAME = 1e-9


class Figure(NamedTuple):
    """What one of ``Figures`` is called, and of which rows it is. ``of``: those in its denominator (None: all). ``rests_on``: kinds of rows that it
    needs some of each of, such as positives and negatives (none named: ``of``). Both have shape (n,)."""

    name: str
    of: Labels | None = None
    rests_on: tuple[Labels, ...] = ()
    bounds: tuple[float, float] = (0.0, 1.0)


class Confusion(NamedTuple):
    """Counts of yes/no answers against yes/no labels."""

    tp: int
    fp: int
    fn: int
    tn: int

    @property
    def n(self) -> int:
        return sum(self)

    @property
    def accuracy(self) -> float | None:
        return share(self.tp + self.tn, self.n)

    @property
    def precision(self) -> float | None:
        return share(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float | None:
        return share(self.tp, self.tp + self.fn)

    @property
    def specificity(self) -> float | None:
        return share(self.tn, self.tn + self.fp)

    @property
    def f1(self) -> float | None:
        return share(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def kappa(self) -> float | None:
        """Agreement beyond chance (Cohen 1960); None where chance alone would agree on everything."""
        if not self.n:
            return None
        yes, no = (self.tp + self.fp) * (self.tp + self.fn), (self.fn + self.tn) * (self.fp + self.tn)
        chance = (yes + no) / self.n**2
        return None if chance == 1.0 else ((self.tp + self.tn) / self.n - chance) / (1 - chance)


def share(k: int, n: int) -> float | None:
    return k / n if n else None


def confusion(answers: Labels, gold: Labels) -> Confusion:
    """Counts over pairs of the same length."""
    return Confusion(int((answers & gold).sum()), int((answers & ~gold).sum()), int((~answers & gold).sum()), int((~answers & ~gold).sum()))


def auc(scores: Scores, gold: Labels) -> float | None:
    """Area under the ROC curve: the chance that a positive scores over a negative, ties counting half (Hanley and McNeil 1982)."""
    positives, negatives = int(gold.sum()), int((~gold).sum())
    if not positives or not negatives:
        return None
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return float((ranks[gold].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def average_precision(scores: Scores, gold: Labels) -> float | None:
    """Area under the precision-recall curve as a sum of steps (scikit-learn's ``average_precision_score``), without interpolation."""
    if not gold.any() or gold.all():
        return None
    found, seen = _cumulated(scores, gold)
    precision, recall = found / seen, found / found[-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def recall_at(scores: Scores, gold: Labels, false_alarms: float) -> float | None:
    """The highest recall of any threshold whose false-alarm rate is at most ``false_alarms`` (0..1)."""
    negatives = int((~gold).sum())
    if not gold.any() or not negatives:
        return None
    found, seen = _cumulated(scores, gold)
    allowed = (seen - found) / negatives <= false_alarms
    return float((found[allowed] / found[-1]).max()) if allowed.any() else 0.0


def _cumulated(scores: Scores, gold: Labels) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Positives, and all, at or over each distinct score, from the highest score down."""
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.nonzero(np.diff(scores[order]))[0], len(scores) - 1)
    return np.cumsum(gold[order])[ends].astype(np.float64), (ends + 1).astype(np.float64)


def calibration_error(scores: Scores, gold: Labels, bins: int = 15) -> float | None:
    """Expected calibration error of P(positive): mean over equally wide bins of |share of positives - mean score|, weighted by the rows in a
    bin (Naeini et al. 2015; Guo et al. 2017, arXiv 1706.04599, with 15 bins)."""
    if not len(scores):
        return None
    number = np.minimum((scores * bins).astype(np.int64), bins - 1)
    rows = np.bincount(number, minlength=bins)
    gaps = np.abs(np.bincount(number, weights=gold, minlength=bins) - np.bincount(number, weights=scores, minlength=bins))
    return float(gaps[rows > 0].sum() / len(scores))


def bootstrap(figures: Figures, n: int, groups: Sequence[str] | None = None, draws: int = 1000, seed: int = 0) -> list[tuple[float, float] | None]:
    """95 % percentile intervals of ``figures`` (a function of row numbers to values) over resamples of ``n`` rows, or of whole ``groups`` of rows
    where rows of one group are not independent (Efron and Tibshirani 1993, chapter 13). None where too few resamples have a value, and where all
    rows are of one group: it can only be drawn as it is, which says nothing of others."""
    rng = np.random.default_rng(seed)
    members = _members(groups) if groups is not None else None
    if members is not None and len(members) == 1:
        return [None for _ in figures(np.arange(n))]
    found: list[list[float]] = []
    for _ in range(draws):
        if members is None:
            values = figures(rng.integers(0, n, n))
        else:
            values = figures(np.concatenate([members[i] for i in rng.integers(0, len(members), len(members))]))
        found += [[] for _ in range(len(values) - len(found))]
        for kept, value in zip(found, values, strict=True):
            if value is not None:
                kept.append(value)
    return [_percentiles(kept) if len(kept) >= draws * 0.9 else None for kept in found]


def _percentiles(values: Sequence[float]) -> tuple[float, float]:
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def _members(groups: Sequence[str]) -> list[NDArray[np.int64]]:
    numbers: dict[str, list[int]] = {}
    for i, name in enumerate(groups):
        numbers.setdefault(name, []).append(i)
    return [np.array(rows) for rows in numbers.values()]


def estimates(
    shown: Sequence[Figure], figures: Figures, n: int, *, n_failed: int = 0, groups: Sequence[str] | None = None, draws: int = 1000
) -> dict[str, Metric]:
    """``figures`` over all rows, each a Metric by its name in ``shown``, with its bootstrap interval and the number of rows in its denominator.

    A figure of nothing has value None. Where the draws agree there is no variance to draw from, and the interval is as wide as Wilson's for none of
    the rows, or groups of rows, that the figure rests on: no error seen in a few is no proof of none. One group gives no interval.
    """
    values = list(figures(np.arange(n))) if n else [None] * len(shown)
    spreads = bootstrap(figures, n, groups, draws) if n else [None] * len(shown)
    found = {}
    for figure, value, spread in zip(shown, values, spreads, strict=True):
        low, high, method = _interval(figure, value, spread, n, groups)
        of = n if figure.of is None else int(figure.of.sum())
        found[figure.name] = Metric(name=figure.name, value=value, low=low, high=high, n=of, n_failed=n_failed, method=method)
    return found


def _interval(
    figure: Figure, value: float | None, spread: tuple[float, float] | None, n: int, groups: Sequence[str] | None
) -> tuple[float | None, float | None, str]:
    """Both ends, and how they were made."""
    over = "rows" if groups is None else "groups"
    method = f"bootstrap95 over {over}"
    if value is None or spread is None:
        return None, None, method
    low, high = min(spread[0], value), max(spread[1], value)
    if high - low > SAME:
        return low, high, method
    kinds = figure.rests_on or (np.ones(n, dtype=bool) if figure.of is None else figure.of,)
    units = min(int(rows.sum()) if groups is None else len({groups[i] for i in np.nonzero(rows)[0].tolist()}) for rows in kinds)
    if units < 2:
        return None, None, f"{method}; too few to draw from"
    ends = no_variance(value, units, figure.bounds, 0.95)
    return ends.low, ends.high, f"{method}; all draws agree, so Wilson's for none of {units} {over}"
