"""Several judges, and: unsafe only if all of them say so (also written ``and``).

Truth table: ``_algebra.both``. The score is the lowest, and so is each head.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from charter.core.config import Config as BaseConfig
from charter.core.rows import Conversation, Verdict
from charter.judges._algebra import Combined, both, joint_heads, joint_score
from charter.judges._spec import SomeSpecs, build_judges

NOT_COVERED = "What its weakest part misses: one part that says safe makes the whole safe."


class Config(BaseConfig):
    """The parts."""

    judges: SomeSpecs = Field(default=(), description="two or more judges, each a name or a mapping of one")


class AllOf(Combined):
    """Unsafe if every part is."""

    kind = "all_of"
    mixes = "all"

    def combine(self, conversation: Conversation, verdicts: Sequence[Verdict]) -> Verdict:
        outcome, score = both([v.outcome for v in verdicts]), joint_score(verdicts, min)
        return self.verdict(conversation, outcome, score, verdicts, scores=joint_heads(verdicts, min))


def build(config: Config) -> AllOf:
    """Raises InputError for a part that cannot be built."""
    return AllOf(build_judges(config.judges))
