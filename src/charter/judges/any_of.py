"""Several judges, or: unsafe if any of them says so (also written ``or``).

Truth table: ``_algebra.either``. The score is the highest, and so is each head.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from charter.core.config import Config as BaseConfig
from charter.core.rows import Conversation, Verdict
from charter.judges._algebra import Combined, either, joint_heads, joint_score
from charter.judges._spec import SomeSpecs, build_judges

NOT_COVERED = "False alarms: it raises those of every part together."


class Config(BaseConfig):
    """The parts."""

    judges: SomeSpecs = Field(default=(), description="two or more judges, each a name or a mapping of one")


class AnyOf(Combined):
    """Unsafe if one part is."""

    kind = "any_of"
    mixes = "any"

    def combine(self, conversation: Conversation, verdicts: Sequence[Verdict]) -> Verdict:
        outcome, score = either([v.outcome for v in verdicts]), joint_score(verdicts, max)
        return self.verdict(conversation, outcome, score, verdicts, scores=joint_heads(verdicts, max))


def build(config: Config) -> AnyOf:
    """Raises InputError for a part that cannot be built."""
    return AnyOf(build_judges(config.judges))
