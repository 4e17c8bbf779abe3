"""The order of a check, with the clock in the test's hand."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.guard._build import Built
from charter.guard._plan import PATIENCE_S, SHARING_S, Plan, Result
from charter.guard.decision import Account
from charter.guard.policy import OnlyIf, RailEntry


def built(name, tier=0, timeout_s=1.0, shares="", **entry):
    return Built(name, RailEntry(rail="length", name=name, **entry), lambda c, s: None, tier, timeout_s, 0, name, shares)


def weigh(rail, result):
    block = result.status in ("failed", "timeout") or (result.status == "ok" and result.error == "block")
    return Account(rail.label, "input", result.status, "block" if block else "allow", shadow=rail.entry.shadow)


def plan(*rails, deadline=100.0):
    return Plan(rails, weigh, deadline)


def names(jobs):
    return [[rail.label for rail in job.rails] for job in jobs]


OK, BLOCK = Result("ok"), Result("ok", error="block")


def test_cheap_rails_share_a_job_and_dear_ones_wait_for_them():
    p = plan(built("a"), built("b"), built("c", 1), built("d", 1), built("e", 2))
    assert names(p.begin(0.0)) == [["a", "b"]]
    p.hear("a", OK, 0.0)
    assert p.begin(0.0) == []
    p.hear("b", OK, 0.001)
    assert names(p.begin(0.001)) == [["c"], ["d"]]
    p.hear("c", OK, 0.002)
    p.hear("d", OK, 0.002)
    assert names(p.begin(0.002)) == [["e"]]
    p.hear("e", OK, 0.003)
    assert p.done
    assert p.accounts.keys() == set("abcde")


def test_rails_that_wait_for_one_reading_share_a_job():
    p = plan(built("a", 1, shares="x"), built("b", 1), built("c", 1, 2.0, shares="x"), built("d", 1), built("e", 2, shares="x"))
    jobs = p.begin(0.0)
    assert names(jobs) == [["a", "c"], ["b"], ["d"]]
    assert p.wake_at() == PATIENCE_S
    assert names(p.begin(PATIENCE_S)) == [["e"]]
    for label in "bde":
        p.hear(label, OK, PATIENCE_S)
    assert p.wake_at() == SHARING_S, "those behind the first wait a while"
    p.hear("a", OK, 0.1)
    assert p.wake_at() == 2.1, "and the next one its own, from there"
    assert p.expire(2.1) == [jobs[0]]
    assert p.results["c"].status == "timeout"
    assert p.done


def test_rails_behind_one_that_takes_long_get_threads_of_their_own():
    p = plan(built("a", 1, shares="x", shadow=True), built("c", 1, shares="x"), built("d", 1, shares="x"))
    [job] = p.begin(0.0)
    assert p.wake_at() == SHARING_S
    assert p.begin(SHARING_S - 0.01) == []
    assert names(p.begin(SHARING_S)) == [["c"], ["d"]]
    assert job.left == ["a"]
    p.hear("c", OK, 0.3)
    p.hear("d", OK, 0.3)
    assert p.expire(1.0) == [job]
    assert (p.done, [p.results[n].status for n in "acd"]) == (True, ["timeout", "ok", "ok"])


def test_rails_that_share_do_not_part_while_they_get_on():
    p = plan(*(built(name, 1, shares="x") for name in "abcd"))
    p.begin(0.0)
    for n, name in enumerate("abcd"):
        assert p.begin(n * 0.2) == []
        p.hear(name, OK, n * 0.2)
    assert p.done


def test_patience_with_cheap_rails_ends():
    p = plan(built("a"), built("c", 1), built("e", 2))
    p.begin(0.0)
    assert p.wake_at() == PATIENCE_S
    assert names(p.begin(PATIENCE_S)) == [["c"]]
    assert p.begin(PATIENCE_S) == []
    assert names(p.begin(2 * PATIENCE_S)) == [["e"]]


def test_a_block_ends_everything_and_late_answers_change_nothing():
    p = plan(built("a"), built("c", 1), built("d", 1), built("e", 2))
    p.begin(0.0)
    p.hear("a", OK, 0.0)
    jobs = p.begin(0.0)
    p.hear("c", BLOCK, 0.1)
    assert p.done
    assert [p.results[n].status for n in "acde"] == ["ok", "ok", "cancelled", "cancelled"]
    assert jobs[1].cancelled
    p.hear("d", BLOCK, 0.2)
    assert p.results["d"].status == "cancelled"


def test_a_blocking_shadow_rail_ends_nothing():
    p = plan(built("a", shadow=True), built("b"))
    p.begin(0.0)
    p.hear("a", BLOCK, 0.0)
    assert not p.done


def test_each_rail_of_a_job_has_its_own_time():
    p = plan(built("a", timeout_s=1.0), built("b", timeout_s=2.0))
    p.begin(0.0)
    assert p.wake_at() == 1.0
    p.hear("a", OK, 0.9)
    assert p.wake_at() == pytest.approx(2.9)
    assert p.expire(2.8) == []
    assert len(p.expire(2.9)) == 1
    assert p.results["b"].status == "timeout"


def test_rails_behind_a_hung_one_get_another_thread():
    p = plan(built("a", shadow=True), built("b"))
    p.begin(0.0)
    assert names(p.expire(1.0)) == [["a", "b"]]
    assert names(p.begin(1.0)) == [["b"]]
    p.hear("a", OK, 1.1)
    assert p.results["a"].status == "timeout", "too late is too late"
    p.hear("b", OK, 1.2)
    assert p.done


def test_the_deadline_settles_what_has_not_begun():
    p = plan(built("a", shadow=True), built("c", 1, shadow=True), deadline=0.5)
    p.begin(0.0)
    p.expire(0.5)
    assert p.done
    assert {r.status for r in p.results.values()} == {"timeout"}


@pytest.mark.parametrize("cheap", ["ok", "failed", "timeout"])
def test_a_dear_rail_runs_unless_the_cheap_one_saw_nothing(cheap, fakes):
    p = plan(built("a", shadow=True), built("c", 1, only_if=OnlyIf(rail="a", at_least=0.5)))
    p.begin(0.0)
    p.hear("a", Result(cheap, fakes.verdict("safe", 0.1) if cheap == "ok" else None), 0.0)
    started = names(p.begin(0.0))
    assert started == ([] if cheap == "ok" else [["c"]])
    assert p.done == (cheap == "ok")


@given(st.data())
def test_every_rail_is_accounted_for_whatever_happens(data):
    """Any answers in any order, any hanging: the plan ends, and every rail has exactly one account. Nothing that blocks is ever overruled."""
    tiers = data.draw(st.lists(st.integers(0, 2), min_size=1, max_size=6))
    rails = [built(f"r{n}", tier, shadow=data.draw(st.booleans())) for n, tier in enumerate(tiers)]
    p = plan(*sorted(rails, key=lambda b: b.tier), deadline=50.0)
    clock, running = 0.0, []
    for _ in itertools.count():
        p.expire(clock)
        running += [label for job in p.begin(clock) for label in [b.label for b in job.rails]]
        if p.done:
            break
        waiting = [label for label in running if label not in p.results]
        if waiting and data.draw(st.booleans()):
            p.hear(data.draw(st.sampled_from(waiting)), data.draw(st.sampled_from([OK, BLOCK, Result("failed")])), clock)
        else:
            clock = max(p.wake_at(), clock)
    assert p.results.keys() == p.accounts.keys() == {b.label for b in rails}
    blocked = any(a.action == "block" and not a.shadow for a in p.accounts.values())
    assert p.decided == blocked
    assert blocked or all(r.status != "cancelled" for r in p.results.values())
