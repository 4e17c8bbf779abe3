"""Near-duplicates by shared word shingles: Jaccard similarity of word 3-grams (Broder 1997), exact, through an inverted index; and, for prompts,
which are too short for that, by the words that would have to change (edit distance, Levenshtein 1966)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from charter.data.disguise import may_be_disguised, undisguised

#: Kana, ideographs, Thai, Lao, Burmese and Khmer, which are written without blanks: each character counts as a word, or a sentence would be one.
_NO_BLANKS = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(rf"[{_NO_BLANKS}]|[^\W{_NO_BLANKS}]+")
#: Words that ask, point or are polite: two prompts that differ in nothing else ask the same.
_SMALL = frozenset(
    "a an the i me my we us our you your he she it they them their this that is are am was were be been do does did can could would should will may "
    "might how what please just so to of for".split()
)
#: What is too close to a text that is held out: this similarity, or this share of words left as they were.
LIKE_SHINGLES, LIKE_WORDS = 0.7, 0.85
#: Words from which a prompt is looked for inside longer texts, too; a character that counts as a word is half of one here.
_INSIDE = 8


def words_of(text: str) -> list[str]:
    """The words of a text, lower-cased; in scripts that put no blanks between words, its characters."""
    return _WORD.findall(text.lower())


def shingles(text: str, width: int = 3) -> frozenset[tuple[str, ...]]:
    """Word n-grams of the lower-cased text, padded so that short texts have some too."""
    words = ["^", *words_of(text), "$"]
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
        self._words = [words_of(text) for text in texts]
        self._bags = [Counter(words) for words in self._words]
        self._may_stand_inside = [_long_enough(words) for words in self._words]
        self._cores = {core for words in self._words if len(core := _core(words)) > 1}
        self._index: dict[str, list[int]] = {}
        for number, bag in enumerate(self._bags):
            for word in bag.keys() - _SMALL:
                self._index.setdefault(word, []).append(number)

    def closest(self, text: str, least: float) -> float:
        """Highest share of words that stand as they stood, 0 if none reaches ``least``; 1 where only small words differ. A prompt of eight words or
        more may also stand inside ``text``."""
        words = words_of(text)
        if _core(words) in self._cores:
            return 1.0
        bag = Counter(words)
        maybe = {number for word in bag for number in self._index.get(word, ())}
        return max((found for number in maybe if (found := self._share(number, words, bag, least)) >= least), default=0.0)

    def _share(self, number: int, words: Sequence[str], bag: Counter[str], least: float) -> float:
        """0 where too few words are the same, wherever they stand, for it to be worth aligning them."""
        mine, theirs = self._words[number], self._bags[number]
        inside = self._may_stand_inside[number]
        size = len(mine) if inside else max(len(words), len(mine))
        if min(len(words), len(mine)) < least * size:
            return 0.0
        shared = sum(min(count, bag[word]) for word, count in theirs.items() if word in bag)
        return 1 - edits(mine, words, inside) / size if shared >= least * size else 0.0


class HeldOut:
    """Texts that nothing like them may be learned beside."""

    def __init__(self, texts: Sequence[str]) -> None:
        forms = [form for text in texts for form in _forms(text)]
        self._shingled, self._reworded = NearDuplicates(forms), Reworded(forms)

    def has_like(self, text: str) -> bool:
        """Whether ``text`` is, or nearly is, one of them, by word 3-grams, or, where it is short, by the words left as they were. It is read as it
        stands and with disguises (invisible and look-alike letters, digits for letters) undone."""
        return any(self._shingled.closest(form) >= LIKE_SHINGLES or self._reworded.closest(form, LIKE_WORDS) >= LIKE_WORDS for form in _forms(text))


def _forms(text: str) -> list[str]:
    """The text, and its plain form where that has other words."""
    plain = undisguised(text)[0] if may_be_disguised(text) else text
    return [text] if words_of(plain) == words_of(text) else [text, plain]


def _long_enough(words: Sequence[str]) -> bool:
    return sum(0.5 if re.match(f"[{_NO_BLANKS}]", word) else 1 for word in words) >= _INSIDE


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
