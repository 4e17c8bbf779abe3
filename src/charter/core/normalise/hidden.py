"""Text that a reader does not see but a model reads, and text that a reader sees in another order than a model.

Tag characters spell ASCII (ASCII smuggling); runs of variation selectors carry bytes, usually behind an emoji; right-to-left override shows a
text in reverse. Each such passage is made visible where it stands.
"""

from __future__ import annotations

import re

from charter.core.normalise.mapped import Mapped, codes
from charter.core.normalise.passages import NONE, Found, found_in_order

_TAGS = re.compile(
    "(?<![\U0001f3f4\U000e0020-\U000e007f])[\U000e0020-\U000e007e]{3,}\U000e007f?|(?<=\U0001f3f4)[\U000e0020-\U000e007e]{7,}\U000e007f?"
)
_SELECTORS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]{4,}")
_OVERRIDE = re.compile("\u202e([^\u202c-\u202e\u2066-\u2069\n]{3,})[\u202c\u2069]?")


def passages(text: str) -> Found:
    """Hidden passages and what they say, with the name of the trick; reversed ones are not among them."""
    if text.isascii():
        return NONE
    points, places, said, names = codes(text), list[tuple[int, int]](), list[str](), list[str]()
    if ((points >= 0xE0000) | ((points >= 0xFE00) & (points <= 0xFE0F))).any():
        for pattern, read, name in ((_TAGS, _tags, "tags"), (_SELECTORS, _bytes, "selectors")):
            for found in pattern.finditer(text):
                if what := read(found[0]):
                    places.append(found.span())
                    said.append(f" {what} ")
                    names.append(name)
    return found_in_order(places, said, names)


def _tags(tags: str) -> str:
    return "".join(chr(ord(c) - 0xE0000) for c in tags if c != chr(0xE007F))


def _bytes(selectors: str) -> str:
    raw = bytes(ord(c) - 0xFE00 if c <= "\ufe0f" else ord(c) - 0xE0100 + 16 for c in selectors)
    said = raw.decode("utf-8", "ignore")
    return said if len(said) > 2 and sum(c.isprintable() or c in "\n\t" for c in said) > 0.9 * len(said) else ""


def overrides(m: Mapped) -> tuple[Mapped, list[tuple[int, int]]]:
    """``m`` with overridden passages in the order in which they are seen, and where they stand in ``m``."""
    spans = [found.span(1) for found in _OVERRIDE.finditer(m.text)] if "\u202e" in m.text else []
    return m.flip(spans), spans
