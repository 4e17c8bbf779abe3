"""Harm of the request: does a message, or do the user's turns together, ask for something harmful?

Scores come from the shipped classifier where it is on the judges' shelf, else from the request judge (``_scores.py``).
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from charter.core.config import Config as BaseConfig
from charter.core.rows import Conversation, Verdict
from charter.guard.policy import Stage
from charter.guard.rails._disguise import all_forms
from charter.guard.rails._said import say, worst
from charter.guard.rails._scores import Head, Scores, begin, shipped
from charter.guard.rails._texts import Role, with_turns

NOT_COVERED = (
    "What the judge behind it misses: encoded text, rare languages, intent that only the reply shows. It does not look for jailbreaks or injections."
)
COST = "local"
STAGES = ("input",)


class Config(BaseConfig):
    """What is read."""

    roles: tuple[Role, ...] = Field(
        default=("user",), min_length=1, description="whose messages; add system where strangers can write system messages"
    )
    joined_chars: int = Field(default=2000, ge=0, description="end of all user turns that is also read as one text; 0 reads messages only alone")


class RequestHarmRail:
    """The highest score of all texts decides. No text at all is ``failed``: what cannot be read is not found harmless."""

    name = "request_harm"
    head: Head = "harmful_request"

    def __init__(self, config: Config, scores: Scores) -> None:
        self._config, self._scores = config, scores
        self.version = f"1+{scores.version}"

    def __call__(self, conversation: Conversation, stage: Stage) -> Verdict:
        return self.many([conversation], stage)[0]

    def many(self, conversations: Sequence[Conversation], stage: Stage) -> list[Verdict]:
        texts = [with_turns(c, self._config.roles, self._config.joined_chars) for c in conversations]
        if len(texts) == 1:
            begin(self._scores, texts[0])
        texts = [all_forms(own) for own in texts]
        found = iter(self._scores(self.head, [Conversation.ask(text) for own in texts for text in own]))
        return [self._judge(c, [next(found) for _ in own]) for c, own in zip(conversations, texts, strict=True)]

    def _judge(self, conversation: Conversation, verdicts: list[Verdict]) -> Verdict:
        if not verdicts:
            return say(conversation, self.name, self.version, "failed", reason="no text in the request")
        return worst(conversation, self.name, self.version, verdicts)


def build(config: Config) -> RequestHarmRail:
    """The rail on the shipped scores."""
    return RequestHarmRail(config, shipped())
