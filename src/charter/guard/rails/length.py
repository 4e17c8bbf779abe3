"""Length: texts, words and messages over a limit, and single words too long to be words."""

from __future__ import annotations

import re

from pydantic import Field

from charter.core.config import Config as BaseConfig
from charter.core.rows import Conversation, Verdict
from charter.guard.policy import Stage
from charter.guard.rails._said import say
from charter.guard.segments import view

NOT_COVERED = "Tokens: characters are counted, and a tokenizer may see more or fewer. What is short enough is not read."
COST = "instant"
CALIBRATES = False
_WORD = re.compile(r"\S+")


class Config(BaseConfig):
    """Limits; 0 is none."""

    max_chars: int = Field(default=200_000, ge=0, description="characters of all texts of the stage together")
    max_words: int = Field(default=0, ge=0, description="words of all texts of the stage together")
    max_messages: int = Field(default=1000, ge=0, description="messages of the conversation")
    max_word_chars: int = Field(default=0, ge=0, description="characters without a space")


class LengthRail:
    """Score 1 over a limit, else the share of the nearest limit that is used."""

    name = "length"
    version = "1"

    def __init__(self, config: Config) -> None:
        self._config = config

    def __call__(self, conversation: Conversation, stage: Stage) -> Verdict:
        text = view(conversation, stage).text
        words = [len(found[0]) for found in _WORD.finditer(text)] if self._config.max_words or self._config.max_word_chars else []
        used = {
            "characters": (len(text), self._config.max_chars),
            "words": (len(words), self._config.max_words),
            "messages": (len(conversation.messages), self._config.max_messages),
            "characters without a space": (max(words, default=0), self._config.max_word_chars),
        }
        over = [f"{n} {what}, limit {limit}" for what, (n, limit) in used.items() if limit and n > limit]
        if over:
            return say(conversation, self.name, self.version, "unsafe", score=1.0, reason="; ".join(over))
        share = max((n / limit for n, limit in used.values() if limit), default=0.0)
        return say(conversation, self.name, self.version, "safe", score=min(share, 1.0) * 0.5)


def build(config: Config) -> LengthRail:
    """The rail with its limits."""
    return LengthRail(config)
