"""Jailbreaks: personas without limits, rules declared void, orders not to refuse, noise suffixes, of the user, the system or a tool.

Scores come from the shipped classifier where it is on the judges' shelf, else from written stock phrases.
"""

from __future__ import annotations

from pydantic import Field

from charter.guard.rails import request_harm
from charter.guard.rails._scores import SHARED, scores_of
from charter.guard.rails._texts import Role

NOT_COVERED = (
    "Attacks spread over many turns in harmless words, in pictures, in languages or codes the scores do not know, and new tricks in plain words."
)
COST = "local"
SHARES = SHARED
STAGES = ("input",)
OWN_LABEL = True


class Config(request_harm.Config):
    """What is read, and from where on what is not the user's counts. Operators write strict rules and odd characters: theirs are easily mistaken for
    jailbreaks, and so are lists of steps in replies: the model's own turns are left out unless ``roles`` names them."""

    roles: tuple[Role, ...] = Field(
        default=("user", "system", "tool"), min_length=1, description="whose messages; descriptions of tools are system, the model's turns assistant"
    )
    other_roles: float = Field(
        default=0.9, ge=0.0, le=1.0, description="score from which text that is not a user's counts, where that is over the rail's threshold"
    )


class JailbreakRail(request_harm.RequestHarmRail):
    """The highest score of all texts decides."""

    name = "jailbreak"
    head = "jailbreak"


def build(config: Config) -> JailbreakRail:
    """The rail on the shipped scores, or on those of own weights. Raises InputError where these cannot be loaded or were not taught what it asks."""
    return JailbreakRail(config, scores_of(config.weights, "jailbreak", "jailbreak"))
