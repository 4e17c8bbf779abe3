"""Rows that Charter never holds: anything sexual about minors. Loaders drop such rows and count them.

The rule is deliberately wide (a sexual word and a word for a minor in the same text): a lost harmless row costs little.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TypeVar

from charter.core.rows import Conversation

T = TypeVar("T")

#: What a dropped row is counted as.
REASON = "sexual content about minors"

_MINOR = re.compile(
    r"\b(\w*child(ren|hood)?|(school|step|grand)?kids?|minors?|toddlers?|infants?|bab(y|ies)|pre-?teens?|tweens?|teens?|teenagers?|teenaged?|under-?age[d]?"
    r"|school-?(girls?|boys?)|little (girls?|boys?)|young (girls?|boys?)|(girls?|boys?) under|juveniles?|adolescents?|youngsters?|loli(s|tas?|con)?"
    r"|jailbait|(\d{1,2}|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|(thir|four|fif|six|seven)teen)[- ]years?[- ]olds?"
    r"|1?\d ?(yo|y/o)|(aged|age) (1[0-7]|[1-9]))\b",
    re.IGNORECASE,
)
_SEXUAL = re.compile(
    r"\b((?<!same-)(?<!opposite-)sex|sexual|sexually|sexy|sexuali[sz]\w*|sext\w*|nudes?|nudity|naked|porn\w*|erotic\w*|nsfw|masturbat\w*|genitals?|intercourse|orgasm\w*"
    r"|fetish\w*|groom(ing|ed)?|molest\w*|rap(e|ed|ing|ist)|pa?edo(s|phil\w*)?|incest\w*|seduc\w*|lewd|undress\w*|strip(ped|ping)?|csam|fondl\w*)\b",
    re.IGNORECASE,
)


def must_drop(text: str) -> bool:
    """True if the text could be sexual about minors."""
    return bool(_MINOR.search(text) and _SEXUAL.search(text))


def said(conversation: Conversation, *more: str | None) -> str:
    """Everything that a row says, as ``must_drop`` reads it: all messages of its conversation, and ``more``, such as its target."""
    return "\n".join(text for text in (*(message.text for message in conversation.messages), *more) if text)


def keep(rows: Iterable[tuple[str, T]]) -> tuple[list[T], int]:
    """Split (text, row) pairs into the rows to keep and the number dropped."""
    kept: list[T] = []
    dropped = 0
    for text, row in rows:
        if must_drop(text):
            dropped += 1
        else:
            kept.append(row)
    return kept, dropped
