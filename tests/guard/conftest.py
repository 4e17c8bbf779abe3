"""Rails that do as they are told, and guards made of them."""

from __future__ import annotations

import pytest

from charter.core.rows import Conversation, Verdict
from charter.guard.engine import Guard
from charter.guard.policy import GuardPolicy, RailEntry


class Fakes:
    """``fakes.rail("unsafe", 0.9)`` is a rail; ``fakes.guard({"a": rail})`` a guard that asks it on both stages."""

    @staticmethod
    def verdict(outcome, score=None, **rest):
        return Verdict(subject="x", outcome=outcome, score=score, judge="fake", judge_version="1", **rest)

    def rail(self, outcome, score=None, **rest):
        return lambda conversation, stage: self.verdict(outcome, score, **rest)

    @staticmethod
    def finds(word, kind="TERM", **rest):
        """A rail that finds every occurrence of a word and says where."""
        from charter.guard.segments import view

        def rail(conversation, stage):
            text = view(conversation, stage).text
            starts = [n for n in range(len(text)) if text.startswith(word, n)]
            if not starts:
                return Fakes.verdict("safe", 0.0)
            return Fakes.verdict("unsafe", 1.0, spans=tuple((n, n + len(word)) for n in starts), label=" ".join([kind] * len(starts)), **rest)

        return rail

    @staticmethod
    def policy(names, entry=None, **settings):
        # a busy machine must not make a rail late
        entries = tuple(RailEntry(rail="length", name=name, **{"timeout_ms": 10_000, **(entry or {})}) for name in names)
        return GuardPolicy(**{"input": entries, "output": entries, **settings})

    def guard(self, rails, entry=None, **settings):
        return Guard(self.policy(rails, entry, **settings), rails=rails)


@pytest.fixture
def fakes():
    return Fakes()


@pytest.fixture
def talk():
    return Conversation.ask("How do I prune roses?")
