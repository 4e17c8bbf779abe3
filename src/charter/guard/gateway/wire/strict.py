"""Strict JSON. What two parsers could read in two ways is refused, so that nobody downstream reads another request than the rails did."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

#: Brackets nested deeper than this are refused.
MAX_DEPTH = 64
#: More values than this are refused: each costs Python's time, in which nobody else is served.
MAX_VALUES = 20_000
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode

LONE = "a surrogate (\\ud800 to \\udfff) stands alone, as where a text was cut inside an emoji"
_HALF = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F]")


class NotJsonError(ValueError):
    """``kind`` is one of: not UTF-8, not JSON, ``LONE``, nested too deep, too many values, a key stands twice, not an object. Never holds
    text of the body."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


def read_object(raw: bytes, most: int = MAX_VALUES) -> dict[str, Any]:
    """A request's body. Refuses what ``read`` refuses, keys that stand twice, more than ``most`` values and anything but an object. Raises
    NotJsonError."""
    found = read(raw)
    if not isinstance(found, dict):
        raise NotJsonError("not an object")
    if len(raw) > 2 * most and _more(found, most):
        raise NotJsonError("too many values")
    if raw.count(b"[") + raw.count(b"{") > MAX_DEPTH and _deeper(found, MAX_DEPTH):
        raise NotJsonError("nested too deep")
    try:
        _UNIQUE.decode(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise error if isinstance(error, NotJsonError) else NotJsonError("not JSON") from None
    return found


def read(raw: bytes) -> Any:
    """Any JSON value: strict UTF-8, no lone surrogates, no NaN, no infinity, nothing after it. Raises NotJsonError."""
    try:
        return _decode(raw)
    except UnicodeDecodeError:
        raise NotJsonError("not UTF-8") from None
    except RecursionError:
        raise NotJsonError("nested too deep") from None
    except (msgspec.MsgspecError, ValueError):
        raise NotJsonError(LONE if _HALF.search(raw) else "not JSON") from None


def write(value: Any) -> bytes:
    """Compact UTF-8."""
    return _encode(value)


def _pairs(pairs: list[tuple[str, Any]]) -> None:
    if len({key for key, _ in pairs}) != len(pairs):
        raise NotJsonError("a key stands twice")


#: msgspec keeps the last of two equal keys and says nothing; the standard library lets one look. Costs 2 µs for a body of 1.6 KB.
_UNIQUE = json.JSONDecoder(object_pairs_hook=_pairs)


def _more(value: Any, most: int) -> bool:
    """Whether there are more than ``most`` values in it, keys aside. Looks at no more containers than that."""
    waiting = [value]
    while waiting and most >= 0:
        outer = waiting.pop()
        inner = outer.values() if isinstance(outer, dict) else outer
        most -= len(inner)
        if most >= 0:
            waiting += [each for each in inner if isinstance(each, (dict, list))]
    return most < 0


def _deeper(value: Any, limit: int) -> bool:
    level = [value]
    for _ in range(limit):
        level = [inner for outer in level for inner in (outer.values() if isinstance(outer, dict) else outer) if isinstance(inner, (dict, list))]
        if not level:
            return False
    return True
