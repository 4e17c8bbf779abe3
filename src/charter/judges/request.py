"""Is a request harmful? The shipped encoder's head for requests, on the last user message.

It is the judge ``classifier`` without its other answers. Its operating points are set by false alarms on held-out sources (``docs/classifier.md``).
Version 1 was hashed n-grams, which know words and not sentences (XSTest AUC 0.81); those still serve the judge ``harm``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from charter.core.config import Config as BaseConfig
from charter.core.normalise.fold import seen
from charter.core.rows import Conversation, Verdict
from charter.judges import classifier
from charter.judges._hashed import words

NOT_COVERED = (
    "Intent that shows only in earlier turns, languages that have no word list, encoded or misspelt requests, and wording far from the training "
    "sets. It names no hazard and looks for no jailbreak (the judge classifier does). It is a first filter, not a moderator."
)
HEAD = "harmful_request"


class Config(BaseConfig):
    """Settings of the request judge."""

    weights: Path | None = Field(default=None, description="folder of your own weights (charter train classifier); empty means the shipped ones")


class RequestJudge:
    """``score`` is the probability that the last user message asks for something harmful. No user text is ``failed``."""

    name = "request"

    def __init__(self, encoder: classifier.ClassifierJudge) -> None:
        self._encoder = encoder
        self.scorer = encoder.scorer
        self.version = f"2+{encoder.version}"

    def __call__(self, conversation: Conversation) -> Verdict:
        return self.batch([conversation])[0]

    def forget(self) -> None:
        """Read everything anew from here on: for measurements."""
        self._encoder.forget()

    def batch(self, conversations: Sequence[Conversation]) -> list[Verdict]:
        """Verdicts in order; one pass of the encoder over all of them."""
        asked = [n for n, c in enumerate(conversations) if seen(c.prompt) and words(c.prompt)]
        found = dict(zip(asked, self._encoder.score([conversations[n].prompt for n in asked])[HEAD].tolist(), strict=True))
        return [self._verdict(c, found.get(n)) for n, c in enumerate(conversations)]

    def _verdict(self, conversation: Conversation, score: float | None) -> Verdict:
        said = {"subject": conversation.id, "judge": self.name, "judge_version": self.version}
        if score is None:
            return Verdict.model_validate({**said, "outcome": "failed", "reason": "no words in the request"})
        points = self._encoder.points[HEAD]
        outcome = "unsafe" if score >= points["unsafe"] else "unsure" if score >= points["safe"] else "safe"
        return Verdict.model_validate({**said, "outcome": outcome, "score": score, "scores": {HEAD: round(score, 6)}})


def build(config: Config) -> RequestJudge:
    """A judge with the shipped weights or those of a folder. Raises InputError when they are missing or altered, or were not taught this head."""
    encoder = classifier.build(classifier.Config(weights=config.weights), by_any=True)
    encoder.need("the judge request", HEAD)
    return RequestJudge(encoder)
