"""Rates that moved are found, rates that did not are left alone, and failures are no labels but are seen."""

from __future__ import annotations

import math
import random
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import fisher_exact

from charter.monitor.drift import shifts

LABELS = ["full", "partial", "none", "unsure", "failed"]
WINDOW = st.lists(st.sampled_from(LABELS), max_size=60)


def by_name(*given, **more):
    return {shift.name: shift for shift in shifts(*given, **more)}


def test_a_large_shift_is_found_with_fishers_p():
    found = by_name(["full"] * 10 + ["none"] * 90, ["full"] * 50 + ["none"] * 50)
    assert found["share/full"].moved
    assert found["share/none"].moved
    assert found["share/partial"].moved is False
    assert found["share/unread"].moved is False
    raw = fisher_exact([[10, 90], [50, 50]])[1]
    assert found["share/full"].p is not None
    assert raw <= found["share/full"].p <= 4 * raw + 1e-12


@given(WINDOW)
def test_the_same_window_never_moves(labels):
    assert not any(s.moved for s in shifts(labels, labels))


@pytest.mark.parametrize("label", ["unsure", "failed"])
def test_replies_that_nobody_can_read_any_more_have_moved(label):
    before = ["full"] * 100 + ["none"] * 390 + ["failed"] * 10
    some = by_name(before, ["full"] * 90 + ["none"] * 350 + [label] * 60)
    assert (some["share/unread"].moved, some["share/full"].moved) == (True, False)
    assert (some["share/unread"].earlier.value, some["share/unread"].later.n) == (0.02, 500)
    whole = by_name(before, [label] * 500)
    assert whole["share/unread"].moved
    for name in ("share/full", "share/partial", "share/none"):
        assert (whole[name].later.value, whole[name].later.n_failed) == (None, 500)
        assert (whole[name].p, whole[name].moved) == (None, None), "what was not measured is not known to stand still"


def test_an_empty_window_says_nothing_of_any_rate():
    assert {(s.p, s.moved) for s in shifts([], ["full"] * 9)} == {(None, None)}


@given(WINDOW, WINDOW, st.integers(1, 50))
def test_every_look_has_its_part_of_alpha(earlier, later, looks):
    for one, many in zip(shifts(earlier, later), shifts(earlier, later, looks=looks), strict=True):
        assert many.p == (None if one.p is None else min(1.0, looks * one.p))


@pytest.mark.parametrize("looks", [0, -1, 1.5, math.nan, math.inf, True])
def test_what_is_no_whole_number_of_looks_is_refused(looks):
    with pytest.raises(ValueError, match="whole number of looks, at least one"):
        shifts(["full"] * 90, ["none"] * 90, looks=looks)


@pytest.mark.parametrize("alpha", [0.0, 1.0, 5.0, -0.01, math.nan, math.inf, True])
def test_an_alpha_by_which_nothing_or_everything_would_alarm_is_refused(alpha):
    with pytest.raises(ValueError, match="alpha between 0 and 1"):
        shifts(["full"] * 90, ["none"] * 90, alpha)


def test_many_looks_at_one_baseline_alarm_falsely_no_more_often_than_alpha(monkeypatch):
    """Nothing ever moves here, so every alarm is false. The looks that are not told of show what the argument is for."""
    cached = cache(fisher_exact)  # the same tables come again and again
    monkeypatch.setattr("scipy.stats.fisher_exact", lambda table: cached(tuple(map(tuple, table))))
    rng, alpha, looks, runs = random.Random(7), 0.1, 8, 200

    def window():
        return rng.choices(LABELS, weights=(20, 10, 60, 5, 5), k=60)

    told, untold = 0, 0
    for _ in range(runs):
        baseline, later = window(), [window() for _ in range(looks)]
        told += any(s.moved for each in later for s in shifts(baseline, each, alpha, looks))
        untold += any(s.moved for each in later for s in shifts(baseline, each, alpha))
    assert told / runs <= alpha < 2 * alpha < untold / runs
