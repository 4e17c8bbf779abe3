"""The plain form of a text and the other forms in which it should be read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from charter.core.normalise import decode, hidden, reorder
from charter.core.normalise.clean import clean
from charter.core.normalise.letters import unmask
from charter.core.normalise.mapped import Mapped, Offsets, codes
from charter.core.normalise.memory import Memory
from charter.core.normalise.parted import part
from charter.core.normalise.passages import Passages
from charter.core.normalise.spacing import close_up
from charter.core.normalise.tokens import undisguise

#: Rounds of undoing. One disguise can cover another; a text that still changes after these is only cleaned of Unicode tricks.
MAX_ROUNDS = 4
_STEPS: tuple[tuple[str, Callable[[Mapped, Memory], Mapped]], ...] = (
    ("unicode", lambda m, _: clean(m)), ("look-alikes", lambda m, _: unmask(m)), ("spacing", close_up), ("spelling", undisguise),
)  # fmt: skip


class Change(NamedTuple):
    """A kind of disguise that was undone: unicode, look-alikes, spacing or spelling; and how many characters came or went with it."""

    kind: str
    characters: int


class Decoded(NamedTuple):
    """A passage that was encoded or hidden: its plain form, its place in the original, and the schemes from the outermost inwards."""

    text: str
    start: int
    end: int
    schemes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Normalised:
    """The plain form of a text. ``text[i]`` stands for ``original[offsets[i]:ends[i]]``; both arrays are as long as ``text``."""

    text: str
    offsets: Offsets
    ends: Offsets
    changes: tuple[Change, ...]
    decoded: tuple[Decoded, ...]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The stretch of the original that the characters ``start`` to ``end`` of the plain form stand for."""
        return Mapped(self.text, self.offsets, self.ends).span(start, end)


class View(NamedTuple):
    """One form of a text for a judge to read. ``name`` is plain, normalised, opened, decoded, rot13, backwards,
    turned (upside down) or parted (blanks for the signs between words)."""

    name: str
    mapped: Mapped

    @property
    def text(self) -> str:
        return self.mapped.text

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The stretch of the original that the characters ``start`` to ``end`` stand for."""
        return self.mapped.span(start, end)


def normalise(text: str) -> Normalised:
    """The plain form of ``text``. ``normalise(normalise(text).text).text`` is ``normalise(text).text``."""
    original, memory = Mapped.of(text), Memory()
    cleaned = clean(original)
    plain, changes = _undo(original, memory, cleaned)
    m, found = _open(original, memory, cleaned)
    decoded = zip(found.texts(m), found.starts.tolist(), found.ends.tolist(), found.schemes(), strict=True)
    return Normalised(plain.text, plain.starts, plain.ends, changes, tuple(map(Decoded._make, decoded)))


def views(text: str) -> tuple[View, ...]:
    """The forms of ``text`` to be judged, the original first, no two alike. Clean text has one form."""
    original, memory = Mapped.of(text), Memory()
    cleaned = clean(original)
    plain = _undo(original, memory, cleaned)[0]
    found = [View("plain", original), View("normalised", plain)]
    opened, passages = _open(original, memory, cleaned)
    if passages:
        alone = passages.alone(opened)
        is_all = alone.text == opened.text
        opened = _undo(opened, memory, opened)[0]  # it is clean
        found += [View("opened", opened)] if is_all else [View("opened", opened), View("decoded", _undo(alone, memory)[0])]
    else:
        opened = plain
    words = reorder.Words.of(opened.text)
    turned = reorder.rot13(opened, words)
    found += [View("rot13", turned)] if turned else []
    found += [View("backwards", m) for m in reorder.backwards(opened, words)]
    found += [View("turned", m) for m in reorder.turned(cleaned)]
    read = {m.text: m for m in (cleaned, *(view.mapped for view in found[1:]))}
    found += [View("parted", _undo(new, memory)[0]) for m in read.values() if (new := part(m)) is not None]
    return tuple({view.text: view for view in reversed(found)}[t] for t in dict.fromkeys(view.text for view in found))


def _undo(original: Mapped, memory: Memory, cleaned: Mapped | None = None) -> tuple[Mapped, tuple[Change, ...]]:
    """Every step until nothing changes. Where it does not settle, only the first step counts: so the result is the same when done again.
    ``cleaned`` is what the first step makes of the text, where it is known."""
    m, counts = original, dict.fromkeys((name for name, _ in _STEPS), 0)
    settled: dict[str, str] = {}  # the text that a step left as it was: it need not look at it again
    for number in range(MAX_ROUNDS):
        before = m.text
        for name, step in _STEPS:
            if settled.get(name) == m.text:
                continue
            new = cleaned if cleaned is not None and number == 0 and name == "unicode" else step(m, memory)
            if new.text == m.text or name == "unicode":  # cleaning again changes nothing
                settled[name] = new.text
            counts[name] += 0 if new.text == m.text else max(1, abs(len(m.text) - len(new.text)), _differ(m.text, new.text))
            m = new
        if m.text == before:
            return m, tuple(Change(name, n) for name, n in counts.items() if n)
    m = clean(original) if cleaned is None else cleaned
    return m, (Change("unicode", max(1, abs(len(m.text) - len(original.text)))),) if m.text != original.text else ()


def _differ(old: str, new: str) -> int:
    return int((codes(old) != codes(new)).sum()) if len(old) == len(new) else 0


def _open(original: Mapped, memory: Memory, cleaned: Mapped) -> tuple[Mapped, Passages]:
    """The text with encoded and hidden passages in plain, and the passages."""
    m, spans = hidden.overrides(original)
    overridden = np.array(spans, dtype=np.int64).reshape(-1, 2)
    starts, ends, names = [overridden[:, 0]], [overridden[:, 1]], ["override"] * len(spans)
    reader = decode.Reader(lambda text: _undo(Mapped.of(text), memory)[0].text)
    for number in range(1 + decode.MAX_DEPTH):
        found = reader.passages(m.text) if number else hidden.passages(m.text)
        if found.names:
            first, last = m.spans(found.starts, found.ends)
            starts.append(first)
            ends.append(last)
            names += found.names
            m = clean(m.put(found.starts, found.ends, found.said))
        elif number:
            break
        else:
            m = clean(m) if spans else cleaned
    return m, Passages(np.concatenate(starts), np.concatenate(ends), names, len(original.text))
