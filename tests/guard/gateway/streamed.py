"""Drives a codec as the pump does, without windows: what the client gets when every text is let out as ``change`` makes it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from charter.guard.gateway.surfaces._surface import Codec
from charter.guard.gateway.wire import sse

Change = Callable[[str, str], str]


def through(
    codec: Codec, events: Iterable[dict[str, Any]], change: Change = lambda channel, text: text
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """The client's events, and the text of each channel as the upstream told it."""
    out, texts = b"", dict[str, str]()
    for event in events:
        for frame in codec.read(str(event["type"]), json.dumps(event).encode()):
            for (_, channel), text, *_ in frame.pieces:
                texts[channel] = texts.get(channel, "") + text
            out += frame.emit([change(piece.channel[1], piece.text) for piece in frame.pieces])
    return told(out + (codec.end() if codec.ended else b"")), texts


def told(raw: bytes) -> list[dict[str, Any]]:
    """The events in a stream's bytes; the name of each is that in its data."""
    found = sse.Reader().feed(raw)
    values = [json.loads(event.data) for event in found]
    assert [event.name for event in found] == [value["type"] for value in values]
    return values
