"""Texts of a JSON body as a Conversation, with the way back: where in the body every text stands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
    """A copy of ``body`` with every mask put in place; ``body`` itself, and what no mask touches, stays as it is.

    Raises KeyError for a mask in a text that has no path: it cannot be masked, so the caller has to block.
    """
    by_place: dict[Place, list[Mask]] = {}
    for mask in masks:
        by_place.setdefault((mask.message, mask.field, mask.nth), []).append(mask)
    for place, found in by_place.items():
        path = located.paths[place]
        body = put(body, path, substitute(get(body, path), found))
    return body


def get(body: Any, path: Path) -> Any:
    """What stands at ``path``."""
    for step in path:
        body = body[step]
    return body


def put(body: Any, path: Path, value: Any) -> Any:
    """A copy of ``body`` with ``value`` at ``path``; only what lies on the path is copied."""
    if not path:
        return value
    head, *rest = path
    copy = list(body) if isinstance(body, list) else dict(body)
    copy[head] = put(body[head], tuple(rest), value)  # type: ignore[index]
    return copy
