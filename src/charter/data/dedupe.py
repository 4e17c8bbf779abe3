"""Near-duplicates by shared word shingles: Jaccard similarity of word 3-grams (Broder 1997), exact, through an inverted index."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

_WORD = re.compile(r"\w+")


def shingles(text: str, width: int = 3) -> frozenset[tuple[str, ...]]:
    """Word n-grams of the lower-cased text, padded so that short texts have some too."""
    words = ["^", *_WORD.findall(text.lower()), "$"]
    return frozenset(tuple(words[i : i + width]) for i in range(max(1, len(words) - width + 1)))


def similarity(a: str, b: str) -> float:
    """Jaccard similarity of two texts, 0..1."""
    x, y = shingles(a), shingles(b)
    return len(x & y) / len(x | y)


class NearDuplicates:
    """Texts seen so far; ``closest`` finds the most similar one without comparing with all."""

    def __init__(self, texts: Sequence[str] = ()) -> None:
        self._sets: list[frozenset[tuple[str, ...]]] = []
        self._index: dict[tuple[str, ...], list[int]] = {}
        for text in texts:
            self.add(text)

    def add(self, text: str) -> None:
        number = len(self._sets)
        self._sets.append(shingles(text))
        for shingle in self._sets[-1]:
            self._index.setdefault(shingle, []).append(number)

    def closest(self, text: str) -> float:
        """Highest similarity to any text added before, 0 if there is none."""
        wanted = shingles(text)
        shared = Counter(number for shingle in wanted for number in self._index.get(shingle, ()))
        return max((n / len(wanted | self._sets[number]) for number, n in shared.items()), default=0.0)
