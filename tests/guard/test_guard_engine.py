"""The strictest rail wins, thresholds decide, and what may go on is exactly what was checked."""

from __future__ import annotations

import asyncio
import threading
import time
from types import SimpleNamespace

import pytest

from charter.core.errors import InputError
from charter.core.rows import Conversation, Message, Part, ToolCall
from charter.guard._workers import Workers
from charter.guard.engine import BATCHES, Guard
from charter.guard.policy import GuardPolicy, HazardRule, OnlyIf, RailEntry


@pytest.mark.parametrize(
    ("verdicts", "action"),
    [
        ([("safe", 0.1)], "allow"),
        ([("safe", 0.9)], "block"),  # a score is weighed by the policy's threshold, not by the judge's own label
        ([("unsafe", 0.5)], "allow"),
        ([("unsafe", None)], "block"),  # without a score the label decides
        ([("unsure", None)], "escalate"),
        ([("unsure", 0.5)], "allow"),
        ([("failed", None)], "block"),
        ([("safe", 0.0), ("unsure", None)], "escalate"),
        ([("unsure", None), ("unsafe", 1.0)], "block"),
    ],
)
def test_strictest_verdict_wins(fakes, talk, verdicts, action):
    guard = fakes.guard({str(n): fakes.rail(*verdict) for n, verdict in enumerate(verdicts)})
    checks = [guard.check(talk, "input"), asyncio.run(guard.acheck(talk, "input")), *guard.check_many([talk], "input")]
    for checked in checks:
        assert checked.action == action
        assert checked.passes == (action == "allow")
        assert (checked.replacement is None) == checked.passes
        assert len(checked.accounts) == len(verdicts)


@pytest.mark.parametrize("action", ["allow", "flag", "escalate", "block"])
def test_a_rail_does_what_its_entry_says(fakes, talk, action):
    entry = {"action": action} if action != "allow" else {"action": "block", "shadow": True}
    policy = GuardPolicy(
        input=(RailEntry(rail="length", name="a", **entry), RailEntry(rail="length", name="calm")), output=(RailEntry(rail="length", name="calm"),)
    )
    guard = Guard(policy, rails={"a": fakes.rail("unsafe", 0.95), "calm": fakes.rail("safe", 0.0)})
    checked = guard.check(talk, "input")
    assert checked.action == action
    assert checked.review == {"flag": "flagged", "escalate": "escalated"}.get(action, "")
    if action == "allow":
        assert [(a.action, a.shadow) for a in checked.accounts] == [("block", True), ("allow", False)], "a shadow rail says what it would have done"
        assert checked.bypass == ()


def test_flag_at_lies_under_the_threshold(fakes, talk):
    entry = {"threshold": 0.8, "flag_at": 0.5}
    scores = {0.49: "allow", 0.5: "flag", 0.79: "flag", 0.8: "block"}
    assert {score: fakes.guard({"a": fakes.rail("safe", score)}, entry).check(talk, "input").action for score in scores} == scores
    with pytest.raises(ValueError, match="must be under threshold"):
        RailEntry(rail="length", threshold=0.5, flag_at=0.6)


def test_the_decision_says_who_and_why_and_never_what(fakes):
    secret = Conversation.ask("SECRET-MARK")
    guard = fakes.guard({"calm": fakes.rail("safe", 0.1), "a": fakes.rail("unsafe", 0.91, hazards=("weapons",)), "b": fakes.rail("unsafe", 0.99)})
    checked = guard.check(secret, "input")
    assert set(checked.by) <= {"a", "b"}
    told = [checked.reason, checked.replacement, repr(checked.accounts)]
    assert all("SECRET-MARK" not in text for text in told)
    assert "score 0.9" in checked.reason
    assert checked.decision.subject == secret.id
    assert {v.subject for v in checked.verdicts} == {secret.id}


def test_the_refusal_speaks_for_the_hazard_that_was_named(fakes, talk):
    guard = fakes.guard({"a": fakes.rail("unsafe", 1.0, hazards=("S9",))})
    weapons = guard.charter.hazard("weapons")
    text = guard.check(talk, "input").replacement
    assert any(way in text for way in weapons.way_forward)
    assert guard.check(talk, "input").replacement == text, "the same text gets the same words"
    assert fakes.guard({"a": fakes.rail("unsafe", 1.0)}, refusal="Nope.").check(talk, "input").replacement == "Nope."


def test_a_hazard_has_its_own_threshold_and_action(fakes, talk):
    rules = {"weapons": HazardRule(threshold=0.3), "hate": HazardRule(action="flag")}

    def check(score, *hazards):
        return fakes.guard({"a": fakes.rail("unsafe", score, hazards=hazards)}, hazards=rules).check(talk, "input")

    assert check(0.4, "weapons").action == "block"
    assert check(0.4, "hate").action == "allow"
    softer = check(0.9, "S10")
    assert (softer.action, softer.bypass) == ("flag", ("a: hazard hate",)), "a softer hazard is a bypass, and shows"
    assert check(0.9, "hate", "privacy").action == "block", "the strictest of the named hazards counts"
    assert check(0.9, "never heard of").action == "block"
    with pytest.raises(InputError, match="no hazard 'wepons'; did you mean 'weapons'"):
        fakes.guard({"a": fakes.rail("safe", 0)}, hazards={"wepons": HazardRule()})


def test_cheap_rails_go_first_and_a_block_cancels_the_dear(fakes, talk):
    asked = []

    def rail(name, cost, score):
        def call(conversation, stage):
            asked.append(name)
            return fakes.verdict("safe", score)

        call.cost = cost
        return call

    rails = {"dear": rail("dear", "remote", 0.0), "model": rail("model", "local", 0.0), "cheap": rail("cheap", "instant", 1.0)}
    checked = fakes.guard(rails).check(talk, "input")
    assert asked == ["cheap"]
    assert [(a.rail, a.status) for a in checked.accounts] == [("dear", "cancelled"), ("model", "cancelled"), ("cheap", "ok")]
    assert checked.by == ("cheap",)


def test_a_cascade_asks_the_dear_rail_only_when_the_cheap_one_saw_something(fakes, talk):
    def build(cheap):
        entries = (RailEntry(rail="length", name="cheap"), RailEntry(rail="length", name="dear", only_if=OnlyIf(rail="cheap", at_least=0.3)))
        return Guard(GuardPolicy(input=entries, output=entries), rails={"cheap": cheap, "dear": fakes.rail("unsafe", 1.0)})

    assert build(fakes.rail("safe", 0.2)).check(talk, "input").action == "allow"
    assert [a.status for a in build(fakes.rail("safe", 0.2)).check(talk, "input").accounts] == ["ok", "skipped"]
    assert build(fakes.rail("safe", 0.4)).check(talk, "input").by == ("dear",)
    many = build(fakes.rail("safe", 0.4)).check_many([talk, talk.with_user("more")], "input")
    assert [c.by for c in many] == [("dear",), ("dear",)]


def test_rails_of_one_cost_run_at_the_same_time(fakes, talk):
    """Each waits for the other: one after the other they would never answer."""
    meet = threading.Barrier(2, timeout=20)

    def rail(conversation, stage):
        meet.wait()
        return fakes.verdict("safe", 0.0)

    assert fakes.guard({"a": rail, "b": rail}, {"timeout_ms": 60_000}, deadline_ms=60_000).check(talk, "input").action == "allow"


def test_work_never_waits_behind_other_work_while_threads_may_be_made():
    """A thread takes its work from the queue a moment before it says so: what is given in that moment needs another thread."""
    pool = Workers("test", 2)
    took, gave = threading.Event(), threading.Event()
    real = pool._queue.get

    def slow_to_say(timeout):
        ticket = real(timeout=timeout)
        took.set()
        gave.wait(5)
        return ticket

    meet = threading.Barrier(2, timeout=5)
    done = [threading.Event(), threading.Event()]
    pool._queue = SimpleNamespace(get=slow_to_say, put=pool._queue.put, qsize=pool._queue.qsize)

    def work(event):
        meet.wait()
        event.set()

    pool.submit(lambda: work(done[0]), float("inf"))
    assert took.wait(5)
    pool.submit(lambda: work(done[1]), float("inf"))
    gave.set()
    assert all(event.wait(5) for event in done)


def test_the_same_content_is_read_once_and_failures_are_not_kept(fakes, talk):
    count = []

    def rail(conversation, stage):
        count.append(stage)
        return fakes.verdict("failed") if len(count) == 1 else fakes.verdict("safe", 0.1)

    guard = fakes.guard({"a": rail})
    checks = [guard.check(talk, "input") for _ in range(3)]
    assert [c.action for c in checks] == ["block", "allow", "allow"]
    assert [c.accounts[0].cached for c in checks] == [False, False, True]
    assert count == ["input", "input"]
    other = guard.check(talk.with_reply("Cut above a bud."), "output")
    assert not other.accounts[0].cached
    assert len(count) == 3


def test_a_batch_that_nobody_waits_for_ends(fakes):
    asked, begun = [], threading.Event()

    def rail(conversation, stage):
        asked.append(conversation.prompt)
        begun.set()
        time.sleep(0.02)
        return fakes.verdict("safe", 0.0)

    guard = fakes.guard({"a": rail}, {"timeout_ms": 10_000})

    async def leave():
        task = asyncio.create_task(guard.acheck_many([Conversation.ask(f"question {n}") for n in range(500)], "input"))
        await asyncio.to_thread(begun.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(leave())
    time.sleep(1.0)  # the group that was begun, and no other
    assert len(asked) <= 32


def test_who_hangs_up_frees_no_thread_before_it_is_done(fakes):
    """Otherwise a client that asks and hangs up again and again has as many threads as it likes."""
    running, most, go = [], [], threading.Event()

    def rail(conversation, stage):
        running.append(1)
        most.append(len(running))
        go.wait(10)
        running.pop()
        return fakes.verdict("safe", 0.0)

    guard = fakes.guard({"a": rail}, {"timeout_ms": 20_000})

    async def hang_up_often():
        tasks = []
        for number in range(20):
            tasks.append(asyncio.create_task(guard.acheck_many([Conversation.ask(f"question {number}")], "input")))
            await asyncio.sleep(0.01)
            tasks[-1].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        go.set()
        return (await guard.acheck_many([Conversation.ask("an honest question")], "input"))[0].action

    assert asyncio.run(hang_up_often()) == "allow"
    assert max(most) <= BATCHES


def test_a_verdict_is_kept_for_the_whole_content_and_not_for_its_short_id(fakes, monkeypatch):
    """Two texts with one id are found by trying; the verdict on one must not be the other's."""
    monkeypatch.setattr("charter.core.rows.ID_LENGTH", 1)
    talks = [Conversation.ask(f"question {number}") for number in range(40)]
    fine, bad = next((a, b) for n, a in enumerate(talks) for b in talks[n + 1 :] if a.id == b.id)
    guard = fakes.guard({"a": lambda conversation, stage: fakes.verdict("unsafe" if conversation.prompt == bad.prompt else "safe")})
    assert [guard.check(talk, "input").action for talk in (fine, bad, fine)] == ["allow", "block", "allow"]


def test_media_that_nobody_reads_is_blocked_unless_the_policy_says_otherwise(fakes):
    seen = Conversation(messages=(Message(role="user", content=(Part(type="image", data="data:x"), Part(type="text", text="What is this?"))),))
    blind = Conversation(messages=(Message(role="user", content=(Part(type="image", data="data:x"),)),))
    assert fakes.guard({"a": fakes.rail("safe", 0.0)}).check(seen, "input").by == ("media",)
    open_ = fakes.guard({"a": fakes.rail("safe", 0.0)}, media="allow")
    assert (open_.check(seen, "input").action, open_.check(seen, "input").bypass) == ("allow", ("media",))
    assert (open_.check(blind, "input").action, open_.check(blind, "input").bypass) == ("allow", ("media",))
    assert fakes.guard({"a": fakes.rail("unsafe", 1.0)}, media="allow").check(seen, "input").action == "block"


def test_a_stage_without_rails_is_a_bypass_that_has_to_be_written_down(fakes, talk):
    entry = RailEntry(rail="length", name="a")
    with pytest.raises(ValueError, match=r"output: without rails that act everything would pass; add one, or write unguarded: \[output\]"):
        GuardPolicy(input=(entry,))
    with pytest.raises(ValueError, match="without rails that act"):
        GuardPolicy(input=(entry,), output=(RailEntry(rail="length", shadow=True),))
    guard = Guard(GuardPolicy(input=(entry,), unguarded=("output",)), rails={"a": fakes.rail("safe", 0.0)})
    checked = guard.check(talk.with_reply("Yes."), "output")
    assert (checked.action, checked.bypass) == ("allow", ("unguarded",))


def test_a_sample_goes_to_people_and_the_same_content_always_does(fakes):
    guard = fakes.guard({"a": fakes.rail("safe", 0.0)}, review={"sample": 0.25})
    talks = [Conversation.ask(f"Question {n}") for n in range(200)]
    drawn = [guard.check(t, "input").review for t in talks]
    assert 20 < drawn.count("sampled") < 85
    assert drawn == [guard.check(t, "input").review for t in talks]
    assert not any(fakes.guard({"a": fakes.rail("safe", 0.0)}).check(t, "input").review for t in talks[:20])


def test_a_check_becomes_a_finding_for_people_and_training(fakes, talk):
    checked = fakes.guard({"a": fakes.rail("unsafe", 0.9, hazards=("privacy",))}).check(talk, "input")
    finding = checked.finding("my-model")
    assert (finding.attack, finding.target, finding.goal, finding.hazard) == ("production", "my-model", "input", "privacy")
    assert finding.conversation == talk
    assert finding.source.row == talk.id


def test_the_tool_calls_of_a_reply_are_read_and_masked(fakes, talk):
    call = ToolCall(name="send", arguments='{"to": "hush@example.com"}')
    reply = Conversation(messages=(*talk.messages, Message(role="assistant", content="", tool_calls=(call,))))
    assert fakes.guard({"a": fakes.finds("hush@example.com")}).check(reply, "output").action == "block"
    masked = fakes.guard({"a": fakes.finds("hush@example.com", "EMAIL")}, {"action": "mask"})
    checked = masked.check(reply, "output")
    assert checked.conversation.messages[-1].tool_calls[0].arguments == '{"to": "<EMAIL>"}'


def test_a_hazard_that_is_withheld_another_way_is_no_bypass(fakes, talk):
    rails = {"a": fakes.rail("unsafe", 0.9, hazards=("hate",))}
    for action, passes in (("escalate", False), ("mask", False), ("flag", True), ("allow", True)):  # nothing says where to mask, so it blocks
        checked = fakes.guard(rails, hazards={"hate": {"action": action}}).check(talk, "input")
        assert checked.passes is passes
        assert checked.bypass == (("a: hazard hate",) if passes else ())


def test_nothing_but_white_space_is_nothing_to_check(fakes, talk):
    def broken(conversation, stage):
        raise RuntimeError

    guard = fakes.guard({"a": broken}, review={"sample": 1.0})
    for text in ("", " \n\t"):
        for conversation, stage in ((talk.with_reply(text), "output"), (Conversation.ask(text), "input")):
            checked, [same] = guard.check(conversation, stage), guard.check_many([conversation], stage)
            assert checked == same
            assert (checked.action, checked.conversation, checked.bypass, checked.review) == ("allow", conversation, (), "")
            assert [(a.rail, a.status, a.score, a.action) for a in checked.accounts] == [("a", "skipped", None, "allow")]


@pytest.mark.parametrize("text", ["\u200b", "\ufeff", "\U000e0041", "\u2800", "\u3164"])
def test_what_only_looks_like_nothing_is_checked(fakes, talk, text):
    assert fakes.guard({"a": fakes.rail("unsafe", 1.0)}).check(talk.with_reply(text), "output").action == "block"


def test_a_tool_call_without_words_is_checked(fakes, talk):
    call = ToolCall(name="send", arguments="forbidden")
    reply = Conversation(messages=(*talk.messages, Message(role="assistant", content="", tool_calls=(call,))))
    assert fakes.guard({"a": fakes.finds("forbidden")}).check(reply, "output").action == "block"
