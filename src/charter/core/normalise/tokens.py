"""Words in disguise: digits and signs for letters, signs between letters, letters left out or drawn out.

A change is made only where it turns what is no word into a common English word, so that code, names and other languages stay as they are. In a
text with several disguised words the short ones are read too ("7o", "4").
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from functools import cache, lru_cache

import numpy as np

from charter.core.normalise.lexicon import cut, gapped, is_word, ranks
from charter.core.normalise.mapped import Edit, Mapped
from charter.core.normalise.scan import Mask, Runs, Scan, after, before

#: Letters that a sign may stand for, likeliest first.
_SIGNS = {
    "0": "o", "1": "il", "2": "z", "3": "e", "4": "a", "5": "s", "6": "gb", "7": "t", "8": "b", "9": "g",
    "@": "a", "$": "s", "!": "i", "|": "il", "€": "e", "£": "l", "+": "t",
}  # fmt: skip
_LOOKS = str.maketrans("o0il1!|£z2e3€a4@s5$gb689t7+", "ooiiiiiizzeeeaaasssggggg" + "ttt")
#: The same without what may stand between letters.
_CLOSED = _LOOKS | dict.fromkeys(map(ord, ".,-*·•/|~_^#+&"))
_OUTER = ".,;:?!\"'()[]{}<>…“”‘’«»*_~`-"
#: The same without what may be a letter too.
_INNER = _OUTER.replace("!", "")
_CORE = re.compile(r"[A-Za-z0-9@$!|€£+]+")
_APART = re.compile(r"[A-Za-z0-9@$!]++(?:[.,\-*·•/|~_^#+&]{1,3}+[A-Za-z0-9@$!]++)+")
_SPLIT = re.compile(r"[^A-Za-z0-9@$!]+")
_DRAWN = re.compile(r"([A-Za-z])\1\1")
_MIXED = re.compile(r"[A-Za-z][0-9@$!|€£+]|[0-9@$!|€£+][A-Za-z]")
_MAY = re.compile(rf"[{re.escape(_OUTER)}]*[A-Za-z0-9@$!|€£+.,\-*·•/~_^#&]+[{re.escape(_OUTER)}]*")
_STARRED = re.compile(r"^[A-Za-z]+\*{1,2}[A-Za-z]+$", re.MULTILINE)
#: Characters of ``_MAY`` that are only within a token, and only around one.
_CORE_ONLY, _OUTER_ONLY = r"A-Za-z0-9@$|€£+·•/\^#&", re.escape(";:?\"'()[]{}<>…“”‘’«»`")
_NUMBER = re.compile(r"\d\d")
_LONGEST = 40
#: Readings of one token that are tried at most.
_READINGS = 16
#: A text of this many letters without a blank may be several words; so many, of this mean length.
_RUN_ON, _RUN_ON_LONGEST, _RUN_ON_WORDS, _RUN_ON_MEAN = 12, 4000, 4, 2.5
#: Disguised words, and their share, from which a text counts as written in disguise.
_DENSE, _DENSE_SHARE = 2, 0.15
#: The same, counting the words that are only read as disguised in such a text; one must be disguised beyond doubt.
_LIKELY, _LIKELY_SHARE = 3, 0.4


def undisguise(m: Mapped) -> Mapped:
    """``m`` with disguised words in plain letters."""
    scan = Scan(m.text)
    tokens = Runs(~scan.of(r"\s"))
    if len(tokens.starts) == 1 and (words := _run_on(m.text)) is not None:
        start = len(m.text) - len(m.text.lstrip().lstrip(_OUTER))
        return m.replace([Edit(start, len(m.text.rstrip().rstrip(_OUTER)), words)])
    is_drawn = tokens.any(_drawn_out(scan))
    places = np.flatnonzero((is_drawn | tokens.any(~scan.of(r"^\W\d_"))) & (tokens.sizes <= _LONGEST))
    places = places[~tokens.any(_hopeless(scan))[places]] if len(places) else places
    found = tokens.texts(m.text, places)
    odd = set(found)
    plain = _plain(odd, set(tokens.texts(m.text, np.flatnonzero(is_drawn))), Counter(found), len(tokens.starts)) if odd else {}
    if not plain:
        return m
    changed = [number for number, token in enumerate(found) if token in plain]
    edited = places[changed]
    return m.put(tokens.starts[edited], tokens.ends[edited], [plain[found[number]] for number in changed])


def _plain(odd: set[str], drawn: set[str], counts: Counter[str], every: int) -> dict[str, str]:
    """What the odd tokens of a text say, those that are in disguise; ``every`` is the number of all tokens."""
    candidates = [t for t in _likely(odd, drawn) if _MAY.fullmatch(t)]
    plain = {t: new for t in candidates if (new := plain_token(t)) is not None}
    bold = plain | {t: new for t in candidates if t not in plain and (new := plain_token(t, dense=True)) is not None}
    mixed = [t for t in bold if _MIXED.search(t)]
    sure, likely, mixes = (sum(counts[t] for t in some) for some in (plain, bold, mixed))
    if sure >= max(_DENSE, _DENSE_SHARE * every) or (likely if plain else mixes) >= max(_LIKELY, _LIKELY_SHARE * every):
        return bold | {t: new for t in odd if t not in bold and _MAY.fullmatch(t) and (new := _unknown(t)) is not None}
    return plain


def _hopeless(scan: Scan) -> Mask:
    """Characters in the place of which ``_MAY`` does not match a token."""
    core = scan.of(_CORE_ONLY)
    return (scan.of(_OUTER_ONLY) & before(core) & after(core)) | ~scan.of(rf"\s{_CORE_ONLY}{re.escape(_OUTER)}")


def _drawn_out(scan: Scan) -> Mask:
    """The middle of each letter that is there three times in a row."""
    points = scan.points
    same = np.zeros(len(points), dtype=np.bool_)
    same[1:-1] = (points[1:-1] == points[:-2]) & (points[1:-1] == points[2:])
    return same & scan.of("A-Za-z")


def _likely(every: set[str], drawn: set[str]) -> list[str]:
    """Those for which ``plain_token`` may find something, and few others; all at once."""
    tokens = [t for t in every if t.isascii()]
    return [*_likely_cores(tokens, _OUTER, drawn), *_likely_cores([t for t in tokens if "!" in t], _INNER, drawn)]


def _likely_cores(tokens: list[str], outer: str, drawn: set[str]) -> list[str]:
    cores, known = [t.strip(outer) for t in tokens], _looks()
    text = "\n".join(cores)
    lower = text.lower()
    looks, closed = (lower.translate(table).split("\n") for table in (_LOOKS, _CLOSED))
    found = {t for t, look, whole in zip(tokens, looks, closed, strict=False) if look in known or whole in known}
    starred = {core for core in _STARRED.findall(text) if _missing(core)} if "*" in text else ()
    if starred:
        found.update(t for t, core in zip(tokens, cores, strict=True) if core in starred)
    if drawn:
        found.update(t for t, core in zip(tokens, cores, strict=True) if t in drawn and core.isalpha())
    return [t for t in tokens if t in found]


@lru_cache(maxsize=65536)
def plain_token(token: str, dense: bool = False) -> str | None:
    """What a token without blanks says in plain letters, None if it is not in disguise. ``dense``: the words around it are."""
    for core in (token.strip(_OUTER), token.strip(_INNER)) if dense else (token.strip(_OUTER),):
        if core and token.isascii() and not is_word(core):
            new = _letters(core, dense) or _joined(core, dense) or _drawn(core) or _missing(core)
            if new is not None:
                return token.replace(core, new, 1)
    return None


@cache
def _looks() -> frozenset[str]:
    """Every word with letters that one sign may stand for made the same: a token that looks like none of these is no word in disguise."""
    return frozenset(word.translate(_LOOKS) for word in ranks())


def _letters(core: str, dense: bool) -> str | None:
    """Signs read as letters."""
    if core.isalpha() or core.lower().translate(_LOOKS) not in _looks() or not _CORE.fullmatch(core):
        return None
    letters = sum(c.isalpha() for c in core)
    if not dense and (
        len(core) < 4 or 2 * letters < len(core) + bool(_NUMBER.search(core)) or core[:-1].isalpha() or core.lstrip("0123456789").lower() in _UNITS
    ):
        return None
    options = itertools.product(*(_SIGNS.get(c, c) for c in core))
    return next((word for chars in itertools.islice(options, _READINGS) if is_word(word := "".join(chars))), None)


def _unknown(token: str) -> str | None:
    """In a text written in disguise: a token of letters and signs that spells no known word, by the likeliest reading of each sign."""
    core = token.strip(_INNER)
    if not _CORE.fullmatch(core) or not _MIXED.search(core) or len(core) < 3 or core.lstrip("0123456789").lower() in _UNITS:
        return None
    return token.replace(core, "".join(_SIGNS.get(c, c)[0] for c in core), 1)


_UNITS = frozenset("st nd rd th s k m b g kg mg ml cm mm km pm am ms mb gb hz d x".split())


def _joined(core: str, dense: bool) -> str | None:
    """Letters with signs between them."""
    if not _APART.fullmatch(core):
        return None
    parts = [p for p in _SPLIT.split(core) if p]
    whole = "".join(parts)
    if len(parts) < 2 or all(is_word(p) and len(p) > 1 for p in parts) or 2 * sum(map(str.isalpha, whole)) < len(whole):
        return None
    if not dense and (len(whole) < 4 or ("_" in core and len(parts) < 3)):
        return None
    if is_word(whole):
        return whole
    return _letters(whole, True) if any(c.isdigit() for c in whole) else None


def _drawn(core: str) -> str | None:
    """Letters drawn out: three or more of one become two or one."""
    if not core.isalpha() or not _DRAWN.search(core):
        return None
    for kept in (r"\1", r"\1\1"):
        if is_word(word := re.sub(r"([A-Za-z])\1\1+", kept, core)):
            return word
    return None


def _missing(core: str) -> str | None:
    """Letters replaced by stars, where only one common word fits."""
    if len(core) < 4 or "*" not in core or not _STARRED.fullmatch(core):
        return None
    found = gapped(len(core), core.index("*"), core.count("*")).get(core.lower(), ())
    return found[0] if len(found) == 1 else None


def _run_on(text: str) -> str | None:
    """A text that is one token of several words."""
    core = text.strip().strip(_OUTER)
    if not _RUN_ON <= len(core) <= _RUN_ON_LONGEST or not core.isalpha() or not core.isascii():
        return None
    words = cut(core.lower())
    return " ".join(words) if words and len(words) >= _RUN_ON_WORDS and len(core) / len(words) >= _RUN_ON_MEAN else None
