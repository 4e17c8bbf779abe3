"""Texts of a JSON body as a Conversation, with the way back: where in the body every text stands."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from charter.core.rows import Conversation
from charter.guard.segments import Field, Mask, substitute

Path = tuple[str | int, ...]
#: Number of the message in the conversation, which kind of text of it, and which one of that kind: as in ``segments.Segment``.
Place = tuple[int, Field, int]


class Located(NamedTuple):
    """``paths`` has a path for every text of ``conversation`` that may be rewritten."""

    conversation: Conversation
    paths: Mapping[Place, Path]


def rewritten(body: dict[str, Any], located: Located, masks: Iterable[Mask]) -> dict[str, Any]:
    """A copy of ``body`` with every mask put in place; ``body`` itself, and what no mask touches, stays as it is. Where an object stands in the body,
    its masked JSON text takes its place as an object.

    Raises KeyError for a mask in a text that has no path, or after which an object is no JSON: it cannot be masked, so the caller has to block.
    """
    by_place: dict[Place, list[Mask]] = {}
    for mask in masks:
        by_place.setdefault((mask.message, mask.field, mask.nth), []).append(mask)
    for place, found in by_place.items():
        path = located.paths[place]
        text = substitute(text_at(located.conversation, place), found)
        try:
            body = put(body, path, text if isinstance(get(body, path), str) else json.loads(text))
        except ValueError:
            raise KeyError(place) from None
    return body


def text_at(conversation: Conversation, place: Place) -> str:
    """The text of a conversation at ``place``."""
    number, kind, nth = place
    message = conversation.messages[number]
    if kind == "content":
        return message.text
    if kind == "part":
        return "" if isinstance(message.content, str) else message.content[nth].text
    call = message.tool_calls[nth]
    return call.arguments if kind == "arguments" else call.name


def as_text(value: Any) -> str:
    """A JSON value as the text that is checked."""
    return json.dumps(value, ensure_ascii=False)


def get(body: Any, path: Path) -> Any:
    """What stands at ``path``."""
    for step in path:
        body = body[step]
    return body


def mapped(value: Any, change: Callable[[str], str]) -> Any:
    """``value`` with every string in it changed, keys not; itself where nothing is."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {key: mapped(inner, change) for key, inner in value.items()}
    return [mapped(inner, change) for inner in value] if isinstance(value, list) else value


def put(body: Any, path: Path, value: Any) -> Any:
    """A copy of ``body`` with ``value`` at ``path``; only what lies on the path is copied."""
    if not path:
        return value
    head, *rest = path
    copy = list(body) if isinstance(body, list) else dict(body)
    copy[head] = put(body[head], tuple(rest), value)  # type: ignore[index]
    return copy
