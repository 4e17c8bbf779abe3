"""Three-valued logic of verdicts, with failures kept apart (Kleene 1938's strong tables, with two kinds of not knowing).

'unsafe' is true, 'safe' is false, 'unsure' is unknown. 'failed' is unknown too, and stronger: a part that gave no verdict leaves the whole failed,
unless the other parts decide it whatever the failed one would have said. So a failure never flatters a result, and is never hidden.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar

from charter.core.errors import InputError
from charter.core.rows import Conversation, Outcome, Verdict, content_id
from charter.core.shapes import Judge
from charter.judges._judging import judge_conversations

C = TypeVar("C")


def both(outcomes: Sequence[Outcome]) -> Outcome:
    """Unsafe if all are; safe if any is, whatever the rest."""
    if "safe" in outcomes:
        return "safe"
    return _open(outcomes) or "unsafe"


def either(outcomes: Sequence[Outcome]) -> Outcome:
    """Unsafe if any is, whatever the rest; safe if all are."""
    if "unsafe" in outcomes:
        return "unsafe"
    return _open(outcomes) or "safe"


def inverse(outcome: Outcome) -> Outcome:
    return {"safe": "unsafe", "unsafe": "safe"}.get(outcome, outcome)  # type: ignore[return-value]


def most(outcomes: Sequence[Outcome]) -> Outcome:
    """What more than half of all say, those that failed included: a missing vote is no vote for safe. Where failed votes could have made
    a majority it is failed, else unsure."""
    half = len(outcomes) / 2
    for side in ("unsafe", "safe"):
        if outcomes.count(side) > half:
            return side
    lost = outcomes.count("failed")
    return "failed" if lost and max(outcomes.count("unsafe"), outcomes.count("safe")) + lost > half else "unsure"


def by_score(score: float, low: float, high: float) -> Outcome:
    """Unsafe at or over ``high``, safe under ``low``, unsure between."""
    return "unsafe" if score >= high else "safe" if score < low else "unsure"


def ordered(config: C) -> C:
    """For settings with ``low`` and ``high``, behind their own checks: nothing could be unsure between points that stand the wrong way round."""
    low, high = config.low, config.high  # type: ignore[attr-defined]
    if low is not None and low > high:
        raise ValueError(f"low ({low:g}) must not be over high ({high:g})")
    return config


def _open(outcomes: Sequence[Outcome]) -> Outcome | None:
    return "failed" if "failed" in outcomes else "unsure" if "unsure" in outcomes else None


class Combined:
    """A judge made of judges. Subclasses say how verdicts become one."""

    kind = ""
    #: Which of its parts' heads a verdict has: of those that have it (any), only what every part has (all), none.
    keeps_heads_of: Literal["any", "all", "none"] = "any"
    #: What it decides of a reply, for the self-test: what any, all or most of its parts find, or what its last part (its only one) does.
    mixes: Literal["any", "all", "most", "last"] = "last"
    #: Whether unsafe means the opposite of what it means in its parts.
    turns = False
    #: What its parts are called, and what to do where they pass the self-test and the whole does not.
    tested = ("part", "what its parts say together is wrong: leave one out, or join them otherwise")

    def __init__(self, parts: Sequence[Judge], settings: Any = None) -> None:
        if not parts:
            raise InputError(f"{self.kind} needs at least one judge", f"'{self.kind}: [refusal, harm]'")
        self.parts = tuple(parts)
        self.name = f"{self.kind}({', '.join(part.name for part in parts)})"
        self.version = content_id([self.kind, [f"{part.name}@{part.version}" for part in parts], settings])[:8]

    def __call__(self, conversation: Conversation) -> Verdict:
        return self.combine(conversation, [part(conversation) for part in self.parts])

    def batch(self, conversations: Sequence[Conversation]) -> list[Verdict]:
        """Every part is asked about all conversations in one group."""
        columns = [judge_conversations(part, conversations) for part in self.parts]
        return [self.combine(conversation, [column[i] for column in columns]) for i, conversation in enumerate(conversations)]

    def combine(self, conversation: Conversation, verdicts: Sequence[Verdict]) -> Verdict:
        raise NotImplementedError

    def verdict(
        self,
        conversation: Conversation,
        outcome: Outcome,
        score: float | None,
        seen: Sequence[Verdict],
        reason: str = "",
        scores: Mapping[str, float] | None = None,
    ) -> Verdict:
        """One verdict with the hazards and spans of those in ``seen`` that share its outcome."""
        agreeing = [v for v in seen if v.outcome == outcome]
        return Verdict(
            subject=conversation.id,
            outcome=outcome,
            score=None if outcome == "failed" else score,
            scores={} if outcome == "failed" else dict(scores or {}),
            hazards=tuple(dict.fromkeys(h for v in agreeing for h in v.hazards)),
            spans=tuple(dict.fromkeys(s for v in agreeing for s in v.spans)),
            label=next((v.label for v in seen if v.label), ""),
            reason=reason or "; ".join(f"{v.judge}: {v.outcome}" for v in seen),
            judge=self.name,
            judge_version=self.version,
        )


def joint_score(verdicts: Sequence[Verdict], how: Any) -> float | None:
    """``how`` (max or min) over the scores of the parts that gave a verdict; None where one of those has no score."""
    scores = [v.score for v in verdicts if v.outcome != "failed"]
    return how(scores) if scores and None not in scores else None


def joint_heads(verdicts: Sequence[Verdict], how: Any) -> dict[str, float]:
    """``how`` over each head, of the parts that gave a verdict and have it."""
    heard = [v.scores for v in verdicts if v.outcome != "failed"]
    return {head: how([scores[head] for scores in heard if head in scores]) for head in dict.fromkeys(name for scores in heard for name in scores)}
