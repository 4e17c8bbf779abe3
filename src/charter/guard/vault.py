"""What was masked in one request, and the way back: one vault per request, never shared, never written down.

Placeholders look like ``<EMAIL_1>``; equal values of one kind share one. A placeholder that already stands in the text is not used, so restoring
gives back exactly what was masked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable


class Vault:
    """The values of one request, by placeholder."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        """``texts``: everything that is sent, so that no placeholder is one that stands there already."""
        self._taken = "\n".join(texts)
        self._values: dict[str, str] = {}
        self._placeholders: dict[tuple[str, str], str] = {}
        self._counts: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:  # values must not reach a log
        return f"Vault({len(self)} values)"

    def hide(self, kind: str, value: str) -> str:
        """The placeholder for ``value``: the same for the same value and kind."""
        found = self._placeholders.get((kind, value))
        if found is not None:
            return found
        while True:
            self._counts[kind] = self._counts.get(kind, 0) + 1
            placeholder = f"<{kind}_{self._counts[kind]}>"
            if placeholder not in self._taken:
                break
        self._placeholders[kind, value] = placeholder
        self._values[placeholder] = value
        return placeholder

    def restore(self, text: str, *, as_json: bool = False) -> str:
        """``text`` with every placeholder of this vault put back, in one pass. ``as_json``: the text is JSON source, so values are escaped."""
        if not self._values:
            return text
        return self._pattern().sub(lambda found: self._value(found[0], as_json), text)

    def restorer(self) -> Restorer:
        """``restore`` for a stream."""
        return Restorer(self)

    @property
    def longest(self) -> int:
        """Characters of the longest placeholder."""
        return max(map(len, self._values), default=0)

    def may_begin(self, tail: str) -> bool:
        """Whether ``tail`` is the beginning, but not the whole, of a placeholder of this vault."""
        return any(len(tail) < len(placeholder) and placeholder.startswith(tail) for placeholder in self._values)

    def begins(self, text: str) -> list[int]:
        """Lengths of the placeholders that ``text`` begins with."""
        return [len(placeholder) for placeholder in self._values if text.startswith(placeholder)]

    def find(self, text: str, start: int, end: int, *, as_json: bool = False) -> list[tuple[int, int, str]]:
        """The placeholders that touch ``text[start:end]``, from where to where, and the value of each."""
        first = max(0, start - self.longest)
        found = self._pattern().finditer(text, first, min(len(text), end + self.longest)) if self._values else ()
        return [(m.start(), m.end(), self._value(m[0], as_json)) for m in found if m.start() < end and m.end() > start]

    def _value(self, placeholder: str, as_json: bool) -> str:
        value = self._values[placeholder]
        return json.dumps(value, ensure_ascii=False)[1:-1] if as_json else value

    def _pattern(self) -> re.Pattern[str]:
        return re.compile("|".join(re.escape(p) for p in sorted(self._values, key=len, reverse=True)))


class Restorer:
    """Puts values back into a text that comes in pieces; keeps back what may be the beginning of a placeholder."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._kept = ""

    def push(self, text: str) -> str:
        whole = self._kept + text
        at = next((n for n in range(max(0, len(whole) - self._vault.longest + 1), len(whole)) if self._vault.may_begin(whole[n:])), len(whole))
        self._kept = whole[at:]
        return self._vault.restore(whole[:at])

    def finish(self) -> str:
        kept, self._kept = self._kept, ""
        return self._vault.restore(kept)
