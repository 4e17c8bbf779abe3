"""A text under change that remembers where each of its characters came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Offsets = NDArray[np.int64]


class Edit(NamedTuple):
    """Characters ``start`` to ``end`` of a text are replaced by ``new``."""

    start: int
    end: int
    new: str


class Mapped(NamedTuple):
    """``text`` and, for each character, the stretch ``starts[i]:ends[i]`` of the original that it stands for. Both arrays have the length of
    ``text``."""

    text: str
    starts: Offsets
    ends: Offsets

    @classmethod
    def of(cls, text: str) -> Mapped:
        at = np.arange(len(text) + 1, dtype=np.int64)
        return cls(text, at[:-1], at[1:])

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The smallest stretch of the original that holds characters ``start`` to ``end``; an empty one is at the nearest place."""
        start, end = max(0, start), min(len(self.text), end)
        if start >= end:
            at = int(self.starts[start]) if start < len(self.text) else int(self.ends[-1]) if len(self.text) else 0
            return at, at
        return int(self.starts[start:end].min()), int(self.ends[start:end].max())

    def spans(self, first: Offsets, last: Offsets) -> tuple[Offsets, Offsets]:
        """Starts and ends of ``span`` for stretches from ``first`` to ``last``, which must not overlap or be empty."""
        ranges = np.stack([first, last], axis=1).ravel()
        if not len(ranges):
            return first, last
        starts: Offsets = np.minimum.reduceat(np.append(self.starts, np.iinfo(np.int64).max), ranges)[::2]
        ends: Offsets = np.maximum.reduceat(np.append(self.ends, -1), ranges)[::2]
        return starts, ends

    def with_text(self, text: str) -> Mapped:
        """The same places under a text of the same length."""
        return Mapped(text, self.starts, self.ends)

    def keep(self, mask: NDArray[np.bool_]) -> Mapped:
        """Only the characters where ``mask`` is true."""
        return Mapped(decode(codes(self.text)[mask]), self.starts[mask], self.ends[mask])

    def flip(self, spans: Sequence[tuple[int, int]]) -> Mapped:
        """The characters of each stretch in reverse order; stretches must not overlap."""
        if not spans:
            return self
        starts, ends = np.array(sorted(spans), dtype=np.int64).T
        sizes, order = ends - starts, np.arange(len(self.text))
        far = np.repeat(starts + ends - 1, sizes)  # the first and the last place of its stretch, added up
        inside = np.arange(len(far)) + np.repeat(starts - np.append(0, np.cumsum(sizes)[:-1]), sizes)
        order[inside] = far - inside
        return Mapped(decode(codes(self.text)[order]), self.starts[order], self.ends[order])

    def expand(self, table: Mapping[str, str]) -> Mapped:
        """Every character of ``table`` replaced by its text, which stands for the place of that character."""
        sizes = np.ones(0x110000, dtype=np.int64)
        sizes[[ord(c) for c in table]] = [len(new) for new in table.values()]
        counts = sizes[codes(self.text)]
        text = self.text.translate({ord(c): new for c, new in table.items()})
        return Mapped(text, np.repeat(self.starts, counts), np.repeat(self.ends, counts))

    def replace(self, edits: Sequence[Edit]) -> Mapped:
        """Apply edits, which must be in order and must not overlap. An edit that keeps the length keeps every character's place; otherwise all
        new characters stand for the whole stretch that was replaced. Linear in the text and the edits."""
        if not edits:
            return self
        firsts, lasts, news = zip(*edits, strict=True)
        return self.put(np.array(firsts), np.array(lasts), news)

    def put(self, first: Offsets, last: Offsets, new: Sequence[str]) -> Mapped:
        """``replace`` for stretches from ``first`` to ``last``, which become ``new``."""
        if not len(new):
            return self
        pieces, at = [], 0
        for start, end, text in zip(first.tolist(), last.tolist(), new, strict=True):
            pieces += [self.text[at:start], text]
            at = end
        pieces.append(self.text[at:])
        return self.resized("".join(pieces), first, last, np.fromiter(map(len, new), dtype=np.int64, count=len(new)))

    def resized(self, text: str, first: Offsets, last: Offsets, sizes: Offsets) -> Mapped:
        """The places under ``text``, in which stretches from ``first`` to ``last`` have become as long as ``sizes``."""
        other = sizes != last - first
        if not other.any():
            return self.with_text(text)
        first, last = first[other], last[other]
        return Mapped(text, *self._repeat(*self._places(first, last), first, last, sizes[other]))

    def _places(self, first: Offsets, last: Offsets) -> tuple[Offsets, Offsets]:
        """Places with those of each stretch gathered on its first character."""
        starts, ends = self.starts.copy(), self.ends.copy()
        starts[first], ends[first] = self.spans(first, last)
        return starts, ends

    def _repeat(self, starts: Offsets, ends: Offsets, first: Offsets, last: Offsets, sizes: Offsets) -> tuple[Offsets, Offsets]:
        edges = np.zeros(len(self.text) + 1, dtype=np.int64)
        edges[first] += 1
        edges[last] -= 1
        counts = 1 - np.cumsum(edges)[:-1]
        counts[first] = sizes
        return np.repeat(starts, counts), np.repeat(ends, counts)


def codes(text: str) -> NDArray[np.uint32]:
    """Code points; lone surrogates are kept as they are."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)


def decode(points: NDArray[np.uint32]) -> str:
    return points.tobytes().decode("utf-32-le", "surrogatepass")
