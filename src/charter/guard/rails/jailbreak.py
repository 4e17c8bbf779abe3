"""Jailbreaks: personas without limits, rules declared void, orders not to refuse, noise suffixes, in any of the user's messages.

Scores come from the shipped classifier where it is on the judges' shelf, else from written stock phrases.
"""

from __future__ import annotations

from charter.guard.rails import request_harm
from charter.guard.rails._scores import shipped

NOT_COVERED = (
    "Attacks spread over many turns in harmless words, in pictures, in languages or codes the scores do not know, and new tricks in plain words."
)
COST = "local"
STAGES = ("input",)


class Config(request_harm.Config):
    """What is read."""


class JailbreakRail(request_harm.RequestHarmRail):
    """The highest score of all texts decides."""

    name = "jailbreak"
    head = "jailbreak"


def build(config: Config) -> JailbreakRail:
    """The rail on the shipped scores."""
    return JailbreakRail(config, shipped())
