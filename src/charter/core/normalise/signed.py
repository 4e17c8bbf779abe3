"""Single characters with the same sign between them, in a row: found in a long text for the whole text at once."""

from __future__ import annotations

import itertools
import re
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from charter.core.normalise.mapped import Offsets, decode
from charter.core.normalise.scan import SIZE, Mask, Scan, members, runs

#: A separator: one or two of the signs, perhaps a blank before and after.
SIGNS, BLANKS = r".\-*·•/|~+:,;=^#&\\_", r" \t"
_LONGEST = 4


class Rows(NamedTuple):
    """Where rows begin and end in the text, a number for the separator of each, and where its characters are in ``every``."""

    starts: Offsets
    ends: Offsets
    separators: Offsets
    every: str
    first: Offsets
    last: Offsets

    def letters(self, some: Offsets) -> list[str]:
        """The characters of these rows without the separator."""
        return [self.every[start:end] for start, end in zip(self.first[some].tolist(), self.last[some].tolist(), strict=True)]


def rows(text: str) -> Rows | None:
    """What ``spacing.py`` finds by a regular expression; None if no row has four characters."""
    scan = Scan(text)
    starts, ends = runs(scan.of(r"^\W_"))
    first, last, number = _greedy(*_links(scan, starts, ends))
    if not len(first) or int((last - first).max()) < 3:
        return None
    return Rows(starts[first], ends[last], number, decode(scan.points[starts].astype(np.uint32)), first, last + 1)


def _links(scan: Scan, starts: Offsets, ends: Offsets) -> tuple[Offsets, Offsets, Offsets]:
    """Stretches of runs of one character with the same separator between all: the first and last run of each, and a number for the separator."""
    single, gaps = ends - starts == 1, starts[1:] - ends[:-1]
    near = np.flatnonzero(single[1:] & single[:-1] & (gaps <= _LONGEST))
    number, shape = np.zeros(len(near), dtype=np.int64), np.zeros(len(near), dtype=np.int64)
    for place in range(_LONGEST):
        inside = gaps[near] > place
        char = np.where(inside, _numbers()[scan.points[np.where(inside, ends[near] + place, 0)]], 0)
        number = number * 64 + char
        shape = shape * 4 + np.searchsorted(_FIRST, char, side="right")
    fits = _shapes()[shape]
    near, number = near[fits], number[fits]
    if not len(near):
        return near, near, number
    begins = np.flatnonzero(np.append(True, (near[1:] != near[:-1] + 1) | (number[1:] != number[:-1])))
    return near[begins], near[np.append(begins[1:], len(near)) - 1] + 1, number[begins]


def _greedy(first: Offsets, last: Offsets, number: Offsets) -> tuple[Offsets, Offsets, Offsets]:
    """The rows that are left if each takes all it can from left to right: a character that two could have belongs to the earlier one, and where
    nothing but that character and one other is left there is no row, so that the one after has all of its own."""
    follows = np.append(False, first[1:] == last[:-1])[: len(first)]
    place = np.arange(len(first))
    apart = np.maximum.accumulate(np.where(follows & (last - first == 1), 0, place))
    is_row = (place - apart) % 2 == 0
    entry = first + (follows & np.append(False, is_row[:-1])[: len(first)])
    return entry[is_row], last[is_row], number[is_row]


#: Numbers of characters between two: 0 for none; from these on one that cannot be there, blanks, and signs.
_FIRST = _OTHER, _BLANK, _SIGN = 1, 2, 4


@cache
def _numbers() -> NDArray[np.int64]:
    table = np.full(SIZE, _OTHER, dtype=np.int64)
    for chars, first in ((BLANKS, _BLANK), (SIGNS, _SIGN)):
        points = np.flatnonzero(members(chars))
        table[points] = np.arange(len(points)) + first
    return table


@cache
def _shapes() -> Mask:
    """Which rows of four kinds are a separator."""
    found = ["".join(kinds) for kinds in itertools.product("0123", repeat=_LONGEST)]
    return np.array([re.fullmatch("2?33?2?0*", kinds) is not None for kinds in found])
