"""A judge's score, read at another threshold: unsafe from ``high``, safe under ``low``, unsure between.

A verdict without the score has nothing to read and is failed.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field, model_validator

from charter.core.config import Config as BaseConfig
from charter.core.errors import InputError
from charter.core.rows import Conversation, Verdict
from charter.judges._algebra import Combined, by_score, ordered
from charter.judges._spec import Spec, build_judge

NOT_COVERED = "Whether the score means what the threshold takes it to mean: read the judge's card for its calibration first."


class Config(BaseConfig):
    """The part and where to cut."""

    judge: Spec = Field(default="", description="the judge whose score is read")
    high: float = Field(default=0.5, ge=0.0, le=1.0, description="unsafe at or over this")
    low: float | None = Field(default=None, ge=0.0, le=1.0, description="safe under this; empty means the same as high, so nothing is unsure")
    head: str = Field(default="", description="read this one of the judge's scores instead, such as harmful_request")

    _ordered = model_validator(mode="after")(ordered)


class Threshold(Combined):
    """The verdict of its part, cut elsewhere."""

    kind = "threshold"
    tested = ("part", "it cuts in the wrong place: read the scores with charter judges score, and move high and low")

    def __init__(self, config: Config) -> None:
        super().__init__([build_judge(config.judge)], config.model_dump(include={"high", "low", "head"}))
        self._config = config
        if config.head in getattr(self.parts[0], "untaught", ()):
            raise InputError(
                f"threshold: head: no row taught the weights of {self.parts[0].name} {config.head}", "docs/classifier.md says how to teach it"
            )
        if config.head:
            #: The one thing that it then decides, whatever else its part answers.
            self.answers = (config.head,)

    def combine(self, conversation: Conversation, verdicts: Sequence[Verdict]) -> Verdict:
        (seen,) = verdicts
        config = self._config
        score = seen.scores.get(config.head) if config.head else seen.score
        if seen.outcome == "failed":
            return self.verdict(conversation, "failed", None, verdicts, f"{seen.judge}: {seen.reason}")
        if score is None:
            return self.verdict(conversation, "failed", None, verdicts, f"{seen.judge} gave no score{f' {config.head}' if config.head else ''}")
        outcome = by_score(score, config.high if config.low is None else config.low, config.high)
        found = self.verdict(conversation, outcome, score, verdicts, f"{seen.judge}: {score:.3f}", seen.scores)
        return found.model_copy(update={"hazards": seen.hazards if outcome == "unsafe" else (), "spans": seen.spans})


def build(config: Config) -> Threshold:
    """Raises InputError for a part that cannot be built."""
    return Threshold(config)
