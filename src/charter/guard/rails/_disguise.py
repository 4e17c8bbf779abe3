"""The forms in which a text is read: as it stands and, where the normaliser is there, with its disguises undone. The riskiest form counts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from charter.core.normalise.fold import seen
from charter.guard._shared import once

try:
    from charter.core.normalise import views  # type: ignore[import-not-found,unused-ignore]
except ImportError:  # an installation without the normaliser reads texts as they stand
    views = None  # type: ignore[assignment,unused-ignore]


class Form(NamedTuple):
    """One form; ``span`` maps a stretch of it to the original."""

    text: str
    span: Callable[[int, int], tuple[int, int]]


def forms(text: str) -> list[Form]:
    """The original first; a clean text has no other. The rails of one check work them out once."""
    return once(("forms", text), lambda: _forms(text))


def _forms(text: str) -> list[Form]:
    if views is None:
        return [Form(text, lambda start, end: (start, end))]
    return [Form(view.text, view.span) for view in views(text)]


def all_forms(texts: Iterable[str]) -> list[str]:
    """Every form of every text, no two alike; forms without a letter or digit are left out, unless there are no
    others that a reader sees."""
    found = [form.text for text in texts for form in forms(text)]
    worded = [text for text in found if any(letter.isalnum() for letter in text)]
    return list(dict.fromkeys(worded or filter(seen, found)))
