"""Several judges vote: what more than half of all say. A failed vote counts for nobody.

Truth table: ``_algebra.most``. The score is the mean of those that were given, and so is each head.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from pydantic import Field

from charter.core.config import Config as BaseConfig
from charter.core.rows import Conversation, Verdict
from charter.judges._algebra import Combined, joint_heads, joint_score, most
from charter.judges._spec import SomeSpecs, build_judges

NOT_COVERED = "Judges that err together, as models of one family do: a vote only removes errors that are independent."


class Config(BaseConfig):
    """The parts."""

    judges: SomeSpecs = Field(default=(), description="three or more judges, each a name or a mapping of one; an even number can end undecided")


class Majority(Combined):
    """The verdict of most parts."""

    kind = "majority"
    mixes = "most"

    def combine(self, conversation: Conversation, verdicts: Sequence[Verdict]) -> Verdict:
        outcome, score = most([v.outcome for v in verdicts]), joint_score(verdicts, statistics.fmean)
        return self.verdict(conversation, outcome, score, verdicts, scores=joint_heads(verdicts, statistics.fmean))


def build(config: Config) -> Majority:
    """Raises InputError for a part that cannot be built."""
    return Majority(build_judges(config.judges))
