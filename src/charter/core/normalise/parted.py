"""Words with signs or emoji between them instead of blanks ("how·do·I"): found for the whole text at once, and given blanks.

Paths, identifiers, tables and hyphenated words look alike, so it takes English words, and many of them, or small ones ("do", "the") among them, or
a sign that nobody types between words, or a text that consists of little else.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from charter.core.normalise.lexicon import ranks
from charter.core.normalise.mapped import Mapped, Offsets
from charter.core.normalise.scan import Mask, Scan, after, before, runs, spread
from charter.core.normalise.word import LOOKS, looks

#: Words of a row; of one with mixed or common signs, which then needs so many small words; and the share of them that is English.
_LEAST, _MANY, _SMALL_ONES, _ENGLISH = 4, 6, 2, 0.75
#: Share of the words of a text from which its rows are most of it, if they have no more kinds of signs: code has more.
_MOST, _KINDS = 0.5, 4
#: Characters between two words at most.
_LONGEST = 16
#: Before a blank these end a phrase: a reader and a model take them for what they are.
_ENDING = r",.;:!?…)\]}\"”»"
_APOSTROPHES, _CONTRACTED = ("'", "’"), frozenset("t s re ve ll d m".split())
#: Between words of code, with other signs.
_OF_CODE = frozenset("()[]{}<>=\"'`")
_TYPED = frozenset("–—…’‘“”„«»‐‑")
_SMALL = frozenset(
    "the a an of to in on at for with and or but is are was be been do does did how what where when why who which can could should would will i me my"
    " you your we us our it its this that these those he she they him her them his their not no all any from by as if so into without about up out"
    " than then there have has had".split()
)


class _Words(NamedTuple):
    """Places of the words of a text, and whether only signs stand between one and the next."""

    starts: Offsets
    ends: Offsets
    linked: Mask


def part(m: Mapped) -> Mapped | None:
    """``m`` with a blank for the signs between words, None where there are no such words. Doing it again finds nothing. Linear in the text."""
    words = _words(m.text)
    rows = _rows(words.linked)
    if not len(rows[0]):
        return None
    inside = np.flatnonzero(spread(rows[0], rows[1] + 1, len(words.starts) + 1))
    said = [m.text[start:end].lower() for start, end in zip(words.starts[inside].tolist(), words.ends[inside].tolist(), strict=True)]
    known, small = np.zeros((2, len(words.starts)), dtype=np.bool_)
    english = {word: _is_english(word) for word in set(said)}
    known[inside], small[inside] = [english[word] for word in said], [word in _SMALL for word in said]
    known[[n for n, word in zip(inside.tolist(), said, strict=True) if word in _CONTRACTED and m.text[words.starts[n] - 1] in _APOSTROPHES]] = True
    kept = known | (before(known) & after(known))
    first, last = _rows(words.linked & kept[:-1] & kept[1:])
    gaps = _read(m.text, words, known, small, first, last)
    if not gaps:
        return None
    at = np.array(gaps, dtype=np.int64)
    return m.put(words.ends[at], words.starts[at + 1], [" "] * len(gaps))


def _words(text: str) -> _Words:
    scan = Scan(text)
    word = scan.of(r"^\W_")
    starts, ends = runs(word)
    if len(starts) < _LEAST:
        return _Words(starts, ends, np.zeros(max(0, len(starts) - 1), dtype=np.bool_))
    blank = scan.of(r"\s")
    breaks, signs = (np.append(0, np.cumsum(mask, dtype=np.int64)) for mask in (scan.of(r"\n\r\x0b\x0c\x85\u2028\u2029"), ~word & ~blank))
    ending = scan.of(_ENDING) & after(blank)
    opens, closes = ends[:-1], starts[1:]
    linked = (signs[closes] > signs[opens]) & (breaks[closes] == breaks[opens]) & (closes - opens <= _LONGEST) & ~ending[opens]
    return _Words(starts, ends, linked)


def _rows(linked: Mask) -> tuple[Offsets, Offsets]:
    """Numbers of the first and last words of rows that are long enough."""
    first, last = runs(linked)
    some = last - first >= _LEAST - 1
    return first[some], last[some]


def _is_english(word: str) -> bool:
    return word in ranks() if word.isalpha() else not word.isdigit() and word.translate(LOOKS) in looks()


def _read(text: str, words: _Words, known: Mask, small: Mask, first: Offsets, last: Offsets) -> list[int]:
    """Numbers of the gaps that become blanks."""
    rows = [
        {n: text[words.ends[n] : words.starts[n + 1]].strip() for n in range(start, end)}
        for start, end in zip(first.tolist(), last.tolist(), strict=True)
    ]
    every = {sign for row in rows for sign in row.values()}
    is_most = int((last - first + 1).sum()) >= _MOST * len(words.starts) and len(every) <= _KINDS
    found: list[int] = []
    for gaps in rows:
        start, end = min(gaps), max(gaps) + 1
        signs = {n: sign for n, sign in gaps.items() if sign not in _APOSTROPHES or text[words.starts[n + 1] : words.ends[n + 1]] not in _CONTRACTED}
        count, kinds = len(signs) + 1, set(signs.values())
        if int(known[start : end + 1].sum()) < _ENGLISH * (end + 1 - start) or count < _LEAST:
            continue
        is_odd = len(kinds) == 1 and all(not char.isascii() and char not in _TYPED for char in next(iter(kinds)))
        is_code = text[words.ends[end] : words.ends[end] + 1] == "(" or (len(kinds) > 1 and not _OF_CODE.isdisjoint("".join(kinds)))
        if is_odd or is_most or (count >= _MANY and int(small[start : end + 1].sum()) >= _SMALL_ONES and not is_code):
            found += signs
    return found
