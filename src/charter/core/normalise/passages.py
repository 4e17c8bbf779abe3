"""Which stretches of the original were encoded or hidden, and what they say in the end."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from charter.core.normalise.mapped import Mapped, Offsets
from charter.core.normalise.scan import spread


class Found(NamedTuple):
    """Stretches of a text, in order and apart, what they become, and the names of the schemes or tricks."""

    starts: Offsets
    ends: Offsets
    said: Sequence[str]
    names: Sequence[str]


#: Nothing.
NONE = Found(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), (), ())


class Passages:
    """The outermost passages; what was encoded inside one belongs to it. ``starts`` and ``ends`` are places in the original."""

    def __init__(self, starts: Offsets, ends: Offsets, names: Sequence[str], size: int) -> None:
        self._size = size
        if not names:
            self.starts, self.ends, self._bounds, self._names = starts, ends, [0], []
            return
        order = np.lexsort((-ends, starts))  # those of one place stay in the order in which they were opened
        starts, ends = starts[order], ends[order]
        reach = np.maximum.accumulate(ends)
        is_outer = np.ones(len(order), dtype=np.bool_)
        is_outer[1:] = starts[1:] >= reach[:-1]
        first = np.flatnonzero(is_outer)
        self.starts = starts[first]
        self.ends = reach[np.append(first, len(order))[1:] - 1]
        self._bounds, self._names = [*first.tolist(), len(order)], [names[n] for n in order.tolist()]

    def __len__(self) -> int:
        return len(self.starts)

    def schemes(self) -> list[tuple[str, ...]]:
        """Of each, from the outermost inwards."""
        return [tuple(self._names[first:last]) for first, last in itertools.pairwise(self._bounds)]

    def texts(self, m: Mapped) -> list[str]:
        """What each has become in ``m``."""
        owner = np.full(self._size, -1, dtype=np.int64)
        owner[spread(self.starts, self.ends, self._size)] = np.repeat(np.arange(len(self)), self.ends - self.starts)
        owners = owner[m.starts]
        edges = np.flatnonzero(np.diff(owners, prepend=-2, append=-2))
        numbers = owners[edges[:-1]]
        some = numbers >= 0
        texts = [""] * len(self)
        for number, start, end in zip(numbers[some].tolist(), edges[:-1][some].tolist(), edges[1:][some].tolist(), strict=True):
            texts[number] += m.text[start:end]
        return texts

    def alone(self, m: Mapped) -> Mapped:
        """The passages of ``m`` without what stands around them, one a line."""
        texts = self.texts(m)
        some = [number for number, text in enumerate(texts) if text.strip()]
        text = "\n".join([texts[number] for number in some])
        sizes = np.array([len(texts[number]) + 1 for number in some], dtype=np.int64)
        starts, ends = (np.repeat(places[some], sizes)[: len(text)] for places in (self.starts, self.ends))
        return Mapped(text, starts, ends)


def found_in_order(places: Sequence[tuple[int, int]], said: Sequence[str], names: Sequence[str]) -> Found:
    order = sorted(range(len(places)), key=places.__getitem__)
    bounds = np.array([places[n] for n in order], dtype=np.int64).reshape(-1, 2)
    return Found(bounds[:, 0], bounds[:, 1], [said[n] for n in order], [names[n] for n in order])
