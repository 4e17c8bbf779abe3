"""Observes refusals: says whether a reply declines (full, partial, none, unsure), so that over-refusal can be counted. Changes nothing by itself.

The judge is the refusal judge of the shelf. The score is 1 for a full refusal, 0.5 for a partial or unclear one, 0 for none; the outcome is safe.
"""

from __future__ import annotations

from charter.core.config import Config as BaseConfig
from charter.core.rows import Conversation, Verdict
from charter.guard.policy import Stage
from charter.guard.rails._said import say
from charter.judges import refusal as judge

NOT_COVERED = "Evasions that never say no. Give it action: allow (or flag); a refusal is no harm."
COST = "instant"
STAGES = ("output",)
CALIBRATES = False
_SCORES = {"full": 1.0, "partial": 0.5, "unsure": 0.5, "none": 0.0}


class Config(BaseConfig):
    """The rail has no settings."""


class RefusalRail:
    """``label`` of the verdict is the refusal label."""

    name = "refusal"

    def __init__(self) -> None:
        self._judge = judge.build(judge.Config())
        self.version = f"1+{self._judge.version}"

    def __call__(self, conversation: Conversation, stage: Stage) -> Verdict:
        found = self._judge(conversation)
        if found.outcome == "failed":
            return say(conversation, self.name, self.version, "failed", reason=found.reason)
        return say(conversation, self.name, self.version, "safe", score=_SCORES[found.label], label=found.label, reason=found.reason)


def build(config: Config) -> RefusalRail:
    """The rail on the refusal judge."""
    return RefusalRail()
