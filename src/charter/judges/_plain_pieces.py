"""Word pieces of a short text in ASCII, put together from those of its words, which are remembered: the tokenizer cuts a text that it has mostly seen
before five times as slowly.

BERT's tokenizer makes words of letters and digits and of every sign by itself, and cuts each word without looking at its neighbours; so what it says
of each is what it says of the whole. Texts in which it might see more (marks of its own in brackets, control characters) are left to it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, overload

_PLAIN = re.compile(r"[\t\n\r -Z\\-~]*")
_WORD = re.compile(r"[A-Za-z0-9]+|[!-/:-@\[-`{-~]")
#: Words whose pieces are kept.
KEPT = 1 << 12
_Said = tuple[tuple[int, ...], tuple[tuple[int, int], ...]]


def fits(tokenizer: str) -> bool:
    """Whether a tokenizer, by its JSON, is one whose words can be cut one by one: BERT's, with no marks of its own but in brackets."""
    made = json.loads(tokenizer)
    kinds = [(made[part] or {}).get("type") for part in ("normalizer", "pre_tokenizer")]
    return kinds == ["BertNormalizer", "BertPreTokenizer"] and all("[" in mark["content"] for mark in made["added_tokens"])


class Places(Sequence[tuple[int, int]]):
    """Where each piece starts and ends, worked out when somebody asks: of a text that one window holds nobody does."""

    def __init__(self, text: str, word: Callable[[str], _Said]) -> None:
        self._text, self._word = text, word
        self._found: list[tuple[int, int]] | None = None

    def _all(self) -> list[tuple[int, int]]:
        if self._found is None:
            words = ((found.start(), self._word(found[0])[1]) for found in _WORD.finditer(self._text))
            self._found = [(start + first, start + last) for start, places in words for first, last in places]
        return self._found

    def __len__(self) -> int:
        return len(self._all())

    @overload
    def __getitem__(self, at: int) -> tuple[int, int]: ...
    @overload
    def __getitem__(self, at: slice) -> list[tuple[int, int]]: ...
    def __getitem__(self, at: int | slice) -> tuple[int, int] | list[tuple[int, int]]:
        return self._all()[at]


class PlainPieces:
    """``encode`` gives for a word what the tokenizer does."""

    def __init__(self, encode: Callable[[str], Any]) -> None:
        def word(text: str) -> _Said:
            found = encode(text)
            return tuple(found.ids), tuple(found.offsets)

        self._word = lru_cache(maxsize=KEPT)(word)

    def __call__(self, text: str) -> tuple[list[int], Places] | None:
        """Token ids and where each starts and ends; None for a text that only the tokenizer can cut."""
        if not text.isascii() or not _PLAIN.fullmatch(text):
            return None
        word = self._word
        return [number for found in _WORD.findall(text) for number in word(found)[0]], Places(text, word)

    def forget(self) -> None:
        self._word.cache_clear()
