"""Encoded passages in a text, each decoded where it stands.

Base64 (also URL-safe, wrapped and without padding), base32, hexadecimal, binary and decimal codes, percent and character escapes, Morse. A
passage counts as encoded if what it decodes to reads as language. No scheme makes a text longer, so the work is bounded by its length.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from charter.core.normalise import reorder
from charter.core.normalise.mapped import Offsets
from charter.core.normalise.passages import Found
from charter.core.normalise.readable import all_readable
from charter.core.normalise.scan import LONG, Mask, Scan, found_at
from charter.core.normalise.schemes import BROKEN, SCHEMES, Scheme

#: Encodings inside encodings that are opened.
MAX_DEPTH = 3
#: Characters that a decoded passage needs before it is read as one in another disguise.
LEAST = 8
#: Passages from which they are read in arrays.
MANY = 8
#: Texts with passages in another disguise that are undone one by one, and such passages that are undone again when another one was opened. In a
#: text with more of them all are undone at once and once: the words around a word then tell less about it.
APART, TOGETHER = 64, 1000
_BETWEEN_TEXTS = "\n\u2610\n"


class Reader:
    """Finds encoded passages, and remembers what it has read: a text is looked through again when one of its passages was opened.

    ``plain`` undoes other disguises, for telling whether what a passage says is language."""

    def __init__(self, plain: Callable[[str], str] = str) -> None:
        self._plain = plain
        self._read: dict[str, dict[str, str | None]] = defaultdict(dict)
        self._readable: dict[str, bool] = {}
        self._turned: dict[str, bool] = {}
        self._told: dict[str, bool] = {}
        self._forms: dict[str, str] = {}
        self._holds: dict[tuple[str, int], bool] = {}

    def passages(self, text: str, depth: int = MAX_DEPTH) -> Found:
        """Encoded passages. Of two that overlap the one of the earlier scheme holds. A passage may also decode to another encoded one, up to
        ``depth`` deep; only the outermost is undone."""
        starts, ends, said, names = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)], list[str](), list[str]()
        scan = _scan(text)
        for scheme in SCHEMES:
            if not any(sign in text for sign in scheme.signs):
                continue
            at, encoded = _find(scheme, text, scan)
            kept = self._kept(scheme, [encoded], depth)[0] if encoded else {}
            some = [number for number, passage in enumerate(encoded) if passage in kept] if kept else []
            if not some:
                continue
            first = at[some]
            last = first + np.fromiter((len(encoded[n]) for n in some), dtype=np.int64, count=len(some))
            free = _free(first, last, np.concatenate(starts), np.concatenate(ends))
            starts.append(first[free])
            ends.append(last[free])
            fresh = [kept[encoded[n]] for n, is_free in zip(some, free.tolist(), strict=True) if is_free]
            said += fresh
            names += [scheme.name] * len(fresh)
        order = np.argsort(np.concatenate(starts), kind="stable")
        numbers = order.tolist()
        return Found(np.concatenate(starts)[order], np.concatenate(ends)[order], [said[n] for n in numbers], [names[n] for n in numbers])

    def _kept(self, scheme: Scheme, texts: Sequence[Sequence[str]], depth: int) -> list[dict[str, str]]:
        """For the passages of each text what they decode to, without those that say nothing."""
        said = self._decoded(scheme, texts)
        every = [{passage: said[passage] for passage in passages if passage in said} for passages in texts]
        if scheme.sure or not said:
            return every
        self._look(said.values())
        kept = [{p: s for p, s in of_one.items() if self._readable[s]} for of_one in every]
        unread = [[s for p, s in of_one.items() if p not in found] for found, of_one in zip(kept, every, strict=True)]
        speaking = self._speaking([[s for s in some if len(s) >= LEAST and not BROKEN.search(s)] for some in unread])
        rest = {s for some, told in zip(unread, speaking, strict=True) for s in some if s not in told}
        holding = self._holding([s for s in rest if s.isascii() and s.isprintable()], depth - 1) if depth > 1 else set()
        return [
            found | {p: s for p, s in of_one.items() if s in told or s in holding} if some else found
            for found, of_one, some, told in zip(kept, every, unread, speaking, strict=True)
        ]

    def _decoded(self, scheme: Scheme, texts: Sequence[Sequence[str]]) -> dict[str, str]:
        """Passages of any of the texts and what they decode to, without those that do not or stay as they are."""
        read = self._read[f"{scheme.name} {scheme.begins.__name__}"]
        every = list(dict.fromkeys(passage for passages in texts for passage in passages))
        new = [passage for passage in every if passage not in read]
        read.update(zip(new, scheme.many(new) if scheme.many and len(new) >= MANY else map(scheme.decode, new), strict=True))
        return {passage: said for passage in every if (said := read[passage]) is not None and said != passage}

    def _look(self, texts: Iterable[str]) -> None:
        new = [text for text in dict.fromkeys(texts) if text not in self._readable]
        self._readable.update(zip(new, all_readable(new), strict=True))

    def _speaking(self, texts: Sequence[Sequence[str]]) -> list[set[str]]:
        """Of what the passages of each text decode to, what says something in another disguise."""
        if sum(map(bool, texts)) <= APART and sum(map(len, texts)) <= TOGETHER:
            return [self._undone(some) if some else set() for some in texts]
        every = dict.fromkeys(said for some in texts for said in some)
        new = [said for said in every if said not in self._told]
        speaking = self._undone(new) if new else set()
        self._told.update((said, said in speaking) for said in new)
        return [{said for said in some if self._told[said]} for some in texts]

    def _undone(self, texts: Sequence[str]) -> set[str]:
        """All are undone at once: many short texts one after another would be slow."""
        together = _BETWEEN_TEXTS.join(texts)
        if together not in self._forms:
            self._forms[together] = self._plain(together)
        forms = self._forms[together].split(_BETWEEN_TEXTS.strip())
        forms = forms if len(forms) == len(texts) else list(texts)
        self._look(forms)
        new = [text for text in texts if text not in self._turned]
        self._turned.update(zip(new, reorder.are_turned(new), strict=True))
        return {said for said, form in zip(texts, forms, strict=True) if self._turned[said] or self._readable[form]}

    def _holding(self, texts: Sequence[str], depth: int) -> set[str]:
        """Those of the texts, all printable ASCII, that hold encoded passages."""
        new = [text for text in texts if (text, depth) not in self._holds]
        self._holds.update(dict.fromkeys(((text, depth) for text in new), False))
        if sum(map(len, new)) < LONG:
            self._holds.update({(text, depth): len(self.passages(text, depth).said) > 0 for text in new})
        else:
            self._read_together(new, depth)
        return {text for text in texts if self._holds[text, depth]}

    def _read_together(self, texts: Sequence[str], depth: int) -> None:
        together = "\n".join(texts)
        scan, sizes = Scan(together), np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
        bounds = np.cumsum(sizes + 1)
        for scheme in SCHEMES:
            if not any(sign in together for sign in scheme.signs):
                continue
            found = self._groups(scheme, texts, together, scan, bounds, depth)
            for number, kept in zip(found, self._kept(scheme, list(found.values()), depth) if found else (), strict=True):
                self._holds[texts[number], depth] |= bool(kept)

    def _groups(self, scheme: Scheme, texts: Sequence[str], together: str, scan: Scan, bounds: Offsets, depth: int) -> dict[int, list[str]]:
        """The candidates in each text of which nothing is known yet; those of a scheme with places are the same as in all of them together."""
        starts, encoded = _find(scheme, together, scan) if scheme.places else (scheme.begins(scan), None)
        owners = np.searchsorted(bounds, starts, side="right").tolist()
        some = [number for number in dict.fromkeys(owners) if not self._holds[texts[number], depth]]
        if encoded is None:
            return {number: passages for number in some if (passages := _find(scheme, texts[number], _scan(texts[number]))[1])}
        found: dict[int, list[str]] = {number: [] for number in some}
        for number, passage in zip(owners, encoded, strict=True):
            if number in found:
                found[number].append(passage)
        return found


def _scan(text: str) -> Scan | None:
    return Scan(text) if len(text) >= LONG else None


def _find(scheme: Scheme, text: str, scan: Scan | None) -> tuple[Offsets, list[str]]:
    """Where the candidates of a scheme begin, and what they are."""
    if scan is not None and scheme.places is not None:
        starts, ends = scheme.places(scan)
        return starts, [text[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
    found = found_at(scheme.pattern, text, scheme.begins(scan)) if scan is not None else scheme.pattern.finditer(text)
    at, encoded = [], []
    for match in found:
        at.append(match.start())
        encoded.append(match[0])
    return np.array(at, dtype=np.int64), encoded


def _free(first: Offsets, last: Offsets, starts: Offsets, ends: Offsets) -> Mask:
    """Which stretches do not overlap with others from ``starts`` to ``ends``, which do not overlap with each other."""
    order = np.argsort(starts)
    limits = np.append(starts[order], np.iinfo(np.int64).max)[np.searchsorted(ends[order], first, side="right")]
    free: Mask = last <= limits
    return free
