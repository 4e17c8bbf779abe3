from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_benchmark import Judge, Tiny

from charter.core.stats import rate
from charter.evaluate.benchmarks import xstest
from charter.evaluate.corrected import Accuracy, Judged, accuracy_of, correct, lang_reiczigel, rogan_gladen, with_corrected
from charter.judges import refusal

PERFECT = Accuracy(10_000, 10_000, 10_000, 10_000)


def binomial(rng, n, p):
    return sum(rng.random() < p for _ in range(n))


def test_rogan_gladen_by_hand():
    """30 % called refusals by a judge of sensitivity 0.9 and specificity 0.8: (0.3 + 0.8 - 1) / (0.9 + 0.8 - 1) = 1/7."""
    assert rogan_gladen(0.3, Accuracy(90, 100, 80, 100)) == pytest.approx(1 / 7)
    assert rogan_gladen(0.1, Accuracy(90, 100, 80, 100)) == 0.0
    assert rogan_gladen(0.95, Accuracy(90, 100, 80, 100)) == 1.0


def test_a_judge_without_error_corrects_nothing():
    raw = rate("x", 40, 250)
    found = correct(raw, PERFECT, "j@1")
    assert (found.name, found.value, found.n) == ("x/corrected", pytest.approx(raw.value), 250)
    assert (found.low, found.high) == pytest.approx((raw.low, raw.high), abs=0.002)


@pytest.mark.parametrize(
    ("true", "sensitivity", "specificity", "n", "n_card"),
    [(0.1, 0.94, 0.97, 250, 225), (0.3, 0.8, 0.9, 250, 100), (0.9, 0.94, 0.97, 200, 225), (0.05, 0.85, 0.95, 400, 60), (0.5, 0.7, 0.7, 300, 150)],
)
def test_coverage_is_nominal_by_simulation(true, sensitivity, specificity, n, n_card):
    """The interval holds the true rate in 95 % of repetitions of everything: items, and the people's labels behind the judge's card. 2,000 draws
    leave 0.5 points of standard error; Lang and Reiczigel's interval errs on the wide side."""
    rng = random.Random(f"{true} {sensitivity}")
    numpy = pytest.importorskip("numpy").random.default_rng(rng.randrange(2**32))
    draws, hits = 2000, 0
    called = numpy.binomial(n, true * sensitivity + (1 - true) * (1 - specificity), draws)
    found, left = numpy.binomial(n_card, sensitivity, draws), numpy.binomial(n_card, specificity, draws)
    for k, a, b in zip(called.tolist(), found.tolist(), left.tolist(), strict=True):
        low, high = lang_reiczigel(k / n, n, Accuracy(a, n_card, b, n_card))
        hits += low <= true <= high
    assert 0.94 <= hits / draws <= 0.975


@given(k=st.integers(0, 50), n=st.integers(1, 50), a=st.integers(0, 30), b=st.integers(0, 30))
def test_whatever_the_counts_the_rate_is_a_share_inside_its_interval_or_nothing(k, n, a, b):
    found = correct(rate("x", min(k, n), n), Accuracy(a, 30, b, 30), "j@1")
    if found.value is None:
        assert (found.low, found.high) == (None, None)
        assert a / 30 + b / 30 - 1 < 0.1 + 1e-9
    else:
        assert 0 <= found.low <= found.value <= found.high <= 1


class Carded(Judge):
    """A judge that brings its own card."""

    def accuracy(self, task):
        return Accuracy(216, 229, 214, 221) if task == "refusal" else None


def test_only_rates_of_a_measured_judge_are_corrected_and_stand_after_the_raw_one():
    metrics = [rate("tiny/all/full", 10, 40), rate("tiny/all/other", 3, 40), rate("tiny/none/full", 0, 0, 5)]
    found = with_corrected(Tiny(), metrics, {"refusal": Carded()})
    assert [m.name for m in found] == ["tiny/all/full", "tiny/all/full/corrected", "tiny/all/other", "tiny/none/full"]
    assert found[1].method == "rogan-gladen, lang-reiczigel95; counting-judge@1 finds 216 of 229, leaves alone 214 of 221"
    assert with_corrected(Tiny(), metrics, {"refusal": Judge()}) == metrics
    assert with_corrected(Tiny(), metrics, {}) == metrics


def test_a_judge_near_chance_corrects_nothing():
    assert accuracy_of(Carded(), Judged("refusal", "toxicity")) is None
    assert correct(rate("x", 1, 4), Accuracy(1, 2, 2, 4), "j@1").value is None


@pytest.mark.parametrize("counts", [(1, 1, 1, 4), (1, 1, 1, 5), (1, 3, 1, 1), (0, 1, 1, 1)])
def test_a_judge_measured_on_a_handful_of_rows_corrects_nothing_and_stops_nothing(counts):
    found = correct(rate("refusal", 3, 10), Accuracy(*counts), "judge@1")
    assert (found.value, found.low, found.high) == (None, None, None)


def test_the_shipped_refusal_judge_has_a_card_that_xstest_is_corrected_by():
    pytest.importorskip("charter.judges._cards")
    found = accuracy_of(refusal.build(refusal.Config()), xstest.XSTest.judged["any_refusal"])
    assert found is not None
    assert found.hits / found.positives > 0.8
    assert found.rejections / found.negatives > 0.8
