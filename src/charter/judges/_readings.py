"""What the encoder says of texts and of pairs of texts, each also by its English words where it is in another language (``_glossing``)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from charter.judges._encoder import Tokens
from charter.judges._glossing import gloss
from charter.judges._heads import HAZARDS
from charter.judges._raw import Raw, raw, raw_texts
from charter.judges._windows import Window


class Reading(NamedTuple):
    """Raw numbers, and the tokens that the windows' places count: those of the text, then those of its gloss (whose offsets are the text's).
    ``plain`` are the numbers of the text alone, ``by_words`` those of its gloss; both are ``raw`` where there is none."""

    raw: Raw
    tokens: Tokens
    plain: Raw
    by_words: Raw


def read_texts(encoder: Any, texts: Sequence[str], glosses: bool = True) -> list[Reading]:
    """Readings of whole texts, in order; without ``glosses`` of the texts as they are."""
    tokens = encoder.tokens(texts)
    glossed = {n: found for n, text in enumerate(texts if glosses else ()) if (found := _gloss_tokens(encoder, text)) is not None}
    read = raw_texts(encoder, [*tokens, *glossed.values()])
    return _together(encoder, read, tokens, glossed)


def read_pairs(encoder: Any, pairs: Sequence[tuple[str, str]], lay: Callable[[Tokens, Tokens], list[Window]], glosses: bool = True) -> list[Reading]:
    """Readings of the second text of each pair, as ``lay`` puts it beside the first. Where either has a gloss, both are read once more by theirs."""
    first, second = encoder.tokens([pair[0] for pair in pairs]), encoder.tokens([pair[1] for pair in pairs])
    beside, glossed = {}, {}
    for n, pair in enumerate(pairs if glosses else ()):
        found = [_gloss_tokens(encoder, text) for text in pair]
        if found != [None, None]:
            beside[n], glossed[n] = found[0] or first[n], found[1] or second[n]
    windows = [lay(a, b) for a, b in zip([*first, *beside.values()], [*second, *glossed.values()], strict=True)]
    return _together(encoder, raw(encoder, windows), second, glossed)


def _gloss_tokens(encoder: Any, text: str) -> Tokens | None:
    """Tokens of a text's gloss, with the places in the text that they stand for."""
    found = gloss(text)
    if found is None:
        return None
    tokens = encoder.tokens([found.text])[0]
    return Tokens(tokens.ids, found.originals(tokens.offsets))


def _together(encoder: Any, read: Sequence[Raw], tokens: Sequence[Tokens], glossed: dict[int, Tokens]) -> list[Reading]:
    found = [Reading(one, of, one, one) for one, of in zip(read[: len(tokens)], tokens, strict=True)]
    for (n, words), by_words in zip(glossed.items(), read[len(tokens) :], strict=True):
        found[n] = _higher(encoder, found[n].plain, tokens[n], by_words, words)
    return found


def _higher(encoder: Any, own: Raw, tokens: Tokens, other: Raw, words: Tokens) -> Reading:
    """No head gets lower by the gloss: English that is laid out as another language is still read as it is. The hazards are those of what asks for
    more."""
    shift = len(tokens.ids)
    higher = other.highest > own.highest
    hazards, asks = [encoder.outputs.index(code) for code in HAZARDS], encoder.outputs.index("harmful_request")
    higher[hazards] = higher[asks]
    windows = [*own.windows, *(w._replace(start=w.start + shift, end=w.end + shift) for w in other.windows)]
    highest, where = np.where(higher, other.highest, own.highest), np.where(higher, other.where + len(own.windows), own.where)
    merged = Raw(np.maximum(own.first, other.first), highest, np.maximum(own.mean, other.mean), where, windows)
    return Reading(merged, Tokens([*tokens.ids, *words.ids], [*tokens.offsets, *words.offsets]), own, other)
