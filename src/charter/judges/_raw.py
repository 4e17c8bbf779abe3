"""Raw numbers of whole texts: what the encoder says over all their windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from charter.judges._encoder import Tokens
from charter.judges._heads import CONTENT_HEADS, HAZARDS
from charter.judges._sentences import ALONE, Seen, suspicious
from charter.judges._windows import Window

#: Windows before and behind one that count with it where a kind of content is looked for.
NEIGHBOURS = 2


class Raw(NamedTuple):
    """Raw numbers of one text: the first window, the highest of each output over all windows (of a kind of content: of windows among their
    neighbours), the mean, and the window that was highest."""

    first: NDArray[np.float32]
    highest: NDArray[np.float32]
    mean: NDArray[np.float32]
    where: NDArray[np.int64]
    windows: list[Window]


def raw(encoder: Any, windows: Sequence[Sequence[Window]]) -> list[Raw]:
    """Raw numbers of every text, all windows of all texts in one go."""
    return _gathered(encoder.run([w for ws in windows for w in ws]), windows, encoder)


def raw_texts(encoder: Any, tokens: Sequence[Tokens]) -> list[Raw]:
    """Raw numbers of whole texts, each beside the sentences of it that look suspicious read alone (``_sentences``). Where such a sentence is the
    highest, ``where`` is its number in ``windows``, which it is added to."""
    return without_and_with_sentences(encoder, tokens)[1]


def without_and_with_sentences(encoder: Any, tokens: Sequence[Tokens]) -> tuple[list[Raw], list[Raw]]:
    """Raw numbers of whole texts by their windows alone, and as ``raw_texts`` gives them."""
    windows = [encoder.text(each) for each in tokens]
    seen: list[Seen] = encoder.see([w for ws in windows for w in ws])
    whole = _gathered(np.stack([each.numbers for each in seen]) if seen else encoder.run([]), windows, encoder)
    found = list(whole)
    at = {head: encoder.outputs.index(head) for head in ALONE}
    of = (n for n, ws in enumerate(windows) for _ in ws)
    flat = (window for ws in windows for window in ws)
    suspects = [
        _Suspect(n, part := encoder.part(window, *each.spans[k]), each.among[k] + encoder.words(part))
        for n, window, each in zip(of, flat, seen, strict=True)
        for k in suspicious(each, at.values())
    ]
    hazards = [encoder.outputs.index(code) for code in HAZARDS]
    for suspect, alone in zip(suspects, encoder.run([s.window for s in suspects]), strict=True):
        found[suspect.text] = _with(found[suspect.text], suspect, alone, at, hazards)
    return whole, found


class _Suspect(NamedTuple):
    """A sentence to read alone: of which text, its window, and its raw numbers (outputs,) among its neighbours, its own words counted."""

    text: int
    window: Window
    among: NDArray[np.float32]


def _with(whole: Raw, suspect: _Suspect, alone: NDArray[np.float32], at: Mapping[str, int], hazards: list[int]) -> Raw:
    """``whole`` with a sentence that was read ``alone``: no head gets lower by it. The hazards are those of what is the most harmful request."""
    highest, where = whole.highest.copy(), whole.where.copy()
    for head, k in at.items():
        number = ALONE[head] * float(alone[k]) + (1.0 - ALONE[head]) * float(suspect.among[k])
        if number > highest[k]:
            highest[k], where[k] = number, len(whole.windows)
            if head == "harmful_request":
                highest[hazards] = alone[hazards]
    return whole._replace(highest=highest, where=where, windows=[*whole.windows, suspect.window])


def _gathered(numbers: NDArray[np.float32], windows: Sequence[Sequence[Window]], encoder: Any) -> list[Raw]:
    found, at = [], 0
    content = [encoder.outputs.index(head) for head in CONTENT_HEADS if head in encoder.outputs] if encoder.passages else []
    for ws in windows:
        part = numbers[at : at + len(ws)]
        if len(ws) == 1:
            found.append(Raw(part[0], part[0], part[0], np.zeros(part.shape[1], np.int64), list(ws)))
        else:
            looked = part.copy()
            looked[:, content] = among_neighbours(part[:, content])
            found.append(Raw(part[0], looked.max(axis=0), part.mean(axis=0), looked.argmax(axis=0), list(ws)))
        at += len(ws)
    return found


def among_neighbours(numbers: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each window's raw numbers (windows, heads), half its own and half the mean of it and its neighbours.

    A text of many windows is several times as likely to have one by chance that looks like hateful or sexual content, and people judge a passage
    and not a phrase. Only neighbours count, so that a passage is not lost in a long text.
    """
    before = np.vstack([np.zeros((1, numbers.shape[1])), np.cumsum(numbers, axis=0, dtype=np.float64)])
    first = np.maximum(np.arange(len(numbers)) - NEIGHBOURS, 0)
    last = np.minimum(np.arange(len(numbers)) + NEIGHBOURS + 1, len(numbers))
    mean = (before[last] - before[first]) / (last - first)[:, None]
    out: NDArray[np.float32] = (0.5 * numbers + 0.5 * mean).astype(np.float32)
    return out


def span_of(window: Window, tokens: Tokens) -> tuple[int, int]:
    """Characters that a window holds of its text."""
    if window.end <= window.start:
        return (0, 0)
    return tokens.offsets[window.start][0], tokens.offsets[window.end - 1][1]
