"""Letters that pose as Latin ones become Latin, where the word shows that they pose.

A Cyrillic а in a Latin word is a mask; in a Russian word it is a letter. A word is unmasked if it mixes Latin with another script all of whose
letters there look Latin (mixed-script spoofing, UTS 39 section 5), or if it becomes a common English word in a text that is Latin otherwise.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from charter.core.normalise.lexicon import is_word
from charter.core.normalise.mapped import Mapped, Offsets, codes, decode
from charter.core.normalise.scan import SIZE, Mask, Runs, Scan, members

_PICTURED = "\U0001f150-\U0001f169\U0001f170-\U0001f189"
_FLAGGED = "\U0001f1e6-\U0001f1ff"
_LATIN = "A-Za-z\u00c0-\u024f\u0250-\u02af\u0300-\u036f\u1d00-\u1dbf\u1e00-\u1eff\u2c60-\u2c7f\ua720-\ua7ff"
_LETTER = r"^\W\d_"
_IS_LATIN, _IS_GREEK, _SMALL = 1, 2, 4
#: Where letters are whose names say that they are Latin, Greek, turned or small capitals.
_NAMED = (range(0x3400), range(0xA000, 0xAC00), range(0xF900, 0x12000), range(0x1CC00, 0x20000))
_LATIN_WITH = re.compile(r"^LATIN (SMALL|CAPITAL) LETTER ([A-Z])(?: WITH .+)?$")
#: Two-letter codes of ISO 3166 that have a flag, run together.
_FLAGS = (
    "ACADAEAFAGAIALAMAOAQARASATAUAWAXAZBABBBDBEBFBGBHBIBJBLBMBNBOBQBRBSBTBVBWBYBZCACCCDCFCGCHCICKCLCMCNCOCPCRCUCVCWCXCYCZDEDGDJDKDMDODZEAECEEEGEH"
    "ERESETEUFIFJFKFMFOFRGAGBGDGEGFGGGHGIGLGMGNGPGQGRGSGTGUGWGYHKHMHNHRHTHUICIDIEILIMINIOIQIRISITJEJMJOJPKEKGKHKIKMKNKPKRKWKYKZLALBLCLILKLRLSLTLULV"
    "LYMAMCMDMEMFMGMHMKMLMMMNMOMPMQMRMSMTMUMVMWMXMYMZNANCNENFNGNINLNONPNRNUNZOMPAPEPFPGPHPKPLPMPNPRPSPTPWPYQARERORSRURWSASBSCSDSESGSHSISJSKSLSMSN"
    "SOSRSSSTSVSXSYSZTATCTDTFTGTHTJTKTLTMTNTOTRTTTVTWTZUAUGUMUNUSUYUZVAVCVEVGVIVNVUWFWSXKYEYTZAZMZW"
)
#: Share of accented words that must be English without accents before accents count as a mask, and how many there must be.
_MASKED_SHARE, _MASKED_WORDS = 0.7, 2


@cache
def _alike() -> dict[str, str]:
    lines = Path(__file__).with_name("confusables.txt").read_text(encoding="utf-8").splitlines()
    return {char: line[0] for line in lines if not line.startswith("#") for char in line[2:]}


@cache
def _flags() -> frozenset[str]:
    return frozenset(_FLAGS[n : n + 2].lower() for n in range(0, len(_FLAGS), 2))


def unmask(m: Mapped) -> Mapped:
    """``m`` with posing letters replaced, character for character."""
    if m.text.isascii():
        return m
    return m.with_text(_accents(_words(_pictures(m.text))))


def _pictures(text: str) -> str:
    """Letters in boxes, circles and flags, where they spell: two or more in a row, unless they are flags."""
    if not re.search(f"[{_PICTURED}{_FLAGGED}]", text):
        return text
    text = re.sub(f"[{_PICTURED}](?:[ \ufe0f]?[{_PICTURED}])+|(?<=[A-Za-z])[{_PICTURED}]|[{_PICTURED}]\ufe0f?(?=[A-Za-z])", _folded, text)
    return re.sub(f"[{_FLAGGED}](?: ?[{_FLAGGED}])+", _flagged, text)


def _folded(found: re.Match[str]) -> str:
    return _fold(found[0])


def _flagged(found: re.Match[str]) -> str:
    spelled = _folded(found)
    letters = spelled.replace(" ", "")
    pairs = [letters[n : n + 2] for n in range(0, len(letters), 2)]
    return found[0] if all(pair in _flags() for pair in pairs) and not (len(letters) > 3 and is_word(letters)) else spelled


def _words(text: str) -> str:
    scan = Scan(text)
    posing = _posing()[scan.points]
    if not (posing & ~scan.of(_PICTURED + _FLAGGED)).any():
        return text
    words = Runs(posing | scan.of(_LETTER))
    plain = words.every(scan.points < 0x80)
    foreign = np.flatnonzero(~plain & words.any(posing))
    mixed = _mixed(text, scan, words, foreign)
    mostly_latin = int(words.sizes[plain].sum()) > 0.6 * int(words.sizes.sum()) or bool(mixed.any())
    folded = codes(text).copy()
    folded[posing] = _folded_points(folded[posing])
    rest = foreign[~mixed & ~words.any(folded > 0x7F)[foreign]]
    capital = words.every((scan.points < 0x80) | (_traits()[scan.points] & _SMALL > 0))[rest] & (words.sizes[rest] > 1)
    spelled = rest[~capital] if mostly_latin else rest[:0]
    english = _english(words.texts(decode(folded), spelled))
    some = np.concatenate([foreign[mixed], rest[capital], spelled[english]])
    return decode(np.where(words.mask(some, len(text)), folded, codes(text))) if len(some) else text


def _mixed(text: str, scan: Scan, words: Runs, some: Offsets) -> Mask:
    """Which of them are Latin together with letters of another script that all look Latin."""
    traits = _traits()[scan.points]
    others = traits & _IS_LATIN == 0
    masks = words.count(others)[some]
    found: Mask = (masks > 0) & (masks < words.sizes[some]) & ~words.any(others & ~_posing()[scan.points])[some]
    single = np.flatnonzero(found & words.any(traits & _IS_GREEK > 0)[some] & (masks == 1))
    found[single] = _english([_fold(word) for word in words.texts(text, some[single])])
    return found


def _english(words: list[str]) -> Mask:
    known = {word for word in set(words) if is_word(word)}
    return np.array([word in known for word in words], dtype=np.bool_)


def _fold(word: str) -> str:
    return word.translate(_table())


@cache
def _table() -> dict[int, str]:
    return {ord(c): letter for c, letter in _alike().items()}


@cache
def _posing() -> Mask:
    """By code point: whether it looks like a Latin letter."""
    table = np.zeros(SIZE, dtype=np.bool_)
    table[list(_table())] = True
    return table


def _folded_points(points: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """The letters that posing ones look like."""
    every = np.array(sorted(_table()))
    return np.array([ord(_table()[point]) for point in every.tolist()], dtype=np.uint32)[np.searchsorted(every, points)]


@cache
def _traits() -> NDArray[np.uint8]:
    """By code point: Latin and Greek by the first word of its Unicode name, which is the script for letters; and Latin letters of another shape."""
    table = np.zeros(SIZE, dtype=np.uint8)
    for point in (point for points in _NAMED for point in points):
        name = unicodedata.name(chr(point), "?")
        script = name.partition(" ")[0]
        small = "SMALL CAPITAL" in name or "TURNED" in name
        table[point] = _IS_LATIN * (script == "LATIN") | _IS_GREEK * (script == "GREEK") | _SMALL * small
    return table


def _bare(char: str) -> str:
    """An accented Latin letter without its accent."""
    found = _LATIN_WITH.match(unicodedata.name(char, ""))
    if found is None:
        base = unicodedata.normalize("NFD", char)[0]
        return base if base.isascii() else char
    return found[2] if found[1] == "CAPITAL" else found[2].lower()


def _accents(text: str) -> str:
    """Accents on English words, where nearly all accented words are English: no language does that."""
    if not re.search("[\u00c0-\u024f\u0250-\u02af\u1e00-\u1eff\u2c60-\u2c7f\ua720-\ua7ff]", text):
        return text
    scan = Scan(text)
    words, latin = Runs(scan.of(_LETTER)), scan.of(_LATIN)
    bare = codes(text).copy()
    bare[latin] = _bare_points()[bare[latin]]
    masked = np.flatnonzero(~words.every(scan.points < 0x80) & words.every(latin & (bare < 0x80)))
    english = masked[_english(words.texts(decode(bare), masked))]
    if len(english) < max(_MASKED_WORDS, _MASKED_SHARE * len(masked)):
        return text
    counts = Counter(word for word in re.findall(f"[{_LETTER}]+", text) if word.isascii())
    known = len(english) + sum(n for word, n in counts.items() if is_word(word))
    if known < _MASKED_SHARE * len(words.sizes):
        return text
    return decode(np.where(words.mask(english, len(text)), bare, codes(text)))


@cache
def _bare_points() -> NDArray[np.uint32]:
    """Latin letters without their accents, by code point."""
    every = [chr(point) for point in np.flatnonzero(members(_LATIN)).tolist()]
    table = np.zeros(ord(every[-1]) + 1, dtype=np.uint32)
    table[[ord(c) for c in every]] = [ord(_bare(c)) for c in every]
    return table
