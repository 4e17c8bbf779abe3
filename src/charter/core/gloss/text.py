"""A text as sentences of words, each word in one script."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from charter.core.gloss.lists import INVISIBLE, folded

#: Scripts, and their letters with the marks that belong to them. Letters of other scripts are in no list, and no words here.
SCRIPTS = {
    "chinese": "\u3005\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f",
    "korean": "\u1100-\u11ff\u3131-\u318e\uac00-\ud7a3",
    "thai": "\u0e01-\u0e4e",
    "hindi": "\u0900-\u0963\u0966-\u097f",
    "arabic": "\u0610-\u061a\u0620-\u0669\u066e-\u06d3\u06d5-\u06ff\u0750-\u077f\ufb50-\ufdff\ufe70-\ufefc",
    "cyrillic": "\u0400-\u052f",
    "latin": "0-9A-Za-z\u00aa\u00b5\u00ba\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02af\u0370-\u03ff\u1e00-\u1fff\uff10-\uff19\uff21-\uff3a\uff41-\uff5a",
}
_MARKS = "\u0300-\u036f\u3099\u309a"
_WORD = re.compile("|".join(f"(?P<{name}>[{letters}][{letters}{_MARKS}{INVISIBLE}]*)" for name, letters in SCRIPTS.items()))
OTHER = re.compile("[{}]".format("".join(letters for name, letters in SCRIPTS.items() if name != "latin")))
KANA = re.compile("[\u3041-\u30fa\uff66-\uff9d]")
#: Signs that end a sentence, and what English writes for them.
ENDS = {sign: sign for sign in ".!?;:…\n"} | {"。": ".", "！": "!", "？": "?", "؟": "?", "।": ".", "；": ";", "؛": ";"}
_SENTENCE = re.compile("[^{0}]*[{0}]+|[^{0}]+".format("".join(ENDS)))
_ADDRESS = re.compile(r"(?:https?://|www\.)\S+|\b[\w.-]{1,80}\.[a-z]{2,6}/\S*")


class Word(NamedTuple):
    """A word as ``folded``, the characters of the text that it is, and its script; '' for parts of an address on the web."""

    text: str
    start: int
    end: int
    script: str


class Sentence(NamedTuple):
    """Words, the sign that ends them ('' for none), and the place behind it."""

    words: list[Word]
    end: str
    stop: int


def sentences(text: str) -> Iterator[Sentence]:
    """The sentences of a text."""
    addresses = [found.span() for found in _ADDRESS.finditer(text)] if "/" in text or "www." in text else []
    for found in _SENTENCE.finditer(text):
        words = [
            Word(folded(word.group()), word.start(), word.end(), "" if _inside(word.start(), addresses) else word.lastgroup or "")
            for word in _WORD.finditer(text, found.start(), found.end())
        ]
        yield Sentence([word for word in words if word.text], ENDS.get(text[found.end() - 1], ""), found.end())


def _inside(place: int, spans: list[tuple[int, int]]) -> bool:
    while spans and spans[0][1] <= place:  # places only grow
        spans.pop(0)
    return bool(spans) and spans[0][0] <= place
