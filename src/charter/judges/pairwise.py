"""Which of two replies follows a principle better? A model answers A or B, in both orders.

Sources: AI feedback on pairs by one principle, and reasons first with P clamped to 40 to 60 % (a model that has argued for a side is too sure of
it), Bai et al. 2022 (arXiv 2212.08073, section 4); asking in both orders against position bias, Lee et al. 2023 (arXiv 2309.00267). ``build``
returns a ``PairwiseJudge``, which compares and is not called like other judges. The prompt is ``pairwise.txt``; its placeholders are
{conversation}, {reply_a}, {reply_b}, {principle}, {how} and {mark} (a code that the texts do not contain).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field, model_validator

from charter.core.config import Config as BaseConfig
from charter.core.errors import InputError
from charter.core.rows import Comparison, Conversation, Sampling
from charter.core.shapes import Model
from charter.judges._quoting import fill, mark_for, quoted, transcript

NOT_COVERED = (
    "Whether the model can judge at all: a small one is near chance. Both orders remove the bias to a position, not the taste for length or "
    "for its own style. Nothing is said about safety beyond the one principle."
)
#: Letters alone: servers give log-probabilities of first tokens, and "(A)" and "(B)" begin with the same one.
OPTIONS = ("A", "B")
ONE_LETTER = "Answer with one letter and nothing else: A or B"
REASONS = "Think about each reply in turn, in two to five sentences. Do not give the answer yet."
#: Rounding by which two real probabilities may add up to more than 1.
_SLACK = 1e-6
#: Least P(A) + P(B) by default, as for the judges that ask yes or no: of an answer under it nineteen in twenty parts are something else, and the
#: share of the two letters is noise. It costs no answer of a model that can follow the question; the small embedded one gives them 60 % and more
#: (18 asked). Also the least probability of an option for the other one, which the model does not list, to count as 0.
LEAST_MASS = 0.05


class Config(BaseConfig):
    """Settings of the pairwise judge. The model is given to ``build``."""

    minimum_mass: float = Field(
        default=LEAST_MASS,
        ge=0.0,
        le=1.0,
        description="least P(A) + P(B) for an answer to count; under it that order has failed. Not checked when the two add up to more than 1: then "
        "they are only scores",
    )
    reasoning: bool = Field(default=False, description="let the model reason first, then clamp P")
    clamp: tuple[float, float] = Field(default=(0.4, 0.6), description="with reasoning: the least and the greatest P of an order")
    max_tokens: int = Field(default=256, ge=1, description="with reasoning: room for it")

    @model_validator(mode="after")
    def _clamps(self) -> Config:
        low, high = self.clamp
        if not 0.0 <= low <= high <= 1.0:
            raise ValueError(f"clamp: [{low:g}, {high:g}] is no stretch of chances from 0 to 1")
        return self


class PairwiseJudge:
    """Compares two replies by one principle. P is the first reply's share of the two options, once for each order; an order whose scores are
    no log-probabilities, or whose options together are less likely than ``minimum_mass``, is None."""

    name = "pairwise"
    version = "4"

    def __init__(self, model: Model, minimum_mass: float = LEAST_MASS, *, config: Config | None = None) -> None:
        self._model = model
        self._config = config or Config(minimum_mass=minimum_mass)
        self._how = REASONS if self._config.reasoning else ONE_LETTER
        self._template = Path(__file__).with_name("pairwise.txt").read_text(encoding="utf-8")

    def __call__(self, conversation: Conversation, a: str, b: str, principle_text: str, principle_id: str) -> Comparison:
        """Errors of the model itself are raised, not turned into a tie."""
        forward = self._first_better(conversation, a, b, principle_text)
        backward = self._first_better(conversation, b, a, principle_text)
        return Comparison(
            conversation=conversation,
            a=a,
            b=b,
            principle=principle_id,
            p_forward=forward,
            p_backward=None if backward is None else 1.0 - backward,
            judge=f"{self.name}:{self._model.spec}",
        )

    def prompt(self, conversation: Conversation, first: str, second: str, principle: str) -> str:
        """The text that the model reads."""
        turns = transcript([(m.role, m.text) for m in conversation.messages])
        texts = {"conversation": turns, "reply_a": quoted(first), "reply_b": quoted(second), "principle": " ".join(principle.split())}
        return fill(self._template, {**texts, "how": self._how, "mark": mark_for(*texts.values())})

    def _first_better(self, conversation: Conversation, first: str, second: str, principle: str) -> float | None:
        question = Conversation.ask(self.prompt(conversation, first, second, principle))
        if not self._config.reasoning:
            return share_of_first(self._model.score(question, OPTIONS), self._config.minimum_mass)
        reasons = self._model.reply([question], Sampling(max_tokens=self._config.max_tokens))[0]
        if reasons.finish != "stop" or not reasons.text.strip():
            return None
        asked_again = question.with_reply(reasons.text).with_user(ONE_LETTER)
        p = share_of_first(self._model.score(asked_again, OPTIONS), self._config.minimum_mass)
        low, high = self._config.clamp
        return None if p is None else min(high, max(low, p))


def share_of_first(log_probabilities: Sequence[float], minimum_mass: float = 0.0) -> float | None:
    """P(first) / (P(first) + P(second)) of two log-probabilities in nats. None if one is no number, or if they are real (their sum is at most 1) and
    the sum is under ``minimum_mass``: a model that would say something else has not answered. An option that is not among the likeliest tokens
    (-inf) counts as 0 where the other one has the mass, and 5 % at least: under that, the one left out may be as likely."""
    if len(log_probabilities) != 2 or any(math.isnan(x) or x == math.inf for x in log_probabilities):
        return None
    a, b = log_probabilities
    real = max(a, b) <= 0.0 and math.exp(a) + math.exp(b) <= 1.0 + _SLACK
    if real and math.exp(a) + math.exp(b) < minimum_mass:
        return None
    if -math.inf in (a, b):
        return float(a > b) if real and math.exp(max(a, b)) >= LEAST_MASS else None
    difference = max(-700.0, min(700.0, b - a))
    return 1.0 / (1.0 + math.exp(difference))


def build(config: Config, model: Model | None = None) -> PairwiseJudge:
    """A pairwise judge that asks ``model``. Raises InputError without one."""
    if model is None:
        raise InputError("the pairwise judge asks a model, and none was given", "use rules_pairwise, which needs none")
    return PairwiseJudge(model, config=config)
