"""From the accounts of all rails to the result of a check: the strictest wins, masks are made, the refusal is worded, every bypass is named."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from charter.core.rows import Conversation, Decision, Verdict
from charter.core.seeds import derive
from charter.guard._build import Built
from charter.guard._masking import Spot, can_mask, masks, spots
from charter.guard._plan import Result
from charter.guard._refusal import Voice
from charter.guard._weigh import Hazards, weigh
from charter.guard.decision import Account, Checked, strictest
from charter.guard.policy import STAGES, Action, GuardPolicy, RailEntry, Stage
from charter.guard.segments import apply_masks, has_media, view
from charter.guard.vault import Vault
from charter.policy.charter import Charter

Said = tuple[Account, Verdict | None]
_STEPS = 1 << 31


class Assembler:
    """What a guard does after its rails have spoken. Holds no state of a check. ``weights``: versions of weights of the classifier that are not the
    shipped ones; the policy names their folder, which may hold others tomorrow."""

    def __init__(self, policy: GuardPolicy, charter: Charter, weights: Sequence[str] = ()) -> None:
        self._policy = policy
        self._hazards = Hazards(charter)
        self._voice = Voice(policy, charter)
        self._hash = policy.hash
        self.label = "+".join([f"{policy.name}@{policy.version}", self._hash[:8], *sorted(set(weights))])

    def weigh(self, stage: Stage, built: Built, result: Result) -> Account:
        return weigh(self._policy, self._hazards, stage, built, result)

    def refusal(self, subject: str, *, unavailable: bool = False) -> str:
        return self._voice(subject, unavailable=unavailable)

    def early(self, conversation: Conversation, stage: Stage, rails: bool) -> Checked | None:
        """Decisions that need no rail: media that nobody reads, a stage that has no rails on purpose, nothing but white space to read."""
        if stage not in STAGES:
            raise ValueError(f"a stage is one of {', '.join(STAGES)}, not {stage!r}")
        media = has_media(conversation, stage)
        if media and self._policy.media == "block":
            account = Account("media", stage, "ok", "block", "parts that no rail reads")
            return self._result(conversation, stage, "block", [(account, None)], (), None)
        blank = not view(conversation, stage).text.strip()  # only white space: what is invisible otherwise may carry a text, and is read
        if not rails or (media and blank):
            return self._result(conversation, stage, "allow", [], (), None)
        if blank:
            skipped: list[Said] = [(_blank(entry, stage), None) for entry in self._policy.rails(stage)]  # no rail is asked, so none has a score
            return replace(self._result(conversation, stage, "allow", skipped, (), None), review="")
        return None

    def finish(self, conversation: Conversation, stage: Stage, said: Sequence[Said], began_s: float) -> Checked:
        """``said``: every rail's account and verdict, in the policy's order. ``began_s``: monotonic seconds."""
        acting = [(account, verdict) for account, verdict in said if not account.shadow]
        action = strictest(account.action for account, _ in acting)
        found: list[Spot] = []
        vault = None
        if action == "mask":
            text = view(conversation, stage)
            found = [spot for account, verdict in acting if account.action == "mask" and verdict is not None for spot in spots(verdict)]
            if can_mask(text, found):
                vault = Vault(segment.text for segment in text.segments)
            else:
                action = "block"
                said = [(_unmaskable(a) if a.action == "mask" else a, v) for a, v in said]
        checked = self._result(conversation, stage, action, said, found, vault)
        return replace(checked, latency_ms=round((time.monotonic() - began_s) * 1000, 3))

    def _result(
        self, conversation: Conversation, stage: Stage, action: Action, said: Sequence[Said], found: Sequence[Spot], vault: Vault | None
    ) -> Checked:
        accounts = tuple(account for account, _ in said)
        deciding = [a for a in accounts if a.action == action and not a.shadow and action != "allow"]
        made = masks(view(conversation, stage), found, stage, vault) if vault is not None else ()
        onward = apply_masks(conversation, made)
        decision = Decision(
            subject=conversation.id,
            action=action,
            by=tuple(a.rail for a in deciding),
            reason="; ".join(f"{a.rail}: {a.reason}" for a in deciding),
            replacement=self._replacement(conversation, onward, stage, action, deciding),
            verdicts=tuple(verdict for _, verdict in said if verdict is not None),
        )
        return Checked(
            decision,
            stage,
            onward,
            self.label,
            accounts,
            made,
            vault if vault and stage == "input" and self._policy.restore else None,
            self._bypass(conversation, stage, accounts),
            self._review(decision),
        )

    def _replacement(self, conversation: Conversation, onward: Conversation, stage: Stage, action: Action, deciding: Sequence[Account]) -> str | None:
        if action == "mask":
            return onward.reply if stage == "output" else onward.prompt
        if action not in ("block", "escalate"):
            return None
        failed = all(account.status in ("failed", "timeout") for account in deciding)
        named = self._hazards.ids([hazard for account in deciding for hazard in account.hazards])
        return self._voice(conversation.id, named, unavailable=failed)

    def _bypass(self, conversation: Conversation, stage: Stage, accounts: Sequence[Account]) -> tuple[str, ...]:
        """Everything by which this check was weaker than the policy's rails could make it."""
        named = [account.bypass for account in accounts if account.bypass]
        if has_media(conversation, stage) and self._policy.media == "allow":
            named.append("media")
        if stage in self._policy.unguarded:
            named.append("unguarded")
        return tuple(dict.fromkeys(named))

    def _review(self, decision: Decision) -> str:
        if decision.action == "escalate":
            return "escalated"
        if decision.action == "flag" and self._policy.review.flagged:
            return "flagged"
        share = self._policy.review.sample
        drawn = share > 0.0 and derive(0, "review", self._hash, decision.subject) / _STEPS < share
        return "sampled" if drawn else ""


def _blank(entry: RailEntry, stage: Stage) -> Account:
    return Account(entry.label, stage, "skipped", "allow", "nothing to read", threshold=entry.threshold, shadow=entry.shadow, kind=entry.rail)


def _unmaskable(account: Account) -> Account:
    """A mask that finds no place: the text is withheld, so nothing passed that a stricter policy would have held."""
    return replace(account, action="block", reason=f"{account.reason}; cannot be masked", bypass="")
