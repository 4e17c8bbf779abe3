"""Stage 2 of ``charter align``, and all of ``charter redteam``: which goals are attacked, and whether what came out may be built on."""

from __future__ import annotations

from collections.abc import Sequence

from charter.core.errors import ModelError
from charter.core.registry import find
from charter.core.shapes import Attack
from charter.recipes.context import Context, hash_of
from charter.redteam.campaign import run_campaign
from charter.redteam.outcome import READING

REDTEAM = "2-redteam"


def redteam(context: Context) -> tuple[str, ...]:
    """Every attack on goals of the training topics, so that evaluation topics stay unseen. Returns why the campaign cannot be trusted, () if it can;
    one that cannot is gone on with when it is run again."""
    part = context.recipe.redteam
    goals = context.examples("train", pairs=part.goals, parts=("harmful",))
    attacks = {name: build_attack(name) for name in part.attacks}
    config = {"model": context.identity, "redteam": part.model_dump(mode="json", exclude={"max_failed"}), "reading": READING}
    with context.folder(REDTEAM, "redteam", config, {"goals": hash_of(goals)}) as folder:
        if folder.finished:
            return ()
        recipe, sampling = context.recipe, context.recipe.greedy(part.max_tokens)
        return run_campaign(context.model, goals, attacks, context.judges, folder, sampling, recipe.seed, context.reporter, part.max_failed).reasons


def require(reasons: Sequence[str]) -> None:
    """Raise ModelError where the campaign cannot be trusted: training rows are made of what it found."""
    if reasons:
        raise ModelError(
            f"the red team cannot be trusted, and nothing is made of it: {'; '.join(reasons)}",
            "run it again, and those are asked for again; or go on without them: redteam.max_failed=1",
        )


def build_attack(name: str) -> Attack:
    """The attack of that name. Raises InputError for one that there is none of."""
    module = find("attacks", name)
    attack: Attack = module.build(module.Config())
    return attack
