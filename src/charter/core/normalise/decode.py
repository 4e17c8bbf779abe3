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
_BETWEEN_TEXTS = "\n\u2610\n"


class Reader:
    """Finds encoded passages, and remembers what it has read: a text is looked through again when one of its passages was opened.

    ``plain`` undoes other disguises, for telling whether what a passage says is language."""

    def __init__(self, plain: Callable[[str], str] = str) -> None:
        self._plain = plain
        self._read: dict[str, dict[str, str | None]] = defaultdict(dict)
        self._readable: dict[str, bool] = {}
        self._turned: dict[str, bool] = {}
        self._forms: dict[str, str] = {}
        self._holds: dict[tuple[str, int], bool] = {}

    def passages(self, text: str, depth: int = MAX_DEPTH) -> Found:
        """Encoded passages. Of two that overlap the one of the earlier scheme holds. A passage may also decode to another encoded one, up to
        ``depth`` deep; only the outermost is undone."""
        starts, ends, said, names = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)], list[str](), list[str]()
        scan = Scan(text) if len(text) >= LONG else None
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
        for found, of_one in zip(kept, every, strict=True):
            if len(found) < len(of_one):
                found |= self._undone({p: s for p, s in of_one.items() if p not in found and len(s) >= LEAST and not BROKEN.search(s)})
        rest = {s for found, of_one in zip(kept, every, strict=True) for p, s in of_one.items() if p not in found}
        holding = self._holding([s for s in rest if s.isascii() and s.isprintable()], depth - 1) if depth > 1 else set()
        return [found | {p: s for p, s in of_one.items() if s in holding} for found, of_one in zip(kept, every, strict=True)]

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

    def _undone(self, passages: dict[str, str]) -> dict[str, str]:
        """Those of the passages that say something in another disguise. All are undone at once: many short texts one after another would be slow."""
        if not passages:
            return {}
        texts = list(passages.values())
        together = _BETWEEN_TEXTS.join(texts)
        if together not in self._forms:
            self._forms[together] = self._plain(together)
        done = self._forms[together].split(_BETWEEN_TEXTS.strip())
        done = done if len(done) == len(texts) else texts
        self._look(done)
        new = [text for text in texts if text not in self._turned]
        self._turned.update(zip(new, reorder.are_turned(new), strict=True))
        return {p: s for (p, s), form in zip(passages.items(), done, strict=True) if self._turned[s] or self._readable[form]}

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
            numbers = np.unique(np.searchsorted(bounds, scheme.begins(scan), side="right")).tolist()
            some = [text for n in numbers if not self._holds[text := texts[n], depth]]
            found = [(text, encoded) for text in some if (encoded := _find(scheme, text, Scan(text) if len(text) >= LONG else None)[1])]
            for (text, _), kept in zip(found, self._kept(scheme, [encoded for _, encoded in found], depth), strict=True):
                self._holds[text, depth] = self._holds[text, depth] or bool(kept)


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
