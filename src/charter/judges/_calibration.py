"""From a head's raw number to a probability, and from probabilities to operating points.

Temperature scaling (Guo et al. 2017, arXiv:1706.04599) with a bias, or isotonic regression (Zadrozny and Elkan 2002) where that is better on
held-out folds; expected calibration error over equal-width bins (Naeini et al. 2015). Numpy alone.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


#: Raw numbers over which an isotonic scale goes on outside its blocks.
BEYOND = 10.0


def sigmoid(x: Floats) -> Floats:
    out: Floats = 1.0 / (1.0 + np.exp(-np.minimum(np.maximum(x, -30.0), 30.0)))
    return out


class Calibration(NamedTuple):
    """probability = sigmoid(scale * logit + bias), or, where there are knots, linear between them (constant outside)."""

    scale: float = 1.0
    bias: float = 0.0
    knots: tuple[tuple[float, float], ...] = ()

    def __call__(self, logits: Floats) -> Floats:
        if self.knots:
            x, y = np.array(self.knots).T
            between: Floats = np.interp(logits, x, y)
            return between
        return sigmoid(self.scale * logits + self.bias)

    def of(self, logit: float) -> float:
        """The probability of one number, without numpy: a guard asks for one at a time."""
        if not self.knots:
            return 1.0 / (1.0 + math.exp(-min(max(self.scale * logit + self.bias, -30.0), 30.0)))
        right = bisect_right(self.knots, logit, key=itemgetter(0))
        if right in (0, len(self.knots)):
            return self.knots[0][1] if right == 0 else self.knots[-1][1]
        (x, y), (after, above) = self.knots[right - 1], self.knots[right]
        return y + (above - y) / (after - x) * (logit - x)

    def as_json(self) -> dict[str, Any]:
        return {"scale": self.scale, "bias": self.bias, "knots": [list(k) for k in self.knots]}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Calibration:
        return cls(float(data["scale"]), float(data["bias"]), tuple((float(a), float(b)) for a, b in data["knots"]))


def fit_temperature(logits: Floats, labels: Floats, weights: Floats | None = None, steps: int = 60) -> Calibration:
    """Scale and bias of least log-loss, by Newton's method with a small ridge (so that separable data stay finite)."""
    w = np.ones_like(labels) if weights is None else weights
    theta = np.array([1.0, 0.0])
    x = np.stack([logits, np.ones_like(logits)], axis=1)
    for _ in range(steps):
        p = sigmoid(x @ theta)
        gradient = x.T @ (w * (p - labels)) + 1e-2 * (theta - np.array([1.0, 0.0]))
        hessian = (x * (w * p * (1 - p))[:, None]).T @ x + 1e-2 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        theta = theta - np.clip(step, -1.0, 1.0)
        if float(np.abs(step).max()) < 1e-9:
            break
    return Calibration(float(max(theta[0], 1e-3)), float(theta[1]))


def fit_isotonic(logits: Floats, labels: Floats, weights: Floats | None = None) -> Calibration:
    """Pool adjacent violators, equal logits as one from the start; the blocks' means are the knots. Strictly rising by a hair, so that order
    is kept, and on beyond the first and the last block, where texts unlike the held-out ones lie: half way to 0 and to 1."""
    w = np.ones_like(labels) if weights is None else weights
    _, place = np.unique(logits, return_inverse=True)
    each = np.stack([np.bincount(place, part) for part in (w, labels * w, logits * w)], axis=1)
    blocks: list[list[float]] = []  # weight, sum of labels x weight, sum of logits x weight
    for block in each.tolist():
        blocks.append(block)
        while len(blocks) > 1 and blocks[-2][1] / blocks[-2][0] >= blocks[-1][1] / blocks[-1][0]:
            last = blocks.pop()
            blocks[-1] = [a + b for a, b in zip(blocks[-1], last, strict=True)]
    knots = [(s / n, min(0.999, max(0.001, p / n)) + 1e-9 * k) for k, (n, p, s) in enumerate(blocks)]
    (first, low), (last_one, high) = knots[0], knots[-1]
    return Calibration(1.0, 0.0, ((first - BEYOND, low / 2), *knots, (last_one + BEYOND, 1 - (1 - high) / 2)))


def expected_calibration_error(probabilities: Floats, labels: Floats, bins: int = 10, weights: Floats | None = None) -> float:
    """Mean gap between confidence and frequency over equal-width bins, weighted by their rows; 0..1."""
    if len(labels) == 0:
        raise ValueError("calibration of no rows is not a number")
    w = np.ones_like(labels) if weights is None else weights
    place = np.minimum((probabilities * bins).astype(int), bins - 1)
    gap = 0.0
    for b in range(bins):
        inside = place == b
        if w[inside].sum() > 0:
            gap += abs(float((w[inside] * (probabilities[inside] - labels[inside])).sum()))
    return gap / float(w.sum())


def choose(logits: Floats, labels: Floats, folds: int = 5, weights: Floats | None = None) -> tuple[Calibration, float]:
    """Temperature, or isotonic where its error over held-out folds is lower by 0.005 or more; with that error."""
    w = np.ones_like(labels) if weights is None else weights
    fold = np.arange(len(labels)) % folds
    best: tuple[float, Any] | None = None
    for fit, margin in ((fit_temperature, 0.0), (fit_isotonic, 0.005)):
        out = np.zeros_like(labels)
        for f in range(folds):
            rest = fold != f
            out[~rest] = fit(logits[rest], labels[rest], w[rest])(logits[~rest])
        error = expected_calibration_error(out, labels, weights=w)
        if best is None or error + margin < best[0]:
            best = (error, fit)
    assert best is not None
    return best[1](logits, labels, w), best[0]


def threshold_at(negatives: Sequence[float] | Floats, false_alarms: float) -> float:
    """The lowest score at which at most ``false_alarms`` (a share, 0..1) of the harmless scores are at or over it.

    Raises ValueError without harmless scores.
    """
    scores = np.sort(np.asarray(negatives, dtype=np.float64))[::-1]
    if len(scores) == 0:
        raise ValueError("an operating point needs harmless rows")
    allowed = int(np.floor(false_alarms * len(scores)))
    if allowed >= len(scores):
        return float(scores[-1])
    return float(np.nextafter(scores[allowed], np.inf))
