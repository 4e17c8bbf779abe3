"""A text without blanks cut into common English words."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from functools import cache

import numpy as np
from numpy.typing import NDArray

from charter.core.normalise.lexicon import ranks
from charter.core.normalise.mapped import Offsets, codes

#: Price of a letter that belongs to no known word, beside words at about 5 to 14.
_LETTER = 6.0
#: Letters from which a text is cut many places at once, how many are tried first and how many after them; letters of the alphabet; of the longest
#: word.
_LONG, _FIRST, _BLOCK, _LETTERS, _LONGEST = 500, 200, 20_000, 26, 20


@cache
def _price() -> float:
    """What any word costs besides its rank."""
    return math.log(len(ranks())) / 2


def cut_loosely(text: str, least: float) -> list[str] | None:
    """``cut`` for a text in which some words are unknown: single letters between known words, joined, at a price each. None unless known words of
    three letters or more make up the share ``least`` of it."""
    known = ranks()
    if len(text) >= _LONG and _covered(text) < least * len(text):
        return None
    pieces = _pieces_long(text) if len(text) >= _LONG else _pieces(text)
    words: list[str] = []
    for piece in pieces[::-1]:
        if words and piece not in known and words[-1] not in known:
            words[-1] += piece
        else:
            words.append(piece)
    sure = sum(len(w) for w in words if len(w) > 2 and w in known)
    return words if sure >= least * len(text) else None


def _pieces(text: str) -> list[str]:
    """Known words and single letters, from the last one to the first."""
    costs, price = _costs(), _price()
    best, back = [0.0] + [math.inf] * len(text), [0] * (len(text) + 1)
    for start in range(len(text)):
        so_far, end = best[start], start + 1
        if so_far + _LETTER < best[end]:
            best[end], back[end] = so_far + _LETTER, start
        while end <= len(text) and (cost := costs.get(text[start:end])) is not None:
            if (total := so_far + price + cost) < best[end]:
                best[end], back[end] = total, start
            end += 1
    return _backwards(text, back)


def _backwards(text: str, back: list[int]) -> list[str]:
    pieces, end = [], len(text)
    while end:
        pieces.append(text[back[end] : end])
        end = back[end]
    return pieces


@cache
def _prefixes() -> frozenset[str]:
    return frozenset(word[:n] for word in ranks() for n in range(1, len(word) + 1))


def cut(text: str) -> list[str] | None:
    """The likeliest words that lower-case ``text`` without blanks consists of, or None if it does not. A word's cost is the logarithm of its
    rank (Zipf's law), so few and common words win. Linear in the text."""
    if len(text) >= _LONG:
        return _cut_long(text)
    costs, price, reach = _costs(), _price(), 0
    best, back = [0.0] + [math.inf] * len(text), [0] * (len(text) + 1)
    for start in range(len(text)):
        if start > reach:
            return None
        if best[start] == math.inf:
            continue
        so_far, end = best[start] + price, start + 1
        while end <= len(text) and (cost := costs.get(text[start:end])) is not None:
            if (total := so_far + cost) < best[end]:
                best[end], back[end], reach = total, start, max(reach, end)
            end += 1
    return _backwards(text, back)[::-1] if reach == len(text) else None


@cache
def _costs() -> dict[str, float]:
    """What words cost, and infinity for what some begin with."""
    known = ranks()
    return {piece: math.log(known[piece] + 1) if piece in known else math.inf for piece in _prefixes()}


def _cut_long(text: str) -> list[str] | None:
    """``cut``, with the words found for many places at once."""
    letters, price = _letters(text), _price()
    best, back = [0.0] + [math.inf] * len(text), [0] * (len(text) + 1)
    reach = 0
    for at, stop in itertools.pairwise([0, *range(_FIRST, len(text), _BLOCK), len(text)]):
        for start, end, cost in _words_in(letters, at, stop):
            if (so_far := best[start] + price + cost) < best[end]:
                best[end], back[end], reach = so_far, start, max(reach, end)
        if reach < stop:
            return None
    return _backwards(text, back)[::-1]


def _pieces_long(text: str) -> list[str]:
    """``_pieces``, with the words found for many places at once."""
    letters, price = _letters(text), _price()
    best, back = [0.0] + [math.inf] * len(text), [0] * (len(text) + 1)
    for at in range(0, len(text), _BLOCK):
        stop = min(at + _BLOCK, len(text))
        found = _words_in(letters, at, stop)
        start, end, cost = next(found, (stop, 0, 0.0))
        for place in range(at, stop):
            so_far = best[place]
            if so_far + _LETTER < best[place + 1]:
                best[place + 1], back[place + 1] = so_far + _LETTER, place
            while start == place:
                if (total := so_far + price + cost) < best[end]:
                    best[end], back[end] = total, place
                start, end, cost = next(found, (stop, 0, 0.0))
    return _backwards(text, back)


def _letters(text: str) -> NDArray[np.int64]:
    """Numbers of the letters, with some that are none behind the last."""
    points = codes(text).astype(np.int64) - ord("a")
    points[(points < 0) | (points >= _LETTERS)] = _LETTERS
    return np.append(points, np.full(_LONGEST, _LETTERS))


def _covered(text: str) -> int:
    """How many letters are in any known word of three letters or more."""
    starts, ends, _ = _found(_letters(text), 0, len(text))
    long = ends - starts > 2
    edges = np.bincount(starts[long], minlength=len(text) + 1) - np.bincount(ends[long], minlength=len(text) + 1)
    return int((np.cumsum(edges) > 0).sum())


def _words_in(letters: Offsets, first: int, last: int) -> Iterator[tuple[int, int, float]]:
    """Start, end and cost of every word that begins at places ``first`` to ``last``, by start and then by end."""
    starts, ends, prices = _found(letters, first, last)
    order = np.lexsort((ends, starts))
    return zip(starts[order].tolist(), ends[order].tolist(), prices[order].tolist(), strict=True)


def _found(letters: Offsets, first: int, last: int) -> tuple[Offsets, Offsets, NDArray[np.float64]]:
    """The same, in any order."""
    following, costs = _tree()
    places = np.arange(first, last)
    nodes = np.zeros(len(places), dtype=np.int64)
    found: list[tuple[Offsets, Offsets, NDArray[np.float64]]] = []
    for size in range(1, _LONGEST + 1):
        nodes = following[nodes, letters[places + size - 1]].astype(np.int64)
        places, nodes = places[nodes > 0], nodes[nodes > 0]
        is_end = np.isfinite(costs[nodes])
        found.append((places[is_end], places[is_end] + size, costs[nodes[is_end]]))
    starts, ends, prices = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return starts, ends, prices


@cache
def _tree() -> tuple[NDArray[np.uint16], NDArray[np.float64]]:
    """All beginnings of words: for each and a letter the next one, 0 for none; and what it costs if it is a word, else infinity."""
    number = {prefix: n for n, prefix in enumerate(sorted(_prefixes(), key=len), start=1)} | {"": 0}
    following, costs = np.zeros((len(number), _LETTERS + 1), dtype=np.uint16), np.full(len(number), math.inf)
    for prefix, n in number.items():
        if prefix:
            following[number[prefix[:-1]], ord(prefix[-1]) - ord("a")] = n
    for word, rank in ranks().items():
        costs[number[word]] = math.log(rank + 1)
    return following, costs
