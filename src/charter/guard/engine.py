"""From the verdicts of rails to one decision. A rail that fails, raises, or is unsure where the policy says so never lets text pass.

Streaming, masking, calibration and the gateway are not here yet (docs/index.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from pydantic import Field

from charter.core.config import Config
from charter.core.rows import Conversation, Decision, Verdict

Stage = Literal["input", "output"]
RailCall = Callable[[Conversation, Stage], Verdict]


class GuardPolicy(Config):
    """When to block. ``refusal`` is what the person gets instead; it never repeats what was matched."""

    block_at: float = Field(default=0.8, gt=0.0, le=1.0, description="block when a rail's score is at least this")
    escalate_unsure: bool = Field(default=True, description="hold back what a rail is unsure of, for a person to decide")
    refusal: str = Field(default="I can't help with that one. Tell me what you are trying to reach, and I'll look for a safe way.", min_length=1)


class Guard:
    """``guard.check(conversation, stage)`` runs every rail and decides: the strictest verdict wins."""

    def __init__(self, rails: Mapping[str, RailCall], policy: GuardPolicy | None = None) -> None:
        if not rails:
            raise ValueError("a guard without rails would let everything pass")
        self._rails = dict(rails)
        self._policy = policy or GuardPolicy()

    def check(self, conversation: Conversation, stage: Stage) -> Decision:
        """Never raises for a rail's fault: that is a block, with the rail's name and the kind of error as the reason."""
        verdicts = [self._ask(name, rail, conversation, stage) for name, rail in self._rails.items()]
        actions = {name: self._action(verdict) for name, verdict in zip(self._rails, verdicts, strict=True)}
        action = next(kind for kind in ("block", "escalate", "allow") if kind in actions.values())
        by = tuple(name for name, kind in actions.items() if kind == action)
        reasons = "; ".join(f"{name}: {v.outcome}" for name, v in zip(self._rails, verdicts, strict=True) if name in by and action != "allow")
        replacement = None if action == "allow" else self._policy.refusal
        content = {"subject": conversation.id, "action": action, "by": by, "reason": reasons, "replacement": replacement, "verdicts": tuple(verdicts)}
        return Decision.model_validate(content)

    def _ask(self, name: str, rail: RailCall, conversation: Conversation, stage: Stage) -> Verdict:
        try:
            return rail(conversation, stage)
        except Exception as error:  # any fault of a rail must end in a block, whatever its kind
            return Verdict(subject=conversation.id, outcome="failed", reason=type(error).__name__, judge=name, judge_version="")

    def _action(self, verdict: Verdict) -> Literal["allow", "escalate", "block"]:
        if verdict.outcome in ("failed", "unsafe") or (verdict.score is not None and verdict.score >= self._policy.block_at):
            return "block"
        if verdict.outcome == "unsure" and self._policy.escalate_unsure:
            return "escalate"
        return "allow"
