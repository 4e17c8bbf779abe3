"""A text as a reader takes it: lower case, plain letters, no invisible characters, single spaces; with the way back to the original.

NFKC (UAX 15), format and control characters dropped, white space run together, curly quotes straight. Nothing is decoded or guessed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_QUOTES = {"’": "'", "‘": "'", "ʼ": "'", "“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "–": "-", "—": "-", "‑": "-"}

#: Selectors, fillers and a joiner, which are no format characters by their category.
_UNSEEN = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef\u180b-\u180f\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0]")


class Folded(NamedTuple):
    """``text`` and, for each of its characters, the offset in the original of the character it came from."""

    text: str
    offsets: Sequence[int] | NDArray[np.int64]
    length: int

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The stretch of the original that characters ``start`` to ``end`` came from, with whatever was dropped between them."""
        if start >= end:
            at = int(self.offsets[start]) if start < len(self.offsets) else self.length
            return at, at
        return int(self.offsets[start]), int(self.offsets[end - 1]) + 1


def fold(text: str) -> Folded:
    """Linear in the text."""
    if text.isascii():
        return _ascii(text)
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
    return Folded("".join(out), offsets, len(text))


def _ascii(text: str) -> Folded:
    """The same for ASCII, all at once."""
    points = np.frombuffer(text.lower().encode("ascii"), dtype=np.uint8)
    blank = (points == 32) | ((points >= 9) & (points <= 13)) | ((points >= 28) & (points <= 31))
    kept = np.flatnonzero(blank | ((points > 32) & (points < 127)))
    blank = blank[kept]
    first = ~blank
    first[1:] |= ~blank[:-1]
    kept, blank = kept[first], blank[first]
    return Folded(np.where(blank, 32, points[kept]).astype(np.uint8).tobytes().decode("ascii"), kept, len(text))


def seen(text: str) -> bool:
    """Whether a reader sees anything in ``text``: not if it is empty, or all blanks, format and control characters, fillers and selectors. What is
    hidden in such characters is for ``views`` to find."""
    return any(not _UNSEEN.match(char) and _plain(char) not in ("", " ") for char in text)


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
