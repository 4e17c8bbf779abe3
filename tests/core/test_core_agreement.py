"""Accuracy figures against scikit-learn, and what they do with nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from charter.core.agreement import Confusion, Figure, auc, average_precision, bootstrap, calibration_error, confusion, estimates, recall_at
from charter.core.stats import wilson

ROWS = st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.500001, 0.9, 1.0]) | st.floats(0, 1), st.booleans()), min_size=4, max_size=60)


def arrays(rows):
    return np.array([s for s, _ in rows], dtype=float), np.array([g for _, g in rows], dtype=bool)


@given(ROWS)
def test_ranking_figures_are_those_of_scikit_learn(rows):
    scores, gold = arrays(rows)
    if gold.all() or not gold.any():
        assert auc(scores, gold) is average_precision(scores, gold) is recall_at(scores, gold, 0.1) is None
        return
    assert auc(scores, gold) == pytest.approx(sk.roc_auc_score(gold, scores), abs=1e-12)
    assert average_precision(scores, gold) == pytest.approx(sk.average_precision_score(gold, scores), abs=1e-12)
    fpr, tpr, _ = sk.roc_curve(gold, scores, drop_intermediate=False)
    for limit in (0.0, 0.05, 0.3, 1.0):
        assert recall_at(scores, gold, limit) == pytest.approx(max(tpr[fpr <= limit + 1e-12]), abs=1e-12)


@given(ROWS)
def test_yes_no_figures_are_those_of_scikit_learn(rows):
    scores, gold = arrays(rows)
    said = scores >= 0.5
    found = confusion(said, gold)
    assert found.n == len(rows)
    assert found.accuracy == pytest.approx(sk.accuracy_score(gold, said))
    expected = sk.precision_recall_fscore_support(gold, said, average="binary", zero_division=np.nan)[:3]
    for ours, theirs in zip((found.precision, found.recall), expected, strict=False):
        assert ours == pytest.approx(theirs) if ours is not None else np.isnan(theirs)
    if found.f1 is not None:
        assert found.f1 == pytest.approx(sk.f1_score(gold, said, zero_division=0))
    if found.kappa is not None:
        assert found.kappa == pytest.approx(sk.cohen_kappa_score(gold, said), abs=1e-12)


def test_figures_of_known_counts():
    found = Confusion(tp=40, fp=10, fn=20, tn=30)
    assert [round(x or 0, 4) for x in (found.accuracy, found.precision, found.recall, found.specificity, found.f1, found.kappa)] == [
        0.7, 0.8, 0.6667, 0.75, 0.7273, 0.4,
    ]  # fmt: skip
    nothing = Confusion(0, 0, 0, 0)
    assert {nothing.accuracy, nothing.precision, nothing.recall, nothing.specificity, nothing.f1, nothing.kappa} == {None}
    assert Confusion(0, 0, 0, 5).kappa is None


def test_calibration_error_of_known_scores():
    gold = np.array([True, False, True, True])
    assert calibration_error(np.array([1.0, 0.0, 1.0, 1.0]), gold) == 0.0
    assert calibration_error(np.array([0.75] * 4), gold) == pytest.approx(0.0)
    assert calibration_error(np.array([0.95] * 4), gold) == pytest.approx(0.2)
    assert calibration_error(np.array([0.9, 0.1, 0.9, 0.3]), gold, bins=2) == pytest.approx((abs(2 - 1.8) + abs(1 - 0.4)) / 4)
    assert calibration_error(np.array([]), np.array([], dtype=bool)) is None


def test_the_bootstrap_interval_covers_a_share_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    hits = 0
    for trial in range(100):
        rows = rng.random(60) < 0.3
        (spread,) = bootstrap(lambda i, rows=rows: [float(rows[i].mean())], 60, draws=200, seed=trial)
        low, high = spread or (1.0, 0.0)
        hits += low <= 0.3 <= high
    assert 84 <= hits <= 100


def test_rows_of_one_group_are_drawn_together():
    rows = np.array([0.0] * 50 + [1.0] * 50)
    groups = ["a"] * 50 + ["b"] * 50
    (apart,) = bootstrap(lambda i: [float(rows[i].mean())], 100)
    (together,) = bootstrap(lambda i: [float(rows[i].mean())], 100, groups)
    assert apart is not None
    assert apart[0] > 0.35
    assert together == (0.0, 1.0)


@given(st.integers(1, 30), st.integers(1, 30))
@settings(max_examples=15)
def test_an_estimate_lies_in_its_interval(yes, no):
    gold = np.array([True] * yes + [False] * no)
    shown = [Figure("share"), Figure("nothing")]
    found = estimates(shown, lambda i: [float(gold[i].mean()), None], yes + no, n_failed=2, draws=100)
    metric = found["share"]
    assert metric.low is not None
    assert metric.low <= metric.value <= metric.high
    assert (metric.n, metric.n_failed) == (yes + no, 2)
    assert (found["nothing"].value, found["nothing"].low) == (None, None)
    assert estimates([Figure("x")], lambda i: [1.0], 0)["x"].value is None


def right(said, gold, groups=None):
    """Accuracy and specificity of yes/no answers."""
    said, gold = np.array(said, dtype=bool), np.array(gold, dtype=bool)

    def values(rows):
        counts = confusion(said[rows], gold[rows])
        return [counts.accuracy, counts.specificity]

    return estimates([Figure("accuracy"), Figure("specificity", of=~gold)], values, len(gold), groups=groups, draws=200)


def test_no_error_seen_in_a_few_rows_is_as_unsure_as_wilson_says():
    found = right([True] * 12 + [False] * 12, [True] * 12 + [False] * 12)
    assert (found["accuracy"].low, found["accuracy"].high) == pytest.approx(wilson(24, 24))
    assert found["accuracy"].low == pytest.approx(0.862, abs=5e-4)
    assert (found["specificity"].low, found["specificity"].high) == pytest.approx(wilson(12, 12))
    assert found["specificity"].n == 12
    assert found["accuracy"].method == "bootstrap95 over rows; all draws agree, so Wilson's for none of 24 rows"
    wrong = right([False] * 10, [True] * 10)["accuracy"]
    assert (wrong.low, wrong.high) == pytest.approx(wilson(0, 10))


def test_where_groups_agree_their_number_counts_and_not_that_of_their_rows():
    groups = [f"g{i // 4}" for i in range(24)]
    found = right([True] * 12 + [False] * 12, [True] * 12 + [False] * 12, groups)
    assert (found["accuracy"].low, found["accuracy"].high) == pytest.approx(wilson(6, 6))
    assert (found["specificity"].low, found["specificity"].high) == pytest.approx(wilson(3, 3))
    assert (found["accuracy"].n, found["specificity"].n) == (24, 12)


def test_rows_of_a_single_group_have_no_interval():
    found = right([True] * 23 + [False], [True] * 24, ["one"] * 24)["accuracy"]
    assert found.value == pytest.approx(23 / 24)
    assert (found.low, found.high) == (None, None)
    assert bootstrap(lambda i: [0.5, None], 24, ["one"] * 24) == [None, None]
