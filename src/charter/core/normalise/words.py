"""Many words in disguise read at once, as ``word.py`` reads each: the usual ones in arrays, the rest one by one."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from charter.core.normalise.lexicon import ranks
from charter.core.normalise.mapped import Offsets
from charter.core.normalise.scan import Mask, Scan, after, before, runs, spread
from charter.core.normalise.word import CLOSED, INNER, LESS_LIKELY, LIKELIEST, LOOKS, OUTER, READINGS, SIGNS, UNITS, looks, plain_token

#: Words from which they are read at once.
MANY = 64
#: Signs for letters, and signs between them; two are both.
_CODES, _SIGNS, _BOTH = "0-9@$!|+", r".,\-*/|~_^#+&", "|+"
_NO_SIGNS = str.maketrans(dict.fromkeys(".,-*/|~_^#+&"))
_SPLIT = re.compile("[^a-z]+")
#: Characters and the letters for which they may stand.
_FITTING = {(sign, letter) for sign, letters in SIGNS.items() for letter in letters}
_FITTING |= {(case, letter) for letter in string.ascii_lowercase for case in (letter, letter.upper())}


class Readings(NamedTuple):
    """What words say: beyond doubt, and also if the words around them are in disguise."""

    plain: dict[str, str]
    bold: dict[str, str]

    def add(self, word: str, core: str, said: str, is_sure: bool) -> None:
        self.bold[word] = new = said if core == word else word.replace(core, said, 1)
        if is_sure:
            self.plain[word] = new


def read(words: Sequence[str]) -> Readings:
    """What ``plain_token`` finds for words in ASCII."""
    found = Readings({}, {})
    if len(words) < MANY:
        _one_by_one(found, words)
        return found
    cores = _Cores(words)
    rest = ~(cores.is_code | cores.is_apart | cores.is_drawn | cores.is_nothing)
    if any("!" in word for word in words):  # around a word it may be a letter or not
        rest |= np.array(["!" in word and word.strip(INNER) != core for word, core in zip(words, cores.every, strict=True)])
    for some, work in ((cores.is_code, _code), (cores.is_apart, _apart), (cores.is_drawn, _drawn)):
        numbers = np.flatnonzero(some & ~rest)
        if len(numbers):
            _one_by_one(found, [words[n] for n in work(found, words, cores, numbers)])
    _one_by_one(found, [words[n] for n in np.flatnonzero(rest).tolist()])
    return found


def _one_by_one(found: Readings, words: Sequence[str]) -> None:
    for word in words:
        if (new := plain_token(word)) is not None:
            found.plain[word] = found.bold[word] = new
        elif (new := plain_token(word, dense=True)) is not None:
            found.bold[word] = new


class _Cores:
    """Words without what stands around them, one a line, and of which kind they are."""

    def __init__(self, words: Sequence[str]) -> None:
        self.every = [word.strip(OUTER) for word in words]
        self.text = "\n".join([*self.every, ""])
        self.scan = Scan(self.text)
        self.sizes = np.fromiter(map(len, self.every), dtype=np.int64, count=len(words))
        self._starts = np.cumsum(self.sizes + 1) - self.sizes - 1
        letters, signs = self.scan.of("A-Za-z"), self.scan.of(_SIGNS)
        self.letters, codes = self.count(letters), self.count(self.scan.of(_CODES))
        alone = letters & ~before(letters) & ~after(letters)
        long_gap = signs & after(signs) & after(signs, 2) & after(signs, 3)
        ends = letters[self._starts] & letters[self._starts + np.maximum(self.sizes - 1, 0)]
        both = self.count(self.scan.of(_BOTH))
        only = (self.letters + self.count(signs) == self.sizes) & (self.letters + both < self.sizes)
        self.is_twofold = both > 0
        self.parts = self.count(letters & ~before(letters))
        self.is_code = (codes > 0) & (self.letters + codes == self.sizes)
        self.has_alone = self.count(alone) > 0
        self.is_apart = ends & only & (self.parts > 1) & (self.count(long_gap) == 0)
        self.is_nothing = ~ends & only
        self.is_drawn = (self.letters == self.sizes) & (self.sizes > 0)

    def count(self, mask: Mask) -> Offsets:
        counts: Offsets = np.add.reduceat(mask, self._starts, dtype=np.int64)
        return counts


def _code(found: Readings, words: Sequence[str], cores: _Cores, numbers: Offsets) -> list[int]:
    """Digits for letters. Each returns the words that it cannot tell."""
    digit = cores.scan.of("0-9")
    is_number = cores.count(digit & after(digit)) > 0
    last = cores.letters == cores.sizes - 1
    last &= ~cores.scan.of("A-Za-z")[np.cumsum(cores.sizes + 1) - 2]
    may = (cores.sizes >= 4) & (2 * cores.letters >= cores.sizes + is_number) & ~last
    lower = cores.text.lower()
    likeliest, less_likely = cores.text.translate(LIKELIEST), cores.text.translate(LESS_LIKELY)
    said, other, look = likeliest.split("\n"), less_likely.split("\n"), lower.translate(LOOKS).split("\n")
    said_small, other_small = likeliest.lower().split("\n"), less_likely.lower().split("\n")
    several = cores.count(cores.scan.of("16|"))
    closed = lower.translate(CLOSED).split("\n") if cores.is_twofold.any() else []
    known, every, rest = ranks(), looks(), []
    for n, is_sure, is_twofold, options in zip(
        numbers.tolist(), may[numbers].tolist(), cores.is_twofold[numbers].tolist(), several[numbers].tolist(), strict=True
    ):
        core, alike = cores.every[n], every.get(look[n])
        if alike and options > 1:
            fitting = [word for word in alike if _FITTING.issuperset(zip(core, word, strict=True))]
            if fitting and (len(fitting) > 1 or 2**options > READINGS or not core.islower()):
                rest.append(n)
                continue
            reading = fitting[0] if fitting else None
        else:
            reading = (said[n] if said_small[n] in known else other[n] if other_small[n] in known else None) if alike else None
        if reading is not None:
            found.add(words[n], core, reading, is_sure and (core[0].isalpha() or core.lstrip("0123456789").lower() not in UNITS))
        if is_twofold and closed[n] in every and words[n] not in found.plain:
            rest.append(n)
    return rest


def _apart(found: Readings, words: Sequence[str], cores: _Cores, numbers: Offsets) -> list[int]:
    """Letters with signs between them; words with signs between them are left alone."""
    may = (cores.letters >= 4) & ((cores.parts > 2) | (cores.count(cores.scan.of("_")) == 0))
    starred = (cores.parts == 2) & (cores.count(cores.scan.of("*")) > 0)
    said, known, rest = cores.text.translate(_NO_SIGNS).split("\n"), ranks(), []
    traits = (some[numbers].tolist() for some in (may, starred, cores.has_alone))
    for n, is_sure, is_starred, has_alone in zip(numbers.tolist(), *traits, strict=True):
        if said[n].lower() in known and (has_alone or not known.keys() >= set(_SPLIT.split(cores.every[n].lower()))):
            found.add(words[n], cores.every[n], said[n], is_sure)
        if is_starred and words[n] not in found.plain:
            rest.append(n)
    return rest


def _drawn(found: Readings, words: Sequence[str], cores: _Cores, numbers: Offsets) -> list[int]:
    """Letters drawn out: three or more of one become one or two."""
    points, letters = np.frombuffer(cores.text.encode(), dtype=np.uint8), cores.scan.of("A-Za-z")
    starts, ends = runs(letters & np.append(False, points[1:] == points[:-1]))
    some = ends - starts >= 2
    once, twice = (points[~spread(starts[some] + n, ends[some], len(points))].tobytes().decode().split("\n") for n in (0, 1))
    known = ranks()
    for n in numbers[cores.count(spread(starts[some], ends[some], len(points)))[numbers] > 0].tolist():
        if cores.every[n].lower() not in known:
            said = once[n] if once[n].lower() in known else twice[n] if twice[n].lower() in known else None
            if said is not None:
                found.add(words[n], cores.every[n], said, True)
    return []
