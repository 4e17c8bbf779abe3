"""Texts written backwards or in ROT13: found by the words they turn into.

A word speaks for the change if it is none itself but becomes a common English one, and against it the other way round. The stretch of the text
that speaks most for it is found in one pass (maximum sum of adjacent terms, Bentley 1984).
"""

from __future__ import annotations

import re
from codecs import encode
from collections.abc import Callable

from charter.core.normalise.lexicon import is_word
from charter.core.normalise.mapped import Edit, Mapped

_WORD = re.compile(r"[A-Za-z]+")
#: Weight that a stretch must reach. A word of 3 or 4 letters weighs 1, of 5 or 6 letters 2, a longer one 3.
_ENOUGH = 3


def rot13(m: Mapped) -> Mapped | None:
    """``m`` with the stretch that is in ROT13 turned back, None if there is none."""
    stretch = _stretch(m.text, lambda word: encode(word, "rot13"))
    return m.replace([Edit(*stretch, encode(m.text[slice(*stretch)], "rot13"))]) if stretch else None


def backwards(m: Mapped) -> list[Mapped]:
    """``m`` with the backward stretch turned round as a whole, and with each of its words turned round; empty if there is none."""
    stretch = _stretch(m.text, lambda word: word[::-1])
    if stretch is None:
        return []
    start, end = stretch
    words = m.with_text(m.text[:start] + _WORD.sub(lambda found: found[0][::-1], m.text[start:end]) + m.text[end:])
    return [m.flip([(start, end)]), words]


def _stretch(text: str, turn: Callable[[str], str]) -> tuple[int, int] | None:
    """Start and end of the words that speak most for ``turn``, None if they do not say enough."""
    words = _WORD.findall(text)
    weights = {word: weight for word in set(words) if (weight := _weight(word, turn))}
    if not any(weight > 0 for weight in weights.values()):
        return None
    best, best_span, total, start = 0, (0, 0), 0, 0
    for found in _WORD.finditer(text):
        if total <= 0:
            total, start = 0, found.start()
        total += weights.get(found[0], 0)
        if total > best:
            best, best_span = total, (start, found.end())
    return best_span if best >= _ENOUGH else None


def _weight(word: str, turn: Callable[[str], str]) -> int:
    if len(word) < 3:
        return 0
    now, then = is_word(word), is_word(turn(word))
    return 0 if now == then else (1 if then else -1) * min(3, (len(word) - 1) // 2)
