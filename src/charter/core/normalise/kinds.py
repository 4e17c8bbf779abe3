"""What becomes of each character on its own when a text is cleaned."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from functools import cache

import numpy as np
from numpy.typing import NDArray

#: The character goes; becomes another one that is no compatibility form of it; joins on to the one before; has one other character as its
#: plain form; has several.
GONE, SWAPPED, JOINS, ONE, MANY = 1, 2, 4, 8, 16
#: Characters that become more than so many stay: they are words, such as \ufdfa, and a text must not grow without bound.
LONGEST = 6
#: Format characters that are seen: number signs and the like.
_SEEN = "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"
_BLANK = "\u034f\u115f\u1160\u17b4\u17b5\u2065\u3164\uffa0\ufe0e\ufe0f\u180b\u180c\u180d\u180f"
_SPACES = {"\u1680": " ", "\u2800": " ", "\u2028": "\n", "\u2029": "\n", "\x85": "\n", "\x0b": "\n", "\x0c": "\n"}
#: Where characters are that go or join.
_SCRIPTS = (range(0x20000), range(0xE0100, 0xE01F0))
#: Where characters with a plain form are: not among ideographs, syllables and what is private.
_FORMED = (range(0x80, 0x3400), range(0xA000, 0xAC00), range(0xF900, 0x12000), range(0x1CC00, 0x20000), range(0x2F800, 0x2FA20))
_HIGH, _LOW, _TAGS = 0xD800, 0xE000, slice(0xE0000, 0xE1000)


def plain(cluster: str) -> str:
    """NFKC of a character and what joins on to it, except for characters that are pictures here."""
    if cluster[-1] in "\ufe0e\ufe0f" or "\U0001f200" <= cluster[0] <= "\U0001f2ff":
        return cluster
    if "\u249c" <= cluster[0] <= "\u24b5" or "\U0001f110" <= cluster[0] <= "\U0001f129":
        return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", cluster[0])[1] + cluster[1:])  # (a) is meant to be read as a
    new = unicodedata.normalize("NFKC", cluster)
    return new if len(new) <= LONGEST * len(cluster) else cluster


def is_special(cluster: str) -> bool:
    """Whether ``plain`` may differ from NFKC for another reason than its length."""
    return cluster[-1] in "\ufe0e\ufe0f" or "\u249c" <= cluster[0] <= "\u24b5" or "\U0001f110" <= cluster[0] <= "\U0001f2ff"


@cache
def kinds() -> NDArray[np.uint8]:
    """Flags by code point."""
    table = np.zeros(0x110000, dtype=np.uint8)
    for point in (point for points in _SCRIPTS for point in points):
        kind = unicodedata.category(chr(point))
        if kind in ("Cf", "Cc"):
            table[point] = GONE
        elif kind[0] == "M":
            table[point] = JOINS
    table[_of(_SEEN + "\t\n\r" + "".join(_SPACES))] &= ~np.uint8(GONE)
    table[_of(_BLANK)] |= GONE
    table[0xFE00:0xFE10] |= GONE
    table[_TAGS] |= GONE
    table[_of(_SPACES)] |= SWAPPED
    table[_HIGH:_LOW] |= SWAPPED
    table[0x1160:0x1200] |= JOINS
    table[_of("\uff9e\uff9f")] |= JOINS
    points, forms = _forms()
    table[points] |= np.where([len(form) == 1 for form in forms], ONE, MANY).astype(np.uint8) * (table[points] & JOINS == 0)
    return table


@cache
def _forms() -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Characters that have a plain form, in order, and their forms."""
    found = [(p, new) for points in _FORMED for p in points if (new := plain(chr(p))) != chr(p)]
    return np.array([point for point, _ in found]), tuple(new for _, new in found)


@cache
def _first() -> NDArray[np.uint32]:
    return np.array([ord(form[0]) for form in _forms()[1]], dtype=np.uint32)


def one(points: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """The plain forms of characters that are all of the kind ``ONE``."""
    return _first()[np.searchsorted(_forms()[0], points)]


def swapped(points: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """What characters that are all of the kind ``SWAPPED`` become: halves of a surrogate pair the replacement character."""
    blank = np.isin(points, _of(c for c, new in _SPACES.items() if new == " "))
    return np.where((points >= _HIGH) & (points < _LOW), 0xFFFD, np.where(blank, 0x20, 0x0A)).astype(np.uint32)


def _of(chars: Iterable[str]) -> list[int]:
    return [ord(c) for c in chars]
