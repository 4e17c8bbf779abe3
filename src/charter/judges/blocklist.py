"""Does a text hold a listed word or phrase? The word filter of old, kept as the baseline that other judges must beat.

Whole words, through odd spacing, case, letter forms and every disguise that the normaliser undoes; longer phrases can be excepted. The shipped list,
``blocklist.txt``, is ours; give your own by ``phrases`` or ``file``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from charter.core.config import Config as BaseConfig
from charter.core.errors import InputError
from charter.core.rows import Conversation, Verdict, content_id
from charter.judges._phrases import Phrases, read_phrases, wordless
from charter.judges.perspective import text_of

NOT_COVERED = (
    "Meaning: a list knows words, not what is done with them. Polite harmful requests, misspellings, translations and synonyms pass; news, fiction, "
    "questions about safety and quotations are caught. It is a baseline: its card shows how little it finds."
)
HEADS = ("harmful_request", "toxicity")


class Config(BaseConfig):
    """The list."""

    phrases: tuple[str, ...] = Field(default=(), description="words and phrases in place of the shipped ones; * at the end of a word is any ending")
    file: Path | None = Field(default=None, description="more of them, one a line; lines that begin with # are notes")
    exceptions: tuple[str, ...] = Field(default=(), description="longer phrases in which a listed one is fine; the shipped list has its own")
    read: Literal["last", "request", "reply"] = Field(default="last", description="the text that is read: the last one, or the one named")
    forms: bool = Field(default=True, description="also read the text with its disguises undone")

    @model_validator(mode="after")
    def _not_empty(self) -> Config:
        if wordless((*self.phrases, *self.exceptions)):
            raise ValueError("a phrase needs at least one letter or digit")
        return self


class BlocklistJudge:
    """``score`` and both heads are 1 where a phrase stands, else 0: no probability. ``spans`` say where, in the text that is read; ``reason``
    never repeats what was found. No text is ``failed``."""

    name = "blocklist"
    answers = HEADS

    def __init__(self, phrases: list[str], exceptions: list[str], config: Config) -> None:
        self._phrases, self._config = Phrases(phrases, exceptions), config
        self.version = f"2.{content_id([phrases, exceptions, config.read, config.forms])[:8]}"

    def __call__(self, conversation: Conversation) -> Verdict:
        about = {"subject": conversation.id, "judge": self.name, "judge_version": self.version}
        text = text_of(conversation, self._config.read, self._config.forms)
        if text is None:
            which = "text" if self._config.read == "last" else self._config.read
            return Verdict.model_validate({**about, "outcome": "failed", "reason": f"there is no {which} to read"})
        found = self._phrases.find(text, self._config.forms)
        score = float(bool(found))
        content = {"outcome": "unsafe" if found else "safe", "score": score, "scores": dict.fromkeys(HEADS, score)}
        return Verdict.model_validate({**about, **content, "spans": tuple(found), "reason": f"{len(found)} listed phrases" if found else ""})


def build(config: Config) -> BlocklistJudge:
    """The judge with its list. Raises InputError for a file that cannot be read, and for a list without a phrase."""
    phrases, exceptions = list(config.phrases), list(config.exceptions)
    if config.file is not None:
        phrases += read_phrases(config.file)
        if not phrases:
            raise InputError(f"{config.file}: has no phrases", "one phrase a line")
    elif not phrases:
        phrases = read_phrases(Path(__file__).with_name("blocklist.txt"))
        exceptions += read_phrases(Path(__file__).with_name("blocklist.exceptions.txt"))
    return BlocklistJudge(phrases, exceptions, config)
