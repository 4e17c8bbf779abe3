"""Common English words, for telling a word in disguise from a chance likeness. Written by ``tools/make_lexicon.py``."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path


@cache
def ranks() -> dict[str, int]:
    """Word to rank, 1 for the most frequent."""
    lines = Path(__file__).with_name("lexicon.txt").read_text(encoding="ascii").split()
    return {word: rank for rank, word in enumerate(lines, start=1)}


def rank(text: str) -> float:
    """Rank of a word, infinite for what is none."""
    return ranks().get(text.lower(), math.inf)


def is_word(text: str) -> bool:
    return text.lower() in ranks()


@cache
def gapped(length: int, start: int, count: int) -> dict[str, list[str]]:
    """Words of a length by what is left of them when ``count`` letters from ``start`` become stars."""
    table: dict[str, list[str]] = {}
    for word in _by_length().get(length, ()):
        table.setdefault(word[:start] + "*" * count + word[start + count :], []).append(word)
    return table


@cache
def _by_length() -> dict[int, list[str]]:
    table: dict[int, list[str]] = {}
    for word in ranks():
        table.setdefault(len(word), []).append(word)
    return table
