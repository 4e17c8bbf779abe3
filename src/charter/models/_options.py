"""What every backend asks of its arguments before it works: closed options, conversations that it can send, and answers to score that can be
told apart."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from charter.core.errors import InputError
from charter.core.rows import Conversation

C = TypeVar("C", bound=BaseModel)


def read_options(backend: str, config: type[C], options: Mapping[str, Any]) -> C:
    """Keyword options as the backend's Config. Raises InputError with every mistake on one line each; values of unknown keys are not echoed."""
    try:
        return config.model_validate(dict(options))
    except ValidationError as error:
        lines = [_line(backend, config, item["loc"], item["type"], item["msg"]) for item in error.errors(include_url=False)]
        raise InputError("\n".join(lines), f"known options of {backend}: {', '.join(config.model_fields) or 'none'}") from None


def _line(backend: str, config: type[BaseModel], loc: tuple[int | str, ...], kind: str, message: str) -> str:
    key = ".".join(str(step) for step in loc)
    if kind != "extra_forbidden":
        return f"{backend}: {key + ': ' if key else ''}{message.removeprefix('Value error, ')}"
    close = difflib.get_close_matches(key, list(config.model_fields), n=1)
    return f"{backend}: unknown option {key!r}" + (f"; did you mean {close[0]!r}?" if close else "")


def check_text(conversation: Conversation) -> None:
    """Raise InputError unless the conversation is text alone: an answer to what is left of it would be counted as an answer to the whole."""
    parts = [part.type for message in conversation.messages if not isinstance(message.content, str) for part in message.content]
    other = next((kind for kind in parts if kind != "text"), "")
    if other:
        raise InputError(f"this backend cannot send {other} parts")
    if any(message.role == "assistant" and message.tool_calls for message in conversation.messages):
        raise InputError("this backend cannot send tool calls")


def check_choices(options: Sequence[str]) -> None:
    """Raise InputError unless there are at least two different, visible options to score."""
    if len(options) < 2 or len({o.strip() for o in options}) != len(options) or not all(o.strip() for o in options):
        raise InputError(f"score needs two or more different options that are not blank, got {list(options)!r}")
