"""Put strangers' text into a prompt so that it cannot pose as the prompt."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

_PLACE = re.compile(r"\{(\w+)\}")


def fill(template: str, values: Mapping[str, str]) -> str:
    """Replace each ``{name}`` of ``template`` by its value in a single pass: braces inside a value are text, never a placeholder.

    Raises KeyError for a placeholder without a value.
    """
    return _PLACE.sub(lambda match: values[match[1]], template)


def mark_for(*texts: str) -> str:
    """A code that occurs in none of ``texts``, so that none of them can close its own quotation. Same texts, same code."""
    for attempt in range(1000):
        content = "\x1f".join([str(attempt), *texts]).encode("utf-8", "surrogatepass")
        mark = hashlib.sha256(content).hexdigest()[:12]
        if not any(mark in text for text in texts):
            return mark
    raise ValueError("no code is free of the judged texts")


def transcript(roles_and_texts: list[tuple[str, str]]) -> str:
    """A conversation as plain text, one turn a paragraph, each line indented: no line of a turn can look like a role or a marker."""
    turns = []
    for role, text in roles_and_texts:
        turns.append(f"{role}:\n{quoted(text)}")
    return "\n".join(turns)


def quoted(text: str) -> str:
    """Every line indented by ``| ``; all line breaks, also the exotic ones, count."""
    return "\n".join(f"| {line}" for line in text.splitlines()) or "| "
