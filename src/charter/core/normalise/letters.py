"""Letters that pose as Latin ones become Latin, where the word shows that they pose.

A Cyrillic а in a Latin word is a mask; in a Russian word it is a letter. A word is unmasked if it mixes Latin with another script all of whose
letters there look Latin (mixed-script spoofing, UTS 39 section 5), or if it becomes a common English word in a text that is Latin otherwise.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from functools import cache, lru_cache
from pathlib import Path

from charter.core.normalise.lexicon import is_word
from charter.core.normalise.mapped import Mapped

_PICTURED = "\U0001f150-\U0001f169\U0001f170-\U0001f189"
_FLAGGED = "\U0001f1e6-\U0001f1ff"
_LATIN = re.compile("[A-Za-z\u00c0-\u024f\u0250-\u02af\u0300-\u036f\u1d00-\u1dbf\u1e00-\u1eff\u2c60-\u2c7f\ua720-\ua7ff]+")
_LATIN_WITH = re.compile(r"^LATIN (SMALL|CAPITAL) LETTER ([A-Z])(?: WITH .+)?$")
#: Two-letter codes of ISO 3166 that have a flag, run together.
_FLAGS = (
    "ACADAEAFAGAIALAMAOAQARASATAUAWAXAZBABBBDBEBFBGBHBIBJBLBMBNBOBQBRBSBTBVBWBYBZCACCCDCFCGCHCICKCLCMCNCOCPCRCUCVCWCXCYCZDEDGDJDKDMDODZEAECEEEGEH"
    "ERESETEUFIFJFKFMFOFRGAGBGDGEGFGGGHGIGLGMGNGPGQGRGSGTGUGWGYHKHMHNHRHTHUICIDIEILIMINIOIQIRISITJEJMJOJPKEKGKHKIKMKNKPKRKWKYKZLALBLCLILKLRLSLTLULV"
    "LYMAMCMDMEMFMGMHMKMLMMMNMOMPMQMRMSMTMUMVMWMXMYMZNANCNENFNGNINLNONPNRNUNZOMPAPEPFPGPHPKPLPMPNPRPSPTPWPYQAREROROSRURWSASBSCSDSESGSHSISJSKSLSMSN"
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
    text = re.sub(f"[{_PICTURED}](?:[ \ufe0f]?[{_PICTURED}])+|(?<=[A-Za-z])[{_PICTURED}]|[{_PICTURED}](?=[A-Za-z])", _folded, text)
    return re.sub(f"[{_FLAGGED}](?: ?[{_FLAGGED}])+", _flagged, text)


def _folded(found: re.Match[str]) -> str:
    return _fold(found[0])


def _flagged(found: re.Match[str]) -> str:
    spelled = _folded(found)
    letters = spelled.replace(" ", "")
    pairs = [letters[n : n + 2] for n in range(0, len(letters), 2)]
    return found[0] if all(pair in _flags() for pair in pairs) and not (len(letters) > 3 and is_word(letters)) else spelled


def _words(text: str) -> str:
    posing = "".join(sorted(set(text) & _alike().keys()))
    if not re.search(f"[^{_PICTURED}{_FLAGGED}]", posing):
        return text
    pattern = re.compile(f"(?:[^\\W\\d_]|[{re.escape(posing)}])+")
    words = pattern.findall(text)
    latin = sum(len(w) for w in words if w.isascii())
    masks = set(posing)
    foreign = {w for w in words if not w.isascii() and not masks.isdisjoint(w)}
    mostly_latin = latin > 0.6 * sum(map(len, words)) or any(_is_mixed(w) for w in foreign)
    unmasked = {w: new for w in foreign if (new := _unmasked(w, mostly_latin)) != w}
    return pattern.sub(lambda found: unmasked.get(found[0], found[0]), text) if unmasked else text


@lru_cache(maxsize=65536)
def _script(char: str) -> str:
    """First word of the Unicode name, which is the script for letters."""
    return unicodedata.name(char, "?").partition(" ")[0]


def _is_mixed(word: str) -> bool:
    """Latin together with letters of another script that all look Latin."""
    if word.isascii():
        return False
    scripts = {_script(c) for c in word}
    if "LATIN" not in scripts or scripts == {"LATIN"}:
        return False
    masks = [c for c in word if _script(c) != "LATIN"]
    return all(c in _alike() for c in masks) and ("GREEK" not in scripts or len(masks) > 1 or is_word(_fold(word)))


def _unmasked(word: str, mostly_latin: bool) -> str:
    folded = _fold(word)
    if _is_mixed(word):
        return folded
    if not folded.isascii():
        return word
    if all(c.isascii() or "SMALL CAPITAL" in unicodedata.name(c, "") or "TURNED" in unicodedata.name(c, "") for c in word) and len(word) > 1:
        return folded
    return folded if mostly_latin and is_word(folded) else word


def _fold(word: str) -> str:
    return word.translate(_table())


@cache
def _table() -> dict[int, str]:
    return {ord(c): letter for c, letter in _alike().items()}


@lru_cache(maxsize=65536)
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
    words = Counter(re.findall(r"[^\W\d_]+", text))
    masked = {w: bare for w in words if not w.isascii() and _LATIN.fullmatch(w) and (bare := _strip(w)).isascii()}
    english = {w for w, bare in masked.items() if is_word(bare)}
    n_english = sum(words[w] for w in english)
    known = n_english + sum(n for w, n in words.items() if w.isascii() and is_word(w))
    if n_english < max(_MASKED_WORDS, _MASKED_SHARE * sum(words[w] for w in masked)) or known < _MASKED_SHARE * words.total():
        return text
    return re.sub(r"[^\W\d_]+", lambda found: masked[found[0]] if found[0] in english else found[0], text)


def _strip(word: str) -> str:
    return "".join(_bare(c) for c in word)
