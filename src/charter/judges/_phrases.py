"""A list of phrases and where they stand in a text: by whole words, through odd spacing, case and letter forms, and in every form of the text.

Phrases are plain text; ``*`` at the end of a word stands for any ending. There are no patterns to write, so none that hang. Used by the blocklist
judge and by the guard's blocklist rail.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from charter.core.errors import InputError
from charter.core.normalise import views
from charter.core.normalise.fold import fold

_GAP = r"[\s\W_]{1,3}"


class Phrases:
    """Listed phrases, and longer ones (``exceptions``) inside which a listed one is fine."""

    def __init__(self, phrases: Sequence[str], exceptions: Sequence[str] = ()) -> None:
        self._listed, self._fine = _pattern(phrases), _pattern(exceptions)
        #: Characters that the longest phrase may take in a text.
        self.longest = max((2 * len(phrase) for phrase in phrases), default=0)

    def find(self, text: str, every_form: bool = True) -> list[tuple[int, int]]:
        """Places of listed phrases outside of exceptions, in order; with ``every_form`` also in the forms that the normaliser gives."""
        if not every_form:
            return self._find(text)
        return sorted({view.span(a, b) for view in views(text) for a, b in self._find(view.text)})

    def _find(self, text: str) -> list[tuple[int, int]]:
        if self._listed is None:
            return []
        plain = fold(text)
        fine = [match.span() for match in self._fine.finditer(plain.text)] if self._fine is not None else []
        found, at = [], 0
        for match in self._listed.finditer(plain.text):
            while at < len(fine) and fine[at][1] <= match.start():
                at += 1
            if not (at < len(fine) and fine[at][0] <= match.start() and match.end() <= fine[at][1]):
                found.append(plain.span(*match.span()))
        return found


def wordless(phrases: Sequence[str]) -> bool:
    """Whether one of them has no letter or digit."""
    return any(not re.search(r"[^\W_]", fold(phrase).text) for phrase in phrases)


def read_phrases(path: Path) -> list[str]:
    """One phrase a line; lines that begin with # are notes. Raises InputError for a file that cannot be read."""
    try:
        lines = path.expanduser().read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or 'not UTF-8 text'}", f"ls -l {path}") from None
    return [line.strip() for line in lines if not line.startswith("#") and not wordless([line])]


def _pattern(phrases: Sequence[str]) -> re.Pattern[str] | None:
    """One pattern of all phrases. Words of a phrase may be up to three other characters apart."""
    folded = sorted({fold(phrase).text.strip() for phrase in phrases}, key=len, reverse=True)
    by_letter: dict[str, list[str]] = {}
    for phrase in folded:
        words = _words(phrase)
        if words:  # by the letter that the words begin with: a sign before it is not looked for
            by_letter.setdefault(words[0].strip("*")[0], []).append(_GAP.join(map(_word, words)))
    if not by_letter:
        return None
    return re.compile("|".join(rf"(?<!\w)(?={re.escape(letter)})(?:{'|'.join(own)})(?!\w)" for letter, own in sorted(by_letter.items())))


def _words(phrase: str) -> list[str]:
    return [word for word in re.split(r"[^\w*]+", phrase) if word.strip("*")]


def _word(word: str) -> str:
    return re.escape(word.strip("*")) + (r"\w*" if word.endswith("*") else "")
