"""Prompt injection: orders to the model inside tool results, documents and quoted text, and system-looking text in messages.

Tool messages, and what messages quote (fenced blocks, tagged documents, mail quotes), are read each by itself, so that an order in a long document is
not drowned. With ``user: true`` the users' own messages are read too, by themselves and beside the system messages: what the operator
forbade may be asked for in words that are harmless anywhere else. Scores come from the shipped classifier where it is on the judges' shelf, else
from written rules.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from charter.core.config import Config as BaseConfig
from charter.core.rows import Conversation, Verdict
from charter.guard.policy import Stage
from charter.guard.rails._disguise import all_forms
from charter.guard.rails._said import say, worst
from charter.guard.rails._scores import Scores, begin, shipped
from charter.guard.rails._texts import by_message, quoted_blocks

NOT_COVERED = "Planted tasks that override nothing (an added link, another question), text in pictures, and data that misleads without giving orders."
COST = "local"
STAGES = ("input",)


class Config(BaseConfig):
    """What is read besides tool results and quoted text."""

    user: bool = Field(default=True, description="also the users' own messages, as a whole")
    passage_chars: int = Field(default=2000, ge=200, description="long tool results and documents are also read in passages of this length")


class InjectionRail:
    """The highest score of all passages decides. A conversation without such text is safe with score 0."""

    name = "injection"

    def __init__(self, config: Config, scores: Scores) -> None:
        self._config, self._scores = config, scores
        self.version = f"1+{scores.version}"

    def __call__(self, conversation: Conversation, stage: Stage) -> Verdict:
        return self.many([conversation], stage)[0]

    def many(self, conversations: Sequence[Conversation], stage: Stage) -> list[Verdict]:
        texts = [(self._own(conversation), self._foreign(conversation)) for conversation in conversations]
        if len(texts) == 1:
            begin(self._scores, [*texts[0][0], *texts[0][1]])
        asked = [self._asked(conversation.operator, *parts) for conversation, parts in zip(conversations, texts, strict=True)]
        found = iter(self._scores("injection", [one for parts in asked for one in parts]))
        return [self._judge(c, [next(found) for _ in parts]) for c, parts in zip(conversations, asked, strict=True)]

    def _judge(self, conversation: Conversation, verdicts: list[Verdict]) -> Verdict:
        if not verdicts:
            return say(conversation, self.name, self.version, "safe", score=0.0)
        return worst(conversation, self.name, self.version, verdicts)

    def _own(self, conversation: Conversation) -> list[str]:
        """What the users wrote."""
        return _worded(by_message(conversation, ("user",))) if self._config.user else []

    def _foreign(self, conversation: Conversation) -> list[str]:
        """What comes from elsewhere: tool results and quoted blocks, long ones also in passages."""
        foreign = by_message(conversation, ("tool",))
        blocks = quoted_blocks(by_message(conversation, ("system", "user", "assistant", "tool")))
        size = self._config.passage_chars
        passages = [text[at : at + size] for text in (*foreign, *blocks) if len(text) > size for at in range(0, len(text), size * 3 // 4)]
        return _worded([*foreign, *blocks, *passages])

    def _asked(self, operator: str, own: list[str], foreign: list[str]) -> list[Conversation]:
        """All forms of all texts; the users' beside what the operator told the model, which also reads them by themselves."""
        beside = [Conversation.ask(text, operator) for text in all_forms(own)]
        known = {conversation.prompt for conversation in beside}
        return [*beside, *(Conversation.ask(text) for text in all_forms(foreign) if text not in known)]


def _worded(texts: Sequence[str]) -> list[str]:
    return [text for text in dict.fromkeys(texts) if any(letter.isalnum() for letter in text)]


def build(config: Config) -> InjectionRail:
    """The rail on the shipped scores."""
    return InjectionRail(config, shipped())
