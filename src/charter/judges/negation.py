"""A judge, turned round: safe becomes unsafe and the other way (also written ``not``).

Of use around judges of good things, such as "did the reply decline?". Unsure stays unsure, failed stays failed; the score is 1 - score.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from charter.core.config import Config as BaseConfig
from charter.core.rows import Conversation, Verdict
from charter.judges._algebra import Combined, inverse
from charter.judges._spec import Spec, build_judge

NOT_COVERED = "Judges that never say both: 'not refused' is not 'harmful', and the refusal judge is unsure of every reply that does not refuse."


class Config(BaseConfig):
    """The part."""

    judge: Spec = Field(default="", description="the judge to turn round")


class Negation(Combined):
    """The opposite of its part. Hazards and spans were reasons for the part's verdict, so they are left out; so are its heads, which say what
    they are named for and not the opposite."""

    kind = "negation"
    keeps_heads_of = "none"
    turns = True

    def combine(self, conversation: Conversation, verdicts: Sequence[Verdict]) -> Verdict:
        (seen,) = verdicts
        score = None if seen.score is None else 1.0 - seen.score
        return self.verdict(conversation, inverse(seen.outcome), score, verdicts).model_copy(update={"hazards": (), "spans": ()})


def build(config: Config) -> Negation:
    """Raises InputError for a part that cannot be built."""
    return Negation([build_judge(config.judge)])
