"""The plain form of a text and the other forms in which it should be read."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from charter.core.normalise import decode, hidden, reorder
from charter.core.normalise.clean import clean
from charter.core.normalise.letters import unmask
from charter.core.normalise.mapped import Edit, Mapped, Offsets, codes
from charter.core.normalise.spacing import close_up
from charter.core.normalise.tokens import undisguise

#: Rounds of undoing. One disguise can cover another; a text that still changes after these is only cleaned of Unicode tricks.
MAX_ROUNDS = 4
_STEPS: tuple[tuple[str, Callable[[Mapped], Mapped]], ...] = (
    ("unicode", clean), ("look-alikes", unmask), ("spacing", close_up), ("spelling", undisguise),
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
    """One form of a text for a judge to read. ``name`` is plain, normalised, opened, decoded, rot13, backwards or
    turned (upside down)."""

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
    original = Mapped.of(text)
    cleaned = clean(original)
    plain, changes = _undo(original, cleaned)
    return Normalised(plain.text, plain.starts, plain.ends, changes, tuple(_open(original, cleaned)[1]))


def views(text: str) -> tuple[View, ...]:
    """The forms of ``text`` to be judged, the original first, no two alike. Clean text has one form."""
    original = Mapped.of(text)
    cleaned = clean(original)
    plain = _undo(original, cleaned)[0]
    opened, decoded = _open(original, cleaned)
    opened = _undo(opened, opened)[0] if decoded else plain  # it is clean
    found = [View("plain", original), View("normalised", plain)]
    if decoded:
        found.append(View("opened", opened))
        found.append(View("decoded", _alone(decoded)))
    words = reorder.Words.of(opened.text)
    turned = reorder.rot13(opened, words)
    found += [View("rot13", turned)] if turned else []
    found += [View("backwards", m) for m in reorder.backwards(opened, words)]
    found += [View("turned", m) for m in reorder.turned(cleaned)]
    return tuple({view.text: view for view in reversed(found)}[t] for t in dict.fromkeys(view.text for view in found))


def _undo(original: Mapped, cleaned: Mapped | None = None) -> tuple[Mapped, tuple[Change, ...]]:
    """Every step until nothing changes. Where it does not settle, only the first step counts: so the result is the same when done again.
    ``cleaned`` is what the first step makes of the text, where it is known."""
    m, counts = original, dict.fromkeys((name for name, _ in _STEPS), 0)
    settled: dict[str, str] = {}  # the text that a step left as it was: it need not look at it again
    for number in range(MAX_ROUNDS):
        before = m.text
        for name, step in _STEPS:
            if settled.get(name) == m.text:
                continue
            new = cleaned if cleaned is not None and number == 0 and name == "unicode" else step(m)
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


def _open(original: Mapped, cleaned: Mapped) -> tuple[Mapped, list[Decoded]]:
    """The text with encoded and hidden passages in plain, and the passages."""
    m, spans = hidden.overrides(original)
    schemes: dict[tuple[int, int], tuple[str, ...]] = dict.fromkeys(spans, ("override",))
    unseen = list(hidden.passages(m.text))
    m = clean(_put(m, unseen, schemes)) if spans or unseen else cleaned
    for _ in range(decode.MAX_DEPTH):
        found = list(decode.passages(m.text, plain=_plain))
        if not found:
            break
        m = clean(_put(m, found, schemes))
    return m, _passages(m, original, schemes)


def _plain(text: str) -> str:
    return _undo(Mapped.of(text))[0].text


def _put(m: Mapped, found: list[tuple[Edit, str]], schemes: dict[tuple[int, int], tuple[str, ...]]) -> Mapped:
    """Put passages in plain where they stand, and note how they were encoded under their place in the original."""
    for place, (_, name) in zip(m.spans([edit for edit, _ in found]), found, strict=True):
        schemes[place] = (*schemes.get(place, ()), name)
    return m.replace(sorted(edit for edit, _ in found))


def _passages(m: Mapped, original: Mapped, schemes: dict[tuple[int, int], tuple[str, ...]]) -> list[Decoded]:
    """The outermost passages; what was encoded inside one belongs to it."""
    outer: list[tuple[int, int, tuple[str, ...]]] = []
    for (start, end), names in sorted(schemes.items(), key=lambda item: (item[0][0], -item[0][1])):
        if outer and start < outer[-1][1]:
            outer[-1] = (outer[-1][0], max(end, outer[-1][1]), outer[-1][2] + names)
        else:
            outer.append((start, end, names))
    owner = np.full(len(original.text) + 1, -1, dtype=np.int64)
    bounds = np.array([(start, end) for start, end, _ in outer], dtype=np.int64).reshape(-1, 2)
    inside = np.zeros(len(owner) + 1, dtype=np.int64)
    np.add.at(inside, bounds[:, 0], 1)
    np.add.at(inside, bounds[:, 1], -1)
    owner[np.cumsum(inside)[:-1] > 0] = np.repeat(np.arange(len(outer)), bounds[:, 1] - bounds[:, 0])
    owners = owner[m.starts]
    texts = [""] * len(outer)
    edges = np.concatenate([[0], np.flatnonzero(np.diff(owners)) + 1, [len(owners)]]) if len(owners) else np.zeros(1, dtype=np.int64)
    for number, (start, end) in zip(owners[edges[:-1]].tolist(), itertools.pairwise(edges.tolist()), strict=True):
        if number >= 0:
            texts[number] += m.text[start:end]
    return [Decoded(text, start, end, names) for text, (start, end, names) in zip(texts, outer, strict=True)]


def _alone(decoded: list[Decoded]) -> Mapped:
    """The passages without what stands around them, one a line."""
    parts = [d for d in decoded if d.text.strip()]
    text = "\n".join(d.text for d in parts)
    sizes = [len(d.text) + 1 for d in parts]
    starts, ends = (np.repeat(np.array([d[i] for d in parts], dtype=np.int64), sizes)[: len(text)] for i in (1, 2))
    return _undo(Mapped(text, starts, ends))[0]
