"""Direct request: the goal as it is, the baseline that every other attack is measured against.

Source: 'direct request' in HarmBench (Mazeika et al. 2024, arXiv 2402.04249).
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from charter.core.config import Config as BaseConfig
from charter.core.rows import Conversation, Example

NOT_COVERED = "No disguise of any kind: a model that refuses every direct request may still fall to any framing."
FAMILY = "direct"


class Config(BaseConfig):
    """The direct request has no settings."""


@dataclass(frozen=True)
class DirectRequest:
    """One conversation per goal: its own."""

    family: str = FAMILY

    def __call__(self, goal: Example, rng: random.Random) -> Iterator[Conversation]:
        yield goal.conversation


def build(config: Config) -> DirectRequest:
    """The attack; it draws nothing."""
    return DirectRequest()
