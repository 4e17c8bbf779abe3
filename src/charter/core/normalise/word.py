"""One word in disguise: digits and signs for letters, signs between letters, letters left out or drawn out.

A word is read as another only where that turns what is no word into a common English word, so that code, names and other languages stay as they are.
"""

from __future__ import annotations

import itertools
import re
from functools import cache, lru_cache

from charter.core.normalise.lexicon import gapped, is_word, ranks

#: Letters that a sign may stand for, likeliest first.
SIGNS = {
    "0": "o", "1": "il", "2": "z", "3": "e", "4": "a", "5": "s", "6": "gb", "7": "t", "8": "b", "9": "g",
    "@": "a", "$": "s", "!": "i", "|": "il", "€": "e", "£": "l", "+": "t",
}  # fmt: skip
LIKELIEST = str.maketrans({sign: letters[0] for sign, letters in SIGNS.items()})
LESS_LIKELY = str.maketrans({sign: letters[-1] for sign, letters in SIGNS.items()})
_ONE = str.maketrans({sign: letters for sign, letters in SIGNS.items() if len(letters) == 1})
_SEVERAL = re.compile(r"([16|])")
_NO_LETTERS = b"0123456789@$!|+"
LOOKS = str.maketrans("o0il1!|£z2e3€a4@s5$gb689t7+", "ooiiiiiizzeeeaaasssggggg" + "ttt")
#: The same without what may stand between letters.
BETWEEN = ".,-*·•/|~_^#+&"
CLOSED = LOOKS | dict.fromkeys(map(ord, BETWEEN))
OUTER = ".,;:?!\"'()[]{}<>…“”‘’«»*_~`-"
#: The same without what may be a letter too.
INNER = OUTER.replace("!", "")
_CORE = re.compile(r"[A-Za-z0-9@$!|€£+]+")
_APART = re.compile(r"[A-Za-z0-9@$!]++(?:[.,\-*·•/|~_^#+&]{1,3}+[A-Za-z0-9@$!]++)+")
_SPLIT = re.compile(r"[^A-Za-z0-9@$!]+")
_DRAWN = re.compile(r"([A-Za-z])\1\1")
MIXED = re.compile(r"[A-Za-z][0-9@$!|€£+]|[0-9@$!|€£+][A-Za-z]")
STARRED = re.compile(r"^[A-Za-z]+\*{1,2}[A-Za-z]+$", re.MULTILINE)
_NUMBER = re.compile(r"\d\d")
#: Readings of one token that are tried at most.
READINGS = 16


@lru_cache(maxsize=65536)
def plain_token(token: str, dense: bool = False) -> str | None:
    """What a token without blanks says in plain letters, None if it is not in disguise. ``dense``: the words around it are."""
    known = ranks()
    for core in (token.strip(OUTER), token.strip(INNER)) if dense else (token.strip(OUTER),):
        if core and core.lower() not in known and token.isascii():
            new = _letters(core, dense) or _joined(core, dense) or _drawn(core) or _missing(core)
            if new is not None:
                return token.replace(core, new, 1)
    return None


@cache
def looks() -> dict[str, list[str]]:
    """Every word with letters that one sign may stand for made the same, and the words that look so: a token that looks like none of these is no
    word in disguise."""
    table: dict[str, list[str]] = {}
    for word in ranks():
        table.setdefault(word.translate(LOOKS), []).append(word)
    return table


def _letters(core: str, dense: bool) -> str | None:
    """Signs read as letters."""
    if core.isalpha() or core.lower().translate(LOOKS) not in looks() or not _CORE.fullmatch(core):
        return None
    if not dense:
        letters = len(core.encode().translate(None, _NO_LETTERS))
        if len(core) < 4 or 2 * letters < len(core) + bool(_NUMBER.search(core)) or core[:-1].isalpha():
            return None
        if core.lstrip("0123456789").lower() in UNITS:
            return None
    if is_word(word := core.translate(LIKELIEST)):
        return word
    if not _SEVERAL.search(core):
        return None
    pieces = _SEVERAL.split(core.translate(_ONE))
    options = itertools.product(*(SIGNS.get(piece, (piece,)) for piece in pieces))
    return next((word for chars in itertools.islice(options, READINGS) if is_word(word := "".join(chars))), None)


def unknown(token: str) -> str | None:
    """In a text written in disguise: a token of letters and signs that spells no known word, by the likeliest reading of each sign."""
    core = token.strip(INNER)
    if not _CORE.fullmatch(core) or not MIXED.search(core) or len(core) < 3 or core.lstrip("0123456789").lower() in UNITS:
        return None
    return token.replace(core, "".join(SIGNS.get(c, c)[0] for c in core), 1)


UNITS = frozenset("st nd rd th s k m b g kg mg ml cm mm km pm am ms mb gb hz d x".split())


def _joined(core: str, dense: bool) -> str | None:
    """Letters with signs between them."""
    if core.isalnum() or not _APART.fullmatch(core):
        return None
    parts = _SPLIT.split(core)
    whole, known = "".join(parts), ranks()
    if all(len(p) > 1 and p.lower() in known for p in parts) or 2 * len(whole.encode().translate(None, _NO_LETTERS)) < len(whole):
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
    return gap(core) if "*" in core and STARRED.fullmatch(core) else None


def gap(core: str) -> str | None:
    """The only common word that fits ``core``, which has letters around one or two stars."""
    if len(core) < 4:
        return None
    found = gapped(len(core), core.index("*"), core.count("*")).get(core.lower(), ())
    return found[0] if len(found) == 1 else None
