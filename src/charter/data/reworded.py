"""Prompts in other words: how many of the words would have to change (edit distance, Levenshtein 1966), wherever in a text the prompt may stand."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

#: Kana, ideographs, Thai, Lao, Burmese and Khmer, which are written without blanks: each character counts as a word, or a sentence would be one.
_NO_BLANKS = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(rf"[{_NO_BLANKS}]|[^\W{_NO_BLANKS}]+")
#: Words that ask, point or are polite: two prompts that differ in nothing else ask the same.
_SMALL = frozenset(
    "a an the i me my we us our you your he she it they them their this that is are am was were be been do does did can could would should will may "
    "might how what please just so to of for".split()
)
#: Words from which a prompt is looked for inside longer texts, too; a character that counts as a word is half of one here.
_INSIDE = 8
#: Words from which a text is narrowed down to where a prompt may stand before the two are aligned.
_LONG = 200


def words_of(text: str) -> list[str]:
    """The words of a text, lower-cased; in scripts that put no blanks between words, its characters."""
    return _WORD.findall(text.lower())


class Reworded:
    """Prompts seen so far; ``closest`` finds the one that a text is with the fewest words changed."""

    def __init__(self, texts: Sequence[str] = ()) -> None:
        self._words = [words_of(text) for text in texts]
        self._bags = [Counter(words) for words in self._words]
        self._may_stand_inside = [_long_enough(words) for words in self._words]
        self._lengths = np.array([len(words) for words in self._words], np.int64)
        self._cores: dict[tuple[str, ...], set[int]] = {}
        where: dict[str, list[tuple[int, int]]] = {}
        for number, (words, bag) in enumerate(zip(self._words, self._bags, strict=True)):
            if len(core := _core(words)) > 1:
                self._cores.setdefault(core, set()).add(number)
            for word, count in bag.items():
                where.setdefault(word, []).append((number, count))
        #: By word, the prompts that have it, and how often.
        self._index = {word: np.array(places, np.int64).T for word, places in where.items()}

    def closest(self, text: str, least: float) -> float:
        """Highest share of words that stand as they stood, 0 if none reaches ``least``; 1 where only small words differ. A prompt of eight words or
        more may also stand inside ``text``."""
        return max(self._shares(text, least).values(), default=0.0)

    def alike(self, text: str, least: float) -> set[int]:
        """Numbers, in the order in which they were given, of the prompts of which such a share of words stands as it stood."""
        return set(self._shares(text, least))

    def _shares(self, text: str, least: float) -> dict[int, float]:
        """The prompts that reach ``least``, and what they reach."""
        words = _Text(words_of(text))
        found = {number: share for number in self._maybe(words.bag, least) if (share := self._share(number, words, least)) >= least}
        return found | dict.fromkeys(self._cores.get(_core(words.words), ()), 1.0)

    def _maybe(self, bag: Counter[str], least: float) -> list[int]:
        """The prompts of which enough words stand somewhere in a text, among them one that is not small."""
        telling, small = ([self._index[word] for word in words if word in self._index] for words in (bag.keys() - _SMALL, bag.keys() & _SMALL))
        if not telling:
            return []
        numbers, counts = np.concatenate(telling, axis=1)
        there = np.bincount(numbers, counts, len(self._words))
        may = there > 0
        if small:
            numbers, counts = np.concatenate(small, axis=1)
            there += np.bincount(numbers, counts, len(self._words))
        return [int(number) for number in np.flatnonzero(may & (there >= least * self._lengths))]

    def _share(self, number: int, text: _Text, least: float) -> float:
        """0 where too few words are the same, wherever they stand, for it to be worth aligning them."""
        mine, theirs = self._words[number], self._bags[number]
        inside = self._may_stand_inside[number]
        size = len(mine) if inside else max(len(text.words), len(mine))
        if min(len(text.words), len(mine)) < least * size:
            return 0.0
        shared = sum(min(count, text.bag[word]) for word, count in theirs.items() if word in text.bag)
        if shared < least * size:
            return 0.0
        stretches = text.stretches(mine, least) if inside else [text.words]
        return max((1 - edits(mine, words, inside) / size for words in stretches), default=0.0)


class _Text:
    """A text that prompts are looked for in."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words, self.bag = words, Counter(words)
        self._numbers = {word: number for number, word in enumerate(self.bag)}
        self._as_numbers = np.array([self._numbers[word] for word in words], np.int64) if len(words) >= _LONG else None

    def stretches(self, prompt: Sequence[str], least: float) -> list[Sequence[str]]:
        """Of a long text the stretches that hold every place where the prompt may stand with a share of ``least`` of its words left; all of a short
        one. A prompt with so many changes leaves the rest of its words in a stretch that is longer by no more than the changes."""
        changes = int((1 - least) * len(prompt)) + 1
        width, needed = len(prompt) + changes, len(prompt) - changes
        if self._as_numbers is None or width >= len(self.words):
            return [self.words]
        wanted = np.zeros(len(self._numbers) + 1, np.int64)
        wanted[[self._numbers[word] for word in set(prompt) if word in self._numbers]] = 1
        so_far = np.concatenate([[0], np.cumsum(wanted[self._as_numbers])])
        starts = np.flatnonzero(so_far[width:] - so_far[:-width] >= needed)
        if not len(starts):
            return []
        breaks = np.flatnonzero(np.diff(starts) > 1)
        firsts, lasts = starts[np.concatenate([[0], breaks + 1])], starts[np.concatenate([breaks, [len(starts) - 1]])]
        return [self.words[first : last + width] for first, last in zip(firsts.tolist(), lasts.tolist(), strict=True)]


def _long_enough(words: Sequence[str]) -> bool:
    return sum(0.5 if re.match(f"[{_NO_BLANKS}]", word) else 1 for word in words) >= _INSIDE


def _core(words: Sequence[str]) -> tuple[str, ...]:
    return tuple(word for word in words if word not in _SMALL)


def edits(a: Sequence[str], b: Sequence[str], inside: bool = False) -> int:
    """Words to put in, take out or change to make ``a`` of ``b``; with ``inside``, of any stretch of ``b``.

    Bit-parallel (Myers 1999, Hyyrö 2003): one step for each word of ``b``, on numbers of as many bits as ``a`` has words, so that texts of
    thousands of words take milliseconds.
    """
    if not a:
        return 0 if inside else len(b)
    every, last = (1 << len(a)) - 1, 1 << (len(a) - 1)
    places: dict[str, int] = {}
    for place, word in enumerate(a):
        places[word] = places.get(word, 0) | 1 << place
    up, down = every, 0  # where the column of the table goes up, and down, by one
    count = fewest = len(a)
    for word in b:
        same = places.get(word, 0)
        diagonal = (((same & up) + up) ^ up) | same | down
        right_up, right_down = down | (every & ~(diagonal | up)), up & diagonal
        count += bool(right_up & last) - bool(right_down & last)
        fewest = min(fewest, count)
        right_up = (right_up << 1 | (not inside)) & every
        up, down = (right_down << 1 & every) | (every & ~(diagonal | right_up)), right_up & diagonal
    return fewest if inside else count
