"""Rates that moved are found, rates that did not are left alone, and failures are no labels."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import fisher_exact

from charter.monitor.drift import shifts


def test_a_large_shift_is_found_with_fishers_p():
    found = {s.name: s for s in shifts(["full"] * 10 + ["none"] * 90, ["full"] * 50 + ["none"] * 50)}
    assert found["share/full"].moved
    assert found["share/none"].moved
    assert not found["share/partial"].moved
    raw = fisher_exact([[10, 90], [50, 50]])[1]
    assert found["share/full"].p is not None
    assert raw <= found["share/full"].p <= 3 * raw + 1e-12


@given(st.lists(st.sampled_from(["full", "partial", "none", "failed"]), max_size=60))
def test_the_same_window_never_moves(labels):
    assert not any(s.moved for s in shifts(labels, labels))


def test_failures_are_counted_and_not_shares():
    (first, *_) = shifts(["failed"] * 5, ["full"])
    assert first.earlier.value is None
    assert first.earlier.n_failed == 5
    assert first.p is None
    assert not first.moved
