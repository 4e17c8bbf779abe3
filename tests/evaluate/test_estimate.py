from __future__ import annotations

import pytest
from tiny_benchmark import Model, Tiny, greedy, shelved

from charter.core.rows import Answer
from charter.evaluate.benchmark import Ask
from charter.evaluate.estimate import Load, Price, Speed, estimate, probe
from charter.evaluate.plan import in_order
from charter.evaluate.run import load
from charter.evaluate.shelved import Options
from charter.store.rowlog import RowLog

LOADS = [Load("a", 100, 0, 256, 40_000), Load("b", 0, 300, 0, 60_000), Load("c", 50, 0, 20, 0)]


def test_replies_tokens_time_and_cost_are_upper_bounds_from_what_is_left():
    found = estimate(LOADS, Speed(100.0, 10.0), Price(1.0, 2.0))
    assert (found.replies, found.choices, found.tokens_out, found.tokens_in) == (150, 300, 26_600, 25_000 + 450 * 32)
    assert found.seconds == pytest.approx(26_600 / 100 + 300 / 10)
    assert found.cost == pytest.approx((39_400 * 1 + 26_600 * 2) / 1e6)
    assert str(found).startswith(
        "to ask: 150 replies of together at most 26600 tokens, 300 choices to weigh, about 39400 tokens to read; at most about 5 min"
    )


@pytest.mark.parametrize("speed", [None, Speed(None, 10.0), Speed(100.0, None)])
def test_what_was_not_measured_is_unknown_and_not_zero(speed):
    found = estimate(LOADS, speed, None)
    assert (found.seconds, found.cost) == (None, None)
    assert "time unknown; cost unknown without --price" in str(found)
    assert estimate([], None, None).seconds == 0.0


def test_only_what_is_not_answered_yet_is_counted(tmp_path):
    shelf, options = shelved(Tiny(n=10, ask=greedy(samples=3, temperature=1.0))), Options(seeds=2)
    examples = in_order(shelf.benchmark.examples())
    log = RowLog(tmp_path / "answers.jsonl", Answer)
    assert load(shelf, options, examples, log)[1:3] == (60, 0)
    log._keys = {f"{examples[0].key}#{draw}": None for draw in range(6)}
    assert load(shelf, options, examples, log).replies == 54
    weighs = shelved(Tiny(n=10, ask=Ask(mode="score")))
    assert load(weighs, options, examples, RowLog(tmp_path / "none.jsonl", Answer))[1:4] == (0, 10, 0)


def test_the_probe_asks_little_and_only_what_is_needed():
    model = Model(says=lambda c, s: "word " * 16)
    assert probe(model, replies=True, choices=False).choices_per_s is None
    assert sum(model.asked.values()) == 17
    mute = Model(says=lambda c, s: None)
    assert probe(mute, replies=True, choices=False).tokens_per_s is None
