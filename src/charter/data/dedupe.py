"""Near-duplicates by shared word shingles: Jaccard similarity of word 3-grams (Broder 1997), exact, through an inverted index; and, for prompts,
which are too short for that, by the words that would have to change (edit distance, Levenshtein 1966)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

_WORD = re.compile(r"\w+")
#: Words that ask, point or are polite: two prompts that differ in nothing else ask the same.
_SMALL = frozenset(
    "a an the i me my we us our you your he she it they them their this that is are am was were be been do does did can could would should will may "
    "might how what please just so to of for".split()
)
#: What is too close to a text that is held out: this similarity, or this share of words left as they were.
LIKE_SHINGLES, LIKE_WORDS = 0.7, 0.85
#: Words from which a prompt is looked for inside longer texts, too.
_INSIDE = 8


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


class Reworded:
    """Prompts seen so far; ``closest`` finds the one that a text is with the fewest words changed."""

    def __init__(self, texts: Sequence[str] = ()) -> None:
        self._words = [_WORD.findall(text.lower()) for text in texts]
        self._bags = [Counter(words) for words in self._words]
        self._cores = {core for words in self._words if len(core := _core(words)) > 1}
        self._index: dict[str, list[int]] = {}
        for number, bag in enumerate(self._bags):
            for word in bag.keys() - _SMALL:
                self._index.setdefault(word, []).append(number)

    def closest(self, text: str, least: float) -> float:
        """Highest share of words that stand as they stood, 0 if none reaches ``least``; 1 where only small words differ. A prompt of eight words or
        more may also stand inside ``text``."""
        words = _WORD.findall(text.lower())
        if _core(words) in self._cores:
            return 1.0
        bag = Counter(words)
        maybe = {number for word in bag for number in self._index.get(word, ())}
        return max((found for number in maybe if (found := self._share(number, words, bag, least)) >= least), default=0.0)

    def _share(self, number: int, words: Sequence[str], bag: Counter[str], least: float) -> float:
        """0 where too few words are the same, wherever they stand, for it to be worth aligning them."""
        shared = (self._bags[number] & bag).total()
        inside = len(self._words[number]) >= _INSIDE
        size = len(self._words[number]) if inside else max(len(words), len(self._words[number]))
        return 1 - edits(self._words[number], words, inside) / size if shared >= least * size else 0.0


class HeldOut:
    """Texts that nothing like them may be learned beside."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._shingled, self._reworded = NearDuplicates(texts), Reworded(texts)

    def has_like(self, text: str) -> bool:
        """Whether ``text`` is, or nearly is, one of them: by word 3-grams, or, where it is short, by the words left as they were."""
        return self._shingled.closest(text) >= LIKE_SHINGLES or self._reworded.closest(text, LIKE_WORDS) >= LIKE_WORDS


def _core(words: Sequence[str]) -> tuple[str, ...]:
    return tuple(word for word in words if word not in _SMALL)


def edits(a: Sequence[str], b: Sequence[str], inside: bool = False) -> int:
    """Words to put in, take out or change to make ``a`` of ``b``; with ``inside``, of any stretch of ``b``."""
    row = [0] * (len(b) + 1) if inside else list(range(len(b) + 1))
    for number, word in enumerate(a, 1):
        last, row = row, [number]
        for place, other in enumerate(b, 1):
            row.append(min(last[place] + 1, row[-1] + 1, last[place - 1] + (word != other)))
    return min(row) if inside else row[-1]
