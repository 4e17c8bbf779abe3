"""The word lists of ``words/``: for each language its words by what they mean in English.

A file is a few sections of lines. ``[little]`` and ``[words]`` have ``english: word word fixed_phrase``: an English word, and every form of the words
that mean it, each form once; ``-`` stands for what English has no word for. ``[little]`` comes first and holds the commonest function words, which
also tell the language. ``[before]`` and ``[behind]`` name letters that may stand at a word without being part of it. The file's name is the
language's code.
"""

from __future__ import annotations

import hashlib
import threading
import unicodedata
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

LISTS = Path(__file__).with_name("words")
#: Counts up when the same lists are read in another way.
ALGORITHM = 2
#: Letters that do not fall apart into a letter and its accent, and how people write them in haste.
_WHOLE = {"ł": "l", "ø": "o", "đ": "d", "ı": "i", "æ": "ae", "œ": "oe", "ى": "ي", "ة": "ه", "ـ": ""}
#: Up to here marks are accents; behind it they are vowels (Devanagari, Thai, kana, Hangul), which nobody leaves out.
_LAST_ACCENTED = 0x6FF
#: What nobody sees: soft hyphens, joiners, directions.
INVISIBLE = "\u00ad\u034f\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff"
_NOTHING = "-"
_SECTIONS = ("[little]", "[words]", "[before]", "[behind]")
#: Of many threads one reads a list, and the others have it then.
_READING = threading.RLock()


class WordList(NamedTuple):
    """What one language's words mean, by form as ``folded`` (of a phrase with ``_`` between its words). ``phrases`` are the first words of phrases,
    ``longest_phrase`` is in words, ``sizes`` are the lengths of forms by their first letter, longest first."""

    code: str
    meanings: dict[str, str]
    little: frozenset[str]
    phrases: frozenset[str]
    longest_phrase: int
    before: tuple[str, ...]
    behind: tuple[str, ...]
    sizes: dict[str, tuple[int, ...]]


def folded(word: str) -> str:
    """A word as lists and texts are compared: lower case, without accents where people leave them out, and without what nobody sees."""
    if word.isascii():
        return word.lower()
    if not unicodedata.is_normalized("NFKC", word):
        word = unicodedata.normalize("NFKC", word)
    return word.casefold().translate(_accents())


@cache
def _accents() -> dict[int, str]:
    """Letters with accents, and what they are without."""
    bare = {}
    for letter in map(chr, range(0xC0, _LAST_ACCENTED + 1)):
        parts = (c for c in unicodedata.normalize("NFD", letter) if unicodedata.category(c) != "Mn")
        bare[letter] = "".join(_WHOLE.get(part, part) for part in parts)
    unseen = (chr(point) for first, _, last in _ranges(INVISIBLE) for point in range(first, last + 1))
    return str.maketrans({letter: plain for letter, plain in (bare | dict.fromkeys(unseen, "")).items() if plain != letter})


def _ranges(letters: str) -> Iterator[tuple[int, str, int]]:
    """(first, "-", last) of what stands in a class of a regular expression."""
    at = 0
    while at < len(letters):
        wide = letters[at + 1 : at + 2] == "-"
        yield ord(letters[at]), "-", ord(letters[at + 2] if wide else letters[at])
        at += 3 if wide else 1


@cache
def codes() -> tuple[str, ...]:
    """Codes of the languages that have a list."""
    return tuple(sorted(path.stem for path in LISTS.glob("*.txt")))


def read(code: str) -> WordList:
    """The list of a language. Raises ValueError, with the file and the line, where a line has not the form of this module's text."""
    with _READING:
        return _read(code)


def read_all() -> None:
    """Read every list now (half a second, 42 MB), and not at the first text that seems to be in its language."""
    little_words()
    for code in codes():
        read(code)


def little_words() -> dict[str, tuple[str, ...]]:
    """Function words of every language, and the languages that have each."""
    with _READING:
        return _little_words()


@cache
def _read(code: str) -> WordList:
    meanings: dict[str, str] = {}
    little: set[str] = set()
    ends: dict[str, list[str]] = {"[before]": [], "[behind]": []}
    for section, head, forms in lines(LISTS / f"{code}.txt"):
        if section in ends:
            ends[section] += map(folded, forms)
            continue
        for form in map(form_of, forms):
            meanings.setdefault(form, "" if head == _NOTHING else head)
            if section == "[little]":
                little.add(form)
    phrases = [form for form in meanings if "_" in form]
    sizes: dict[str, set[int]] = {}
    for form in meanings:
        sizes.setdefault(form[0], set()).add(len(form))
    return WordList(
        code=code,
        meanings=meanings,
        little=frozenset(little),
        phrases=frozenset(form.split("_", 1)[0] for form in phrases),
        longest_phrase=max((form.count("_") + 1 for form in phrases), default=1),
        before=tuple(sorted(ends["[before]"], key=len, reverse=True)),
        behind=tuple(sorted(ends["[behind]"], key=len, reverse=True)),
        sizes={letter: tuple(sorted(found, reverse=True)) for letter, found in sizes.items()},
    )


@cache
def _little_words() -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for code in codes():
        for section, _, forms in lines(LISTS / f"{code}.txt"):
            if section == "[words]":  # the larger part: it is not read yet
                break
            for form in {form_of(form) for form in forms} if section == "[little]" else ():
                found.setdefault(form, []).append(code)
    return {form: tuple(languages) for form, languages in found.items()}


@cache
def version() -> str:
    """Hash of all lists: a verdict may change when a word is added."""
    digest = hashlib.sha256()
    for code in codes():
        digest.update(code.encode() + (LISTS / f"{code}.txt").read_bytes().replace(b"\r\n", b"\n"))
    return f"{ALGORITHM}.{digest.hexdigest()[:8]}"


def form_of(form: str) -> str:
    """A form of a list as it is looked up."""
    return "_".join(folded(part) for part in form.split("_"))


def lines(path: Path) -> Iterator[tuple[str, str, list[str]]]:
    """(section, English word, forms) of every line; the English word is '' for letters before and behind."""
    section = ""
    with path.open(encoding="utf-8") as held:
        for number, line in enumerate(map(str.strip, held), start=1):
            if line.startswith(("[", "#")) or not line:
                section = line if line.startswith("[") else section
                continue
            head, colon, forms = ("", ":", line) if section in ("[before]", "[behind]") else line.partition(":")
            if not colon or not forms.split() or section not in _SECTIONS:
                raise ValueError(f"{path}, line {number}: not 'english: word word' in a section [little] or [words]")
            yield section, head.strip(), forms.split()
