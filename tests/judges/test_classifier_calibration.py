"""Calibration maths: known answers, and what must hold for any data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.judges._calibration import (
    Calibration,
    choose,
    expected_calibration_error,
    fit_isotonic,
    fit_temperature,
    sigmoid,
    threshold_at,
)


def drawn(scale: float, bias: float, n: int = 6000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    logits = rng.normal(0, 2, n)
    return logits, (rng.random(n) < sigmoid(scale * logits + bias)).astype(float)


def test_temperature_finds_the_scale_that_made_the_labels() -> None:
    found = fit_temperature(*drawn(0.5, -1.0))
    assert found.scale == pytest.approx(0.5, abs=0.05)
    assert found.bias == pytest.approx(-1.0, abs=0.1)


def test_temperature_of_separable_data_stays_finite() -> None:
    found = fit_temperature(np.array([-3.0, -2.0, 2.0, 3.0]), np.array([0.0, 0.0, 1.0, 1.0]))
    assert np.isfinite([found.scale, found.bias]).all()


def test_isotonic_is_the_pooled_means() -> None:
    found = fit_isotonic(np.array([0.0, 1.0, 2.0, 3.0]), np.array([0.0, 1.0, 0.0, 1.0]))
    assert [round(y, 2) for _, y in found.knots] == [0.0, 0.0, 0.5, 1.0, 1.0]
    # texts unlike those it was set on still have an order
    assert (np.diff(found(np.array([-8.0, -4.0, 0.0, 3.0, 7.0, 11.0]))) > 0).all()


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=2, max_size=30), st.randoms(use_true_random=False))
def test_isotonic_asks_not_in_which_order_equal_logits_stand(rows: list[tuple[int, bool]], random: Any) -> None:
    def fitted(rows: list[tuple[int, bool]]) -> Calibration:
        return fit_isotonic(np.array([float(logit) for logit, _ in rows]), np.array([float(label) for _, label in rows]))

    again = random.sample(rows, len(rows))
    at = np.linspace(-3.0, 7.0, 21)
    assert fitted(again)(at) == pytest.approx(fitted(rows)(at), abs=1e-9)


def test_calibration_keeps_order_and_survives_json() -> None:
    logits, labels = drawn(1.0, 0.0, 300)
    for fitted in (fit_temperature(logits, labels), fit_isotonic(logits, labels)):
        again = Calibration.from_json(fitted.as_json())
        assert (np.diff(again(np.sort(logits))) >= 0).all()
        assert np.array_equal(again(logits), fitted(logits))


def test_error_of_known_bins() -> None:
    # ten rows at 0.95 of which half are positive: the gap is 0.45
    assert expected_calibration_error(np.full(10, 0.95), np.array([1.0, 0.0] * 5)) == pytest.approx(0.45)
    assert expected_calibration_error(np.array([0.0, 1.0]), np.array([0.0, 1.0])) == 0.0
    with pytest.raises(ValueError, match="no rows"):
        expected_calibration_error(np.array([]), np.array([]))


def test_overconfident_numbers_are_brought_down() -> None:
    logits, labels = drawn(0.3, 0.0)
    before = expected_calibration_error(sigmoid(logits), labels)
    fitted, after = choose(logits, labels)
    assert after < 0.03 < before
    assert expected_calibration_error(fitted(logits), labels) < 0.03


@pytest.mark.parametrize("share", [0.0, 0.01, 0.05, 0.2, 1.0])
def test_threshold_keeps_its_promise(share: float) -> None:
    scores = np.random.default_rng(1).random(500)
    assert (scores >= threshold_at(scores, share)).mean() <= share
    assert (scores >= threshold_at(scores, share)).mean() >= share - 1 / 500


def test_threshold_needs_harmless_rows() -> None:
    with pytest.raises(ValueError, match="harmless"):
        threshold_at([], 0.05)
