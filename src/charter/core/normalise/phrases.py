"""Words of letters with blanks between them, three or more in a row: found in a long text for the whole text at once."""

from __future__ import annotations

import numpy as np

from charter.core.normalise.mapped import Offsets
from charter.core.normalise.scan import Scan, before, runs

#: What may not stand before a phrase, and what not behind one of its words.
NOT_BEFORE, NOT_BEHIND = r"\w'’%\\", r"\w'’"
BLANKS = r" \t"
#: Blanks between two words at most; words of a phrase at least.
GAP, WORDS = 3, 3


def phrases(text: str) -> tuple[Offsets, Offsets]:
    """Starts and ends of what ``spacing.py`` finds by a regular expression."""
    scan = Scan(text)
    starts, ends = runs(scan.of("A-Za-z"))
    if not len(starts):
        return starts, ends
    blank = np.append(scan.of(BLANKS), [False] * GAP)
    whole = ~np.append(scan.of(NOT_BEHIND), False)[ends]
    gaps = starts[1:] - ends[:-1]
    linked = whole[:-1] & whole[1:] & (gaps <= GAP)
    for place in range(GAP):
        linked &= blank[ends[:-1] + place] | (gaps <= place)
    first = np.flatnonzero(~np.append(False, linked))
    last = np.append(first[1:], len(starts)) - 1
    first = first + before(scan.of(NOT_BEFORE))[starts[first]]  # behind a sign the word after it begins the phrase
    some = last - first >= WORDS - 1
    return starts[first[some]], ends[last[some]]
