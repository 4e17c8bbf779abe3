"""Repetition: text that goes in circles, as looping models and flooding users make it, and prompts that ask for a word for ever.

The score is the share of word windows (4 words) that occurred before, over the worst stretch; for text without words, of character windows.
Endless repetition has also been used to make models give away training data (Nasr et al. 2023, arXiv 2311.17035).
"""

from __future__ import annotations

import re

from pydantic import Field

from charter.core.config import Config as BaseConfig
from charter.core.rows import Conversation, Verdict
from charter.guard.policy import Stage
from charter.guard.rails._said import say
from charter.guard.segments import view

NOT_COVERED = "Repetition of meaning in other words. Tables, code and songs repeat honestly: give it a threshold near 0.9 and mind them."
COST = "instant"
CALIBRATES = False
_WORD = re.compile(r"\w+|[^\w\s]")
_FOREVER = re.compile(
    r"\b(repeat|say|write|print|output)\b.{0,80}\b(for ?ever|endlessly|infinitely|without stopping|until you (die|stop|crash))\b", re.I | re.S
)


class Config(BaseConfig):
    """What counts."""

    words: int = Field(default=200, ge=20, description="length of the stretch that is looked at, in words")
    least: int = Field(default=60, ge=10, description="shorter texts are not judged")


class RepetitionRail:
    """Judges the last message (input) or the reply (output)."""

    name = "repetition"
    version = "2"

    def __init__(self, config: Config) -> None:
        self._config = config

    def __call__(self, conversation: Conversation, stage: Stage) -> Verdict:
        segments = view(conversation, stage).segments
        last = max((segment.message for segment in segments), default=-1)
        text = "\n".join(segment.text for segment in segments if segment.message == last)
        if stage == "input" and _FOREVER.search(text):
            return say(conversation, self.name, self.version, "unsafe", score=1.0, reason="asks for endless repetition")
        score = self.score(text)
        return say(conversation, self.name, self.version, "unsafe" if score >= 0.9 else "safe", score=score)

    def score(self, text: str) -> float:
        """0..1: share of repeated windows in the worst stretch; 0 for short texts. Linear in the text."""
        tokens = _WORD.findall(text.lower())
        if len(tokens) < self._config.least:
            letters = [text[at : at + 4] for at in range(0, len(text), 4)] if len(text) > 8 * self._config.least else []
            tokens = letters if len(tokens) < self._config.least // 4 else []
        if not tokens:
            return 0.0
        size = self._config.words
        stretches = [tokens[at : at + size] for at in range(0, max(1, len(tokens) - size // 2), size // 2)]
        return max(_repeated(stretch) for stretch in stretches if len(stretch) >= min(self._config.least, size // 2, len(tokens)))


def _repeated(tokens: list[str]) -> float:
    windows = list(zip(tokens, tokens[1:], tokens[2:], tokens[3:], strict=False))
    return 1.0 - len(set(windows)) / len(windows) if windows else 0.0


def build(config: Config) -> RepetitionRail:
    """The rail with its lengths."""
    return RepetitionRail(config)
