"""Blocklist: words and phrases that must not occur, found through odd spacing, case and letter forms. Can mask them.

Phrases are plain text, matched at word borders; ``*`` at the end of a word stands for any ending. There are no patterns to write, so none that hang.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, model_validator

from charter.core.config import Config as BaseConfig
from charter.core.errors import InputError
from charter.core.rows import Conversation, Verdict
from charter.guard.policy import Stage
from charter.guard.rails._said import Found, say_found
from charter.guard.segments import view
from charter.judges._phrases import Phrases, read_phrases, wordless

NOT_COVERED = "Meaning: a list knows words, not what is done with them. Misspellings, translations and synonyms pass; quotations are caught."
COST = "instant"
MASKS = True
CALIBRATES = False
EXAMPLE = {"phrases": ["project nightingale"]}


class Config(BaseConfig):
    """The list."""

    phrases: tuple[str, ...] = Field(default=(), description="words and phrases; * at the end of a word stands for any ending")
    file: Path | None = Field(default=None, description="more of them, one a line, in a file beside the guard's; lines that begin with # are notes")
    exceptions: tuple[str, ...] = Field(default=(), description="longer phrases in which a listed one is fine")

    @model_validator(mode="after")
    def _not_empty(self) -> Config:
        if wordless((*self.phrases, *self.exceptions)):
            raise ValueError("a phrase needs at least one letter or digit")
        return self


class BlocklistRail:
    """Score 1 and the spans of every phrase found; ``label`` says TERM for each. What matched is never in the reason."""

    name = "blocklist"
    version = "2"

    def __init__(self, phrases: list[str], exceptions: list[str]) -> None:
        self._phrases = Phrases(phrases, exceptions)
        self.longest = self._phrases.longest
        self._phrases.find("a word")  # the tables of letter forms are read now, and not while the first request waits

    def __call__(self, conversation: Conversation, stage: Stage) -> Verdict:
        text = view(conversation, stage).text
        found: list[Found] = [(start, end, "TERM") for start, end in self._phrases.find(text)]
        return say_found(conversation, self.name, self.version, found, reason=f"{len(found)} listed phrases")


def build(config: Config) -> BlocklistRail:
    """The rail with its list. Raises InputError for a file that cannot be read, and for no phrase at all."""
    phrases = [*config.phrases, *(read_phrases(config.file) if config.file is not None else [])]
    if not phrases:
        raise InputError("the blocklist has no phrases", 'settings: {phrases: ["..."]}, or a file')
    return BlocklistRail(phrases, list(config.exceptions))
