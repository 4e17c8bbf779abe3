"""Near-duplicates by shared word shingles: Jaccard similarity of word 3-grams (Broder 1997), exact, through an inverted index; and, for prompts,
which are too short for that, by the words that would have to change (``reworded``)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from charter.data.disguise import may_be_disguised, undisguised
from charter.data.reworded import Reworded, words_of

#: What is too close to a text that is held out: this similarity, or this share of words left as they were.
LIKE_SHINGLES, LIKE_WORDS = 0.7, 0.85


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
        return max(self._shares(text).values(), default=0.0)

    def alike(self, text: str, least: float) -> set[int]:
        """Numbers, in the order in which they were added, of the texts with at least this similarity."""
        return {number for number, share in self._shares(text).items() if share >= least}

    def _shares(self, text: str) -> dict[int, float]:
        """Similarity to every text that shares anything."""
        wanted = shingles(text)
        shared = Counter(number for shingle in wanted for number in self._index.get(shingle, ()))
        return {number: n / (len(wanted) + len(self._sets[number]) - n) for number, n in shared.items()}


class HeldOut:
    """Texts that nothing like them may be learned beside."""

    def __init__(self, texts: Sequence[str]) -> None:
        forms = [(form, number) for number, text in enumerate(texts) for form in _forms(text)]
        self._of = [number for _, number in forms]
        self._shingled, self._reworded = NearDuplicates([form for form, _ in forms]), Reworded([form for form, _ in forms])

    def has_like(self, text: str) -> bool:
        """Whether ``text`` is, or nearly is, one of them, by word 3-grams, or, where it is short, by the words left as they were. It is read as it
        stands and with disguises (invisible and look-alike letters, digits for letters) undone."""
        return any(self._shingled.closest(form) >= LIKE_SHINGLES or self._reworded.closest(form, LIKE_WORDS) >= LIKE_WORDS for form in _forms(text))

    def alike(self, text: str) -> set[int]:
        """Which of them ``text`` is, or nearly is: their numbers in the order in which they were given."""
        found = {n for form in _forms(text) for n in self._shingled.alike(form, LIKE_SHINGLES) | self._reworded.alike(form, LIKE_WORDS)}
        return {self._of[number] for number in found}


def _forms(text: str) -> list[str]:
    """The text, and its plain form where that has other words."""
    plain = undisguised(text)[0] if may_be_disguised(text) else text
    return [text] if words_of(plain) == words_of(text) else [text, plain]
