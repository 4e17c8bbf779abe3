"""What a word means by a list: as it stands there, with letters around it, by its beginning, or as two in one."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from charter.core.gloss.lists import WordList, read

#: Letters of the longest word whose beginning or parts are looked up; letters that a part must have.
_LONGEST, _PART = 40, 4
#: Part of a word that a listed beginning must be, if nothing is known of its end: of the shortest beginnings more.
_BEGINNING, _SHORT_BEGINNING = 0.5, 0.6


@lru_cache(maxsize=1 << 14)
def listed(code: str, word: str) -> str:
    """The form of the list that a word is, with or without the letters that may stand around it; '' if it has none. Not by beginnings: by those
    neighbouring languages look alike."""
    known = read(code)
    return next((bare for bare in _stripped(word, known) if bare in known.meanings), "")


@lru_cache(maxsize=1 << 14)
def meaning(code: str, word: str) -> str | None:
    """The English for a word, '' where English has no word for it, None if nothing is known."""
    known = read(code)
    if len(word) > _LONGEST:
        return known.meanings.get(word)
    bare = listed(code, word)
    return known.meanings[bare] if bare else _by_parts(word, known)


def _by_parts(word: str, known: WordList) -> str | None:
    for size in range(len(word) - 1, _PART - 1, -1):
        first = word[:size]
        if first not in known.meanings or first in known.little:
            continue
        for rest in (word[size:], word[size + 1 :] if word[size] in "sn" else ""):
            if len(rest) >= _PART and rest in known.meanings and rest not in known.little:
                return f"{known.meanings[first]} {known.meanings[rest]}"
        if size >= (_BEGINNING if size > _PART else _SHORT_BEGINNING) * len(word):
            return known.meanings[first]
    return None


def _stripped(word: str, known: WordList) -> Iterator[str]:
    """A word without the letters that may stand before and behind it."""
    starts = [word, *(word[len(letters) :] for letters in known.before if word.startswith(letters))]
    starts += [inner[len(letters) :] for inner in starts[1:] for letters in known.before if inner.startswith(letters)]
    for inner in starts:
        yield inner
        yield from (inner[: -len(letters)] for letters in known.behind if inner.endswith(letters) and len(inner) > len(letters) + 1)


def cut(text: str, known: WordList) -> Iterator[tuple[int, int, str | None]]:
    """(start, end, English) of the longest listed form at each place of a run of letters; None for a letter that no form begins with."""
    at = 0
    while at < len(text):
        room = len(text) - at
        size = next((size for size in known.sizes.get(text[at], ()) if size <= room and text[at : at + size] in known.meanings), 0)
        yield at, at + max(1, size), known.meanings[text[at : at + size]] if size else None
        at += max(1, size)
