"""What has no look of its own goes, and compatibility forms become plain ones (NFKC). Nothing here guesses at words.

Removed: zero-width and format characters, bidi controls, tag characters, stray variation selectors, control characters, piles of combining
marks and strike-through overlays. Kept, because they carry meaning: joiners between letters of the scripts that need them, joiners and selectors
inside emoji, flags of regions, line-break marks of scripts without spaces. Normal form: UAX 15; joiners: UTS 51 and UAX 31 section 2.3.
"""

from __future__ import annotations

import re
import unicodedata

import numpy as np
from numpy.typing import NDArray

from charter.core.normalise.kinds import GONE, JOINS, LONGEST, MANY, ONE, SWAPPED, is_special, kinds, one, plain, swapped
from charter.core.normalise.mapped import Mapped, Offsets, codes, decode
from charter.core.normalise.scan import Mask, Scan, after, found_at, runs, spread

#: Rounds after which a text that still changes is left as it is. Two are enough for any text seen.
ROUNDS = 6
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
_MARK = "\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
_MARKED = re.compile(f"[{_MARK}]")
#: Marks that strike through or enclose; the prohibition sign on a picture stays, as do keycaps.
_STRUCK = "\u0332-\u0338\u0305\u033f\u0347\u20d0-\u20dc\u20dd-\u20df\u20e1-\u20f0\u0488\u0489"
_LETTER = r"^\W\d_"
#: Combines with nothing.
_APART = "\ufdd0"


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


def _drop(m: Mapped) -> Mapped:
    points = codes(m.text)
    fate = kinds()[points]
    if not (fate & (GONE | SWAPPED)).any():
        return m
    gone, other = (fate & GONE).astype(np.bool_), np.flatnonzero(fate & SWAPPED)
    for found in found_at(_KEPT, m.text, _may_stay(points, np.flatnonzero(gone))):
        gone[found.start() : found.end()] = False
    if len(other):
        points = points.copy()
        points[other] = swapped(points[other])
    return Mapped(decode(points[~gone]), m.starts[~gone], m.ends[~gone])


def _may_stay(points: NDArray[np.uint32], at: Offsets) -> Offsets:
    """Those of the places where ``_KEPT`` may begin: behind what is no letter, digit or sign of ASCII, except for keycaps."""
    at = at[1:] if len(at) and at[0] == 0 else at
    char, last = points[at], points[at - 1]
    keycap = (last == 0x23) | (last == 0x2A) | ((last >= 0x30) & (last <= 0x39))
    is_tag = (char >= 0xE0000) & (char < 0xE0100)
    stays: Offsets = at[np.where(is_tag, last == 0x1F3F4, (last >= 0x80) | keycap)]
    return stays


def _compose(m: Mapped) -> Mapped:
    """NFKC by clusters of a character and what can combine with it, except for characters that are pictures here."""
    points = codes(m.text)
    kind = kinds()[points]
    if not (kind & (ONE | MANY | JOINS)).any():
        return m
    joins = (kind & JOINS).astype(np.bool_)
    bare = np.flatnonzero((kind & ONE).astype(np.bool_) & ~after(joins))
    if len(bare):
        present = np.zeros(0x110000, dtype=np.bool_)
        present[points[joins]] = True
        points = points.copy()
        points[bare] = one(points[bare])
        kind[bare] = 0
        joins |= present[points]
        m = m.with_text(decode(points))
    many = (kind & MANY).astype(np.bool_) & ~after(joins)
    if not joins.any():
        return m.expand({c: plain(c) for c in set(decode(points[many]))}) if many.any() else m
    starts, ends, forms = _clusters(m.text, points, joins)
    singles = np.flatnonzero(many & ~joins)
    if not len(singles):
        return m.put(starts, ends, forms)
    order = np.argsort(np.append(starts, singles), kind="stable")
    forms += [plain(m.text[at]) for at in singles.tolist()]
    return m.put(np.append(starts, singles)[order], np.append(ends, singles + 1)[order], [forms[n] for n in order.tolist()])


def _clusters(text: str, points: NDArray[np.uint32], joins: Mask) -> tuple[Offsets, Offsets, list[str]]:
    """What to replace where characters join on to another: starts, ends and new forms. All of it goes through NFKC at once."""
    starts, ends = runs(joins)
    starts = np.maximum(starts - 1, 0)
    if _APART in text:
        clusters = [text[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
        forms = [plain(cluster) for cluster in clusters]
    else:
        inside = joins | after(joins)
        first = np.cumsum(inside)[starts] - 1
        together = decode(np.insert(points[inside], first[1:], ord(_APART)))
        formed = unicodedata.normalize("NFKC", together)
        if formed == together:
            return starts[:0], ends[:0], []
        clusters, forms = together.split(_APART), formed.split(_APART)
    changed = []
    for number, (cluster, form) in enumerate(zip(clusters, forms, strict=True)):
        if form != cluster:
            if is_special(cluster) or len(form) > LONGEST * len(cluster):
                forms[number] = form = plain(cluster)
            if form != cluster:
                changed.append(number)
    return starts[changed], ends[changed], [forms[number] for number in changed]


def _unpile(m: Mapped) -> Mapped:
    """Letters freed from more marks than any orthography puts on one, and from one that strikes through or encloses."""
    if not _MARKED.search(m.text):
        return m
    scan = Scan(m.text)
    marks, struck = scan.of(_MARK), scan.of(_STRUCK)
    starts, ends = runs(marks)
    piles = (starts > 0) & scan.of(_LETTER)[starts - 1] & ((ends - starts > 1) | struck[starts])
    first, last = starts[piles] - 1, ends[piles]
    points, kept = codes(m.text).copy(), np.ones(len(m.text), dtype=np.bool_)
    chars, which = np.unique(points[first], return_inverse=True)
    points[first] = np.array([ord(unicodedata.normalize("NFD", chr(char))[0]) for char in chars.tolist()], dtype=np.uint32)[which]
    kept[marks & spread(first, last, len(kept))] = False
    return m.resized(decode(points[kept]), first, last, np.ones(len(first), dtype=np.int64))
