"""What the rails of one check work out together, and who is woken when."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from charter.core.rows import Conversation, Verdict
from charter.guard._shared import Shared, in_a_check, once, sharing
from charter.guard.engine import Guard
from charter.guard.policy import GuardPolicy, RailEntry
from charter.guard.rails import _disguise, injection, jailbreak, request_harm
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
