"""Texts written backwards, upside down or in ROT13: found by the words they turn into.

A word speaks for the change if it is none itself but becomes a common English one, and against it the other way round. The stretch of the text
that speaks most for it is found in one pass (maximum sum of adjacent terms, Bentley 1984).
"""

from __future__ import annotations

import re
from codecs import encode
from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from charter.core.normalise.lexicon import is_word, ranks
from charter.core.normalise.mapped import Edit, Mapped, codes, decode
from charter.core.normalise.scan import Scan, runs

#: Letters of ASCII in lower case, and blanks for all else.
_LOWER = bytes(n | 0x20 if chr(n).isalpha() and n < 0x80 else 0x20 for n in range(256))
#: Weight that a stretch must reach. A word of 3 or 4 letters weighs 1, of 5 or 6 letters 2, a longer one 3.
_ENOUGH = 3
#: Texts from which they are looked at all at once.
MANY = 16
#: Letters that are turned, and the letters that they are; those that are also plain letters pose as others.
_TURNED = dict(zip("ɐɔǝɟƃɓɥᴉıɾʞʃɯɹʇʌʍʎ¿¡˙∀ƆƎℲ⅁ſ⅂ԀΛ⅄", "acefgghiijklmrtvwy?!.acefgjlpvy", strict=True))
_SWAPPED = dict(zip("bdnpquMWlo69", "qpudbnwmlo96", strict=True))
_TURNED_ONLY = re.compile("[ɐɔǝɟƃɥᴉɾʞɯɹʇʌʍʎ]")
_TURNED_LEAST, _TURNED_KINDS = 4, 3
_LINE = re.compile(r"[^\n]+")


class Words(NamedTuple):
    """The words of a text in lower case, in order, and once each."""

    every: list[str]
    distinct: set[str]

    @classmethod
    def of(cls, text: str) -> Words:
        every = text.encode("ascii", "replace").translate(_LOWER).decode("ascii").split()
        return cls(every, set(every))


def rot13(m: Mapped, words: Words) -> Mapped | None:
    """``m`` with the stretch that is in ROT13 turned back, None if there is none. ``words`` are those of its text."""
    stretch = _stretch(m.text, words, _rotated)
    return m.replace([Edit(*stretch, encode(m.text[slice(*stretch)], "rot13"))]) if stretch else None


def backwards(m: Mapped, words: Words) -> list[Mapped]:
    """``m`` with the backward stretch turned round as a whole, and with each of its words turned round; empty if there is none."""
    stretch = _stretch(m.text, words, _reversed)
    if stretch is None:
        return []
    start, end = stretch
    points = codes(m.text).copy()
    letters = Scan(m.text).of("A-Za-z").copy()
    letters[:start], letters[end:] = False, False
    starts, ends = runs(letters)
    points[letters] = points[np.repeat(starts + ends - 1, ends - starts) - np.flatnonzero(letters)]
    return [m.flip([(start, end)]), m.with_text(decode(points))]


def are_turned(texts: Sequence[str]) -> list[bool]:
    """Whether a stretch of each text is backwards or in ROT13."""
    if len(texts) < MANY:
        return list(map(_is_turned, texts))
    together = "\n".join(texts)
    words, bounds = Words.of(together), np.cumsum([len(text) + 1 for text in texts])
    may = np.zeros(len(texts), dtype=np.bool_)
    for turn in (_rotated, _reversed):
        if weights := _speaking(words, turn):
            places = [number for number, word in enumerate(words.every) if word in weights]
            owners = np.searchsorted(bounds, runs(Scan(together).of("A-Za-z"))[0][places], side="right")
            may |= np.bincount(owners, weights=[weights[words.every[place]] for place in places], minlength=len(texts)) >= _ENOUGH
    return [is_likely and _is_turned(text) for text, is_likely in zip(texts, may.tolist(), strict=True)]


def _is_turned(text: str) -> bool:
    words = Words.of(text)
    return _stretch(text, words, _rotated) is not None or _stretch(text, words, _reversed) is not None


def turned(m: Mapped) -> list[Mapped]:
    """``m`` upside up, if it was written upside down: the letters turned, and their order as well, since upside down a line runs backwards."""
    if len(_TURNED_ONLY.findall(m.text)) < _TURNED_LEAST or len(set(_TURNED_ONLY.findall(m.text))) < _TURNED_KINDS:
        return []
    up, alone = (m.with_text(_translated(m.text, table)) for table in (_TURNED | _SWAPPED, _TURNED))
    return [up.flip([line.span() for line in _LINE.finditer(up.text)]), alone]


def _translated(text: str, table: dict[str, str]) -> str:
    """``text`` with the characters of ``table`` replaced, much quicker than ``str.translate`` for what is not ASCII."""
    points = codes(text)
    new = np.arange(ord(max(table)) + 1, dtype=np.uint32)
    new[[ord(c) for c in table]] = [ord(c) for c in table.values()]
    return decode(np.where(points < len(new), new[np.minimum(points, len(new) - 1)], points))


def _stretch(text: str, words: Words, turn: Callable[[str], str]) -> tuple[int, int] | None:
    """Start and end of the words that speak most for ``turn``, None if they do not say enough."""
    weights = _speaking(words, turn)
    if not weights:
        return None
    against = _against(turn)
    weights |= {word: against[word] for word in words.distinct.intersection(against)}
    places = [number for number, word in enumerate(words.every) if word in weights]
    said = np.append(0, np.cumsum([weights[words.every[place]] for place in places]))
    least = np.minimum.accumulate(said)
    gains = said[1:] - least[:-1]
    last = int(gains.argmax())
    if gains[last] < _ENOUGH:
        return None
    first = int(np.flatnonzero(said[: last + 1] == least[last])[-1])
    starts, ends = runs(Scan(text).of("A-Za-z"))
    return int(starts[places[first]]), int(ends[places[last]])


def _speaking(words: Words, turn: Callable[[str], str]) -> dict[str, int]:
    """The words that speak for ``turn``, and their weights."""
    return {word: _weight(word, 1) for word in words.distinct & _turned_words(turn) if not is_word(word)}


@cache
def _turned_words(turn: Callable[[str], str]) -> frozenset[str]:
    return frozenset(turn(word) for word in ranks() if len(word) > 2)


@cache
def _against(turn: Callable[[str], str]) -> dict[str, int]:
    """Words that ``turn`` makes into none, and their weights."""
    return {word: _weight(word, -1) for word in ranks() if not is_word(turn(word))}


def _weight(word: str, side: int) -> int:
    return side * min(3, (len(word) - 1) // 2) if len(word) > 2 else 0


def _rotated(word: str) -> str:
    return encode(word, "rot13")


def _reversed(word: str) -> str:
    return word[::-1]
