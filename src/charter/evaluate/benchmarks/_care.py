"""The rows that no benchmark holds: anything sexual about minors is dropped and counted (``data.care``)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from charter.core.rows import Example
from charter.data.care import REASON, must_drop, said


def careful(examples: Iterable[Example], dropped: Counter[str]) -> list[Example]:
    """The examples that may be held, by everything they say: conversation, target and labels. ``dropped`` is emptied and filled anew."""
    dropped.clear()
    kept = []
    for example in examples:
        if must_drop(said(example.conversation, example.target, *example.labels.values())):
            dropped[REASON] += 1
        else:
            kept.append(example)
    return kept
