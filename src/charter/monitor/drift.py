"""Have refusal and compliance rates moved between two windows of labelled replies? Fisher's exact test per rate, Holm over the rates.

Alerts, canaries and live feeds are not here yet (docs/index.md).
"""

from __future__ import annotations

from collections.abc import Sequence

from charter.core.rows import Metric, Row
from charter.core.stats import rate

LABELS = ("full", "partial", "none")


class Shift(Row):
    """One rate in two windows. ``p`` is adjusted (Holm 1979); ``moved`` means p < alpha. None where a window has nothing to count."""

    name: str
    earlier: Metric
    later: Metric
    p: float | None
    moved: bool


def shifts(earlier: Sequence[str], later: Sequence[str], alpha: float = 0.01) -> list[Shift]:
    """Compare two windows of refusal labels (full, partial, none; anything else counts as failed and is left out of the shares)."""
    pairs = [(label, _share(label, earlier), _share(label, later)) for label in LABELS]
    raw = {label: _fisher(a, b) for label, a, b in pairs}
    adjusted = _holm({label: p for label, p in raw.items() if p is not None})
    return [Shift(name=f"share/{label}", earlier=a, later=b, p=adjusted.get(label), moved=adjusted.get(label, 1.0) < alpha) for label, a, b in pairs]


def _share(label: str, labels: Sequence[str]) -> Metric:
    measured = [item for item in labels if item in LABELS]
    return rate(f"share/{label}", measured.count(label), len(measured), len(labels) - len(measured))


def _fisher(a: Metric, b: Metric) -> float | None:
    if a.value is None or b.value is None:
        return None
    from scipy.stats import fisher_exact

    x, y = round(a.value * a.n), round(b.value * b.n)
    return float(fisher_exact([[x, a.n - x], [y, b.n - y]])[1])


def _holm(raw: dict[str, float]) -> dict[str, float]:
    out: dict[str, float] = {}
    highest = 0.0
    for rank, (label, p) in enumerate(sorted(raw.items(), key=lambda item: item[1])):
        highest = max(highest, min(1.0, p * (len(raw) - rank)))
        out[label] = highest
    return out
