"""Which findings of the red team become training rows, and how: every other one is counted with why it does not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from charter.core.rows import Drop, Example, Finding
from charter.core.seeds import stream
from charter.recipes import redteaming
from charter.recipes.context import Context

FOREIGN = "the charter has no such hazard"
ROW_ALREADY, SURPLUS = "a direct request: its goal is a row already", "more findings than generate.findings"
OUTSIDE, MEASURED = "a finding whose goal is not among generate.pairs", "a finding on a held-out goal, which is only measured"
OWN_GOAL = "a finding on a goal of redteam.data, which has no harmless counterpart"


class Sorted(NamedTuple):
    """Findings to make rows of, in a seeded order, and the others."""

    chosen: list[Finding]
    drops: list[Drop]


def sort_out(context: Context, findings: Iterable[Finding], goals: Mapping[str, object]) -> Sorted:
    """``goals``: the training goals by prompt. At most ``generate.findings`` are chosen."""
    most, reasons = context.recipe.generate.findings, {finding.id: (finding, _why_not(context, finding, goals)) for finding in findings}
    chosen = [finding for finding, reason in reasons.values() if not reason]
    stream(context.recipe.seed, "findings").shuffle(chosen)
    drops = [Drop(subject=key, reason=reason) for key, (_, reason) in reasons.items() if reason]
    return Sorted(chosen[:most], [*drops, *(Drop(subject=finding.id, reason=SURPLUS) for finding in chosen[most:])])


def _why_not(context: Context, finding: Finding, goals: Mapping[str, object]) -> str:
    """Why a finding becomes no row, '' if it may become one."""
    part = context.recipe.redteam
    if part.data is not None:
        return OWN_GOAL
    if part.split == "evaluation":
        return MEASURED
    if finding.goal in goals:
        return ROW_ALREADY if finding.family == "direct" else ""
    return OUTSIDE if finding.hazard in {hazard.id for hazard in context.charter.hazards} else FOREIGN


def attacked(context: Context) -> tuple[str, ...]:
    """Pairs that the red team attacks: they are rows wherever the limit allows, so that what it finds can become rows."""
    part = context.recipe.redteam
    if part.split != "train" or part.data is not None:
        return ()
    return tuple(goal.key.removesuffix("/harmful") for goal in redteaming.starter_goals(context))


def framed(finding: Finding, goal: Example, twin: Example) -> tuple[Example, Example]:
    """The attack as a goal, and the same with the harmless request in place of the harmful one; equal to it if the attack does not quote its goal."""
    key = f"finding/{finding.attack}/{goal.key}/{finding.id[:8]}"
    source = finding.source.model_copy(update={"parents": (*finding.source.parents, finding.id)})
    attack = goal.model_copy(
        update={"key": key, "conversation": finding.conversation.without_reply, "tags": (*goal.tags, "finding"), "source": source}
    )
    calm = finding.conversation.without_reply.replace_text(goal.prompt, twin.prompt)
    benign = twin.model_copy(update={"key": f"{key}/benign", "conversation": calm, "tags": (*twin.tags, "finding"), "source": source})
    return attack, benign
