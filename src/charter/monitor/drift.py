"""Have refusal and compliance rates moved between two windows of labelled replies? Fisher's exact test per rate, Holm over the rates.

A baseline that many windows are compared with is looked at many times, and each look may alarm by chance. So say how many ``looks`` there will be:
each then gets an equal part of alpha (Bonferroni; Dunn 1961, Journal of the American Statistical Association 56:52). That holds for looks that depend
on each other, as these do, since they share the baseline. Take a new baseline when they are used up.

Alerts, canaries and live feeds are not here yet (docs/index.md).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from charter.core.rows import Metric, Row
from charter.core.stats import holm, rate

LABELS = ("full", "partial", "none")


class Shift(Row):
    """One rate in two windows. ``p`` is adjusted for the rates (Holm 1979) and the looks; ``moved`` means p < alpha. Both are None where a window has
    nothing to count: whether that rate moved is not known."""

    name: str
    earlier: Metric
    later: Metric
    p: float | None
    moved: bool | None


def shifts(earlier: Sequence[str], later: Sequence[str], alpha: float = 0.01, looks: int = 1) -> list[Shift]:
    """Compare two windows of refusal labels (full, partial, none). Anything else, such as unsure or failed, is left out of their shares and counts as
    unread, which is a rate of its own among all labels: a model whose replies can no longer be read has moved.

    ``looks``: how many windows will be compared with ``earlier`` in all; the chance that any of them alarms falsely is then at most ``alpha``.
    Raises ValueError for an ``alpha`` that is not between 0 and 1 (nothing would ever alarm, or everything), and for looks that are no whole number
    of at least one.
    """
    if isinstance(alpha, bool) or not 0.0 < alpha < 1.0:
        raise ValueError(f"shifts needs an alpha between 0 and 1, got {alpha}")
    if isinstance(looks, bool) or not isinstance(looks, int) or looks < 1:
        raise ValueError(f"shifts needs a whole number of looks, at least one, got {looks}")
    pairs = [(_share(label, earlier), _share(label, later)) for label in LABELS]
    pairs.append((_unread(earlier), _unread(later)))
    adjusted = [None if math.isnan(p) else min(1.0, looks * p) for p in holm([_fisher(a, b) for a, b in pairs])]
    return [Shift(name=a.name, earlier=a, later=b, p=p, moved=None if p is None else p < alpha) for (a, b), p in zip(pairs, adjusted, strict=True)]


def _share(label: str, labels: Sequence[str]) -> Metric:
    measured = [item for item in labels if item in LABELS]
    return rate(f"share/{label}", measured.count(label), len(measured), len(labels) - len(measured))


def _unread(labels: Sequence[str]) -> Metric:
    return rate("share/unread", sum(item not in LABELS for item in labels), len(labels))


def _fisher(a: Metric, b: Metric) -> float:
    """nan where a window has nothing to count."""
    if a.value is None or b.value is None:
        return math.nan
    from scipy.stats import fisher_exact

    x, y = round(a.value * a.n), round(b.value * b.n)
    return min(1.0, float(fisher_exact([[x, a.n - x], [y, b.n - y]])[1]))
