"""Harm of the request: does a message of anybody, or do the user's turns together, ask for something harmful?

A request is one wherever it stands: in a system message, the description of a tool, a tool result, a turn in the model's own name. What is not the
user's is read by itself, and counts from ``other_roles`` on; a sentence that forbids something counts for nothing there. The model's earlier turns
count from a higher score, so that no chat ends because an honest answer spoke of a harm. Scores come from the shipped classifier where it is on the
judges' shelf, else from the request judge (``_scores.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pydantic import Field

from charter.core.config import Config as BaseConfig
from charter.core.rows import Conversation, Verdict
from charter.guard.policy import Stage
from charter.guard.rails._disguise import all_forms
from charter.guard.rails._forbidding import without_forbidding
from charter.guard.rails._said import HARMLESS, counted, say, worst
from charter.guard.rails._scores import SHARED, Head, Scores, asked, begin, scores_of
from charter.guard.rails._texts import ROLES, Role, by_message, of_others, spoken

NOT_COVERED = (
    "What the judge behind it misses: encoded text, rare languages, intent that only the reply shows, a request in the midst of long instructions, "
    "or worded there as if it were forbidden. It does not look for jailbreaks or injections."
)
COST = "local"
SHARES = SHARED
STAGES = ("input",)


class Config(BaseConfig):
    """What is read, and from where on what is not the user's counts."""

    roles: tuple[Role, ...] = Field(
        default=ROLES, min_length=1, description="whose messages; descriptions of tools are system. Leave out roles that only you write"
    )
    other_roles: float = Field(
        default=0.8, ge=0.0, le=1.0, description="score from which text that is not a user's counts, where that is over the rail's threshold"
    )
    earlier_turns: float = Field(
        default=0.93, ge=0.0, le=1.0, description="the same for the model's turns before the last of the user: in honest ones harms are spoken of"
    )
    joined_chars: int = Field(default=2000, ge=0, description="end of all user turns that is also read as one text; 0 reads messages only alone")
    weights: Path | None = Field(default=None, description="folder of your own weights (charter train classifier); empty means the shipped ones")


class _Texts(NamedTuple):
    """Of one conversation."""

    own: list[str]
    others: list[str]
    earlier: list[str]


class RequestHarmRail:
    """The highest score of all texts decides. No text at all is ``failed``: what cannot be read is not found harmless. Where others have said
    something and nobody of ``roles`` has, there is nothing to find."""

    name = "request_harm"
    head: Head = "harmful_request"

    def __init__(self, config: Config, scores: Scores) -> None:
        self._config, self._scores = config, scores
        self.version = f"2+{scores.version}"
        self.shares, self.weights = scores.shares, scores.weights

    def __call__(self, conversation: Conversation, stage: Stage) -> Verdict:
        return self.many([conversation], stage)[0]

    def many(self, conversations: Sequence[Conversation], stage: Stage) -> list[Verdict]:
        texts = [self._texts(conversation) for conversation in conversations]
        if len(texts) == 1:
            begin(self._scores, [text for part in texts[0] for text in part])
        texts = [_Texts(*map(all_forms, parts)) for parts in texts]
        found = iter(self._read([text for parts in texts for part in parts for text in part]))
        scored = [[[next(found) for _ in part] for part in parts] for parts in texts]
        counted = [
            [
                *own,
                *self._counted(parts.others, others, self._config.other_roles),
                *self._counted(parts.earlier, earlier, self._config.earlier_turns),
            ]
            for parts, (own, others, earlier) in zip(texts, scored, strict=True)
        ]
        return [self._judge(c, verdicts) for c, verdicts in zip(conversations, counted, strict=True)]

    def _texts(self, conversation: Conversation) -> _Texts:
        roles = self._config.roles
        own, now = spoken(conversation, roles, self._config.joined_chars)
        return _Texts(own, now, [text for text in of_others(conversation, roles) if text not in now])

    def _read(self, texts: Sequence[str]) -> list[Verdict]:
        return self._scores(self.head, [asked(text) for text in texts])

    def _counted(self, texts: Sequence[str], verdicts: Sequence[Verdict], least: float) -> list[Verdict]:
        """Verdicts on what no user says as they count. Only a text that reaches ``least`` is read again, without what it forbids."""
        rest = {text: without_forbidding(text) for text, verdict in zip(texts, verdicts, strict=True) if _counts(verdict, least)}
        again = [left for text, left in rest.items() if left != text and any(letter.isalnum() for letter in left)]
        found = dict(zip(again, self._read(again), strict=True)) if again else {}
        final = [v if rest.get(t, t) == t else found.get(rest[t]) for t, v in zip(texts, verdicts, strict=True)]
        return [v.model_copy(update=HARMLESS) if f is None else counted(f, least) for f, v in zip(final, verdicts, strict=True)]

    def _judge(self, conversation: Conversation, verdicts: list[Verdict]) -> Verdict:
        if not verdicts and by_message(conversation, ROLES) and not by_message(conversation, self._config.roles):
            return say(conversation, self.name, self.version, "safe", score=0.0)  # nobody whom it reads has said anything
        if not verdicts:
            return say(conversation, self.name, self.version, "failed", reason="no text in the request")
        return worst(conversation, self.name, self.version, verdicts)


def _counts(verdict: Verdict, least: float) -> bool:
    return verdict.outcome != "failed" and (verdict.score is None or verdict.score >= least)


def build(config: Config) -> RequestHarmRail:
    """The rail on the shipped scores, or on those of own weights. Raises InputError where these cannot be loaded or were not taught what it asks."""
    return RequestHarmRail(config, scores_of(config.weights, "request_harm", "harmful_request"))
