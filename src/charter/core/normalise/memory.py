"""What was read in one form of a text, so that its other forms, which have most words in common with it, need not be read from the beginning."""

from __future__ import annotations

from collections.abc import Callable


class Memory:
    """Lives as long as one text is read. What a word or a phrase says must depend on nothing but itself to be kept here; None is nothing."""

    def __init__(self) -> None:
        #: Words in disguise: which were looked at, what they say beyond doubt, and what they say also where the words around them are in disguise.
        self.words: set[str] = set()
        self.plain: dict[str, str] = {}
        self.bold: dict[str, str] = {}
        self.phrases: dict[str, str | None] = {}
        self.rows: dict[str, str | None] = {}
        self.runs: dict[str, str | None] = {}


def told(known: dict[str, str | None], read: Callable[[str], str | None], text: str) -> str | None:
    """What ``read`` says of ``text``, which it is asked once."""
    if text not in known:
        known[text] = read(text)
    return known[text]
