"""Toxic language: insults, threats, hate and slurs, of anybody in a request (input) or in the reply (output).

Scores come from the shipped classifier where it is on the judges' shelf, else from written rules, which know coarse words and stock insults.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from charter.core.rows import Conversation, Verdict
from charter.guard.policy import Stage
from charter.guard.rails import request_harm
from charter.guard.rails._disguise import all_forms
from charter.guard.rails._said import say, worst
from charter.guard.rails._scores import SHARED, scores_of
from charter.guard.rails._texts import by_message

NOT_COVERED = (
    "Polite contempt, irony, dog whistles, reclaimed words, quotation and other languages. Toxic words in a harmless text raise false alarms."
)
COST = "local"
SHARES = SHARED
OWN_LABEL = True


class Config(request_harm.Config):
    """What is read of a request, and from where on what is not the user's counts."""

    other_roles: float = Field(
        default=0.8, ge=0.0, le=1.0, description="score from which text that is not a user's counts, where that is over the rail's threshold"
    )


class ToxicityRail(request_harm.RequestHarmRail):
    """The highest score of all texts decides. Text without words is safe with score 0."""

    name = "toxicity"
    head = "toxicity"

    def many(self, conversations: Sequence[Conversation], stage: Stage) -> list[Verdict]:
        if stage == "input":
            return super().many(conversations, stage)
        texts = [all_forms(by_message(c, ("assistant",), stage)) for c in conversations]
        found = iter(self._read([text for own in texts for text in own]))
        return [self._judge(c, [next(found) for _ in own]) for c, own in zip(conversations, texts, strict=True)]

    def _judge(self, conversation: Conversation, verdicts: list[Verdict]) -> Verdict:
        if not verdicts:
            return say(conversation, self.name, self.version, "safe", score=0.0)
        return worst(conversation, self.name, self.version, verdicts)


def build(config: Config) -> ToxicityRail:
    """The rail on the shipped scores, or on those of own weights. Raises InputError where these cannot be loaded or were not taught what it asks."""
    return ToxicityRail(config, scores_of(config.weights, "toxicity", "toxicity"))
