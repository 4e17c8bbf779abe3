"""A text as a reader takes it: lower case, plain letters, no invisible characters, single spaces; with the way back to the original.

NFKC (UAX 15), format and control characters dropped, white space run together, curly quotes straight. Nothing is decoded or guessed.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import NamedTuple

_QUOTES = {"’": "'", "‘": "'", "ʼ": "'", "“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "–": "-", "—": "-", "‑": "-"}


class Folded(NamedTuple):
    """``text`` and, for each of its characters, the offset in the original of the character it came from."""

    text: str
    offsets: tuple[int, ...]
    length: int

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The stretch of the original that characters ``start`` to ``end`` came from, with whatever was dropped between them."""
        if start >= end:
            at = self.offsets[start] if start < len(self.offsets) else self.length
            return at, at
        return self.offsets[start], self.offsets[end - 1] + 1


def fold(text: str) -> Folded:
    """Linear in the text."""
    out: list[str] = []
    offsets: list[int] = []
    space = True
    for index, char in enumerate(text):
        for piece in _plain(char):
            if piece == " ":
                if space:
                    continue
                space = True
            else:
                space = False
            out.append(piece)
            offsets.append(index)
    return Folded("".join(out), tuple(offsets), len(text))


@lru_cache(maxsize=16384)
def _plain(char: str) -> str:
    if char.isspace() or char in "\u2800\u3164":
        return " "
    if char in _QUOTES:
        return _QUOTES[char]
    if char.isascii():
        return char.lower() if char.isprintable() else ""
    if unicodedata.category(char) in ("Cf", "Cc", "Cs", "Cn", "Co"):
        return ""
    return "".join(_QUOTES.get(c, " " if c.isspace() else c) for c in unicodedata.normalize("NFKC", char).lower())
