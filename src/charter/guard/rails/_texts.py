"""Which texts of a conversation a rail reads. The whole conversation counts: every message by itself, and the last turns read as one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from charter.core.rows import Conversation
from charter.guard._shared import alike
from charter.guard.policy import Stage
from charter.guard.segments import view

Role = Literal["system", "user", "assistant", "tool"]
ROLES: tuple[Role, ...] = ("user", "system", "assistant", "tool")
_WORD = re.compile(r"[^\W_]")
#: Blocks inside a message that quote something from elsewhere: fenced, tagged, or introduced as a document.
_BLOCKS = re.compile(
    r"```[^\n]*\n(?P<fence>.*?)(?:```|\Z)|<(?P<tag>document|doc|context|email|article|page|webpage|data|input|file|result|search_results?|quote|text)\b[^>]*>"
    r"(?P<tagged>.*?)(?:</(?P=tag)>|\Z)|^[ \t]*(?P<quote>(?:>[^\n]*(?:\n|\Z))+)|\"{3}(?P<triple>.*?)(?:\"{3}|\Z)",
    re.DOTALL | re.IGNORECASE | re.MULTILINE,
)


#: Each kind has one of these.
_BLOCK_SIGNS = ("```", "<", ">", '"' * 3)


def by_message(conversation: Conversation, roles: Sequence[Role], stage: Stage = "input") -> list[str]:
    """The texts of every message of these roles, parts and tool calls of one message together. Those without a word are left out, unless there are no
    others."""
    _, every = alike(("said", id(conversation), stage), lambda: (conversation, _said(conversation, stage)))
    found = [said for said in every if said.role in roles]
    return [said.text for said in found if said.is_worded] or [said.text for said in found]


class _Said(NamedTuple):
    """What one message says, and whether there is a word in it."""

    role: str
    text: str
    is_worded: bool


def _said(conversation: Conversation, stage: Stage) -> list[_Said]:
    """Of every message that is not blank; parts and tool calls of one together."""
    texts: dict[tuple[int, str], list[str]] = {}
    for segment in view(conversation, stage).segments:
        texts.setdefault((segment.message, segment.role), []).append(segment.text)
    joined = ((role, "\n".join(pieces)) for (_, role), pieces in texts.items())
    return [_Said(role, text, _WORD.search(text) is not None) for role, text in joined if text.strip()]


def with_turns(conversation: Conversation, roles: Sequence[Role], joined_chars: int) -> list[str]:
    """Every message of these roles by itself, and, if there are several of the user, the end of all user turns as one text: what is harmless piece by
    piece may not be so together."""
    texts = by_message(conversation, roles)
    turns = by_message(conversation, ("user",))
    if joined_chars and len(turns) > 1:
        texts.append("\n".join(turns)[-joined_chars:])
    return list(dict.fromkeys(texts))


def of_others(conversation: Conversation, roles: Sequence[Role]) -> list[str]:
    """What messages of these roles say that no user says, those without a word left out: instructions, descriptions of tools, tool results, turns in
    the model's own name."""
    own = set(by_message(conversation, ("user",)))
    others = by_message(conversation, [role for role in roles if role != "user"])
    return [text for text in dict.fromkeys(others) if text not in own and _WORD.search(text)]


def without_past(conversation: Conversation) -> Conversation:
    """Without the model's turns before the last message of a user. What stands after it is not past: the model is to go on with it."""
    last = max((n for n, message in enumerate(conversation.messages) if message.role == "user"), default=-1)
    kept = [message for n, message in enumerate(conversation.messages) if message.role != "assistant" or n > last]
    return Conversation(messages=tuple(kept)) if len(kept) < len(conversation.messages) else conversation  # laid out already


def unanswered(conversation: Conversation) -> Conversation:
    """What a reply answers; the same object for all rails of a check, which lay out its texts once."""
    _, left = alike(("unanswered", id(conversation)), lambda: (conversation, conversation.without_reply))
    return left


def spoken(conversation: Conversation, roles: Sequence[Role], joined_chars: int) -> tuple[list[str], list[str]]:
    """What a rail of the input reads of its roles: the users' texts, by themselves and together, and what others say, each by itself, without the
    model's turns before the last of a user."""
    own = with_turns(conversation, ("user",), joined_chars) if "user" in roles else []
    return own, of_others(without_past(conversation), roles)


def passages(texts: Iterable[str], chars: int) -> list[str]:
    """The texts; in place of those that are longer than ``chars``, stretches of that length, each of which begins in the one before it."""
    return [text[at : at + chars] for text in texts for at in range(0, max(1, len(text) - chars // 4), chars * 3 // 4)]


def requests(conversation: Conversation, joined_chars: int) -> list[str]:
    """What a reply answers: the last user message, and the end of all user turns as one text."""
    turns = by_message(unanswered(conversation), ("user",))
    if not turns:
        return [""]
    joined = ["\n".join(turns)[-joined_chars:]] if joined_chars and len(turns) > 1 else []
    return list(dict.fromkeys([turns[-1], *joined]))


def quoted_blocks(texts: Iterable[str]) -> list[str]:
    """What messages quote from elsewhere: fenced blocks, tagged documents, mail quotes."""
    found = [
        piece
        for text in texts
        if any(sign in text for sign in _BLOCK_SIGNS)
        for match in _BLOCKS.finditer(text)
        for piece in (match["fence"], match["tagged"], match["quote"], match["triple"])
    ]
    return list(dict.fromkeys(piece for piece in found if piece and _WORD.search(piece)))
