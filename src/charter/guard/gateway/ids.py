"""Names of requests: the client's if it is harmless, else one of ours that sorts by time (UUID version 7)."""

from __future__ import annotations

import os
import re
import time

#: A name by which an answer may be asked for: what may stand in a header, a log and a column of the database.
NAME = r"[A-Za-z0-9._-]{1,64}"
_SAFE = re.compile(NAME)
#: W3C trace context; later versions may say more at the end.
_TRACE = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-[ -~]{0,256})?")


def new() -> str:
    """A UUIDv7 as text: 48 bits of milliseconds, then random."""
    bits = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10), "big")
    bits = bits & ~(0xF << 76) | 7 << 76
    bits = bits & ~(0x3 << 62) | 2 << 62
    text = f"{bits:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def request_id(given: bytes | None) -> str:
    """The client's own, if it has one that may stand in a header and a log."""
    return (plain(given.decode("latin-1")) if given is not None else "") or new()


def trace(given: bytes | None) -> str:
    """The client's trace, as its header has it; '' for none."""
    return given.decode("ascii") if given is not None and _TRACE.fullmatch(given) else ""


def plain(given: object) -> str:
    """The id of an answer, as the model server has it; '' if it is none that may be kept."""
    return given if isinstance(given, str) and _SAFE.fullmatch(given) else ""
