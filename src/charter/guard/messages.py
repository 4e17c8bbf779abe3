"""Chat messages as the world writes them (OpenAI's shape) to a Conversation, and its texts back into them. What cannot be read is refused."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol, runtime_checkable

from charter.core.errors import InputError
from charter.core.rows import Conversation, Message, Part, ToolCall


@runtime_checkable
class SdkMessage(Protocol):
    """A message as OpenAI's SDK gives it back, ``completion.choices[0].message``, or one of its ``tool_calls``."""

    def model_dump(self, *, exclude_none: bool) -> dict[str, Any]: ...


Given = Mapping[str, Any] | SdkMessage
#: What a check reads: a prompt, chat messages in OpenAI's shape, or a Conversation.
Asked = str | Conversation | Sequence[Given]
Role = Literal["system", "user", "assistant", "tool"]
ROLES: Mapping[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}
KEYS = frozenset({"role", "content", "tool_calls", "tool_call_id", "name"})
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
#: Types of content parts that hold text, and the key of it.
TEXTS = {"text": "text", "input_text": "text", "output_text": "text", "refusal": "refusal"}
MEDIA: Mapping[str, tuple[Literal["image", "audio", "video"], str]] = {
    "image_url": ("image", "image_url"),
    "input_image": ("image", "image_url"),
    "input_audio": ("audio", "input_audio"),
    "video_url": ("video", "video_url"),
}


def conversation_of(given: Asked) -> Conversation:
    """A prompt, a Conversation or chat messages as a Conversation. Raises InputError for anything that could not be checked."""
    if isinstance(given, Conversation):
        return given
    if isinstance(given, str):
        return Conversation.ask(given)
    if not isinstance(given, Sequence) or not given or not all(isinstance(message, Mapping | SdkMessage) for message in given):
        raise InputError("a guarded call needs a prompt, chat messages or a Conversation to check")
    read = [_keys(message) for message in given if isinstance(message, Mapping | SdkMessage)]
    return Conversation(messages=tuple(_message(number, message) for number, message in enumerate(read)))


def to_check(given: Asked, stage: str) -> Conversation:
    """``conversation_of``, and that a reply is there where one is to be checked: a text alone is a request."""
    conversation = conversation_of(given)
    if stage == "output" and not isinstance(given, Conversation) and conversation.reply is None:
        raise InputError("there is no reply to check", 'guard.check(Conversation.ask("PROMPT").with_reply("REPLY"), "output")')
    return conversation


def _keys(message: Given) -> Mapping[str, Any]:
    return message if isinstance(message, Mapping) else message.model_dump(exclude_none=True)


def with_texts(messages: Sequence[Given], masked: Conversation) -> list[dict[str, Any]]:
    """The same messages with the texts of ``masked``, which was made of them: every other key stays."""
    return [_rewritten(dict(_keys(given)), message) for given, message in zip(messages, masked.messages, strict=True)]


def _rewritten(given: dict[str, Any], message: Message) -> dict[str, Any]:
    if isinstance(message.content, str):
        given["content"] = message.content if given.get("content") is not None else None
    else:
        parts = zip(given["content"], message.content, strict=True)
        given["content"] = [{**old, TEXTS[old["type"]]: new.text} if new.type == "text" else old for old, new in parts]
    if message.tool_calls:
        calls = zip(map(_keys, given["tool_calls"]), message.tool_calls, strict=True)
        given["tool_calls"] = [{**old, "function": {**old["function"], "arguments": new.arguments}} for old, new in calls]
    return given


def _message(number: int, given: Mapping[str, Any]) -> Message:
    role = ROLES.get(str(given.get("role")))
    if role is None:
        raise InputError(f"message {number}: the role {str(given.get('role'))[:40]!r} is not known; known: {', '.join(ROLES)}")
    unknown = sorted(str(key) for key in set(given) - KEYS if given[key] not in (None, "", []))  # what is empty says nothing
    if unknown:
        raise InputError(f"message {number}: the key {unknown[0][:40]!r} is not known, so it cannot be checked; known: {', '.join(sorted(KEYS))}")
    if not _NAME.fullmatch(str(given.get("name") or "-")):
        raise InputError(f"message {number}: the name is not a plain name (letters, digits, _ and -, at most 64)")
    content = given.get("content")
    parts = "" if content is None else content if isinstance(content, str) else _parts(number, content)
    return Message(role=role, content=parts, tool_calls=tuple(_calls(number, given.get("tool_calls") or ())))


def _parts(number: int, content: Any) -> tuple[Part, ...]:
    if not isinstance(content, Sequence) or not all(isinstance(part, Mapping) for part in content):
        raise InputError(f"message {number}: content is neither text nor a list of parts")
    return tuple(_part(number, part) for part in content)


def _part(number: int, given: Mapping[str, Any]) -> Part:
    kind = str(given.get("type"))
    if kind in TEXTS and isinstance(given.get(TEXTS[kind]), str):
        return Part(type="text", text=given[TEXTS[kind]])
    if kind in MEDIA:
        media, key = MEDIA[kind]
        data = given.get(key)
        return Part(type=media, data=str(data.get("url") or data.get("data") or "") if isinstance(data, Mapping) else str(data))
    raise InputError(f"message {number}: a part of type {kind[:40]!r} cannot be checked")


def _calls(number: int, given: Any) -> Iterator[ToolCall]:
    if not isinstance(given, Sequence) or not all(isinstance(call, Mapping | SdkMessage) for call in given):
        raise InputError(f"message {number}: tool_calls is no list of tool calls")
    for call in given:  # objects too, where a message is written anew around what the SDK gave: "tool_calls": message.tool_calls
        yield _call(number, _keys(call))


def _call(number: int, given: Mapping[str, Any]) -> ToolCall:
    function = given.get("function")
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str) or not isinstance(function.get("arguments"), str):
        raise InputError(f"message {number}: a tool call needs a function with a name and arguments")
    return ToolCall(name=function["name"], arguments=function["arguments"], call_id=str(given.get("id") or ""))
