"""Statistics against published numbers, and the properties every interval must have."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from charter.core.stats import Z95, cohen_kappa, holm, mcnemar_exact, paired_difference, rate, wilson

COUNTS = st.integers(0, 400)
#: Newcombe 1998, Statistics in Medicine 17:857, table I, method 3: (k, n, low, high)
WILSON = [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)]
#: Newcombe 1998, Statistics in Medicine 17:2635, table III, method 10: (e, f, g, h, low, high) of (f - g) / n
PAIRED = [
    (36, 12, 2, 0, 0.0569, 0.3404),
    (20, 12, 2, 16, 0.0562, 0.3292),
    (18, 12, 2, 18, 0.0562, 0.3290),
    (36, 14, 0, 0, 0.1528, 0.4167),
    (35, 14, 0, 1, 0.1461, 0.4175),
    (18, 14, 0, 18, 0.1441, 0.3963),
    (2, 97, 1, 0, 0.8721, 0.9854),
    (1, 97, 1, 1, 0.8736, 0.9850),
    (0, 29, 1, 0, 0.6666, 0.9882),
    (2, 98, 0, 0, 0.9178, 0.9945),
    (1, 98, 0, 1, 0.9171, 0.9916),
    (0, 30, 0, 0, 0.8395, 1.0),
    (54, 0, 0, 0, -0.0664, 0.0664),
    (53, 0, 0, 1, -0.0729, 0.0729),
    (30, 0, 0, 24, -0.0358, 0.0358),
    (29, 0, 0, 25, -0.0354, 0.0354),
    (28, 0, 0, 26, -0.0352, 0.0352),
    (27, 0, 0, 27, -0.0351, 0.0351),
]


@pytest.mark.parametrize(("k", "n", "low", "high"), WILSON)
def test_wilson_is_as_published(k: int, n: int, low: float, high: float) -> None:
    assert wilson(k, n) == pytest.approx((low, high), abs=5e-5)


@settings(deadline=None)
@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_its_estimate_and_mirrors(kn: tuple[int, int]) -> None:
    k, n = kn
    low, high = wilson(k, n)
    assert 0.0 <= low <= k / n <= high <= 1.0
    assert low < high
    assert wilson(n - k, n) == pytest.approx((1 - high, 1 - low), abs=1e-12)
    assert wilson(k, n, 2.5758)[0] <= low


def test_wilson_is_scipys() -> None:
    for k, n in ((0, 1), (1, 1), (3, 7), (450, 450), (17, 1000)):
        theirs = scipy_stats.binomtest(k, n).proportion_ci(method="wilson")
        assert wilson(k, n) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    assert abs(Z95 - scipy_stats.norm.ppf(0.975)) < 1e-15


@pytest.mark.parametrize(("k", "n"), [(0, 0), (-1, 5), (6, 5), (1, -1)])
def test_a_share_of_nothing_is_not_a_number(k: int, n: int) -> None:
    with pytest.raises(ValueError, match="wilson needs"):
        wilson(k, n)


def test_a_rate_carries_its_denominators() -> None:
    metric = rate("refusal", 15, 148, n_failed=3)
    assert (metric.value, metric.n, metric.n_failed, metric.method) == (15 / 148, 148, 3, "wilson95")
    assert (metric.low, metric.high) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    nothing = rate("refusal", 0, 0, n_failed=9)
    assert (nothing.value, nothing.low, nothing.high, nothing.n, nothing.n_failed) == (None, None, None, 0, 9)


@pytest.mark.parametrize(("e", "f", "g", "h", "low", "high"), PAIRED)
def test_newcombes_paired_interval_is_as_published(e: int, f: int, g: int, h: int, low: float, high: float) -> None:
    found = paired_difference(e, b=g, c=f, neither=h)
    assert found.difference == pytest.approx((f - g) / (e + f + g + h))
    # the paper prints 0.87367 as 0.8736: it cuts there, so one unit of the last digit is allowed
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-4)


def test_the_paired_example_of_fagerland_2014() -> None:
    """Airway hyper-responsiveness before and after transplantation (Fagerland, Lydersen and Laake 2014, tables 2 and 5)."""
    found = paired_difference(1, b=7, c=1, neither=12)
    assert (found.low, found.high) == pytest.approx((-0.507, -0.026), abs=5e-4)
    assert found.p == pytest.approx(0.0703, abs=5e-5)
    assert (found.n, found.b, found.c) == (21, 7, 1)


@settings(deadline=None)
@given(COUNTS, COUNTS, COUNTS, COUNTS)
def test_paired_intervals_hold_their_estimate_and_swapping_flips_the_sign(both: int, b: int, c: int, neither: int) -> None:
    if both + b + c + neither == 0:
        return
    found, swapped = paired_difference(both, b, c, neither), paired_difference(both, c, b, neither)
    assert -1.0 <= found.low <= found.difference <= found.high <= 1.0
    assert (swapped.difference, swapped.low, swapped.high) == pytest.approx((-found.difference, -found.high, -found.low), abs=1e-12)
    assert swapped.p == found.p
    # what is called yes and what no must not matter either, but for the sign
    turned = paired_difference(neither, c, b, both)
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low), abs=1e-12)


def test_no_pairs_at_all_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one item"):
        paired_difference(0, 0, 0, 0)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 120), st.integers(0, 120))
def test_mcnemar_is_the_exact_binomial_test(b: int, c: int) -> None:
    assert mcnemar_exact(b, c) == mcnemar_exact(c, b)
    if b + c:
        assert mcnemar_exact(b, c) == pytest.approx(scipy_stats.binomtest(b, b + c, 0.5).pvalue, rel=1e-9)
    else:
        assert mcnemar_exact(b, c) == 1.0


def test_mcnemar_stays_finite_for_many_changes_and_refuses_negative_counts() -> None:
    assert mcnemar_exact(2000, 2000) == 1.0
    assert 0.0 <= mcnemar_exact(0, 1074) < 1e-300
    with pytest.raises(ValueError, match=">= 0"):
        mcnemar_exact(-1, 2)


def labels(table: dict[tuple[str, str], int]) -> tuple[list[str], list[str]]:
    pairs = [pair for pair, n in table.items() for _ in range(n)]
    return [a for a, _ in pairs], [b for _, b in pairs]


def test_kappa_is_as_published() -> None:
    """Cohen 1960, table 1: agreement 0.29, chance 0.35, n = 200."""
    cells = [[50, 26, 24], [24, 4, 32], [6, 30, 4]]
    a, b = labels({(str(i), str(j)): n for i, row in enumerate(cells) for j, n in enumerate(row)})
    assert cohen_kappa(a, b) == pytest.approx((58 - 70) / (200 - 70))
    assert cohen_kappa(*labels({("y", "y"): 20, ("y", "n"): 5, ("n", "y"): 10, ("n", "n"): 15})) == pytest.approx(0.4)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=1, max_size=40))
def test_kappa_ignores_who_is_first_and_what_labels_are_called(pairs: list[tuple[str, str]]) -> None:
    a, b = [x for x, _ in pairs], [y for _, y in pairs]
    found = cohen_kappa(a, b)
    if math.isnan(found):
        assert len({*a, *b}) == 1
        return
    assert -1.0 <= found <= 1.0 + 1e-12
    assert cohen_kappa(b, a) == pytest.approx(found)
    assert cohen_kappa([x * 2 for x in a], [y * 2 for y in b]) == pytest.approx(found)
    if len(set(a)) > 1:
        assert cohen_kappa(a, a) == pytest.approx(1.0)


@pytest.mark.parametrize(("a", "b"), [([], []), (["x"], []), (["x"], ["x", "y"])])
def test_kappa_needs_two_lists_of_one_length(a: list[str], b: list[str]) -> None:
    with pytest.raises(ValueError, match="same length"):
        cohen_kappa(a, b)


def test_statsmodels_agrees_on_wilson_mcnemar_and_holm() -> None:
    statsmodels = pytest.importorskip("statsmodels", reason="statsmodels is not installed: pip install '.[dev]'")
    from statsmodels.stats.contingency_tables import mcnemar
    from statsmodels.stats.multitest import multipletests
    from statsmodels.stats.proportion import proportion_confint

    assert statsmodels
    for k, n in ((0, 200), (1, 200), (5, 320), (20, 250), (250, 250), (1, 3)):
        assert wilson(k, n) == pytest.approx(proportion_confint(k, n, method="wilson"), abs=1e-12)
    for b, c in ((80, 5), (0, 43), (38, 11), (35, 9), (1, 0), (6, 6)):
        assert mcnemar_exact(b, c) == pytest.approx(mcnemar([[7, b], [c, 9]], exact=True).pvalue, rel=1e-9)
    p = [0.01, 0.04, 0.03, 0.005, 0.9, 0.03]
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])


def test_holm_is_as_published() -> None:
    """Holm 1979, Scandinavian Journal of Statistics 6:65, in adjusted form: the smallest times m, the next times m - 1, never falling."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.02, math.nan, 0.5])[::2] == pytest.approx([0.04, 0.5])
    assert math.isnan(holm([0.02, math.nan])[1])
    with pytest.raises(ValueError, match="from 0 to 1"):
        holm([0.2, 1.2])


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), max_size=30))
def test_holm_never_lowers_a_p_and_keeps_their_order(p: list[float]) -> None:
    adjusted = holm(p)
    assert all(a >= q for a, q in zip(adjusted, p, strict=True))
    assert all(a <= 1 for a in adjusted)
    by_p = [a for _, a in sorted(zip(p, adjusted, strict=True))]
    assert by_p == sorted(by_p)
