"""Attacks that wrap a goal in a text: how the text files are read and how the goal is put in."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from charter.core.config import Config
from charter.core.errors import DataError
from charter.core.rows import Conversation, Example

PLACEHOLDER = "{goal}"
SEPARATOR = "%%"


class FramingConfig(Config):
    """How many framings each goal is tried with."""

    per_goal: int = Field(default=2, ge=1, description="framings per goal, drawn without replacement; more than there are means all of them")


@dataclass(frozen=True)
class FramedAttack:
    """Sends a goal in ``per_goal`` of its framings, drawn by the generator handed in. Only the last user message is wrapped."""

    family: str
    framings: tuple[str, ...]
    per_goal: int

    def __call__(self, goal: Example, rng: random.Random) -> Iterator[Conversation]:
        for framing in rng.sample(self.framings, min(self.per_goal, len(self.framings))):
            yield with_prompt(goal.conversation, framing.replace(PLACEHOLDER, goal.prompt))


def read_framings(plugin: str) -> tuple[str, ...]:
    """The framings in the text file beside a plugin's ``__file__``, parted by lines of %%. Raises DataError for one without {goal}."""
    path = Path(plugin).with_suffix(".txt")
    framings = tuple(part.strip() for part in path.read_text(encoding="utf-8").split(f"\n{SEPARATOR}\n"))
    for number, framing in enumerate(framings, 1):
        if PLACEHOLDER not in framing:
            raise DataError(f"{path.name}: framing {number} has no place for the goal", f"write {PLACEHOLDER} where the goal belongs")
    return framings


def with_prompt(conversation: Conversation, prompt: str) -> Conversation:
    """The conversation with its last user message replaced; raises DataError if it has none."""
    messages = list(conversation.messages)
    for index in range(len(messages) - 1, -1, -1):
        if messages[index].role == "user":
            messages[index] = messages[index].model_copy(update={"content": prompt})
            return Conversation(messages=tuple(messages))
    raise DataError("a goal has no user message to wrap", "give goals as prompts")
