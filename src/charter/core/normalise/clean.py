"""What has no look of its own goes, and compatibility forms become plain ones (NFKC). Nothing here guesses at words.

Removed: zero-width and format characters, bidi controls, tag characters, stray variation selectors, control characters, piles of combining
marks and strike-through overlays. Kept, because they carry meaning: joiners between letters of the scripts that need them, joiners and selectors
inside emoji, flags of regions, line-break marks of scripts without spaces. Normal form: UAX 15; joiners: UTS 51 and UAX 31 section 2.3.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

import numpy as np

from charter.core.normalise.mapped import Edit, Mapped, codes, decode

#: Rounds after which a text that still changes is left as it is. Two are enough for any text seen.
ROUNDS = 6
#: Characters that become more than so many stay: they are words, such as \ufdfa, and a text must not grow without bound.
LONGEST = 6
_PICTURE = (
    "\u00a9\u00ae\u203c\u2049\u2122\u2139\u2190-\u21ff\u2300-\u23ff\u24c2\u25a0-\u27bf\u2900-\u297f\u2b00-\u2bff\u3030\u303d\u3297\u3299"
    "\U0001f000-\U0001faff"
)
_ARABIC = "\u0600-\u06ff\u0750-\u077f\u0870-\u08ff\u1800-\u18af"
_INDIC = "\u0900-\u0dff\u0f00-\u109f\u1780-\u17ff\ua8e0-\ua8ff"
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u1980-\u19df"
#: Places where a character that would go elsewhere has work to do.
_KEPT = re.compile(
    f"(?<=[{_PICTURE}\ufe0f\U0001f3fb-\U0001f3ff])\u200d(?=[{_PICTURE}])"
    f"|(?<=[{_PICTURE}#*0-9])[\ufe0e\ufe0f]"
    f"|(?<=[{_ARABIC}])[\u200c\u200d](?=[{_ARABIC}])|(?<=[{_INDIC}])[\u200c\u200d]"
    f"|(?<=[{_UNSPACED}])\u200b(?=[{_UNSPACED}])"
    "|(?<=[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff])[\ufe00-\ufe0f\U000e0100-\U000e01ef]|(?<=[\u1820-\u18aa])[\u180b-\u180e]"
    "|(?<=\U0001f3f4)[\U000e0030-\U000e0039\U000e0061-\U000e007a]{3,6}\U000e007f"
)
_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_MARK = "\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
_MARKED = re.compile(f"[{_MARK}]")
#: A pile of marks, or one that strikes through or encloses; keycaps and the prohibition sign on a picture stay.
_PILE = re.compile(f"[^\\W\\d_](?:[{_MARK}]{{2,}}|[\u0332-\u0338\u0305\u033f\u0347\u20d0-\u20dc\u20dd-\u20df\u20e1-\u20f0])[{_MARK}]*")
#: Format characters that are seen: number signs and the like.
_SEEN = frozenset("\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd")
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2065\u3164\uffa0\ufe0e\ufe0f\u180b\u180c\u180d\u180f")
_SPACES = {"\u1680": " ", "\u2800": " ", "\u2028": "\n", "\u2029": "\n", "\x85": "\n", "\x0b": "\n", "\x0c": "\n"}


def clean(m: Mapped) -> Mapped:
    """``m`` without invisible characters and in NFKC. Idempotent, linear in the text."""
    if m.text.isascii() and not _CONTROL.search(m.text):
        return m
    m = _pairs(m)
    for _ in range(ROUNDS):
        before = m.text
        m = _unpile(_compose(_drop(m)))
        if m.text == before:
            break
    return m


def _pairs(m: Mapped) -> Mapped:
    """Two halves of a surrogate pair become the character that they say."""
    if not _PAIR.search(m.text):
        return m
    points = codes(m.text).astype(np.int64)
    first = np.flatnonzero((points[:-1] >> 10 == 0xD800 >> 10) & (points[1:] >> 10 == 0xDC00 >> 10))
    points[first] = 0x10000 + ((points[first] & 0x3FF) << 10) + (points[first + 1] & 0x3FF)
    ends, mask = m.ends.copy(), np.ones(len(points), dtype=np.bool_)
    ends[first], mask[first + 1] = m.ends[first + 1], False
    return Mapped(decode(points.astype(np.uint32)[mask]), m.starts[mask], ends[mask])


@lru_cache(maxsize=8192)
def _fate(char: str) -> str:
    """What becomes of a character on its own: itself, '' if it goes, or another."""
    if char in _SPACES:
        return _SPACES[char]
    kind = unicodedata.category(char)
    if kind == "Cs":
        return "\ufffd"
    if char in _BLANK or (kind == "Cf" and char not in _SEEN) or (kind == "Cc" and char not in "\t\n\r"):
        return ""
    return "" if "\ufe00" <= char <= "\ufe0d" or "\U000e0000" <= char <= "\U000e0fff" else char


def _drop(m: Mapped) -> Mapped:
    changed = {ord(c): fate for c in set(m.text) if (fate := _fate(c)) != c}
    if not changed:
        return m
    gone = np.zeros(0x110000, dtype=np.bool_)
    gone[[point for point, fate in changed.items() if not fate]] = True
    mask = ~gone[codes(m.text)]
    for found in _KEPT.finditer(m.text):
        mask[found.start() : found.end()] = True
    swapped = m.text.translate({point: fate for point, fate in changed.items() if fate})
    return m.with_text(swapped).keep(mask)


def _compose(m: Mapped) -> Mapped:
    """NFKC by clusters of a character and what can combine with it, except for characters that are pictures here."""
    if unicodedata.is_normalized("NFKC", m.text):
        return m
    odd = sorted(c for c in set(m.text) if not c.isascii())
    joins = "".join(c for c in odd if unicodedata.category(c)[0] == "M" or "\u1160" <= c <= "\u11ff" or c in "\uff9e\uff9f")
    alone = [c for c in odd if c not in joins and len(new := unicodedata.normalize("NFKC", c)) <= LONGEST and new != c]
    m = _swap(m, {c: new for c in alone if len(new := _plain(c)) == 1}, joins)
    if not joins:
        return m.expand({c: new for c in alone if (new := _plain(c)) != c})
    patterns = [f"[^{re.escape(joins)}]?[{re.escape(joins)}]+"] if joins else []
    if alone:
        patterns.append(f"[{re.escape(''.join(alone))}]")
    found = re.compile("|".join(patterns) or r"(?!)", re.DOTALL).finditer(m.text)
    return m.replace([Edit(*f.span(), new) for f in found if (new := _plain(f[0])) != f[0]])


def _swap(m: Mapped, table: dict[str, str], joins: str) -> Mapped:
    """Character for character, all at once; what something joins on to is left alone."""
    if not table:
        return m
    points = codes(m.text)
    joined = np.zeros(0x110000, dtype=np.bool_)
    joined[[ord(c) for c in joins]] = True
    bare = np.append(~joined[points[1:]], True)
    new = codes(m.text.translate({ord(c): fate for c, fate in table.items()}))
    return m.with_text(decode(np.where(bare, new, points)))


@lru_cache(maxsize=65536)
def _plain(cluster: str) -> str:
    if cluster[-1] in "\ufe0e\ufe0f" or "\U0001f200" <= cluster[0] <= "\U0001f2ff":
        return cluster
    if "\u249c" <= cluster[0] <= "\u24b5" or "\U0001f110" <= cluster[0] <= "\U0001f129":
        return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", cluster[0])[1] + cluster[1:])  # (a) is meant to be read as a
    plain = unicodedata.normalize("NFKC", cluster)
    return plain if len(plain) <= LONGEST * len(cluster) else cluster


def _unpile(m: Mapped) -> Mapped:
    """Letters freed from more marks than any orthography puts on one."""
    if not _MARKED.search(m.text):
        return m
    return m.replace([Edit(*found.span(), unicodedata.normalize("NFD", found[0])[0]) for found in _PILE.finditer(m.text)])
