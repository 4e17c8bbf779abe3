"""How a text, or a request and its reply, is laid before the encoder: windows of one length that overlap, so that no tail is hidden.

Pure functions over token ids, used by the trainer and by the judge alike. A window is ``[CLS] text [SEP]`` (segment 0),
``[CLS] request [SEP] piece of the reply [SEP]`` or ``[CLS] piece of the operator's instructions [SEP] piece of the text [SEP]`` (segments 0 and 1).
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

#: Tokens of a window, the special ones included; tokens that two neighbouring windows share.
LENGTH = 128
OVERLAP = 24
#: Tokens of the request kept beside a reply: its beginning and its end.
REQUEST_HEAD = 24
REQUEST_TAIL = 16
#: Tokens of the operator's instructions kept beside a text: more where the text leaves room.
OPERATOR = 64
#: A word piece model reads a longer run of letters (over 100) as one unknown word: an evasion. Longer runs are cut.
LONGEST_WORD = 90
#: Letters that one character may become (a test looks at all).
_MOST = 3


class Window(NamedTuple):
    """Token ids and segments of equal length; ``start`` and ``end`` are the tokens of the judged text that it holds."""

    ids: list[int]
    segments: list[int]
    start: int
    end: int


def pieces(count: int, room: int, overlap: int = OVERLAP) -> list[tuple[int, int]]:
    """(start, end) of the windows over ``count`` tokens: as few as there can be, about equally long, at most ``room`` each. No tokens: one empty
    window.

    Raises ValueError unless room > overlap >= 0.
    """
    if not room > overlap >= 0:
        raise ValueError(f"a window of {room} tokens cannot overlap by {overlap}")
    if count <= room:
        return [(0, count)]
    number = -(-(count - overlap) // (room - overlap))
    new = count - overlap  # the first window's tokens are counted without the overlap, like the others'
    marks = [new * n // number for n in range(number + 1)]
    return [(start, end + overlap) for start, end in pairwise(marks)]


def shorten(request: Sequence[int]) -> list[int]:
    """The beginning and the end of a long request."""
    if len(request) <= REQUEST_HEAD + REQUEST_TAIL:
        return list(request)
    return [*request[:REQUEST_HEAD], *request[len(request) - REQUEST_TAIL :]]


def text_windows(ids: Sequence[int], cls: int, sep: int, length: int = LENGTH) -> list[Window]:
    """Windows over one text."""
    spans = pieces(len(ids), length - 2, min(OVERLAP, length // 4))
    return [Window([cls, *ids[a:b], sep], [0] * (b - a + 2), a, b) for a, b in spans]


def reply_windows(request: Sequence[int], reply: Sequence[int], cls: int, sep: int, length: int = LENGTH) -> list[Window]:
    """Windows over the reply, each with the shortened request before it."""
    asked = shorten(request)
    if len(asked) > length // 2 - 3:
        asked = asked[: length // 2 - 3]
    head = [cls, *asked, sep]
    spans = pieces(len(reply), length - len(head) - 1, min(OVERLAP, length // 8))
    return [Window([*head, *reply[a:b], sep], [0] * len(head) + [1] * (b - a + 1), a, b) for a, b in spans]


def operator_windows(operator: Sequence[int], text: Sequence[int], cls: int, sep: int, length: int = LENGTH) -> list[Window]:
    """Windows over the text, each with the operator's instructions before it; of long instructions the two pieces of ``operator_pieces`` in turn."""
    overlap = length // 8
    room = min(length - 4 - overlap, max(min(OPERATOR, length // 2), length - 3 - len(text)))
    found = []
    for first, last in operator_pieces(operator, text, room):
        head = [cls, *operator[first:last], sep]
        spans = pieces(len(text), length - len(head) - 1, overlap)
        found += [Window([*head, *text[a:b], sep], [0] * len(head) + [1] * (b - a + 1), a, b) for a, b in spans]
    return found


def operator_pieces(operator: Sequence[int], text: Sequence[int], room: int) -> list[tuple[int, int]]:
    """(start, end) of what is read of instructions of more than ``room`` tokens: the beginning, and the later piece that shares most with the text
    (tokens that stand in few of the pieces count more). What else they say is not read."""
    spans = pieces(len(operator), room, min(OVERLAP, room // 8))
    if len(spans) == 1:
        return spans
    kinds = [set(operator[a:b]) for a, b in spans]
    rarity = {token: 1.0 / sum(token in kind for kind in kinds) for token in set(text) if any(token in kind for kind in kinds)}
    shared = [sum(weight for token, weight in rarity.items() if token in kind) for kind in kinds]
    best = max(range(1, len(spans)), key=lambda n: shared[n])
    return [spans[0], spans[best]]


class Cut(NamedTuple):
    """A text without runs of more than ``LONGEST_WORD`` letters (``_letters``): ``cuts`` are the positions (in the original) before which a
    space was put."""

    text: str
    cuts: list[int]

    def original(self, position: int) -> int:
        """Position in the original text of a position in ``text``."""
        return self.originals([(position, position)])[0][0]

    def originals(self, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """Spans of the original text of spans of ``text``."""
        marks = [cut + n for n, cut in enumerate(self.cuts)]  # where each space stands in ``text``
        return [(a - bisect_right(marks, a - 1), b - bisect_right(marks, b - 1)) for a, b in spans]


def cut_long_words(text: str) -> Cut:
    """Put a space into every run of more than ``LONGEST_WORD`` letters without one, as the tokenizer counts them (``_letters``)."""
    cuts, run = [], 0
    if not any(len(word) > LONGEST_WORD or (len(word) > LONGEST_WORD // _MOST and _long(word)) for word in text.split()):
        return Cut(text, [])
    for place, letter in enumerate(text):
        count = 1 if letter.isascii() else _letters(letter)
        run = 0 if letter.isspace() else run + count
        if run > LONGEST_WORD:
            cuts.append(place)
            run = count
    if not cuts:
        return Cut(text, [])
    parts = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    return Cut(" ".join(parts), cuts)


def _long(word: str) -> bool:
    return not word.isascii() and len(unicodedata.normalize("NFD", word)) > LONGEST_WORD and sum(map(_letters, word)) > LONGEST_WORD


@lru_cache(maxsize=1 << 14)
def _letters(letter: str) -> int:
    """What the tokenizer makes of one: it takes letters apart (NFD), a syllable of Hangul into two or three, and drops the marks; at least one."""
    return max(1, sum(unicodedata.category(part) != "Mn" for part in unicodedata.normalize("NFD", letter)))
