"""How rails word what they saw."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from charter.core.rows import Conversation, Outcome, Verdict

#: What a verdict says that found nothing.
HARMLESS: Mapping[str, Any] = {"outcome": "safe", "score": 0.0, "hazards": (), "label": "", "spans": ()}
#: A span of the view and what kind of thing stands there, as the masks name it.
Found = tuple[int, int, str]


def say(conversation: Conversation, rail: str, version: str, outcome: Outcome, **content: Any) -> Verdict:
    """A verdict about the whole conversation."""
    return Verdict.model_validate({"subject": conversation.id, "outcome": outcome, "judge": rail, "judge_version": version, **content})


def say_found(conversation: Conversation, rail: str, version: str, found: Iterable[Found], score: float = 1.0, reason: str = "") -> Verdict:
    """The verdict of a rail that looks for places: unsafe with spans and their kinds, or safe with score 0."""
    spots = sorted(set(found))
    if not spots:
        return say(conversation, rail, version, "safe", score=0.0)
    kinds = " ".join(kind for _, _, kind in spots)
    told = reason or ", ".join(sorted({kind for _, _, kind in spots}))
    return say(conversation, rail, version, "unsafe", score=score, spans=tuple((a, b) for a, b, _ in spots), label=kinds, reason=told)


def counted(verdict: Verdict, least: float) -> Verdict:
    """``verdict`` if it is a failure or its score reaches ``least``; else one that found nothing."""
    reached = verdict.outcome == "failed" or verdict.score is None or verdict.score >= least
    return verdict if reached else verdict.model_copy(update=HARMLESS)


def worst(conversation: Conversation, rail: str, version: str, verdicts: Sequence[Verdict]) -> Verdict:
    """One verdict for several texts of a conversation: the highest score, the hazards of that one. One failure fails the whole: what was not read
    was not found harmless. None at all is a failure too."""
    failed = next((v for v in verdicts if v.outcome == "failed" or v.score is None), None)
    if failed is not None or not verdicts:
        reason = failed.reason if failed is not None else "nothing to read"
        return say(conversation, rail, version, "failed", reason=reason)
    top = max(verdicts, key=lambda v: v.score or 0.0)
    return say(conversation, rail, version, top.outcome, score=top.score, hazards=top.hazards, label=top.label)
