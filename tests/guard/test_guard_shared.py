"""What the rails of one check work out together, and who is woken when."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from charter.core.rows import Conversation, Verdict
from charter.guard._shared import Shared, in_a_check, meanwhile, once, sharing
from charter.guard._workers import Ticket
from charter.guard.engine import Guard
from charter.guard.policy import GuardPolicy, RailEntry
from charter.guard.rails import _disguise, injection, jailbreak, reply_harm, request_harm
from charter.guard.rails._scores import ClassifierScores


def test_whoever_comes_first_works_it_out_for_all() -> None:
    shared, made, go = Shared(), [], threading.Event()

    def make() -> int:
        go.wait(30)
        made.append(1)
        return len(made)

    def ask() -> int:
        with sharing(shared):
            return once("a", make)

    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(ask) for _ in range(4)]
        go.set()
        assert [each.result(30) for each in asked] == [1] * 4
    assert (once("a", make), once("a", make)) == (2, 3), "outside a check nothing is kept"
    assert not in_a_check()


def test_what_fails_fails_for_all() -> None:
    shared = Shared()

    def broken() -> int:
        raise ValueError("no")

    with sharing(shared):
        for _ in range(2):
            with pytest.raises(ValueError, match="no"):
                once("a", broken)


class Reads:
    """A classifier that counts what it reads and lets it wait."""

    name, version = "classifier", "9"

    def __init__(self) -> None:
        self.read: list[str] = []
        self.forms_known = threading.Event()

    def batch(self, conversations: list[Conversation]) -> list[Verdict]:
        self.read += [c.prompt for c in conversations]
        assert self.forms_known.wait(30), "the other forms are looked for while the text is read as it stands"
        return [self._judge(c) for c in conversations]

    def _judge(self, c: Conversation) -> Verdict:
        score = 0.9 if "secret" in c.prompt else 0.1
        scores = {"harmful_request": score, "jailbreak": 0.1, "injection": 0.1}
        return Verdict(subject=c.id, outcome="safe", score=0.5, scores=scores, judge="c", judge_version="9")


def test_a_text_is_read_as_it_stands_while_its_other_forms_are_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    judge, looked = Reads(), []
    plain = _disguise._forms

    def forms(text: str) -> list[_disguise.Form]:
        looked.append(text)
        judge.forms_known.set()
        return [*plain(text), _disguise.Form("a secret", lambda start, end: (0, 1))]

    monkeypatch.setattr(_disguise, "_forms", forms)
    scores = ClassifierScores(judge)
    rails = {
        "request_harm": request_harm.RequestHarmRail(request_harm.Config(), scores),
        "jailbreak": jailbreak.JailbreakRail(jailbreak.Config(), scores),
        "injection": injection.InjectionRail(injection.Config(), scores),
    }
    entries = tuple(RailEntry(rail=name) for name in rails)
    checked = Guard(GuardPolicy(input=entries, output=(RailEntry(rail="length"),)), rails=rails).check(
        Conversation.ask("How do I prune roses?"), "input"
    )
    assert (checked.action, checked.by) == ("block", ("request_harm",))
    assert sorted(judge.read) == ["How do I prune roses?", "a secret"], "each form is read once"
    assert looked == ["How do I prune roses?"], "the forms are worked out once"


class ReadsReplies(Reads):
    """A classifier of replies: what needs no encoder must have begun elsewhere before it answers."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: dict[str, int] = {}

    def batch(self, conversations: list[Conversation]) -> list[Verdict]:
        self.threads.setdefault("batch", threading.get_ident())
        return super().batch(conversations)

    def ahead(self, conversation: Conversation) -> None:
        assert conversation.reply == "plain words"
        self.threads["ahead"] = threading.get_ident()

    def _judge(self, c: Conversation) -> Verdict:
        score = 0.95 if "secret" in (c.reply or "") else 0.1
        return Verdict(subject=c.id, outcome="safe", score=0.5, scores={"harmful_reply": score, "harmful_request": 0.1}, judge="c", judge_version="9")


def test_a_reply_is_read_as_it_stands_while_a_lent_thread_does_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    judge, plain = ReadsReplies(), _disguise._forms

    def forms(text: str) -> list[_disguise.Form]:
        judge.forms_known.set()
        return [*plain(text), _disguise.Form("a secret", lambda start, end: (0, 1))] if text == "plain words" else plain(text)

    monkeypatch.setattr(_disguise, "_forms", forms)
    rail = reply_harm.ReplyHarmRail(reply_harm.Config(), ClassifierScores(judge))
    guard = Guard(GuardPolicy(name="t", version="1", output=(RailEntry(rail="reply_harm", threshold=0.9),), unguarded=("input",)),
                  rails={"reply_harm": rail})  # fmt: skip
    checked = guard.check(Conversation.ask("tell me").with_reply("plain words"), "output")
    assert checked.action == "block", "the form that another thread found is read too"
    assert judge.threads["ahead"] != judge.threads["batch"]


def test_without_a_free_thread_nothing_is_missed() -> None:
    done: list[str] = []

    def refuse(work: Callable[[], None]) -> None:
        done.append("asked")

    with sharing(Shared(refuse)):
        meanwhile(lambda: done.append("worked"))
        assert (once("a", lambda: 1), done) == (1, ["asked"])
    meanwhile(lambda: done.append("worked"))
    assert done == ["asked"], "outside a check there is nobody to lend a thread"


def test_what_a_lent_thread_raises_is_met_by_whoever_asks() -> None:
    def broken() -> int:
        raise ValueError("no")

    with sharing(Shared(lambda work: work())):
        meanwhile(lambda: once("a", broken))
        with pytest.raises(ValueError, match="no"):
            once("a", broken)


def test_a_lent_thread_does_not_begin_for_a_check_that_is_over() -> None:
    lent: list[Callable[[], None]] = []
    began: list[str] = []

    class Rail:
        name, version = "length", "1"

        def __call__(self, conversation: Conversation, stage: str) -> Verdict:
            meanwhile(lambda: began.append("late"))
            return Verdict(subject=conversation.id, outcome="safe", score=0.0, judge="length", judge_version="1")

    guard = Guard(GuardPolicy(name="t", version="1", input=(RailEntry(rail="length"),), unguarded=("output",)), rails={"length": Rail()})
    pool = guard._pools[1]
    takes = pool.submit

    def submit(work: Callable[[], None], due_at: float) -> Ticket:
        if "_lend" in work.__qualname__:  # this thread comes late
            lent.append(work)
            return Ticket(work, due_at)
        return takes(work, due_at)

    pool.submit = submit  # type: ignore[method-assign]
    assert guard.check(Conversation.ask("hello"), "input").passes
    [work] = lent
    work()
    assert began == []


def test_a_check_leaves_nothing_to_the_collector_of_circles() -> None:
    """Its rounds take milliseconds, under somebody's request. In a process of its own: others' threads leave circles too."""
    script = """
import gc
from charter import Guard
from charter.core.rows import Conversation
guard = Guard()
def check(number):
    assert guard.check(Conversation.ask(f"How do I prune {number} roses?"), "input").passes
    assert guard.check(Conversation.ask("How do I prune roses?").with_reply(f"In March, {number} of them."), "output").passes
check(0)
guard.settle()
gc.collect()
gc.disable()
for number in range(1, 6):
    check(number)
guard.settle()
print(gc.collect())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert int(done.stdout or -1) in range(20), f"a check that is a circle leaves some 120 objects; {done.stdout} {done.stderr}"


def test_a_rail_that_takes_long_does_not_spend_the_deadline_of_those_that_share_its_reading() -> None:
    class Takes:
        version = "1"

        def __init__(self, name: str, seconds: float, outcome: str) -> None:
            self.name, self.seconds, self.outcome = name, seconds, outcome

        def __call__(self, conversation: Conversation, stage: str) -> Verdict:
            time.sleep(self.seconds)
            score = float(self.outcome == "unsafe")
            return Verdict(subject=conversation.id, outcome=self.outcome, score=score, judge=self.name, judge_version="1")

    entries = (RailEntry(rail="jailbreak", shadow=True), RailEntry(rail="request_harm", on_error="allow"))
    given = {"jailbreak": Takes("jailbreak", 3.0, "safe"), "request_harm": Takes("request_harm", 0.01, "unsafe")}
    guard = Guard(GuardPolicy(name="t", version="1", input=entries, unguarded=("output",), deadline_ms=1500), rails=given)
    guard.rails = {**guard.rails, "input": tuple(built._replace(shares="scores") for built in guard.rails["input"])}
    checked = guard.check(Conversation.ask("hello"), "input")
    assert (checked.action, checked.by) == ("block", ("request_harm",))


def test_of_a_text_that_was_read_before_nothing_is_worked_out_ahead() -> None:
    class Looks(Reads):
        def __init__(self) -> None:
            super().__init__()
            self.forms_known.set()
            self.ahead_of: list[str] = []

        def ahead(self, conversation: Conversation) -> None:
            self.ahead_of.append(conversation.prompt)

    judge = Looks()
    rails = {"request_harm": request_harm.RequestHarmRail(request_harm.Config(), ClassifierScores(judge))}
    policy = GuardPolicy(name="t", version="1", input=(RailEntry(rail="request_harm"),), unguarded=("output",), cache=0)
    guard = Guard(policy, rails=rails)
    for text in ("How do I prune roses?", "How do I prune roses?", "And apples?"):
        assert guard.check(Conversation.ask(text), "input").passes
        guard.settle()
    assert judge.read == ["How do I prune roses?", "And apples?"]
    assert set(judge.ahead_of) <= set(judge.read)
    assert judge.ahead_of.count("How do I prune roses?") <= 1
