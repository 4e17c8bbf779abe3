"""The word lists of ``glosses/``: for each language its words by what they mean in English.

A file is a few sections of lines. ``[little]`` and ``[words]`` have ``english: word word fixed_phrase``: an English word, and every form of the words
that mean it, each form once; ``-`` stands for what English has no word for. ``[little]`` holds the commonest function words, which also tell the
language. ``[before]`` and ``[behind]`` name letters that may stand at a word without being part of it. The file's name is the language's code.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

LISTS = Path(__file__).with_name("glosses")
#: Letters that do not fall apart into a letter and its accent, and how people write them in haste.
_WHOLE = {"ł": "l", "ø": "o", "đ": "d", "ı": "i", "æ": "ae", "œ": "oe", "ى": "ي", "ة": "ه", "ـ": ""}
#: Up to here marks are accents; behind it they are vowels (Devanagari, Thai, kana, Hangul), which nobody leaves out.
_LAST_ACCENTED = 0x6FF
_NOTHING = "-"


class WordList(NamedTuple):
    """What one language's words mean. ``longest`` is the length of the longest form in letters; ``phrases`` the first words of phrases."""

    meanings: dict[str, str]
    little: frozenset[str]
    phrases: frozenset[str]
    before: tuple[str, ...]
    behind: tuple[str, ...]
    longest: int


def folded(word: str) -> str:
    """A word as lists and texts are compared: lower case, without accents where people leave them out."""
    if word.isascii():
        return word.lower()
    if not unicodedata.is_normalized("NFKC", word):
        word = unicodedata.normalize("NFKC", word)
    return word.casefold().translate(_accents())


@cache
def _accents() -> dict[int, str]:
    """Letters with accents, and what they are without."""
    letters = map(chr, range(0xC0, _LAST_ACCENTED + 1))
    bare = {letter: "".join(c for c in unicodedata.normalize("NFD", letter) if unicodedata.category(c) != "Mn") for letter in letters}
    return str.maketrans({letter: plain for letter, plain in (bare | _WHOLE).items() if plain != letter})


@cache
def codes() -> tuple[str, ...]:
    """Codes of the languages that have a list."""
    return tuple(sorted(path.stem for path in LISTS.glob("*.txt")))


@cache
def read(code: str) -> WordList:
    """The list of a language. Raises ValueError, with the file and the line, where a line has not the form of this module's text."""
    meanings: dict[str, str] = {}
    little: set[str] = set()
    ends: dict[str, tuple[str, ...]] = {"[before]": (), "[behind]": ()}
    for section, head, forms in _lines(LISTS / f"{code}.txt"):
        if section in ends:
            ends[section] += tuple(sorted((folded(form) for form in forms), key=len, reverse=True))
            continue
        for form in map(_form, forms):
            meanings.setdefault(form, "" if head == _NOTHING else head)
            if section == "[little]":
                little.add(form)
    phrases = frozenset(form.split("_", 1)[0] for form in meanings if "_" in form)
    return WordList(meanings, frozenset(little), phrases, ends["[before]"], ends["[behind]"], max(map(len, meanings), default=0))


@cache
def little_words() -> dict[str, tuple[str, ...]]:
    """Function words of every language, and the languages that have each."""
    found: dict[str, list[str]] = {}
    for code in codes():
        for section, _, forms in _lines(LISTS / f"{code}.txt"):
            if section == "[words]":  # the larger part: it is not read yet
                break
            for form in {_form(form) for form in forms} if section == "[little]" else ():
                found.setdefault(form, []).append(code)
    return {form: tuple(languages) for form, languages in found.items()}


@cache
def version() -> str:
    """Hash of all lists: a verdict may change when a word is added."""
    digest = hashlib.sha256()
    for code in codes():
        digest.update(code.encode() + (LISTS / f"{code}.txt").read_bytes())
    return digest.hexdigest()[:8]


def _form(form: str) -> str:
    return "_".join(folded(part) for part in form.split("_"))


def _lines(path: Path) -> Iterator[tuple[str, str, list[str]]]:
    """(section, English word, forms) of every line; the English word is '' for letters before and behind."""
    section = ""
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(map(str.strip, lines), start=1):
            if line.startswith(("[", "#")) or not line:
                section = line if line.startswith("[") else section
                continue
            head, colon, forms = ("", ":", line) if section in ("[before]", "[behind]") else line.partition(":")
            if not colon or not forms.split() or section not in ("[little]", "[words]", "[before]", "[behind]"):
                raise ValueError(f"{path}, line {number}: not 'english: word word' in a section [little] or [words]")
            yield section, head.strip(), forms.split()
