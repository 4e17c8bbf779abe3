"""Does a decoded text say something, or is it chance?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

import numpy as np

from charter.core.normalise.lexicon import is_word
from charter.core.normalise.lookup import common_words, lowered
from charter.core.normalise.mapped import Offsets, decode
from charter.core.normalise.scan import LONG, SIZE, Mask, Scan, runs

_LETTER, _SIGN = r"^\W\d_", r"\s.,;:?!'\"()\-\d"
_WORD, _MARK = re.compile(f"[{_LETTER}]+"), re.compile(f"[{_SIGN}]")
#: Characters from which a decoded text need not be English: so many printable letters do not come about by chance.
_LONG = 16
#: Shares of letters, blanks and common signs; and of English words among the words, for short texts.
_TEXT_SHARE, _WORD_SHARE = 0.85, 0.5


def readable(text: str) -> bool:
    """Whether a decoded text looks like language: nearly all letters and blanks, and, if short or in Latin letters, partly English words."""
    text = text.strip()
    if len(text) < 3 or not all(c.isprintable() or c in "\n\r\t" for c in text):
        return False
    words = _WORD.findall(text)
    letters = sum(map(len, words))
    marks = len(_MARK.findall(text))
    if letters < 3 or letters < 0.55 * len(text) or letters + marks < _TEXT_SHARE * len(text):
        return False
    english = sum(len(w) for w in words if (is_word(w) and len(w) > 1) or w in ("a", "I"))
    if english >= _WORD_SHARE * letters and (letters > 3 or len(words) == 1):
        return True
    return len(text) >= _LONG and (" " in text or not text.isascii()) and letters >= 0.6 * len(text)


#: Texts from which they are looked at all at once.
MANY = 16


def all_readable(texts: Sequence[str]) -> list[bool]:
    """``readable`` of each."""
    if len(texts) < MANY and sum(map(len, texts)) < LONG:
        return [readable(text) for text in texts]
    stripped = [text.strip() for text in texts]
    together = "\n".join([*stripped, ""])
    scan, sizes = Scan(together), np.fromiter(map(len, stripped), dtype=np.int64, count=len(texts))
    starts = np.cumsum(sizes + 1) - sizes - 1
    masks = [scan.of(_LETTER), scan.of(_SIGN), _shown()[scan.points], scan.of(" "), scan.points < 0x80, scan.points < SIZE - 1]
    letters, marks, shown, blanks, plain, known = (np.add.reduceat(mask, starts, dtype=np.int64) for mask in masks)
    marks, shown, plain, known = marks - 1, shown - 1, plain - 1, known - 1  # the line break behind each
    may = (sizes >= 3) & (shown == sizes) & (letters >= 3) & (letters >= 0.55 * sizes) & (letters + marks >= _TEXT_SHARE * sizes)
    sure = may & (sizes >= _LONG) & ((blanks > 0) | (plain < sizes)) & (letters >= 0.6 * sizes)
    rest = may & ~sure
    if rest.any():
        words, english = _english(together, scan, masks[0], starts)
        sure |= rest & (english >= _WORD_SHARE * letters) & ((letters > 3) | (words == 1))
    for number in np.flatnonzero(known < sizes).tolist():
        sure[number] = readable(texts[number])
    found: list[bool] = sure.tolist()
    return found


def _english(together: str, scan: Scan, letters: Mask, starts: Offsets) -> tuple[Offsets, Offsets]:
    """How many words each text has, and how many letters are in English ones."""
    first, last = runs(letters)
    sizes = last - first
    english = np.zeros(len(first), dtype=np.int64)
    single = np.flatnonzero(sizes == 1)
    english[single] = np.isin(scan.points[first[single]], (ord("a"), ord("I")))
    some = np.flatnonzero(common_words().may(lowered()(scan.points), first, last) & (sizes > 1))
    spans = zip(first[some].tolist(), last[some].tolist(), strict=True)
    is_known = np.fromiter((is_word(together[start:end]) for start, end in spans), dtype=np.bool_, count=len(some))
    english[some[is_known]] = sizes[some[is_known]]
    owners = np.searchsorted(starts, first, side="right") - 1
    return np.bincount(owners, minlength=len(starts)), np.bincount(owners, weights=english, minlength=len(starts))


@cache
def _shown() -> Mask:
    """By code point: whether it may be in a text that is read."""
    return np.array([c.isprintable() or c in "\n\r\t" for c in decode(np.arange(SIZE, dtype=np.uint32))])
