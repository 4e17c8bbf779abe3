"""Jailbreak, injection and toxicity by stock phrases: what the rails use where there is no classifier, and where it alone finds too much."""

from __future__ import annotations

from charter.core.normalise.fold import fold
from charter.core.rows import Conversation, Verdict
from charter.guard.rails._said import say
from charter.judges import _stock


def heads() -> list[str]:
    return sorted(_stock.signs())


def sign_of(head: str, text: str) -> float:
    """How sure the stock phrases of a head are of a text: 0 to 1."""
    return _stock.scores((head,), text)[head]


class Rules:
    """The stock phrases of one head as a judge: reads the final reply if there is one, else the last user message."""

    name = "rules"

    def __init__(self, head: str) -> None:
        self._head = head
        self.version = _stock.version()

    def __call__(self, conversation: Conversation) -> Verdict:
        text = conversation.reply if conversation.reply is not None else conversation.prompt
        plain = fold(text).text
        if not plain.strip():
            return say(conversation, self.name, self.version, "failed", reason="nothing to read")
        score, signs = _stock.score(self._head, plain)
        return say(conversation, self.name, self.version, "unsafe" if score >= 0.5 else "safe", score=score, reason=", ".join(signs))
