"""Resampled intervals: they cover what they say, agree with what is known in closed form, and admit what they cannot tell."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from charter.core.resampling import Estimate, cluster_bootstrap, grouped_jackknife, paired_bootstrap, points_only, ratio, trend
from charter.core.stats import holm, mcnemar_exact, paired_difference, wilson

SCORES = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=40)


def coverage(make: Callable[[np.random.Generator], Estimate | tuple[float, float]], truth: float, runs: int) -> float:
    """Share of ``runs`` simulated experiments whose interval holds ``truth``."""
    hits = 0
    for number in range(runs):
        found = make(np.random.default_rng(number))
        low, high = (found.low, found.high) if isinstance(found, Estimate) else found
        hits += low <= truth <= high
    return hits / runs


def few_changes(n: int) -> Callable[[np.random.Generator], Estimate]:
    """Items right or wrong before and after; 10 % get better, 4 % worse. (With ten changed items or fewer no interval can hit 95 %: counts are
    too coarse. ``paired_difference`` is for those.)"""
    return lambda rng: paired_bootstrap(np.zeros(n), rng.choice([-1, 1, 0], n, p=[0.10, 0.04, 0.86]), seed=1, draws=999)


def skewed_scores(n: int) -> Callable[[np.random.Generator], Estimate]:
    """Scores from 0 to 1, most of them low, moved down by a quarter of themselves, give or take: the mean moves from 2/9 to 1/6."""

    def run(rng: np.random.Generator) -> Estimate:
        before = rng.beta(1, 3.5, n)
        return paired_bootstrap(before, before * rng.uniform(0.5, 1.0, n), seed=1, draws=999)

    return run


def templates(count: int) -> Callable[[np.random.Generator], Estimate]:
    """A rate of 0.3 over templates of 4 to 15 items that resemble each other (intraclass correlation 0.2)."""

    def run(rng: np.random.Generator) -> Estimate:
        items = rng.integers(4, 16, count)
        return cluster_bootstrap(np.stack([rng.binomial(items, rng.beta(1.2, 2.8, count)), items], 1), ratio, bounds=(0, 1), seed=1, draws=999)

    return run


def bias_product(totals: np.ndarray) -> np.ndarray:
    """(1 - accuracy) * (2 biased / wrong - 1): the shape of BBQ's score for ambiguous contexts."""
    return (1 - totals[..., 2] / totals[..., 3]) * (2 * totals[..., 0] / totals[..., 1] - 1)


def bias(count: int) -> Callable[[np.random.Generator], Estimate]:
    def run(rng: np.random.Generator) -> Estimate:
        wrong = 8 - rng.binomial(8, rng.beta(4, 4, count))
        totals = np.stack([rng.binomial(wrong, rng.beta(6, 4, count)), wrong, 8 - wrong, np.full(count, 8)], 1)
        return cluster_bootstrap(totals, bias_product, bounds=(-1, 1), seed=1, draws=999)

    return run


def falling(n: int) -> Callable[[np.random.Generator], Estimate]:
    """Four checkpoints; each item's chance of going wrong falls by 0.1 from one to the next, from a level of its own."""

    def run(rng: np.random.Generator) -> Estimate:
        chance = rng.uniform(0.35, 0.95, (n, 1)) - 0.1 * np.arange(4)
        return trend((rng.random((n, 4)) < chance).astype(float), [0, 1, 2, 3], seed=1, draws=999)

    return run


def grouped(n: int) -> Callable[[np.random.Generator], Estimate]:
    def run(rng: np.random.Generator) -> Estimate:
        values = rng.beta(2, 5, n)
        group = rng.permutation(np.arange(n) % 40)
        return grouped_jackknife(values.mean(), [values[group != g].mean() for g in range(40)], bounds=(0, 1))

    return run


def mostly_low(n: int) -> Callable[[np.random.Generator], Estimate]:
    """Scores with a few high ones: beta(0.3, 3)."""
    return lambda rng: cluster_bootstrap(np.stack([rng.beta(0.3, 3, n), np.ones(n)], 1), ratio, bounds=(0, 1), seed=1, draws=999)


DESIGNS = {
    "mostly low scores, 20 items": (mostly_low(20), 1 / 11),
    "few changes, 250 items": (few_changes(250), -0.06),
    "skewed scores, 100 items": (skewed_scores(100), -1 / 18),
    "templates, 50": (templates(50), 0.3),
    "bias score, 50 templates": (bias(50), 0.1),
    "trend, 100 items": (falling(100), -0.1),
    "jackknife, 200 items": (grouped(200), 2 / 7),
}


@pytest.mark.parametrize("name", ["skewed scores, 100 items", "templates, 50"])
def test_intervals_cover_roughly(name: str) -> None:
    """Quick form of the slow test below: 400 runs have a standard error of 1.1 points."""
    make, truth = DESIGNS[name]
    assert coverage(make, truth, 400) == pytest.approx(0.95, abs=0.033)


@pytest.mark.slow
@pytest.mark.parametrize("name", DESIGNS)
def test_intervals_cover_within_a_point(name: str) -> None:
    """6,000 runs have a standard error of 0.28 points."""
    make, truth = DESIGNS[name]
    assert coverage(make, truth, 6000) == pytest.approx(0.95, abs=0.01)


@pytest.mark.parametrize("n", [100, 250, 450])
def test_wilson_and_newcombe_cover_within_a_point(n: int) -> None:
    """Exact for Wilson: summed over all counts, averaged over shares from 0.02 to 0.98 (at one share a discrete count cannot hit 95 %)."""
    shares = np.linspace(0.02, 0.98, 97)
    intervals = np.array([wilson(k, n) for k in range(n + 1)])
    held = (intervals[:, 0, None] <= shares) & (shares <= intervals[:, 1, None])
    mass = scipy_stats.binom.pmf(np.arange(n + 1)[:, None], n, shares)
    assert float((held * mass).sum(0).mean()) == pytest.approx(0.95, abs=0.01)

    rng, hits, runs = np.random.default_rng(n), 0, 3000
    for _ in range(runs):
        both, b, c = rng.dirichlet([2, 1, 1, 2])[:3]
        found = paired_difference(*rng.multinomial(n, [both, b, c, 1 - both - b - c]).tolist())
        hits += found.low <= c - b <= found.high
    assert hits / runs == pytest.approx(0.95, abs=0.012)  # 0.4 points are the simulation's own error


def test_a_false_alarm_is_as_rare_as_alpha() -> None:
    """Nothing changed: p below 0.05 in about 5 % of runs; Holm over five such tests rejects anything in about 5 %."""
    alarms = family = 0
    for number in range(200):
        rng = np.random.default_rng(number)
        before = rng.random((5, 60))
        p = [paired_bootstrap(row, row + rng.normal(0, 0.05, 60), seed=1, draws=299).p for row in before]
        alarms += sum(value < 0.05 for value in p)
        family += min(holm(p)) < 0.05
    assert alarms / 1000 == pytest.approx(0.05, abs=0.02)
    assert family / 200 < 0.1


@settings(max_examples=40)
@given(SCORES)
def test_swapping_before_and_after_flips_the_sign(pairs: list[tuple[float, float]]) -> None:
    before, after = zip(*pairs, strict=True)
    found, swapped = (paired_bootstrap(*both, seed=3, draws=199) for both in ((before, after), (after, before)))
    assert swapped.value == pytest.approx(-found.value, abs=1e-12)
    assert -1 <= found.low <= found.value + 1e-12
    assert found.value - 1e-12 <= found.high <= 1
    assert 0 < found.p <= 1


@settings(max_examples=40)
@given(SCORES)
@example([(0.0, 1e-110), (0.0, 0.0)])
@example([(0.0, 5e-324), (0.0, 0.0)])
def test_the_interval_leaves_out_0_where_p_is_below_the_level(pairs: list[tuple[float, float]]) -> None:
    found = paired_bootstrap(*zip(*pairs, strict=True), seed=3, draws=199)
    if len({after - before for before, after in pairs}) > 1 and abs(found.p - 0.05) > 0.02:
        assert (found.p < 0.05) == (not found.low <= 0 <= found.high)


def test_the_same_seed_gives_the_same_numbers_and_rows_may_come_in_any_order() -> None:
    rng = np.random.default_rng(5)
    before, after = rng.random(60), rng.random(60)
    order = rng.permutation(60)
    first = paired_bootstrap(before, after, seed=9)
    assert paired_bootstrap(before, after, seed=9) == first
    assert paired_bootstrap(before[order], after[order], seed=9) == pytest.approx(first)
    assert paired_bootstrap(before, after, seed=10) != first


def test_many_items_agree_with_students_t_and_with_scipys_bootstrap() -> None:
    rng = np.random.default_rng(2)
    change = rng.normal(0.02, 0.2, 1000)
    found = paired_bootstrap(np.zeros(1000), change, seed=1)
    theirs = scipy_stats.ttest_1samp(change, 0)
    interval = theirs.confidence_interval()
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), abs=5e-4)
    assert found.p == pytest.approx(theirs.pvalue, rel=0.2, abs=1e-3)
    percentile = scipy_stats.bootstrap((change,), np.mean, n_resamples=2000, rng=rng).confidence_interval
    assert (found.low, found.high) == pytest.approx((percentile.low, percentile.high), abs=2e-3)


def test_a_tail_beyond_the_draws_is_still_told_apart() -> None:
    """With 9,999 draws p could not fall below 1e-4, and Holm over a thousand metrics would reject nothing."""
    change = np.random.default_rng(2).normal(0.2, 0.2, 500)
    found = paired_bootstrap(np.zeros(500), change, seed=1)
    assert 0 < found.p < 1e-20


def test_clusters_widen_the_interval_and_equal_a_bootstrap_of_their_means() -> None:
    rng = np.random.default_rng(4)
    means = rng.normal(0.1, 0.1, 30)
    values, names = np.repeat(means, 10), np.repeat(np.arange(30), 10).tolist()
    alone = paired_bootstrap(np.zeros(300), values, seed=1)
    together = paired_bootstrap(np.zeros(300), values, names, seed=1)
    assert together.n_clusters == 30
    assert together.high - together.low > 2.5 * (alone.high - alone.low)
    assert together == pytest.approx(paired_bootstrap(np.zeros(30), means, seed=1))


def test_no_change_seen_in_few_items_is_no_proof_of_none() -> None:
    found = paired_bootstrap([0.0] * 54, [0.0] * 54, seed=1)
    assert (found.value, found.p) == (0.0, 1.0)
    assert (found.low, found.high) == pytest.approx((-0.0664, 0.0664), abs=5e-5)  # Newcombe 1998, table III, 54 0 0 0
    worse = paired_bootstrap([0.0] * 5, [1.0] * 5, seed=1)
    assert (worse.value, worse.high) == (1.0, 1.0)
    assert worse.low < 0.5
    assert worse.p == pytest.approx(mcnemar_exact(0, 5))


def test_one_cluster_or_an_undefined_statistic_tells_nothing() -> None:
    alone = paired_bootstrap([0.1, 0.2, 0.4], [0.3, 0.2, 0.9], ["t", "t", "t"], seed=1)
    assert alone.value == pytest.approx(0.7 / 3)
    assert all(math.isnan(x) for x in (alone.low, alone.high, alone.p))
    undefined = cluster_bootstrap([[0, 0], [0, 0]], ratio, bounds=(0, 1), seed=1)
    assert all(math.isnan(x) for x in (undefined.value, undefined.low, undefined.high, undefined.p))


def test_templates_without_any_answer_that_counts_prove_nothing() -> None:
    """One of six templates carries every answer that counts: that is one cluster, not six; with two, a tenth of all draws are undefined."""
    alone = cluster_bootstrap([[3, 4], *[[0, 0]] * 5], ratio, bounds=(0, 1), seed=1)
    assert (alone.value, alone.n_clusters) == (0.75, 1)
    assert alone.low < 0.2
    two = cluster_bootstrap([[3, 4], [1, 4], *[[0, 0]] * 4], ratio, bounds=(0, 1), seed=1)
    assert (two.value, two.low, two.high) == (0.5, 0.0, 1.0)


@pytest.mark.parametrize("totals", [np.zeros((0, 2)), [1.0, 2.0], [[1.0, math.nan]]])
def test_a_table_that_is_none_is_refused(totals: object) -> None:
    with pytest.raises(ValueError, match="cluster_bootstrap needs"):
        cluster_bootstrap(totals, ratio, bounds=(0, 1), seed=1)  # type: ignore[arg-type]


def test_lists_that_do_not_match_are_refused() -> None:
    with pytest.raises(ValueError, match="two lists of one length"):
        paired_bootstrap([0.1], [0.1, 0.2], seed=1)
    with pytest.raises(ValueError, match="2 items have 1 clusters"):
        paired_bootstrap([0.1, 0.2], [0.1, 0.2], ["a"], seed=1)
    with pytest.raises(ValueError, match="two different checkpoints"):
        trend([[0.0, 1.0]], [3, 3], seed=1)
    with pytest.raises(ValueError, match="items x 2"):
        trend([[0.0, 1.0, 1.0]], [0, 1], seed=1)


def test_a_trend_over_two_checkpoints_is_their_difference() -> None:
    rng = np.random.default_rng(6)
    values = (rng.random((120, 2)) < [0.6, 0.4]).astype(float)
    assert trend(values, [0, 1], seed=1) == pytest.approx(paired_bootstrap(values[:, 0], values[:, 1], seed=1))
    per_thousand_steps = trend(values, [0, 1000], seed=1)
    assert per_thousand_steps.value == pytest.approx(trend(values, [0, 1], seed=1).value / 1000)
    assert per_thousand_steps.p == pytest.approx(trend(values, [0, 1], seed=1).p)


def test_a_jackknife_over_single_items_is_the_t_interval() -> None:
    values = np.random.default_rng(8).random(25)
    found = grouped_jackknife(values.mean(), [np.delete(values, i).mean() for i in range(25)], bounds=(0, 1))
    theirs = scipy_stats.ttest_1samp(values, 0)
    assert (found.low, found.high) == pytest.approx(tuple(theirs.confidence_interval()))
    assert found.p == pytest.approx(theirs.pvalue)
    assert math.isnan(grouped_jackknife(0.5, [0.5, math.nan], bounds=(0, 1)).low)
    assert math.isnan(grouped_jackknife(0.5, [0.5], bounds=(0, 1)).low)


def test_points_only_gives_the_same_numbers_without_their_errors():
    rows = [(float(n % 3), 1.0) for n in range(30)]
    whole = cluster_bootstrap(rows, ratio, bounds=(0, 2), seed=0)
    with points_only():
        point = cluster_bootstrap(rows, ratio, bounds=(0, 2), seed=0)
    assert point.value == whole.value
    assert math.isnan(point.low)
    assert not math.isnan(cluster_bootstrap(rows, ratio, bounds=(0, 2), seed=0).low), "only inside"
