"""Which goals a charter speaks of: what it does not name, it does not ask to be refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from charter.core.errors import InputError
from charter.core.rows import Example
from charter.policy.charter import Charter


class Named(NamedTuple):
    """Goals of the charter's hazards, each with its harmless twin, and the rows that were left out."""

    goals: list[Example]
    twins: list[Example]
    foreign: list[Example]


def named_by(charter: Charter, goals: Sequence[Example], twins: Sequence[Example]) -> Named:
    """``goals`` and ``twins`` (in the same order) by whether the charter has the goal's hazard.

    Raises InputError if it has none of them: nothing would be taught to be refused.
    """
    known = {hazard.id for hazard in charter.hazards}
    kept = [(goal, twin) for goal, twin in zip(goals, twins, strict=True) if goal.hazard in known]
    if goals and not kept:
        there = ", ".join(sorted({goal.hazard for goal in goals}))
        raise InputError(
            f"the charter {charter.name!r} has the hazards {', '.join(sorted(known))}; the training goals are of others: {there}",
            "give a hazard of the charter one of those ids where it means the same",
        )
    foreign = [example for pair in zip(goals, twins, strict=True) if pair[0].hazard not in known for example in pair]
    return Named([goal for goal, _ in kept], [twin for _, twin in kept], foreign)
