"""Harm of the reply, given what was asked: its text and the arguments of its tool calls.

Scores come from the shipped classifier where it is on the judges' shelf, else from the harm judge. The reply is read against the last request,
against all the user's turns together, and against whatever else looks like a harmful request: the same reply is worse where it was asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from charter.core.config import Config as BaseConfig
from charter.core.rows import Conversation, Verdict
from charter.guard.policy import Stage
from charter.guard.rails._disguise import all_forms
from charter.guard.rails._said import say, worst
from charter.guard.rails._scores import SHARED, Scores, asked, begin_reply, replied, scores_of
from charter.guard.rails._texts import ROLES, of_others, requests, unanswered
from charter.guard.segments import view

NOT_COVERED = "Harm that needs knowledge to see (a wrong dose, a false claim), harm spread over several replies, and what the judge behind it misses."
COST = "local"
SHARES = SHARED
STAGES = ("output",)


class Config(BaseConfig):
    """What the reply is read against."""

    joined_chars: int = Field(default=2000, ge=0, description="end of all user turns that the reply is also read against; 0 takes the last one only")
    other_roles: float = Field(
        default=0.5,
        ge=0.0,
        le=1.0,
        description="harm from which a text that is not a user's (system, tool, an earlier turn) is a request that the reply is also read against",
    )
    weights: Path | None = Field(default=None, description="folder of your own weights (charter train classifier); empty means the shipped ones")


class ReplyHarmRail:
    """The highest score decides. An empty reply is ``failed``."""

    name = "reply_harm"

    def __init__(self, config: Config, scores: Scores) -> None:
        self._config, self._scores = config, scores
        self.version = f"2+{scores.version}"
        self.shares, self.weights = scores.shares, scores.weights

    def __call__(self, conversation: Conversation, stage: Stage) -> Verdict:
        return self.many([conversation], stage)[0]

    def many(self, conversations: Sequence[Conversation], stage: Stage) -> list[Verdict]:
        if len(conversations) == 1 and (said := _says(conversations[0])):
            begin_reply(self._scores, replied(requests(conversations[0], 0)[0], said))
        others = self._asked_by_others(conversations)
        pairs = [self._pairs(conversation, texts) for conversation, texts in zip(conversations, others, strict=True)]
        found = iter(self._scores("harmful_reply", [pair for own in pairs for pair in own]))
        return [self._judge(c, [next(found) for _ in own]) for c, own in zip(conversations, pairs, strict=True)]

    def _judge(self, conversation: Conversation, verdicts: list[Verdict]) -> Verdict:
        if not verdicts:
            return say(conversation, self.name, self.version, "failed", reason="empty reply")
        return worst(conversation, self.name, self.version, verdicts)

    def _asked_by_others(self, conversations: Sequence[Conversation]) -> list[list[str]]:
        """Texts of others that look like a harmful request. The input rails have had them read as they stand: that reading is kept."""
        texts = [of_others(unanswered(conversation), ROLES) if _says(conversation) else [] for conversation in conversations]
        every = list(dict.fromkeys(text for own in texts for text in own))
        found = dict(zip(every, self._scores("harmful_request", [asked(text) for text in every]), strict=True)) if every else {}
        return [[text for text in own if (found[text].score or 0.0) >= self._config.other_roles or found[text].outcome == "failed"] for own in texts]

    def _pairs(self, conversation: Conversation, others: Sequence[str]) -> list[Conversation]:
        said = _says(conversation)
        if not said:
            return []
        replies, requested = all_forms([said]), dict.fromkeys([*requests(conversation, self._config.joined_chars), *others])
        return [replied(text, reply) for text in requested for reply in replies]


def _says(conversation: Conversation) -> str:
    said = view(conversation, "output").text
    return said if said.strip() else ""


def build(config: Config) -> ReplyHarmRail:
    """The rail on the shipped scores, or on those of own weights. Raises InputError where these cannot be loaded or were not taught what it asks."""
    return ReplyHarmRail(config, scores_of(config.weights, "reply_harm", "harmful_reply"))
