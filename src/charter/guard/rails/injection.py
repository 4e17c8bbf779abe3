"""Prompt injection: orders to the model inside tool results, documents, quoted text and descriptions of tools; system-looking text in messages.

Tool messages, documents handed over beside the chat, and what messages quote (fenced blocks, tagged documents, mail quotes), are read each by itself,
so that an order in a long document is not drowned. Descriptions of tools are read where they hold a stock phrase of injections, and count from
``other_roles`` on: honest ones tell a model what to do. With ``user: true`` the users' own messages are read too, by themselves and beside the system
messages: what the operator forbade may be asked for in words that are harmless anywhere else. Scores come from the shipped classifier where it is on
the judges' shelf, else from written rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from charter.core.config import Config as BaseConfig
from charter.core.rows import Conversation, Verdict
from charter.guard.policy import Stage
from charter.guard.rails._disguise import all_forms
from charter.guard.rails._rules import sign_of
from charter.guard.rails._said import counted, say, worst
from charter.guard.rails._scores import SHARED, Scores, asked, begin, scores_of
from charter.guard.rails._texts import by_message, quoted_blocks
from charter.guard.segments import view

NOT_COVERED = (
    "Planted tasks that override nothing (an added link, another question), text in pictures, data that misleads without giving orders, and, in "
    "descriptions of tools, orders in words of their own. What a system message says is taken for the operator's."
)
COST = "local"
SHARES = SHARED
STAGES = ("input",)
OWN_LABEL = True
#: How sure the stock phrases must be of a text around the chat, that it is read.
SIGN = 0.5


class Config(BaseConfig):
    """What is read besides tool results, documents and quoted text, and from where on it counts."""

    user: bool = Field(default=True, description="also the users' own messages, as a whole")
    other_roles: float = Field(
        default=0.8, ge=0.0, le=1.0, description="score from which descriptions of tools count, where that is over the rail's threshold"
    )
    passage_chars: int = Field(default=2000, ge=200, description="long tool results and quoted texts are also read in passages of this length")
    weights: Path | None = Field(default=None, description="folder of your own weights (charter train classifier); empty means the shipped ones")


class InjectionRail:
    """The highest score of all that counts decides. A conversation without such text is safe with score 0."""

    name = "injection"

    def __init__(self, config: Config, scores: Scores) -> None:
        self._config, self._scores = config, scores
        self.version = f"2+{scores.version}"
        self.shares, self.weights = scores.shares, scores.weights

    def __call__(self, conversation: Conversation, stage: Stage) -> Verdict:
        return self.many([conversation], stage)[0]

    def many(self, conversations: Sequence[Conversation], stage: Stage) -> list[Verdict]:
        texts = [(self._own(conversation), self._foreign(conversation), _described(conversation)) for conversation in conversations]
        if len(texts) == 1:
            begin(self._scores, [text for part in texts[0] for text in part])
        wanted = [self._asked(conversation.operator, *parts) for conversation, parts in zip(conversations, texts, strict=True)]
        found = iter(self._scores("injection", [one for parts in wanted for one, _ in parts]))
        return [self._judge(c, [counted(next(found), least) for _, least in parts]) for c, parts in zip(conversations, wanted, strict=True)]

    def _judge(self, conversation: Conversation, verdicts: list[Verdict]) -> Verdict:
        if not verdicts:
            return say(conversation, self.name, self.version, "safe", score=0.0)
        return worst(conversation, self.name, self.version, verdicts)

    def _own(self, conversation: Conversation) -> list[str]:
        """What the users wrote."""
        return _worded(by_message(conversation, ("user",))) if self._config.user else []

    def _foreign(self, conversation: Conversation) -> list[str]:
        """What comes from elsewhere: tool results, documents and quoted blocks; long ones also in passages, but for documents: they come in
        pieces, and in such numbers that a second reading would take too long."""
        foreign = by_message(conversation, ("tool",))
        said = tuple(m for m in conversation.messages if not m.around)
        results = by_message(Conversation(messages=said), ("tool",)) if len(said) < len(conversation.messages) else foreign
        blocks = quoted_blocks(by_message(conversation, ("system", "user", "assistant", "tool")))
        size = self._config.passage_chars
        passages = [text[at : at + size] for text in (*results, *blocks) if len(text) > size for at in range(0, len(text), size * 3 // 4)]
        return _worded([*foreign, *blocks, *passages])

    def _asked(self, operator: str, own: list[str], foreign: list[str], described: list[str]) -> list[tuple[Conversation, float]]:
        """All forms of all texts, and the score from which each counts; the users' beside what the operator told the model, which also reads them by
        themselves."""
        told = [asked(text, operator) for text in all_forms(own)]
        least = dict.fromkeys(all_forms(described), self._config.other_roles) | dict.fromkeys(all_forms(foreign), 0.0)
        known = {conversation.prompt for conversation in told}
        return [*((one, 0.0) for one in told), *((asked(text), score) for text, score in least.items() if text not in known)]


def _described(conversation: Conversation) -> list[str]:
    """Of descriptions of tools and what else stands around the chat: each text that holds a stock phrase of injections, between its neighbours, which
    say what it belongs to. The scores alone take names, and honest orders to call one tool before another, for injections."""
    around = tuple(m for m in conversation.messages if m.around and m.role == "system")
    if not around:
        return []
    texts = [segment.text for segment in view(Conversation(messages=around), "input").segments]
    found = [n for n, text in enumerate(texts) if any(sign_of("injection", form) >= SIGN for form in all_forms([text]))]
    return _worded(["\n".join(texts[max(0, n - 1) : n + 2]) for n in found])


def _worded(texts: Sequence[str]) -> list[str]:
    return [text for text in dict.fromkeys(texts) if any(letter.isalnum() for letter in text)]


def build(config: Config) -> InjectionRail:
    """The rail on the shipped scores, or on those of own weights. Raises InputError where these cannot be loaded or were not taught what it asks."""
    return InjectionRail(config, scores_of(config.weights, "injection", "injection"))
