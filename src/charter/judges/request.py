"""Is a request harmful? A small shipped classifier of the last user message.

Hashed n-gram logistic regression, see ``_hashed.py``; fitted by ``tools/fit_harm_judge.py`` on open request sets and Charter's own pairs.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from charter.core.config import Config as BaseConfig
from charter.core.rows import Conversation, Verdict
from charter.judges._hashed import load, outcome, request_features, sigmoid, words

NOT_COVERED = (
    "Intent that shows only in earlier turns, languages other than English, encoded or misspelt requests, and wording far from the training "
    "sets. It names no hazard. It is a first filter, not a moderator."
)


class Config(BaseConfig):
    """Settings of the request judge."""

    weights: Path | None = Field(default=None, description="weight file; empty means the shipped one")


class RequestJudge:
    """``score`` is the probability that the last user message asks for something harmful. No user text is ``failed``."""

    name = "request"

    def __init__(self, weights: Path | None = None) -> None:
        self._model = load(weights)
        self.version = self._model.version

    def __call__(self, conversation: Conversation) -> Verdict:
        prompt = conversation.prompt
        if not words(prompt):
            return Verdict(subject=conversation.id, outcome="failed", reason="no words in the request", judge=self.name, judge_version=self.version)
        score = sigmoid(self._model.request.logit(request_features(prompt)))
        low, high = float(self._model.thresholds[0]), float(self._model.thresholds[1])
        return Verdict.model_validate(
            {"subject": conversation.id, "outcome": outcome(score, low, high), "score": score, "judge": self.name, "judge_version": self.version}
        )


def build(config: Config) -> RequestJudge:
    """A judge with the weights of ``config``. Raises InputError if they cannot be read."""
    return RequestJudge(config.weights)
