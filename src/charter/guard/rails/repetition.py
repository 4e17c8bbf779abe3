"""Repetition: text that goes in circles, as looping models and flooding users make it, and prompts that ask for a word for ever.

The score is the share of word windows (4 words) that occurred before, over the worst stretch; for text without words, of character windows.
Of a request every message of ``roles`` is read by itself; what a user sends in a row, without an answer between, as one text too.
Endless repetition has also been used to make models give away training data (Nasr et al. 2023, arXiv 2311.17035).
"""

from __future__ import annotations

import re
from itertools import groupby

from pydantic import Field

from charter.core.config import Config as BaseConfig
from charter.core.rows import Conversation, Verdict
from charter.guard.policy import Stage
from charter.guard.rails._disguise import all_forms
from charter.guard.rails._said import say
from charter.guard.rails._texts import Role, by_message, spoken

NOT_COVERED = (
    "Repetition of meaning in other words, words that come again after an answer, and the model's earlier answers. "
    "Tables, code and songs repeat honestly: give it a threshold near 0.9 and mind them."
)
COST = "instant"
CALIBRATES = False
_WORD = re.compile(r"\w+|[^\w\s]")
_FOREVER = re.compile(
    r"(?<!\bi )(?<!\bwe )(?<!\byou )(?<!\bthey )(?<!people )"  # no order: "they say that diamonds are forever"
    r"\b(repeat|say|write|print|output)\b.{0,80}\b(for ?ever|endlessly|infinitely|without stopping|until you (die|stop|crash))\b",
    re.I | re.S,
)


class Config(BaseConfig):
    """What counts."""

    words: int = Field(default=200, ge=20, description="length of the stretch that is looked at, in words")
    least: int = Field(default=60, ge=10, description="shorter texts are not judged")
    roles: tuple[Role, ...] = Field(
        default=("user", "assistant"),
        min_length=1,
        description="whose messages of a request; data of tools repeat honestly. Descriptions of tools are system, a reply begun assistant",
    )


class RepetitionRail:
    """The text that repeats most decides."""

    name = "repetition"
    version = "3"

    def __init__(self, config: Config) -> None:
        self._config = config
        all_forms(["w0rd\u200b"])  # the tables of letter forms are read now, and not while the first request waits

    def __call__(self, conversation: Conversation, stage: Stage) -> Verdict:
        if stage == "output":
            texts = by_message(conversation, ("assistant",), stage)
        else:
            own, others = spoken(conversation, self._config.roles, 0)
            own += _in_a_row(conversation) if own else []
            texts = [*own, *others]
            if any(_FOREVER.search(text) for text in all_forms(own)):
                return say(conversation, self.name, self.version, "unsafe", score=1.0, reason="asks for endless repetition")
        score = max(map(self.score, texts), default=0.0)
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


def _in_a_row(conversation: Conversation) -> list[str]:
    """What users sent in several messages that nothing stands between."""
    runs = [list(messages) for role, messages in groupby(conversation.messages, key=lambda message: message.role) if role == "user"]
    return ["\n".join(message.text for message in run) for run in runs if len(run) > 1]


def _repeated(tokens: list[str]) -> float:
    windows = list(zip(tokens, tokens[1:], tokens[2:], tokens[3:], strict=False))
    return 1.0 - len(set(windows)) / len(windows) if windows else 0.0


def build(config: Config) -> RepetitionRail:
    """The rail with its lengths."""
    return RepetitionRail(config)
