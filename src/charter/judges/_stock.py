"""Stock phrases of jailbreaks, injections and toxic language: written signs beside what the encoder learned, and the floor where there is no encoder.

``stock_phrases.yaml`` has, for each head, patterns with a weight: how sure one alone makes. Several add up as independent signs do:
1 - (1 - w)(1 - w')… They know what everybody copies; they are no defence against someone who tries.
"""

from __future__ import annotations

import re
import zlib
from functools import cache
from pathlib import Path
from typing import NamedTuple

from charter.core.config import read_yaml
from charter.core.normalise.fold import fold

_FILE = Path(__file__).with_name("stock_phrases.yaml")
#: Characters of one text that are read at a time; neighbours overlap so that nothing hides on a border.
WINDOW, OVERLAP = 20_000, 500


class Sign(NamedTuple):
    """``why`` is shown; the pattern is searched in folded text: lower case, plain letters, single spaces."""

    why: str
    weight: float
    pattern: re.Pattern[str]


@cache
def signs() -> dict[str, tuple[Sign, ...]]:
    """Head to its signs."""
    data = read_yaml(_FILE).data
    return {head: tuple(Sign(why, float(w), re.compile(pattern)) for why, w, pattern in rows) for head, rows in data.items()}


@cache
def version() -> str:
    return f"1.{zlib.crc32(_FILE.read_bytes()):08x}"


def score(head: str, plain: str) -> tuple[float, list[str]]:
    """Score (0 to 1) of a folded text and the signs found, strongest first."""
    pieces = [plain[at : at + WINDOW] for at in range(0, max(1, len(plain)), WINDOW - OVERLAP)]
    found = {sign.why: sign.weight for sign in signs()[head] if any(sign.pattern.search(piece) for piece in pieces)}
    left = 1.0
    for weight in found.values():
        left *= 1.0 - weight
    return round(1.0 - left, 6), sorted(found, key=lambda why: -found[why])


def scores(heads: tuple[str, ...], text: str) -> dict[str, float]:
    """Scores of a text as it was written."""
    plain = fold(text).text
    return {head: score(head, plain)[0] if plain.strip() else 0.0 for head in heads}
