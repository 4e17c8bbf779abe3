"""From texts to calibrated scores by head: the classifier without verdicts, for batches (guards, filters, training data)."""

from __future__ import annotations

import hashlib
import math
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from charter.judges import _stock
from charter.judges._calibration import Calibration, Floats, sigmoid
from charter.judges._encoder import Encoder, Tokens
from charter.judges._heads import CONTENT_HEADS, HAZARDS, REPLY_HEADS, TEXT_HEADS
from charter.judges._windows import Window
from charter.judges.refusal import RefusalJudge

ON_TEXTS = (*TEXT_HEADS, *CONTENT_HEADS)
#: What a text is scored for, in this order.
SCORES = (*ON_TEXTS, *HAZARDS)
#: Heads for which stock phrases speak too, where they are this sure (two in a thousand of the harmless rows at hand): what everybody copies must be
#: found, however the encoder feels about its words.
STOCK, SURE = ("injection",), 0.8
#: Single texts whose scores are kept.
KEPT = 256


class Raw(NamedTuple):
    """Raw numbers of one text: the first window, the highest of each output over all windows, the mean, and the window that was highest."""

    first: NDArray[np.float32]
    highest: NDArray[np.float32]
    mean: NDArray[np.float32]
    where: NDArray[np.int64]
    windows: list[Window]


class Said(NamedTuple):
    """What the refusal rules read in a reply: the label (full, partial, none, unsure) and how likely it does what it was asked to."""

    label: str
    does: float


def said(judge: RefusalJudge, prompt: str, reply: str) -> Said:
    """What the refusal rules read; nothing of an empty reply."""
    try:
        found = judge.read(prompt, reply)
    except ValueError:
        return Said("unsure", 0.0)
    return Said(found.label, found.does)


class Scored(NamedTuple):
    """Probabilities by head, each of shape (n,); nan where the head does not apply. ``spans`` are the characters of the window that was
    worst for the head, one dictionary for each text, only where the text is longer than one window."""

    probabilities: dict[str, Floats]
    spans: list[dict[str, tuple[int, int]]]


class Scorer:
    """The encoder with the calibration of its card."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self.heads = {name: Calibration.from_json(head["calibration"]) for name, head in encoder.card["heads"].items()}
        self.stacks: Mapping[str, Mapping[str, float]] = encoder.card["stacks"]
        self._at = {name: n for n, name in enumerate(encoder.outputs)}
        self._hazard_scale = float(self.stacks["hazards"]["scale"])
        self._kept: OrderedDict[bytes, Scored] = OrderedDict()
        self._lock = threading.Lock()

    def texts(self, texts: Sequence[str]) -> Scored:
        """Heads on single texts and the hazards (softmax over S1..S14, on the window that asks most). What one text alone was given lately is kept:
        a guard reads a request again beside its reply."""
        return self._once(texts[0]) if len(texts) == 1 else self._texts(texts)

    def forget(self) -> None:
        """Read everything anew from here on: for measurements."""
        with self._lock:
            self._kept.clear()
        self.encoder.forget()

    def _once(self, text: str) -> Scored:
        """By the text's hash: what a person wrote is not kept."""
        key = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
        with self._lock:
            known = self._kept.get(key)
        if known is not None:
            return known
        found = self._texts([text])
        with self._lock:
            self._kept[key] = found
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return found

    def _texts(self, texts: Sequence[str]) -> Scored:
        tokens = self.encoder.tokens(texts)
        found = raw(self.encoder, [self.encoder.text(t) for t in tokens])
        rows = [_at_least(self._reckon(r.highest.tolist()), _stock.scores(STOCK, text)) for r, text in zip(found, texts, strict=True)]
        columns = np.array([list(row.values()) for row in rows], dtype=np.float64).reshape(len(texts), len(SCORES))
        scores = {name: columns[:, n] for n, name in enumerate(SCORES)}
        spans = [
            {head: span_of(r.windows[int(r.where[self._at[head]])], t) for head in ON_TEXTS} if len(r.windows) > 1 else {}
            for r, t in zip(found, tokens, strict=True)
        ]
        return Scored(scores, spans)

    def replies(self, pairs: Sequence[tuple[str, str]], rules: Sequence[Said], requests: Floats) -> Scored:
        """Heads on (request, reply). ``rules`` is what the refusal rules read, ``requests`` the probabilities that the requests are harmful."""
        asked, said = self.encoder.tokens([p[0] for p in pairs]), self.encoder.tokens([p[1] for p in pairs])
        found = raw(self.encoder, [self.encoder.reply(a, b) for a, b in zip(asked, said, strict=True)])
        mix = self.stacks["harmful_reply"]
        inputs = reply_inputs(found, self._at, rules, requests)
        logits = inputs @ np.array([mix.get(name, 0.0) for name in REPLY_INPUTS])  # older weights know fewer inputs
        scores = {"harmful_reply": self.heads["harmful_reply"](logits)}
        scores["refusal"] = self.heads["refusal"](np.array([float(r.first[self._at["refusal"]]) for r in found]))
        head = "harmful_reply"
        spans = [{head: span_of(r.windows[int(r.where[self._at[head]])], t)} if len(r.windows) > 1 else {} for r, t in zip(found, said, strict=True)]
        return Scored(scores, spans)

    def _reckon(self, high: Sequence[float]) -> dict[str, float]:
        """``SCORES`` of one text from its outputs. Plain floats: numpy takes longer to be called than to reckon with a few numbers, most of all on a
        processor whose caches the network has just filled."""
        scores = {head: self.heads[head].of(high[self._at[head]]) for head in ON_TEXTS}
        scores["toxicity"] = self.heads["moderation"].of(_any_content(scores))
        logits = [high[self._at[code]] * self._hazard_scale for code in HAZARDS]
        top = max(-30.0, *logits)
        weights = [math.exp(logit - top) for logit in logits]
        total = sum(weights)
        return scores | {code: weight / total for code, weight in zip(HAZARDS, weights, strict=True)}


def _at_least(scores: dict[str, float], least: Mapping[str, float]) -> dict[str, float]:
    return scores | {head: max(scores[head], value) for head, value in least.items() if value >= SURE}


def any_content(scores: Mapping[str, Floats]) -> Floats:
    """Logit of the chance that any kind of content is there, taking the heads for independent (noisy-or): what a moderation policy flags."""
    none = np.prod([1.0 - np.clip(scores[head], 0.0, 0.999) for head in ("toxicity", *CONTENT_HEADS)], axis=0)
    out: Floats = np.log1p(-np.clip(none, 1e-6, 1.0 - 1e-6)) - np.log(np.clip(none, 1e-6, 1.0))
    return out


def _any_content(scores: Mapping[str, float]) -> float:
    """``any_content`` of one text."""
    none = math.prod(1.0 - min(max(scores[head], 0.0), 0.999) for head in ("toxicity", *CONTENT_HEADS))
    return math.log1p(-min(max(none, 1e-6), 1.0 - 1e-6)) - math.log(min(max(none, 1e-6), 1.0))


#: Inputs of the mix that judges a reply.
REPLY_INPUTS = (
    "one", "highest", "first", "mean", "request", "refusal_head", "full", "partial", "request_and_none", "does", "request_and_does",
)  # fmt: skip


def reply_inputs(found: Sequence[Raw], at: Mapping[str, int], rules: Sequence[Said], requests: Floats) -> Floats:
    """(n, len(REPLY_INPUTS)): a constant, the reply head over the windows, the request, and what the refusal rules and the refusal head say."""
    rows = []
    for r, (label, does), request in zip(found, rules, requests, strict=True):
        k = at["harmful_reply"]
        declined = float(sigmoid(np.array(float(r.first[at["refusal"]]))))
        asked = float(request)
        full, partial, none = (float(label == name) for name in ("full", "partial", "none"))
        heads = [float(r.highest[k]), float(r.first[k]), float(r.mean[k])]
        rows.append([1.0, *heads, asked, declined, full, partial, asked * none * (1.0 - declined), does, asked * does * (1.0 - full)])
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(REPLY_INPUTS))


def raw(encoder: Any, windows: Sequence[Sequence[Window]]) -> list[Raw]:
    """Raw numbers of every text, all windows of all texts in one go."""
    numbers = encoder.run([w for ws in windows for w in ws])
    found, at = [], 0
    for ws in windows:
        part = numbers[at : at + len(ws)]
        if len(ws) == 1:
            found.append(Raw(part[0], part[0], part[0], np.zeros(part.shape[1], np.int64), list(ws)))
        else:
            found.append(Raw(part[0], part.max(axis=0), part.mean(axis=0), part.argmax(axis=0), list(ws)))
        at += len(ws)
    return found


def span_of(window: Window, tokens: Tokens) -> tuple[int, int]:
    """Characters that a window holds of its text."""
    if window.end <= window.start:
        return (0, 0)
    return tokens.offsets[window.start][0], tokens.offsets[window.end - 1][1]


__all__ = ["ON_TEXTS", "REPLY_HEADS", "REPLY_INPUTS", "Raw", "Said", "Scored", "Scorer", "raw", "reply_inputs", "said", "span_of"]
