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
from charter.core.normalise.passages import NONE, Found
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
        self._kinds: dict[str, int] = {}
        self._turned: dict[str, bool] = {}
        self._told: dict[str, bool] = {}
        self._forms: dict[str, str] = {}
        self._holds: dict[int, dict[str, bool]] = defaultdict(dict)

    def passages(self, text: str, depth: int = MAX_DEPTH) -> Found:
        """Encoded passages. Of two that overlap the one of the earlier scheme holds. A passage may also decode to another encoded one, up to
        ``depth`` deep; only the outermost is undone."""
        starts, ends, said, names = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)], list[str](), list[str]()
        scan, octets = _scan(text), text.encode("ascii") if text.isascii() else None
        for scheme in SCHEMES:
            if not any(sign in text for sign in scheme.signs) or (octets is not None and _has_too_few(scheme, octets)):
                continue
            at, encoded = _find(scheme, text, scan)
            kept = self._kept(scheme, encoded, [0] * len(encoded), depth) if encoded else []
            some = [(number, new) for number, new in enumerate(kept) if new is not None]
            if not some:
                continue
            first = at[[number for number, _ in some]]
            last = first + np.fromiter((len(encoded[n]) for n, _ in some), dtype=np.int64, count=len(some))
            free = _free(first, last, np.concatenate(starts), np.concatenate(ends))
            starts.append(first[free])
            ends.append(last[free])
            fresh = [new for (_, new), is_free in zip(some, free.tolist(), strict=True) if is_free]
            said += fresh
            names += [scheme.name] * len(fresh)
        if not said:
            return NONE
        order = np.argsort(np.concatenate(starts), kind="stable")
        numbers = order.tolist()
        return Found(np.concatenate(starts)[order], np.concatenate(ends)[order], [said[n] for n in numbers], [names[n] for n in numbers])

    def _kept(self, scheme: Scheme, encoded: Sequence[str], owners: Sequence[int], depth: int) -> list[str | None]:
        """What each candidate decodes to, None if that says nothing. ``owners`` are the numbers of the texts in which they are, in order."""
        said = self._decoded(scheme, encoded)
        if scheme.sure:
            return said
        self._look(said)
        kinds = self._kinds
        unread = [(n, new) for n, new in enumerate(said) if new is not None and not kinds[new] & _READS]
        if not unread:
            return said
        quiet = self._quiet(unread, {(owners[n], encoded[n]): new for n, new in unread if kinds[new] & _MAY}, owners)
        plain = dict.fromkeys(new for _, new in quiet if kinds[new] & _PRINTED) if depth > 1 else {}
        holding = self._holding(list(plain), depth - 1) if plain else {}
        for n, new in quiet:
            if not holding.get(new):
                said[n] = None
        return said

    def _decoded(self, scheme: Scheme, encoded: Sequence[str]) -> list[str | None]:
        """What passages decode to, None for those that do not or stay as they are."""
        read = self._read[f"{scheme.name} {scheme.begins.__name__}"]
        if new := [passage for passage in dict.fromkeys(encoded) if passage not in read]:
            said = scheme.many(new) if scheme.many and len(new) >= MANY else map(scheme.decode, new)
            read.update((passage, None if passage == one else one) for passage, one in zip(new, said, strict=True))
        return [read[passage] for passage in encoded]

    def _look(self, texts: Iterable[str | None]) -> None:
        kinds = self._kinds
        new = [text for text in dict.fromkeys(texts) if text is not None and text not in kinds]
        kinds.update((text, _READS if reads else kind) for text, reads, kind in zip(new, all_readable(new), _kinds(new), strict=True))

    def _quiet(self, unread: list[tuple[int, str]], likely: dict[tuple[int, str], str], owners: Sequence[int]) -> list[tuple[int, str]]:
        """Of what does not read as language what says nothing in another disguise either; ``likely`` are those that may, by text and passage."""
        if len(likely) <= TOGETHER and len({owner for owner, _ in likely}) <= APART:
            texts: dict[int, list[str]] = defaultdict(list)
            for (owner, _), new in likely.items():
                texts[owner].append(new)
            speaking = {(owner, new) for owner, some in texts.items() for new in self._undone(some)}
            return [(n, new) for n, new in unread if (owners[n], new) not in speaking]
        told = self._told
        if fresh := [new for new in dict.fromkeys(likely.values()) if new not in told]:
            speaks = self._undone(fresh)
            told.update((new, new in speaks) for new in fresh)
        return [(n, new) for n, new in unread if not told.get(new)]

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
        return {said for said, form in zip(texts, forms, strict=True) if self._turned[said] or self._kinds[form] & _READS}

    def _holding(self, texts: Sequence[str], depth: int) -> dict[str, bool]:
        """Whether texts, all printable ASCII, hold encoded passages."""
        holds = self._holds[depth]
        new = [text for text in texts if text not in holds]
        if sum(map(len, new)) < LONG:
            holds.update({text: len(self.passages(text, depth).said) > 0 for text in new})
        else:
            holds.update(zip(new, self._read_together(new, depth), strict=True))
        return holds

    def _read_together(self, texts: Sequence[str], depth: int) -> list[bool]:
        together = "\n".join(texts)
        scan, sizes = Scan(together), np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
        bounds = np.cumsum(sizes + 1)
        holds = [False] * len(texts)
        for scheme in SCHEMES:
            if not any(sign in together for sign in scheme.signs):
                continue
            encoded, owners = _candidates(scheme, texts, together, scan, bounds, holds)
            if encoded:
                for owner, said in zip(owners, self._kept(scheme, encoded, owners, depth), strict=True):
                    if said is not None:
                        holds[owner] = True
        return holds


#: Whether a decoded text reads as language; else whether it may do so in another disguise, and whether all of it is printable ASCII.
_READS, _MAY, _PRINTED = 1, 2, 4


def _kinds(texts: Sequence[str]) -> list[int]:
    if _is_printed("".join(texts)):
        return [_PRINTED | _MAY if len(text) >= LEAST else _PRINTED for text in texts]
    return [
        _PRINTED * is_printed | _MAY * (len(text) >= LEAST and (is_printed or not BROKEN.search(text)))
        for text, is_printed in zip(texts, map(_is_printed, texts), strict=True)
    ]


def _is_printed(text: str) -> bool:
    return text.isascii() and text.isprintable()


def _candidates(
    scheme: Scheme, texts: Sequence[str], together: str, scan: Scan, bounds: Offsets, holds: Sequence[bool]
) -> tuple[list[str], list[int]]:
    """The candidates in texts of which nothing is known yet, and in which they are; those of a scheme with places are the same as in all of them
    together."""
    starts, encoded = _find(scheme, together, scan) if scheme.places else (scheme.begins(scan), [])
    owners = np.searchsorted(bounds, starts, side="right").tolist()
    if scheme.places:
        some = [(passage, owner) for passage, owner in zip(encoded, owners, strict=True) if not holds[owner]]
    else:
        few = [number for number in dict.fromkeys(owners) if not holds[number]]
        some = [(passage, number) for number in few for passage in _find(scheme, texts[number], _scan(texts[number]))[1]]
    return [passage for passage, _ in some], [owner for _, owner in some]


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


def _has_too_few(scheme: Scheme, octets: bytes) -> bool:
    """Whether a text in ASCII lacks characters that every passage of a scheme has."""
    chars, least = scheme.needs
    return len(octets) - len(octets.translate(None, chars)) < least


def _free(first: Offsets, last: Offsets, starts: Offsets, ends: Offsets) -> Mask:
    """Which stretches do not overlap with others from ``starts`` to ``ends``, which do not overlap with each other."""
    order = np.argsort(starts)
    limits = np.append(starts[order], np.iinfo(np.int64).max)[np.searchsorted(ends[order], first, side="right")]
    free: Mask = last <= limits
    return free
