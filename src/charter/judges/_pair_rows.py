"""Rows of two replies, of which people preferred one."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from typing import NamedTuple

from charter.core.rows import Conversation, Message

_TURN = re.compile(r"(?:\A|\n\n)(Human|Assistant):")
_ROLES = {"Human": "user", "Assistant": "assistant"}


class Pair(NamedTuple):
    """What was said before, and the two replies."""

    before: Conversation
    one: str
    other: str


def from_transcripts(one: str, other: str) -> Pair | None:
    """Two whole conversations, "Human:" and "Assistant:" by turns, that are the same up to their last replies; None where they are not."""
    first, second = _turns(one), _turns(other)
    if len(first) < 2 or first[:-1] != second[:-1] or (first[-1].role, second[-1].role) != ("assistant", "assistant"):
        return None
    return Pair(Conversation(messages=tuple(first[:-1])), first[-1].text, second[-1].text)


def _turns(text: str) -> Sequence[Message]:
    _, *found = _TURN.split(text)
    said = zip(found[::2], found[1::2], strict=True)
    return [Message(role=_ROLES[speaker], content=words.strip()) for speaker, words in said]  # type: ignore[arg-type]


def pair(conversation: Conversation, first: str, second: str) -> Conversation:
    """The conversation that a pair is judged as."""
    replies = (Message(role="assistant", content=first), Message(role="assistant", content=second))
    return Conversation(messages=(*conversation.messages, *replies))


def turned(key: str) -> bool:
    """Whether a pair is asked the other way round: half are, so that a judge which likes the first one gains nothing."""
    return bool(zlib.crc32(key.encode("utf-8", "surrogatepass")) & 1)
