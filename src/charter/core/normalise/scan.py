"""Where in a long text a pattern can begin, found for the whole text at once: a regular expression is then tried only there.

A class of characters is written as in a regular expression, without the brackets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charter.core.normalise.mapped import Offsets, codes, decode

Mask = NDArray[np.bool_]
#: Characters from which a text is looked through in this way; shorter ones are quicker by the pattern alone.
LONG = 2000
#: Characters from here on are in no script; one of them stands for all.
SIZE = 0x40001
_ASCII = 128


class Scan:
    """The characters of a text by class."""

    def __init__(self, text: str) -> None:
        self._bytes = text.encode("ascii") if text.isascii() else None
        if self._bytes is None:
            self.points: NDArray[np.integer[Any]] = np.minimum(codes(text), SIZE - 1).astype(np.intp)
        else:
            self.points = np.frombuffer(self._bytes, dtype=np.uint8)

    def of(self, chars: str) -> Mask:
        """Which characters are in the class."""
        if self._bytes is None:
            return members(chars).take(self.points)
        return np.frombuffer(self._bytes.translate(_table(chars)), dtype=np.bool_)


@cache
def _table(chars: str) -> bytes:
    """For ``bytes.translate``: 1 for what is in the class, else 0."""
    return members(chars, _ASCII).tobytes().ljust(256, b"\0")


@cache
def members(chars: str, size: int = SIZE) -> Mask:
    """The code points below ``size`` that are in the class."""
    table = np.zeros(size, dtype=np.bool_)
    for found in re.finditer(f"[{chars}]+", decode(np.arange(size, dtype=np.uint32))):
        table[found.start() : found.end()] = True
    return table


def runs(mask: Mask) -> tuple[Offsets, Offsets]:
    """Starts and ends of the stretches where ``mask`` is true."""
    edges = np.flatnonzero(np.diff(mask, prepend=False, append=False))
    return edges[::2], edges[1::2]


def spread(starts: Offsets, ends: Offsets, size: int) -> Mask:
    """Which of ``size`` characters are in these stretches, which must not overlap."""
    edges = np.zeros(size + 1, dtype=np.int8)
    edges[starts] += 1
    edges[ends] -= 1
    return np.cumsum(edges[:-1], dtype=np.int8).astype(np.bool_)


def before(mask: Mask, count: int = 1) -> Mask:
    """Whether the character ``count`` places before each has it; before the text there is nothing."""
    return np.concatenate([np.zeros(min(count, len(mask)), dtype=np.bool_), mask[:-count]])


def after(mask: Mask, count: int = 1) -> Mask:
    """Whether the character ``count`` places after each has it; after the text there is nothing."""
    return np.concatenate([mask[count:], np.zeros(min(count, len(mask)), dtype=np.bool_)])


def in_a_row(starts: Offsets, ends: Offsets, count: int, longest: int, gap: int) -> Offsets:
    """Starts of ``count`` runs with at most ``gap`` characters between them, all but the last of at most ``longest`` characters."""
    last = len(starts) - count + 1
    if last <= 0:
        return starts[:0]
    fits = ends - starts <= longest
    good = fits[:last].copy()
    near = starts[1:] - ends[:-1] <= gap
    for number in range(1, count):  # the last one may be longer than what is taken of it
        good &= near[number - 1 : number - 1 + last]
        if number < count - 1:
            good &= fits[number : number + last]
    return starts[:last][good]


def found_at(pattern: re.Pattern[str], text: str, starts: Offsets) -> Iterator[re.Match[str]]:
    """The matches that ``pattern.finditer`` finds, if all of them begin at one of ``starts``, which are in order."""
    end, match = 0, pattern.match
    for at in starts.tolist():
        if at >= end and (found := match(text, at)):
            end = found.end()
            yield found


class Runs:
    """The stretches of a text where ``mask`` is true, such as its words."""

    def __init__(self, mask: Mask) -> None:
        self.starts, self.ends = runs(mask)
        self.sizes = self.ends - self.starts

    def count(self, mask: Mask) -> Offsets:
        """How many characters of each run are in another mask."""
        so_far = np.zeros(len(mask) + 1, dtype=np.int32)
        np.cumsum(mask, out=so_far[1:])
        counts: Offsets = so_far[self.ends].astype(np.int64) - so_far[self.starts]
        return counts

    def any(self, mask: Mask) -> Mask:
        return self.count(mask) > 0

    def every(self, mask: Mask) -> Mask:
        full: Mask = self.count(mask) == self.sizes
        return full

    def texts(self, text: str, some: Offsets) -> list[str]:
        """What ``text`` has in the place of these runs."""
        return [text[start:end] for start, end in zip(self.starts[some].tolist(), self.ends[some].tolist(), strict=True)]

    def mask(self, some: Offsets, size: int) -> Mask:
        """Which of ``size`` characters are in these runs."""
        return spread(self.starts[some], self.ends[some], size)
