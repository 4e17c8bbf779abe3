"""Texts of chat answers that come as lists of parts: whole, and as pieces of a stream."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from charter.guard.gateway.surfaces._located import Path
from charter.guard.gateway.surfaces._surface import BadAnswerError
from charter.guard.gateway.surfaces._texts import Media, Text, digest, named, without_texts
from charter.guard.messages import MEDIA
from charter.guard.messages import TEXTS as PARTS

#: A part that holds further parts, as Mistral's models write their thoughts.
_NESTED = "thinking"
#: Where a picture or a sound is, or what it is in base64: no sentence. Nothing else of one is text that may stay.
_WHERE = re.compile(r"[!-~]*")
_SEEN, _SAID_OF = ("url", "data"), ("detail", "format")


def parts(given: Sequence[Any], path: Path, media: list[tuple[Media, str]], levels: int = 4) -> list[Text]:
    """The texts of a list of parts; its pictures and sounds go into ``media``. A part that could hold anything else is refused, and so are parts
    within parts beyond ``levels``."""
    texts: list[Text] = []
    for number, part in enumerate(given):
        kind = part.get("type") if isinstance(part, dict) else None
        key = PARTS.get(kind) if isinstance(kind, str) else None
        if isinstance(part, str):
            texts.append(((*path, number), part))
        elif key is not None and isinstance(part.get(key), str):
            texts.append(((*path, number, key), part[key]))
        elif kind == _NESTED and isinstance(part.get(_NESTED), str):
            texts.append(((*path, number, _NESTED), part[_NESTED]))
        elif kind == _NESTED and isinstance(part.get(_NESTED), list) and levels:
            texts += parts(part[_NESTED], (*path, number, _NESTED), media, levels - 1)
        elif isinstance(kind, str) and kind in MEDIA:
            media.append((MEDIA[kind][0], digest(_pictured(part.get(MEDIA[kind][1])))))
        else:
            raise BadAnswerError("a part of a reply is of a kind that cannot be checked")
    return texts


def _pictured(given: Any) -> Any:
    """A picture or a sound without the texts that its object could hold beside it, since policies may let it pass unread. Raises BadAnswerError."""
    found = [given] if isinstance(given, str) else [value for key, value in object_of(given).items() if key in _SEEN]
    if not all(isinstance(where, str) and _WHERE.fullmatch(where) for where in found):
        raise BadAnswerError("a picture or sound of a reply is none")
    return given if isinstance(given, str) else without_texts(named(given, _SAID_OF), {*_SEEN, *_SAID_OF})


def plain_parts(given: Any) -> Any:
    """A list of parts without what nobody read of them; anything else as it is."""
    if not isinstance(given, list):
        return given
    plain = []
    for part in given:
        if isinstance(part, dict):
            kind = part["type"]
            key = MEDIA[kind][1] if kind in MEDIA else PARTS.get(kind, _NESTED)
            part = without_texts(part, {"type", key})
            if key == _NESTED or kind in MEDIA:
                part = {**part, key: plain_parts(part[key]) if key == _NESTED else _pictured(part[key])}
        plain.append(part)
    return plain


#: Channels of parts that are not the text of their field.
_CHANNELS = {_NESTED: "thinking", "refusal": "refusal"}


class Told(NamedTuple):
    """A text of a list of parts: the channel that it is of, the kind of its part, and its place."""

    channel: str
    kind: str
    path: Path
    text: str


def pieces(given: Sequence[Any], channel: str, path: Path) -> Iterator[Told]:
    """The texts of a field's piece of a stream, ``channel`` being the field's. Raises BadAnswerError, also for pictures and sounds: no policy is
    asked about those of a stream."""
    media: list[tuple[Media, str]] = []
    for number, part in enumerate(given):
        kind = str(part["type"]) if isinstance(part, dict) and part.get("type") in _CHANNELS else "text"
        for where, text in parts([part], (), media):
            yield Told(_CHANNELS.get(kind, channel), kind, (*path, number, *(where or ())[1:]), text)
    if media:
        raise BadAnswerError("a picture or sound in a stream cannot be checked")


def object_of(value: Any) -> dict[str, Any]:
    """``value``, which must be a JSON object. Raises BadAnswerError."""
    if not isinstance(value, dict):
        raise BadAnswerError("an object is missing")
    return value
