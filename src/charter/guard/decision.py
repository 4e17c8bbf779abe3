"""What a check found and what may go on: one decision, and an exact account of every rail."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from charter.core.rows import Conversation, Decision, Finding, Source, Verdict
from charter.guard.policy import SEVERITY, Action, Stage
from charter.guard.segments import Mask
from charter.guard.vault import Vault

#: ok: it gave a verdict; failed: it raised or returned nothing that is a verdict; timeout: it was late; cancelled: another rail had blocked already;
#: skipped: its cascade did not ask for it, or there was nothing for it to read.
Status = Literal["ok", "failed", "timeout", "cancelled", "skipped"]


def strictest(actions: Iterable[Action]) -> Action:
    """The strictest of some actions; ``allow`` of none."""
    return max(actions, key=SEVERITY.index, default="allow")


@dataclass(frozen=True, slots=True)
class Account:
    """What one rail did in one check. ``action`` is what it asked for (for a shadow rail: would have); ``bypass`` says why text passed that a
    stricter policy would have held, '' otherwise. Never holds text of the conversation."""

    rail: str
    stage: Stage
    status: Status
    action: Action
    reason: str = ""
    score: float | None = None
    threshold: float | None = None
    hazards: tuple[str, ...] = ()
    latency_ms: float = 0.0
    cached: bool = False
    shadow: bool = False
    bypass: str = ""
    kind: str = ""  # the rail's file on the shelf, whatever it is called here


@dataclass(frozen=True, slots=True)
class Checked:
    """The result of a check. ``conversation`` is what may go on (masked where a rail masks); read it only if ``passes``.

    ``decision.replacement`` is, when the text is withheld, the refusal for the person; when it was masked, the masked text (the reply, or the last
    user message); else None. ``vault`` puts what was masked in a request back into its
    reply (None if nothing was). ``review`` says why a person should look (``escalated``, ``flagged``, ``sampled``) or ''.
    """

    decision: Decision
    stage: Stage
    conversation: Conversation
    policy: str
    accounts: tuple[Account, ...] = ()
    masks: tuple[Mask, ...] = ()
    vault: Vault | None = None
    bypass: tuple[str, ...] = ()
    review: str = ""
    latency_ms: float = 0.0

    @property
    def action(self) -> Action:
        return self.decision.action

    @property
    def passes(self) -> bool:
        """Whether ``conversation`` may go on. Escalated text waits for a person: it does not pass."""
        return self.decision.action in ("allow", "flag", "mask")

    @property
    def by(self) -> tuple[str, ...]:
        return self.decision.by

    @property
    def reason(self) -> str:
        return self.decision.reason

    @property
    def replacement(self) -> str | None:
        return self.decision.replacement

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        return self.decision.verdicts

    @property
    def failed(self) -> tuple[str, ...]:
        """Rails that should have acted and could not: with ``on_error: block`` they are why the text was withheld."""
        return tuple(account.rail for account in self.accounts if account.status in ("failed", "timeout") and not account.shadow)

    @property
    def unavailable(self) -> bool:
        """Withheld only because rails failed: the guard's fault, not the text's (a gateway answers 503, not a content filter)."""
        return not self.passes and bool(self.by) and set(self.by) <= set(self.failed)

    def finding(self, target: str, run: str = "") -> Finding:
        """This check as an incident row, for people to review and for training to read. Raises ValueError if no rail gave a verdict."""
        deciding = [v for v in self.verdicts if v.judge in self.by] or list(self.verdicts)
        if not deciding:
            raise ValueError("a check without verdicts is no finding")
        hazard = next((h for v in deciding for h in v.hazards), "")
        return Finding(
            attack="production",
            family="guard",
            target=target,
            goal=self.stage,
            hazard=hazard,
            conversation=self.conversation,
            verdict=deciding[0],
            source=Source(dataset="guard", revision=self.policy, row=self.decision.subject, run=run),
        )
