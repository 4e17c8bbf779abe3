"""What shapes read, as the messages of a Conversation, each text with its place in the body."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from charter.core.rows import ToolCall
from charter.guard.gateway.surfaces._documents import apart
from charter.guard.gateway.surfaces._located import Located, Path, as_text
from charter.guard.gateway.surfaces._shape import Bit, Reading, Shape, Unreadable
from charter.guard.gateway.surfaces._surface import BadAnswerError, BadRequestError
from charter.guard.gateway.surfaces._texts import Gather, Media, Role, Text

_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")


class Builder:
    """Messages, one after the other."""

    def __init__(self) -> None:
        self._gather = Gather()
        self.empty = True

    def add(self, role: Role, bits: Iterable[Bit], around: bool = False) -> None:
        """One message of ``bits``; none if there are none. ``around``: texts beside the chat. A name opens a tool call, arguments belong to the call
        before them."""
        texts: list[Text] = []
        calls: list[tuple[Path | None, ToolCall]] = []
        media: list[tuple[Media, str]] = []
        for bit in bits:
            if bit.kind == "text":
                texts.append((bit.path, bit.text))
            elif bit.kind == "name":
                calls.append((None, ToolCall(name=bit.text, arguments="")))
            elif bit.kind == "arguments":
                argue(texts, calls, bit)
            else:
                media.append((bit.kind, bit.text))
        if texts or calls or media:
            self.empty = False
            self._gather.message(role, texts, calls, media, around)

    def around(self, shape: Shape, body: dict[str, Any]) -> None:
        """What stands beside the chat: by ``shape`` all but the documents, and each of those. Raises BadRequestError."""
        rest, documents = apart(body)
        self.add("system", bits_of(shape, rest, (), ""), around=True)
        for document in documents:
            self.add("tool", [Bit("text", text, path) for path, text in document], around=True)

    def located(self) -> Located:
        return self._gather.located()


def argue(texts: list[Text], calls: list[tuple[Path | None, ToolCall]], bit: Bit) -> None:
    if not calls or calls[-1][1].arguments:
        calls.append((None, ToolCall(name="", arguments="")))
    text = source(bit.text)
    calls[-1] = bit.path, calls[-1][1].model_copy(update={"arguments": text})
    texts += [(None, hidden) for hidden in [undone(text)] if hidden]


def source(text: str) -> str:
    """Arguments of a tool as the rails read them: JSON without escapes for letters, which would hide words. What is no JSON, or has a key twice (the
    last one would hide the first), stays as it is."""
    if "\\u" not in text:
        return text
    try:
        return as_text(json.loads(text, object_pairs_hook=_once))
    except (ValueError, RecursionError):
        return text


def undone(text: str) -> str:
    """``text`` without escapes for letters; '' if it has none."""
    if "\\u" not in text:
        return ""
    plain = _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)
    plain = plain.encode("utf-16", "surrogatepass").decode("utf-16", "replace")  # two escapes may make one letter; half a letter is none
    return "" if plain == text else plain


def unescaped(bits: Iterable[Bit]) -> list[Bit]:
    """The texts of a structured reply, which are JSON source, without their escapes; to be read, not rewritten."""
    return [Bit("text", plain, None) for bit in bits if bit.kind == "text" for plain in [undone(bit.text)] if plain]


def hidden(calls: Iterable[tuple[Path | None, ToolCall]]) -> list[tuple[Path | None, str]]:
    """The arguments of tool calls that have escaped letters, without the escapes."""
    return [(None, text) for _, call in calls for text in [undone(call.arguments)] if text]


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def bits_of(shape: Shape, value: Any, at: Path, name: str) -> list[Bit]:
    """What a request's field holds. Raises BadRequestError naming the field."""
    reading = Reading(strict=True)
    try:
        shape.walk(value, at, name, reading)
    except Unreadable as error:
        raise BadRequestError(str(error), param=error.name, code=error.code) from None
    return reading.bits


def read_answer(shape: Shape, value: Any, at: Path = (), name: str = "") -> tuple[Any, list[Bit]]:
    """What of an answer may go on, and what it says. Raises BadAnswerError."""
    reading = Reading(strict=False)
    try:
        return shape.walk(value, at, name, reading), reading.bits
    except Unreadable as error:
        raise BadAnswerError(str(error)) from None
