"""Sentences of a window, weighed by the token vectors that the network has made for the whole window anyway.

The heads see the mean over a window: friendly sentences around a request hide it. With three around each, half of the harmful requests that are found
alone were missed, with eight four of five. Reading every sentence alone would take twice the time, so only those that look suspicious
among their neighbours are (``_raw.raw_texts``): an ordinary text is read once. Shares and limits were chosen on held-out rows (docs/decisions/0064).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from charter.judges._network import Network
from charter.judges._windows import Window

#: Heads for which sentences count, and the share of what one says alone; the rest is what it says among its neighbours (a quotation, a story).
#: Injections are left out: at equal false alarms no more of them were found, and of everyday prompts three times as many were flagged.
ALONE = {"harmful_request": 2 / 3, "jailbreak": 1 / 2}
#: Raw number from which a sentence among its neighbours is read alone (a harmful request by one in eight), and how many of one window for a head.
SUSPECT, MOST = -1.5, 3
#: What ends a sentence; tokens of the longest piece that counts as one, and of the shortest that is not joined to its neighbour.
STOPS = (".", "!", "?", ";", "…", "。", "！", "？")
LONGEST, SHORTEST = 32, 4
Span = tuple[int, int]


class Seen(NamedTuple):
    """What the network said of one window: raw numbers (outputs,); its sentences (tokens from and to, without the first special one), none where it
    is one; and their raw numbers (n, outputs) among their neighbours, without what their words say."""

    numbers: NDArray[np.float32]
    spans: list[Span]
    among: NDArray[np.float32]


class Weigher(NamedTuple):
    """``vectors``: the output with the token vectors. ``weight`` (twice the width, outputs) and ``bias`` of the heads. ``stops``: tokens."""

    vectors: str
    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    stops: frozenset[int]

    def spans(self, window: Window) -> list[Span]:
        """The sentences of a text's window; none where it is one, and of windows with two parts."""
        found = sentence_spans(window.ids[1:-1], self.stops) if not any(window.segments) else []
        return found if len(found) > 1 else []

    def weigh(self, vectors: NDArray[np.float32], spans: Sequence[Span]) -> NDArray[np.float32]:
        """What the heads say (n, outputs) of the mean and the maximum of each sentence's token vectors; ``vectors`` (tokens, width) of the window."""
        starts, ends = np.array(spans).T
        own = vectors[1:-1]
        mean = np.add.reduceat(own, starts, axis=0) / (ends - starts)[:, None]
        highest = np.empty((len(spans), own.shape[1]), own.dtype)
        for row, (start, end) in zip(highest, spans, strict=True):  # a quarter of the time of ``reduceat``, and the same numbers
            np.maximum.reduce(own[start:end], axis=0, out=row)
        pooled = np.concatenate([mean, highest], axis=1).astype(np.float32)
        return pooled @ self.weight + self.bias


def weigher(network: Network, tokenizer: Any) -> Weigher | None:
    """For a network whose file has what is needed; None for older weights."""
    names = network.outputs
    vectors = next((name for name in names if name.startswith("layer_")), "")
    if not vectors or "heads_weight" not in names:
        return None
    feed = {"input_ids": np.zeros((1, 2), np.int32), "token_type_ids": np.zeros((1, 2), np.int32), "position_ids": np.arange(2, dtype=np.int32)}
    weight, bias = network.run(["heads_weight", "heads_bias"], feed)
    return Weigher(vectors, weight, bias, frozenset(token for stop in STOPS if (token := tokenizer.token_to_id(stop)) is not None))


def sentence_spans(ids: Sequence[int], stops: Collection[int]) -> list[Span]:
    """(start, end) of the sentences of some tokens: each up to the last stop in a row, or ``LONGEST`` tokens where there is none."""
    cuts = [0]
    for place, token in enumerate(ids, 1):
        length = place - cuts[-1]
        ends = token in stops and (place == len(ids) or ids[place] not in stops)
        if (ends and length >= SHORTEST) or length >= LONGEST:
            cuts.append(place)
    if cuts[-1] < len(ids):
        if len(cuts) > 1 and len(ids) - cuts[-1] < SHORTEST:
            cuts.pop()
        cuts.append(len(ids))
    return list(pairwise(cuts))


def suspicious(seen: Seen, heads: Collection[int]) -> list[int]:
    """Which sentences some head finds suspicious among their neighbours, in their order."""
    if not seen.spans:
        return []
    return sorted({int(n) for head in heads for n in np.argsort(-seen.among[:, head])[:MOST] if seen.among[n, head] >= SUSPECT})
