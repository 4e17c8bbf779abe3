"""The head and the body of a request, before anybody knows what it asks. Deadlines for slow clients are the protocol's (``deadlines``)."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from charter.guard.gateway.surfaces._surface import BadRequestError, Contract
from charter.guard.gateway.wire.errors import GatewayError

#: Which member of a union a field belongs to.
_MEMBER = re.compile(r"\[[^\]]*\]")


def credential(headers: Mapping[bytes, bytes]) -> str:
    """The client's key: behind Bearer, or in x-api-key. '' for none."""
    given = headers.get(b"authorization", b"")
    if given[:7].lower() == b"bearer ":
        return given[7:].strip().decode("latin-1")
    return headers.get(b"x-api-key", b"").strip().decode("latin-1")


async def read_body(headers: Mapping[bytes, bytes], receive: Callable[[], Awaitable[MutableMapping[str, Any]]], most_bytes: int) -> bytes:
    """The body. Raises GatewayError (413, 415) and ConnectionAbortedError if the client leaves, or is cut off, before it is whole."""
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise GatewayError(415, "unsupported_encoding", "encoded bodies are not read; send plain JSON", retry=False)
    if headers.get(b"content-type", b"").split(b";")[0].strip().lower() != b"application/json":
        # also what keeps web pages of others out: a browser must ask first before it sends this type across sites
        raise GatewayError(415, "unsupported_media_type", "the content-type must be application/json", retry=False)
    told = headers.get(b"content-length", b"")
    if told.isdigit() and int(told) > most_bytes:
        raise _too_large(most_bytes)
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionAbortedError
        piece = message.get("body", b"")
        size += len(piece)
        if size > most_bytes:
            raise _too_large(most_bytes)
        pieces.append(piece)
        if not message.get("more_body", False):
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _too_large(most_bytes: int) -> GatewayError:
    return GatewayError(413, "request_too_large", f"the body is longer than {most_bytes} bytes", retry=False)


#: The member of a union, in the name of a field.
_TAG = re.compile(r"\[[^]]*\]")


def check_fields(body: Mapping[str, Any], known: Mapping[str, Contract]) -> None:
    """Refuse every field that a surface does not know. A field that is known as a whole may hold anything. Raises BadRequestError."""
    known = {_MEMBER.sub("", name): contract for name, contract in known.items()}
    plain = {_TAG.sub("", name).removesuffix(".*") for name in known}
    parents = {name[:at] for name in plain for at in range(len(name)) if name[at] == "."}

    def walk(value: Any, where: str) -> None:
        if isinstance(value, list):
            for inner in value:
                walk(inner, where)
        elif isinstance(value, dict) and (not where or where in parents):
            for key, inner in value.items():
                name = f"{where}.{key}" if where else key
                if name not in plain and name not in parents:
                    shown = name if name.replace(".", "").replace("_", "").isalnum() and len(name) <= 80 else where or "the body"
                    raise BadRequestError(f"unknown field: {shown}", param=shown, code="unknown_field")
                walk(inner, name)

    walk(body, "")
