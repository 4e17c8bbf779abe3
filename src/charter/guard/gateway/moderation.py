"""Moderation in OpenAI's 13 categories by the shipped classifier, on this machine: for ``/v1/moderations`` and the ``moderation`` parameter.

A text that could not be scored is an error, never an unflagged result. Scores are the classifier's (``judges/_heads.py`` says how its heads make the
categories); a category is flagged where the heads that make it are at their operating points together, or where a narrower one of it is.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from charter.core.processors import processors
from charter.guard._workers import Workers, away
from charter.judges._heads import HAZARDS, OPENAI_CATEGORIES, openai_categories

Scores = Mapping[str, float]
#: Scores by head and hazard of each text.
Read = Callable[[Sequence[str]], list[Scores]]
#: Texts that one request may bring, their characters together (as many as the length rail lets pass), and time for all of them.
MOST_TEXTS = 256
MOST_CHARS = 200_000
TIMEOUT_S = 20.0
#: Texts that are read before a thread looks whether anybody still waits for them.
_AT_ONCE = 16
#: A hazard counts from this share on, as it does for the classifier's verdicts.
NAMED = 0.35
#: The heads (or 'hazard') that make a category, by category: ``openai_categories`` multiplies their scores.
FACTORS: Mapping[str, tuple[str, ...]] = {
    "harassment": ("harassment",),
    "harassment/threatening": ("harassment", "violence"),
    "hate": ("hate",),
    "hate/threatening": ("hate", "violence"),
    "illicit": ("harmful_request",),
    "illicit/violent": ("harmful_request", "hazard"),
    "self-harm": ("self_harm",),
    "self-harm/intent": ("self_harm", "hazard"),
    "self-harm/instructions": ("self_harm", "harmful_request"),
    "sexual": ("sexual",),
    "sexual/minors": ("sexual", "hazard"),
    "violence": ("violence",),
    "violence/graphic": ("violence", "moderation"),
}
#: The category that a narrower one is part of: flagged wherever that is.
BROADER: Mapping[str, str] = {name: name.partition("/")[0] for name in OPENAI_CATEGORIES if "/" in name}
#: Categories whose score nobody trained or measured: no text of this kind is in any data here. Told in a header of each answer.
NOT_MEASURED = ("sexual/minors",)
#: Scores that a reading must have.
NEEDED = frozenset({"harassment", "hate", "violence", "harmful_request", "self_harm", "sexual", "toxicity", *HAZARDS})


class ModerationError(Exception):
    """A text could not be scored. The message never holds text of it."""


class Moderator:
    """``read`` gives scores by head; ``points`` the operating point of each head. Texts are read by threads of its own, fewer than there are
    processors. What takes longer than ``timeout_s`` fails; its thread keeps its place until it has seen that nobody waits for it any more."""

    def __init__(self, read: Read, points: Mapping[str, float], model: str, *, timeout_s: float = TIMEOUT_S) -> None:
        self.model = model
        self.thresholds = {name: _product(points[factor] for factor in FACTORS[name]) for name in OPENAI_CATEGORIES}
        self._read, self._timeout_s = read, timeout_s
        self._threads = Workers("moderation", max(1, processors() - 1))

    async def results(self, texts: Sequence[str]) -> list[dict[str, Any]]:
        """One result for each text, in the form of ``/v1/moderations``. Raises ModerationError."""
        if sum(map(len, texts)) > MOST_CHARS:
            raise ModerationError(f"more than {MOST_CHARS:,} characters are not scored at once")
        stop = threading.Event()
        try:
            async with asyncio.timeout(self._timeout_s):
                found = await away(self._threads, lambda: self._all(texts, stop))
        except TimeoutError:
            raise ModerationError("the moderation took too long") from None
        except Exception as error:  # whatever went wrong, the texts are not scored
            raise ModerationError(f"the moderation failed: {type(error).__name__}") from None
        finally:
            stop.set()
        if len(found) != len(texts):
            raise ModerationError("the moderation gave another number of results than it was asked for")
        return [self._result(scores) for scores in found]

    def _all(self, texts: Sequence[str], stop: threading.Event) -> list[Scores]:
        """Fewer scores than texts once nobody waits for them."""
        found: list[Scores] = []
        for start in range(0, len(texts), _AT_ONCE):
            if stop.is_set():
                break
            found += self._read(texts[start : start + _AT_ONCE])
        return found

    def _result(self, heads: Scores) -> dict[str, Any]:
        if not heads.keys() >= NEEDED:  # a head that is not there would count as 0
            raise ModerationError("the moderation gave no score for some of its heads")
        scores = openai_categories(heads)
        if any(not 0.0 <= scores[name] <= 1.0 for name in OPENAI_CATEGORIES):  # not a number is none of these
            raise ModerationError("the moderation gave a score that is no probability")
        flagged = {name: scores[name] >= self.thresholds[name] for name in OPENAI_CATEGORIES}
        for name, broader in BROADER.items():  # each is cut at a threshold of its own, and what threatens somebody harasses somebody
            flagged[broader] = flagged[broader] or flagged[name]
        return {
            "flagged": any(flagged.values()),
            "categories": flagged,
            "category_scores": {name: round(scores[name], 6) for name in OPENAI_CATEGORIES},
            "category_applied_input_types": {name: ["text"] for name in OPENAI_CATEGORIES},
        }


@cache
def shipped() -> Moderator:
    """The moderator on the shipped classifier, loaded once in a process. Raises InputError or MissingPartError where it cannot be loaded."""
    from charter.judges import classifier

    judge = classifier.build(classifier.Config())

    def read(texts: Sequence[str]) -> list[Scores]:
        found = judge.scorer.texts(list(texts)).probabilities
        return [{head: float(values[number]) for head, values in found.items()} for number in range(len(texts))]

    points = {name: float(head["points"]["unsafe"]) for name, head in judge.scorer.encoder.card["heads"].items()}
    return Moderator(read, {**points, "hazard": NAMED}, f"charter-classifier-{judge.version}")


def _product(values: Any) -> float:
    found = 1.0
    for value in values:
        found *= value
    return found
