"""What the encoder says of texts and of pairs of texts, each also by its English words where it is in another language (``core.gloss``)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from charter.core.gloss import Gloss, gloss
from charter.core.gloss.lists import read_all
from charter.judges._encoder import Encoder, Kept, Tokens
from charter.judges._heads import HAZARDS
from charter.judges._raw import Raw, raw, raw_texts
from charter.judges._windows import Window

#: Texts whose glosses are kept, short ones and others; characters of a short one. A gloss takes some forty times its text's memory.
SHORT, LONG, SHORT_TEXT = 128, 4, 4000


class _Glossed(NamedTuple):
    gloss: Gloss | None


class Reading(NamedTuple):
    """Raw numbers, and the tokens that the windows' places count: those of the text, then those of its gloss (whose offsets are the text's).
    ``plain`` are the numbers of the text alone, ``by_words`` those of its gloss; both are ``raw`` where there is none. ``foreign``: the text has no
    sentence in English, so that its own words say little."""

    raw: Raw
    tokens: Tokens
    plain: Raw
    by_words: Raw
    foreign: bool = False


class Reader:
    """The encoder, and the glosses of texts that were read lately: a guard reads a request several times. Without ``glosses`` texts are read as they
    are alone."""

    def __init__(self, encoder: Encoder, glosses: bool = True) -> None:
        self._encoder, self._glosses = encoder, glosses
        self._short: Kept[bytes, _Glossed] = Kept(SHORT)
        self._long: Kept[bytes, _Glossed] = Kept(LONG)

    def forget(self) -> None:
        """Make every gloss anew from here on: for measurements."""
        self._short.clear()
        self._long.clear()

    def warm(self) -> None:
        """Read now what the first text in another language would wait for."""
        if self._glosses:
            read_all()

    def gloss(self, text: str) -> Gloss | None:
        """The English words of a text in another language."""
        if not self._glosses:
            return None
        kept = self._short if len(text) <= SHORT_TEXT else self._long
        key = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
        known = kept.get([key]) or {key: _Glossed(gloss(text))}
        kept.put(known)
        return known[key].gloss

    def texts(self, texts: Sequence[str]) -> list[Reading]:
        """Readings of whole texts, in order. The texts go first: another thread may make their glosses meanwhile."""
        tokens = self._encoder.tokens(texts)
        plain = raw_texts(self._encoder, tokens)
        glossed = {n: found for n, text in enumerate(texts) if (found := self._words(text)) is not None}
        return self._together([*plain, *raw_texts(self._encoder, list(glossed.values()))] if glossed else plain, tokens, glossed)

    def pairs(self, pairs: Sequence[tuple[str, str]], lay: Callable[[Tokens, Tokens], list[Window]]) -> list[Reading]:
        """Readings of the second text of each pair, as ``lay`` puts it beside the first. Where either has a gloss, both are read once more by
        theirs."""
        first, second = self._encoder.tokens([pair[0] for pair in pairs]), self._encoder.tokens([pair[1] for pair in pairs])
        beside, glossed = {}, {}
        for n, pair in enumerate(pairs):
            found = [self._words(text) for text in pair]
            if found != [None, None]:
                beside[n], glossed[n] = found[0] or first[n], found[1] or second[n]
        windows = [lay(a, b) for a, b in zip([*first, *beside.values()], [*second, *glossed.values()], strict=True)]
        read = self._together(raw(self._encoder, windows), second, glossed)
        for n in glossed:
            words = self.gloss(pairs[n][1])
            read[n] = read[n]._replace(foreign=words is not None and not words.mixed)
        return read

    def _words(self, text: str) -> Tokens | None:
        """Tokens of a text's gloss, with the places in the text that they stand for."""
        found = self.gloss(text)
        if found is None:
            return None
        tokens = self._encoder.tokens([found.text])[0]
        return Tokens(tokens.ids, found.originals(tokens.offsets))

    def _together(self, read: Sequence[Raw], tokens: Sequence[Tokens], glossed: Mapping[int, Tokens]) -> list[Reading]:
        found = [Reading(one, of, one, one) for one, of in zip(read[: len(tokens)], tokens, strict=True)]
        for (n, words), by_words in zip(glossed.items(), read[len(tokens) :], strict=True):
            found[n] = _higher(self._encoder, found[n].plain, tokens[n], by_words, words)
        return found


def _higher(encoder: Encoder, own: Raw, tokens: Tokens, other: Raw, words: Tokens) -> Reading:
    """No head gets lower by the gloss: English that is laid out as another language is still read as it is. The hazards are those of what asks for
    more."""
    shift = len(tokens.ids)
    higher = other.highest > own.highest
    hazards, asks = [encoder.outputs.index(code) for code in HAZARDS], encoder.outputs.index("harmful_request")
    higher[hazards] = higher[asks]
    windows = [*own.windows, *(w._replace(start=w.start + shift, end=w.end + shift) for w in other.windows)]
    highest, where = np.where(higher, other.highest, own.highest), np.where(higher, other.where + len(own.windows), own.where)
    merged = own._replace(highest=highest, where=where, windows=windows)
    return Reading(merged, Tokens([*tokens.ids, *words.ids], [*tokens.offsets, *words.offsets]), own, other)
