"""Which words of a text may be among known ones: told for all of them at once, so that only those few need be looked up one by one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charter.core.normalise.lexicon import ranks
from charter.core.normalise.mapped import Offsets
from charter.core.normalise.scan import SIZE, Mask

Letters = NDArray[np.uint8]
#: A word's number is made letter by letter with the first factor, and spread over a table of so many bits with the second.
_FACTOR, _SPREAD, _BITS = np.uint32(0x01000193), np.uint32(0x9E3779B1), 20
_ASCII = 128
_KELVIN = 0x212A  # the only character beyond ASCII that is a letter of ASCII in lower case


class Folding:
    """How characters are made the same before words are compared: in lower case, then by ``table``. What is not ASCII becomes 0, as in no word."""

    def __init__(self, table: Mapping[int, Any] | None = None) -> None:
        folded = "".join(chr(n).lower() for n in range(_ASCII)).translate({n: new for n, new in (table or {}).items() if n < _ASCII})
        self._table = folded.encode("ascii").ljust(256, b"\0")
        self._points = np.zeros(SIZE, dtype=np.uint8)
        self._points[:_ASCII] = list(folded.encode("ascii"))
        self._points[_KELVIN] = self._points[ord("K")]

    def __call__(self, points: NDArray[np.integer[Any]]) -> Letters:
        """Of the characters of a ``Scan``."""
        if points.dtype == np.uint8:
            return np.frombuffer(points.tobytes().translate(self._table), dtype=np.uint8)
        letters: Letters = self._points.take(points)
        return letters


class Known:
    """Words in folded ASCII. ``may`` says which stretches of folded letters may be one of them: all that are, and few others."""

    def __init__(self, words: Iterable[str]) -> None:
        every = list(words)
        sizes = np.fromiter(map(len, every), dtype=np.int64, count=len(every))
        letters = np.frombuffer("".join(every).encode("ascii"), dtype=np.uint8)
        ends = np.cumsum(sizes)
        self._longest = int(sizes.max())
        self._bits = np.zeros(1 << _BITS, dtype=np.bool_)
        self._bits[_places(letters, ends - sizes, sizes)] = True

    def may(self, letters: Letters, starts: Offsets, ends: Offsets) -> Mask:
        sizes = ends - starts
        found = np.zeros(len(starts), dtype=np.bool_)
        some = np.flatnonzero((sizes > 0) & (sizes <= self._longest))
        found[some] = self._bits[_places(letters, starts[some], sizes[some])]
        return found


def _places(letters: Letters, starts: Offsets, sizes: Offsets) -> NDArray[np.uint32]:
    sums = np.zeros(len(starts), dtype=np.uint32)
    at = np.arange(len(starts))
    for place in range(int(sizes.max(initial=0))):
        at = at[sizes[at] > place]
        sums[at] = sums[at] * _FACTOR + letters[starts[at] + place]
    places: NDArray[np.uint32] = (sums * _SPREAD) >> np.uint32(32 - _BITS)
    return places


@cache
def common_words() -> Known:
    """The common English words."""
    return Known(ranks())


@cache
def lowered() -> Folding:
    """Letters in lower case."""
    return Folding()
