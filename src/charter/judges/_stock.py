"""Stock phrases of jailbreaks, injections and toxic language: written signs beside what the encoder learned, and the floor where there is no encoder.

``stock_phrases.yaml`` has, for each head, patterns with a weight: how sure one alone makes. Several add up as independent signs do:
1 - (1 - w)(1 - w')… They know what everybody copies; they are no defence against someone who tries.
"""

from __future__ import annotations

import re
import zlib
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from charter.core.config import read_yaml
from charter.core.normalise.fold import fold

_FILE = Path(__file__).with_name("stock_phrases.yaml")
#: Characters of one text that are read at a time; neighbours overlap so that nothing hides on a border.
WINDOW, OVERLAP = 20_000, 500
#: Of a pattern: escaped characters, classes, and what gives it its shape; what stands behind a piece that may be lacking.
_SIGNS, _MAY_LACK = re.compile(r"\\.|\[\^?.(?:\\.|[^\]\\])*\]|([()|])"), ("?", "*", "{")


class Sign(NamedTuple):
    """``why`` is shown; the pattern is searched in folded text: lower case, plain letters, single spaces. ``one_of``: where the pattern is found, one
    of these stands too; they are looked for first, which takes a twentieth of the time. Empty: anything may stand there."""

    why: str
    weight: float
    pattern: re.Pattern[str]
    one_of: tuple[str, ...] = ()

    def found(self, piece: str) -> bool:
        if self.one_of and not any(word in piece for word in self.one_of):
            return False
        return self.pattern.search(piece) is not None


@cache
def signs() -> dict[str, tuple[Sign, ...]]:
    """Head to its signs."""
    data = read_yaml(_FILE).data
    return {head: tuple(Sign(why, float(w), re.compile(pattern), beginnings(pattern)) for why, w, pattern in rows) for head, rows in data.items()}


@cache
def version() -> str:
    return f"1.{zlib.crc32(_FILE.read_bytes()):08x}"


def score(head: str, plain: str) -> tuple[float, list[str]]:
    """Score (0 to 1) of a folded text and the signs found, strongest first."""
    pieces = [plain[at : at + WINDOW] for at in range(0, max(1, len(plain)), WINDOW - OVERLAP)]
    found = {sign.why: sign.weight for sign in signs()[head] if any(sign.found(piece) for piece in pieces)}
    left = 1.0
    for weight in found.values():
        left *= 1.0 - weight
    return round(1.0 - left, 6), sorted(found, key=lambda why: -found[why])


def beginnings(pattern: str) -> tuple[str, ...]:
    """The letters that the alternatives of a pattern's first group begin with, where that group is the first thing that has to be there; () where it
    is not, or where one begins with anything else."""
    opened = re.match(r"(?:\\b)?(?=\()", pattern)
    if opened is None:
        return ()
    depth, end, cuts = 0, 0, [opened.end()]
    for found in _SIGNS.finditer(pattern, opened.end()):
        sign = found[1]
        depth += {"(": 1, ")": -1}.get(sign, 0)
        if sign == "|" and depth == 0:
            return ()  # the whole pattern is one of several
        if not end and ((sign == "|" and depth == 1) or (sign == ")" and depth == 0)):
            cuts.append(found.start())
            end = found.start() * (depth == 0)
    words = [_letters(pattern[first + 1 : last]) for first, last in pairwise(cuts)]
    return tuple(words) if all(words) and pattern[end + 1 : end + 2] not in _MAY_LACK else ()


def _letters(alternative: str) -> str:
    """What an alternative must begin with; "" for less than two letters."""
    found = re.match(r"[a-z' -]*", alternative)
    sure = found[0] if found else ""
    sure = sure[:-1] if alternative[len(sure) : len(sure) + 1] in _MAY_LACK else sure
    return sure if len(sure) > 1 else ""


def scores(heads: tuple[str, ...], text: str) -> dict[str, float]:
    """Scores of a text as it was written."""
    plain = fold(text).text
    return {head: score(head, plain)[0] if plain.strip() else 0.0 for head in heads}
