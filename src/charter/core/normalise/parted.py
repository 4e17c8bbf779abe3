"""Words with signs or emoji between them instead of blanks ("how·do·I"): found for the whole text at once, and given blanks.

Paths, identifiers, tables and hyphenated words look alike, so it takes English words, and many of them, or small ones ("do", "the") among them, or
a sign that nobody types between words, or a text that consists of little else.
"""

from __future__ import annotations

import itertools
import re
import string
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from charter.core.normalise.lexicon import ranks
from charter.core.normalise.lookup import Folding, Known, lowered
from charter.core.normalise.mapped import Mapped, Offsets
from charter.core.normalise.scan import LONG, Mask, Scan, after, before, runs, spread
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


#: Where there is a row of words there is also this, which is told sooner of a short text; not the other way round.
_MAY = re.compile(rf"(?<![^\W_])[^\W_]++(?:(?![{_ENDING}]\s)\s*+(?:[^\w\s]|_)[\W_]*+[^\W_]++){{{_LEAST - 1}}}")
#: Words from which they are looked up at once; letters of the short ones, of which all are in a table, and what it says.
MANY, _SHORT, _LETTERS = 64, 2, string.ascii_lowercase + string.digits
_IS_ENGLISH, _IS_SMALL, _IS_CONTRACTED = 1, 2, 4


class _Words(NamedTuple):
    """Places of the words of a text, and whether only signs stand between one and the next."""

    starts: Offsets
    ends: Offsets
    linked: Mask


def part(m: Mapped) -> Mapped | None:
    """``m`` with a blank for the signs between words, None where there are no such words. Doing it again finds nothing. Linear in the text."""
    if len(m.text) < LONG and not _MAY.search(m.text):
        return None
    words = _words(m.text)
    rows = _rows(words.linked)
    if not len(rows[0]):
        return None
    inside = np.flatnonzero(spread(rows[0], rows[1] + 1, len(words.starts) + 1))
    known, small = _at_once(m.text, words, inside) if len(inside) >= MANY else _one_by_one(m.text, words, inside)
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


def _one_by_one(text: str, words: _Words, inside: Offsets) -> tuple[Mask, Mask]:
    """Which words are English, or the end of a contraction, and which small ones; of those with the numbers ``inside``."""
    said = [text[start:end].lower() for start, end in zip(words.starts[inside].tolist(), words.ends[inside].tolist(), strict=True)]
    known, small = np.zeros((2, len(words.starts)), dtype=np.bool_)
    english = {word: _is_english(word) for word in set(said)}
    known[inside], small[inside] = [english[word] for word in said], [word in _SMALL for word in said]
    known[[n for n, word in zip(inside.tolist(), said, strict=True) if word in _CONTRACTED and text[words.starts[n] - 1] in _APOSTROPHES]] = True
    return known, small


def _at_once(text: str, words: _Words, inside: Offsets) -> tuple[Mask, Mask]:
    """The same for many: those of one or two letters by a table, of the others only those that look like a word."""
    known, small = np.zeros((2, len(words.starts)), dtype=np.bool_)
    points = Scan(text).points
    letters = _folded()[0](points)
    starts, ends = words.starts[inside], words.ends[inside]
    is_short = ends - starts <= _SHORT
    short, first = inside[is_short], starts[is_short]
    traits = _short()[letters[first], np.where(ends[is_short] - first == _SHORT, letters[ends[is_short] - 1], 0)]
    apostrophe = np.isin(points[first - 1], [ord(sign) for sign in _APOSTROPHES])
    known[short] = (traits & _IS_ENGLISH > 0) | ((traits & _IS_CONTRACTED > 0) & apostrophe)
    small[short] = traits & _IS_SMALL > 0
    long = inside[~is_short]
    long = long[_shapes().may(_folded()[1](points), words.starts[long], words.ends[long])]
    if len(long):
        some, few = _one_by_one(text, words, long)
        known[long], small[long] = some[long], few[long]
    return known, small


@cache
def _folded() -> tuple[Folding, Folding]:
    """Letters in lower case, and those with digits for letters too."""
    return lowered(), Folding(LOOKS)


@cache
def _shapes() -> Known:
    """Of English and small words."""
    return Known({*looks(), *(word.translate(LOOKS) for word in _SMALL)})


@cache
def _short() -> NDArray[np.uint8]:
    """What is said of every word of one letter or two, by its letters; 0 for the second one of a single letter."""
    table = np.zeros((128, 128), dtype=np.uint8)
    for word in map("".join, itertools.chain.from_iterable(itertools.product(_LETTERS, repeat=size) for size in range(1, _SHORT + 1))):
        of_word = _IS_ENGLISH * _is_english(word) | _IS_SMALL * (word in _SMALL) | _IS_CONTRACTED * (word in _CONTRACTED)
        table[ord(word[0]), ord(word[1]) if len(word) > 1 else 0] = of_word
    return table


def _is_english(word: str) -> bool:
    return word in ranks() if word.isalpha() else not word.isdigit() and word.translate(LOOKS) in looks()


def _read(text: str, words: _Words, known: Mask, small: Mask, first: Offsets, last: Offsets) -> list[int]:
    """Numbers of the gaps that become blanks."""
    so_far, so_small = (np.append(0, np.cumsum(mask, dtype=np.int64)) for mask in (known, small))
    enough = so_far[last + 1] - so_far[first] >= _ENGLISH * (last + 1 - first)
    if not enough.any():
        return []
    is_most = _is_most(text, words, first, last)
    found: list[int] = []
    for start, end in zip(first[enough].tolist(), last[enough].tolist(), strict=True):
        gaps = _gaps(text, words, start, end)
        signs = {n: sign for n, sign in gaps.items() if sign not in _APOSTROPHES or text[words.starts[n + 1] : words.ends[n + 1]] not in _CONTRACTED}
        count, kinds = len(signs) + 1, set(signs.values())
        if count < _LEAST:
            continue
        is_odd = len(kinds) == 1 and all(not char.isascii() and char not in _TYPED for char in next(iter(kinds)))
        is_code = text[words.ends[end] : words.ends[end] + 1] == "(" or (len(kinds) > 1 and not _OF_CODE.isdisjoint("".join(kinds)))
        if is_odd or is_most or (count >= _MANY and int(so_small[end + 1] - so_small[start]) >= _SMALL_ONES and not is_code):
            found += signs
    return found


def _gaps(text: str, words: _Words, start: int, end: int) -> dict[int, str]:
    """The signs between the words of a row, by the number of the word before them."""
    opens, closes = words.ends[start:end].tolist(), words.starts[start + 1 : end + 1].tolist()
    return {n: text[one:other].strip() for n, one, other in zip(range(start, end), opens, closes, strict=True)}


def _is_most(text: str, words: _Words, first: Offsets, last: Offsets) -> bool:
    """Whether a text consists of little else than its rows, which then have few kinds of signs."""
    if int((last - first + 1).sum()) < _MOST * len(words.starts):
        return False
    kinds: set[str] = set()
    for start, end in zip(first.tolist(), last.tolist(), strict=True):
        kinds.update(_gaps(text, words, start, end).values())
        if len(kinds) > _KINDS:
            return False
    return True
