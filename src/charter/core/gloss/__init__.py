"""A text of another language, word for word in English: what a reader that knows English only may read beside the text itself.

It is no translation. Word order, endings and idioms are lost, and what stands in no list stays as it is; but what a text is about, and what is to be
done to whom, comes through. English words and sentences are left alone, so English texts cost a look at their words and nothing more.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from charter.core import stopping
from charter.core.gloss.language import is_english, languages
from charter.core.gloss.lists import WordList, folded, read
from charter.core.gloss.lookup import cut, meaning
from charter.core.gloss.text import ENDS, OTHER, Word, sentences
from charter.core.normalise.lexicon import ranks

_LETTERS, _ANY = re.compile(r"[a-z]+"), re.compile(r"[^\W_]+")
#: Languages that are written without blanks, or whose words grow at the end: the longest listed form at each place is taken.
_RUNS = frozenset({"zh", "ja", "th", "ko"})
#: Languages whose verbs come apart, and how many words may stand from one part to the other.
_SPLIT, _APART = frozenset({"de", "nl"}), 12
#: What English puts before these nouns and many languages behind them: "instructions previous" is read as "previous instructions".
_NOUNS = frozenset("instruction instructions rule rules order orders prompt prompts message messages guidelines password task text".split())
_ADJECTIVES = frozenset("previous prior earlier above initial original hidden secret system internal full complete".split())
#: Words of a sentence that says something by itself; names and headings have fewer.
_SENTENCE = 3


class Piece(NamedTuple):
    """English words, and the characters of the text that they stand for."""

    said: str
    start: int
    end: int


class Gloss(NamedTuple):
    """English words for a text; ``starts`` are where each of them starts, ``places`` the characters of the text that each stands for. ``mixed``: a
    sentence of it is in no other language."""

    text: str
    starts: list[int]
    places: list[tuple[int, int]]
    mixed: bool

    def originals(self, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """Characters of the text that spans of the gloss stand for."""
        return [self._original(start, max(start, end - 1)) for start, end in spans]

    def _original(self, first: int, last: int) -> tuple[int, int]:
        held = self.places[max(0, bisect_right(self.starts, first) - 1) : max(1, bisect_right(self.starts, last))]
        return min(start for start, _ in held), max(end for _, end in held)


def gloss(text: str) -> Gloss | None:
    """The gloss of a text; None where no word of it is in a language that has a list. Raises StoppedError when nobody waits for it any more."""
    if _english(text) or is_english(text):
        return None
    parts = list(sentences(text))
    found = languages(parts)
    if not any(code for of in found for code in of):
        return None
    pieces: list[Piece] = []
    for (words, end, stop), of in zip(parts, found, strict=True):
        stopping.check()
        for code, group in groupby(zip(of, words, strict=True), key=lambda pair: pair[0]):
            said = [word for _, word in group]
            pieces += _in_order(list(_glossed(said, text, read(code)))) if code else [Piece(word.text, word.start, word.end) for word in said]
        if end:
            pieces.append(Piece(end, stop - 1, stop))
    mixed = any(len(words) >= _SENTENCE and not any(of) for (words, _, _), of in zip(parts, found, strict=True))
    return _joined(pieces, mixed)


def _english(text: str) -> bool:
    """A quick look: whether the text has no two words that English does not know."""
    if OTHER.search(text):
        return False
    known, lower = ranks(), text.lower()
    unknown = (word for word in (_LETTERS.findall(lower) if lower.isascii() else map(folded, _ANY.findall(lower))) if word not in known)
    return next(unknown, None) is None or next(unknown, None) is None


def _glossed(words: Sequence[Word], text: str, known: WordList) -> Iterator[Piece]:
    """English for words of one language that stand together."""
    words = _whole_verbs(words, text, known) if known.code in _SPLIT else words
    at = 0
    while at < len(words):
        word = words[at]
        length, said = _phrase(words, at, known) if word.text in known.phrases else (0, "")
        if length:
            yield Piece(said, word.start, words[at + length - 1].end)
        elif known.code in _RUNS and not word.text.isascii():
            yield from _run(word, known)
        else:
            found = meaning(known.code, word.text)
            yield Piece(word.text if found is None else found, word.start, word.end)
        at += max(1, length)


def _whole_verbs(words: Sequence[Word], text: str, known: WordList) -> list[Word]:
    """Words with the parts of a verb put together that stand apart, the second at the end of its clause: "bringe ich ihn um" has "bringe_um"."""
    found, gone = list(words), set()
    for at, word in enumerate(words):
        if word.text not in known.phrases:
            continue
        for end in range(at + 2, min(at + _APART, len(words))):
            last = end + 1 == len(words) or "," in text[words[end].end : words[end + 1].start]
            if last and (verb := f"{word.text}_{words[end].text}") in known.meanings:
                found[at] = word._replace(text=verb)
                gone.add(end)
            if last:
                break
    return [word for at, word in enumerate(found) if at not in gone]


def _phrase(words: Sequence[Word], at: int, known: WordList) -> tuple[int, str]:
    for length in range(min(known.longest_phrase, len(words) - at), 1, -1):
        said = known.meanings.get("_".join(word.text for word in words[at : at + length]))
        if said is not None:
            return length, said
    return 0, ""


def _run(word: Word, known: WordList) -> Iterator[Piece]:
    """English for the forms in a run of letters. Letters of no form are left out."""
    whole = len(word.text) == word.end - word.start  # else folding changed the length, and every form stands for the whole run
    for start, end, said in cut(word.text, known):
        if said:
            yield Piece(said, word.start + start, word.start + end) if whole else Piece(said, word.start, word.end)


def _in_order(pieces: list[Piece]) -> list[Piece]:
    """Adjectives before their nouns."""
    pieces = [piece for piece in pieces if piece.said]
    for at in range(1, len(pieces)):
        if pieces[at].said in _ADJECTIVES and pieces[at - 1].said in _NOUNS:
            pieces[at - 1], pieces[at] = pieces[at], pieces[at - 1]
    return pieces


def _joined(pieces: Sequence[Piece], mixed: bool) -> Gloss | None:
    text: list[str] = []
    starts, places, length = [], [], 0
    for said, start, end in pieces:
        piece = said if said in ENDS or not text else f" {said}"
        starts.append(length + len(piece) - len(said))
        places.append((start, end))
        text.append(piece)
        length += len(piece)
    whole = "".join(text)
    return Gloss(whole, starts, places, mixed) if any(letter.isalnum() for letter in whole) else None


__all__ = ["Gloss", "gloss"]
