"""Rates corrected for the measured error of the judge, beside the raw ones.

A judge that finds 94 % of the refusals and calls 3 % of the rest refusals reports another rate than the true one. Rogan and Gladen (1978, American
Journal of Epidemiology 107:71): true = (raw + specificity - 1) / (sensitivity + specificity - 1). The interval is that of Lang and Reiczigel (2014,
Preventive Veterinary Medicine 113:13, equations 6, 7, 16, 17): it carries the uncertainty of all three shares.

It holds as far as the judge errs here as often as where it was measured. A benchmark says which of its rates one judge decides in an attribute
``judged``: last part of the metric's name, with or without the ``[judge]`` at its end -> ``Judged``. A rate that several judges decided is not
corrected.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

from charter.core.rows import Metric
from charter.core.shapes import Judge
from charter.core.stats import Z95, Interval
from charter.evaluate.benchmark import Benchmark
from charter.judges._judging import name_of

#: A judge whose sensitivity + specificity - 1 (Youden's J) is below this, or was measured on too few
#: rows to tell, says too little to be corrected for.
MIN_YOUDEN = 0.1


class Judged(NamedTuple):
    """Which judge decides a rate, and where its error on such replies is written: a task of its card, and the judge sets that are most like the
    benchmark (() = all that people labelled). ``cut``: the rate counts a verdict that is unsure by its score at one half, so the error must, too."""

    role: str
    task: str
    judge_sets: tuple[str, ...] = ()
    cut: bool = False


class Accuracy(NamedTuple):
    """How often a judge was right where people had decided: of ``positives`` it found ``hits``, of ``negatives`` it left ``rejections`` alone."""

    hits: int
    positives: int
    rejections: int
    negatives: int


@runtime_checkable
class Carded(Protocol):
    """A judge that knows its own error."""

    def accuracy(self, task: str) -> Accuracy | None: ...


def accuracy_of(judge: Judge, judged: Judged, cards: Sequence[Path] = ()) -> Accuracy | None:
    """The measured error of ``judge``, from itself or from its card in one of the folders ``cards`` or in the package; None if it was not measured.
    Raises InputError for a card that cannot be read."""
    if isinstance(judge, Carded):
        return judge.accuracy(judged.task)
    from charter.judges._card_files import card_of

    card = card_of(judge, cards)
    rates = card.rates(judged.task, judged.judge_sets, judged.cut) if card is not None else None
    if rates is None or rates.sensitivity.value is None or rates.specificity.value is None:
        return None
    (sensitivity, positives), (specificity, negatives) = (
        (rates.sensitivity.value, rates.sensitivity.n),
        (rates.specificity.value, rates.specificity.n),
    )
    return Accuracy(round(sensitivity * positives), positives, round(specificity * negatives), negatives)


def with_corrected(benchmark: Benchmark, metrics: Iterable[Metric], judges: Mapping[str, Judge], cards: Sequence[Path] = ()) -> list[Metric]:
    """``metrics``, with ``<name>/corrected`` after every rate that one measured judge decided. ``cards``: folders with cards of judges."""
    judged: Mapping[str, Judged] = getattr(benchmark, "judged", {})
    known: dict[Judged, Accuracy | None] = {}
    found = []
    for metric in metrics:
        found.append(metric)
        what = _judged(judged, metric.name.rpartition("/")[2], judges)
        judge = judges.get(what.role) if what is not None else None
        if what is None or judge is None or metric.value is None:
            continue
        if what not in known:
            known[what] = accuracy_of(judge, what, cards)
        if (accuracy := known[what]) is not None:
            found.append(correct(metric, accuracy, name_of(judge)))
    return found


def is_corrected(name: str) -> bool:
    """Whether a metric is the corrected form of another, under an attack or not, named with settings or not."""
    name = name.partition(" {")[0]
    return name.endswith("/corrected") or "/corrected+" in name


def _judged(judged: Mapping[str, Judged], last: str, judges: Mapping[str, Judge]) -> Judged | None:
    if last in judged:
        return judged[last]
    rate, _, by = last.partition("[")
    what = judged.get(rate)
    return what if what is not None and what.role in judges and by == f"{judges[what.role].name}]" else None


def correct(metric: Metric, accuracy: Accuracy, judge: str) -> Metric:
    """The corrected rate; None where the judge is so near chance that nothing can be said."""
    said = f"{judge} finds {accuracy.hits} of {accuracy.positives}, leaves alone {accuracy.rejections} of {accuracy.negatives}"
    update: dict[str, object] = {"name": f"{metric.name}/corrected", "method": f"rogan-gladen, lang-reiczigel95; {said}"}
    if metric.value is None or metric.n == 0 or not accuracy.positives or not accuracy.negatives or _youden(accuracy) < MIN_YOUDEN:
        return metric.model_copy(update={**update, "value": None, "low": None, "high": None})
    value = rogan_gladen(metric.value, accuracy)
    low, high = lang_reiczigel(metric.value, metric.n, accuracy)
    return metric.model_copy(update={**update, "value": value, "low": min(low, value), "high": max(high, value)})


def rogan_gladen(rate: float, accuracy: Accuracy) -> float:
    """The true rate behind a judge's ``rate``, within 0 and 1."""
    specificity = accuracy.rejections / accuracy.negatives
    return min(1.0, max(0.0, (rate + specificity - 1) / (accuracy.hits / accuracy.positives + specificity - 1)))


def lang_reiczigel(rate: float, n: int, accuracy: Accuracy, z: float = Z95) -> Interval:
    """Interval for the true rate, with ``rate`` of ``n`` replies and the judge's error all estimated."""
    n_rate, p = n + z * z, (n * rate + z * z / 2) / (n + z * z)
    n_se, n_sp = accuracy.positives + 2, accuracy.negatives + 2
    se, sp = (accuracy.hits + 1) / n_se, (accuracy.rejections + 1) / n_sp
    true = (p + sp - 1) / (se + sp - 1)
    spread_se, spread_sp = se * (1 - se) / n_se, sp * (1 - sp) / n_sp
    shift = 2 * z * z * (true * spread_se - (1 - true) * spread_sp)
    variance = (p * (1 - p) / n_rate + true**2 * spread_se + (1 - true) ** 2 * spread_sp) / (se + sp - 1) ** 2
    half = z * math.sqrt(variance)
    return Interval(min(1.0, max(0.0, true + shift - half)), max(0.0, min(1.0, true + shift + half)))


def _youden(accuracy: Accuracy) -> float:
    """Youden's J as counted, or as the interval counts it (one more of each) where that is less: of a few rows the two differ much."""
    counted = accuracy.hits / accuracy.positives + accuracy.rejections / accuracy.negatives - 1
    return min(counted, (accuracy.hits + 1) / (accuracy.positives + 2) + (accuracy.rejections + 1) / (accuracy.negatives + 2) - 1)
