"""From texts to calibrated scores by head: the classifier without verdicts, for batches (guards, filters, training data)."""

from __future__ import annotations

import hashlib
import math
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from charter.judges import _stock
from charter.judges._calibration import Calibration, Floats
from charter.judges._card_check import untaught_of
from charter.judges._encoder import SHORT, Encoder, Kept
from charter.judges._heads import CONTENT_HEADS, HAZARDS, OPERATOR_HEADS, TEXT_HEADS
from charter.judges._raw import Raw, span_of
from charter.judges._readings import Reader, Reading
from charter.judges._reply_inputs import HEAD_ALONE, REFUSAL_INPUTS, REPLY_INPUTS, Said, refusal_inputs, reply_inputs

ON_TEXTS = (*TEXT_HEADS, *CONTENT_HEADS)
#: What a text is scored for, in this order.
SCORES = (*ON_TEXTS, *HAZARDS)
#: Heads for which stock phrases speak too, where they are this sure (two in a thousand of the harmless rows at hand): what everybody copies must be
#: found, however the encoder feels about its words.
STOCK, SURE = ("injection",), 0.8
#: Single texts whose scores are kept.
KEPT = 256


class Scored(NamedTuple):
    """Probabilities by head, each of shape (n,); nan where the head does not apply. ``spans`` are the characters of the window or sentence that was
    worst for the head, one dictionary for each text, only where the text is longer than one window, or a sentence or a gloss was read beside it.
    ``asks`` is how harmful the texts are as requests to the mix that judges replies to them, which knows that number whether or not the head was
    taught; nobody else reads it."""

    probabilities: dict[str, Floats]
    spans: list[dict[str, tuple[int, int]]]
    asks: Floats = np.zeros(0)


class Deed(NamedTuple):
    """What the encoder says of a reply that may do what was asked: the probability that it does, the raw number of how harmful it looks (the highest
    over its windows), and the probability that it refuses: by its English words where all of it is in another language,
    else the lower one of those and of its own."""

    achieved: float
    harm: float
    refuses: float


class Scorer:
    """The encoder with the calibration of its card."""

    def __init__(self, encoder: Encoder, other_languages: bool = True) -> None:
        self.encoder, self._reader = encoder, Reader(encoder, other_languages)
        #: Heads that these weights learned nothing of: their numbers are by chance, and are no scores.
        self.untaught = untaught_of(encoder.card)
        self.heads = dict.fromkeys(self.untaught, Calibration())
        self.heads |= {name: Calibration.from_json(head["calibration"]) for name, head in encoder.card["heads"].items()}
        self.stacks: Mapping[str, Mapping[str, float]] = encoder.card["stacks"]
        self._at = {name: n for n, name in enumerate(encoder.outputs)}
        #: Whether these weights read a text beside the operator's instructions, and a reply for whether it does what was asked: older ones do not.
        self.reads_operators = all(head in self.heads and head in self._at for head in OPERATOR_HEADS) and self.untaught.isdisjoint(OPERATOR_HEADS)
        self.reads_achieved = "achieved" in self.heads and "achieved" in self._at and "achieved" not in self.untaught
        self._located = tuple(head for head in ON_TEXTS if head not in self.untaught)
        self._hazard_scale = float(self.stacks["hazards"]["scale"])
        self._kept: OrderedDict[bytes, Scored] = OrderedDict()
        self._signs: Kept[bytes, dict[str, float]] = Kept(KEPT)
        self._lock = threading.Lock()

    def texts(self, texts: Sequence[str]) -> Scored:
        """Heads on single texts and the hazards (softmax over S1..S14, on the window that asks most). What one text alone was given lately is kept:
        a guard reads a request again beside its reply."""
        return self._once(texts[0]) if len(texts) == 1 else self._texts(texts)

    def forget(self) -> None:
        """Read everything anew from here on: for measurements."""
        with self._lock:
            self._kept.clear()
        self._signs.clear()
        self._reader.forget()
        self.encoder.forget()

    def warm(self) -> None:
        """Read now what some texts need and the first of them would wait for."""
        self._reader.warm()

    def stock(self, text: str) -> dict[str, float]:
        """What stock phrases say of a text, or of its English words. Kept for a while: another thread may look for them while the encoder reads the
        text."""
        key = _key(text)
        known = self._signs.get([key]) or {key: self._phrases(text)}
        self._signs.put(known)
        return known[key]

    def ahead(self, text: str, reply: str | None = None) -> None:
        """Work out what the network is not needed for of a short text, or of a short reply to it: see ``stock``. In the order in which it is asked
        for."""
        if len(text) + len(reply or "") <= SHORT:
            read = self.encoder.tokens([text])[0]
            windows = self.encoder.text(read) if reply is None else self.encoder.reply(read, self.encoder.tokens([reply])[0])
            if len(windows) == 1:
                self.encoder.words(windows[0])
        self.stock(text)

    def _phrases(self, text: str) -> dict[str, float]:
        found, words = _stock.scores(STOCK, text), self._reader.gloss(text)
        return found if words is None else {head: max(found[head], score) for head, score in _stock.scores(STOCK, words.text).items()}

    def _once(self, text: str) -> Scored:
        key = _key(text)
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
        found = self._reader.texts(texts)
        rows = [self._at_least(self._reckon(r.highest.tolist()), self.stock(text)) for (r, *_), text in zip(found, texts, strict=True)]
        columns = np.array([list(row.values()) for row in rows], dtype=np.float64).reshape(len(texts), len(SCORES))
        scores = {name: columns[:, n] for n, name in enumerate(SCORES)}
        return Scored(self._taught(scores), [self._spans(each, self._located) for each in found], scores["harmful_request"])

    def _taught(self, scores: dict[str, Floats]) -> dict[str, Floats]:
        """Nothing where the weights learned nothing."""
        return scores if not self.untaught else {n: np.full(len(v), np.nan) if n in self.untaught else v for n, v in scores.items()}

    def _spans(self, read: Reading, heads: Sequence[str]) -> dict[str, tuple[int, int]]:
        """Where each head is highest, if there is more than one place."""
        found = read.raw
        return {head: span_of(found.windows[int(found.where[self._at[head]])], read.tokens) for head in heads} if len(found.windows) > 1 else {}

    def read_replies(self, pairs: Sequence[tuple[str, str]]) -> list[Reading]:
        """What the encoder makes of (request, reply)."""
        return self._reader.pairs(pairs, self.encoder.reply)

    def replies(self, read: Sequence[Reading], rules: Sequence[Said], requests: Floats) -> Scored:
        """Heads on (request, reply) from what the encoder read. ``rules`` is what the refusal rules say, ``requests`` how harmful the requests
        are (``asks``). Of a reply that is read by its words too, the higher number of each head counts."""
        plain, words = [each.plain for each in read], [each.by_words for each in read]
        harm, refusal = self._harm(plain, rules, requests), self._refusal(plain, rules)
        if any(each.by_words is not each.plain for each in read):
            harm, refusal = np.maximum(harm, self._harm(words, rules, requests)), np.maximum(refusal, self._refusal(words, rules))
        scores = {"harmful_reply": self.heads["harmful_reply"](harm), "refusal": refusal}
        if self.reads_achieved:
            scores["achieved"] = self._achieved([each.raw for each in read])
        located = ("harmful_reply",) if "harmful_reply" not in self.untaught else ()
        return Scored(self._taught(scores), [self._spans(each, located) for each in read])

    def _harm(self, found: Sequence[Raw], rules: Sequence[Said], requests: Floats) -> Floats:
        mix = self.stacks["harmful_reply"]
        weights = np.array([mix.get(name, 0.0) for name in REPLY_INPUTS])  # older weights know fewer inputs
        out: Floats = reply_inputs(found, self._at, rules, requests) @ weights
        return out

    def deeds(self, pairs: Sequence[tuple[str, str]], rules: Sequence[Said]) -> list[Deed]:
        """What bears on whether a reply does what was asked: ``pairs`` are (request, reply). Raises ValueError with weights that do not answer that
        (``reads_achieved``)."""
        if not self.reads_achieved:
            raise ValueError("these weights do not say whether a reply does what was asked")
        read = self.read_replies(pairs)
        achieved, refuses = self._achieved([each.raw for each in read]), self._refusal([each.plain for each in read], rules)
        if any(each.by_words is not each.plain for each in read):  # beside English, words that seem to refuse must not hide what was done
            words = self._refusal([each.by_words for each in read], rules)
            refuses = np.where([each.foreign for each in read], words, np.minimum(refuses, words))
        at = self._at["harmful_reply"]
        return [Deed(float(a), float(each.raw.highest[at]), float(r)) for a, each, r in zip(achieved, read, refuses, strict=True)]

    def _refusal(self, found: Sequence[Raw], rules: Sequence[Said]) -> Floats:
        mix = self.stacks.get("refusal", HEAD_ALONE)  # older weights did not ask the rules
        return self.heads["refusal"](refusal_inputs(found, self._at, rules) @ np.array([mix[name] for name in REFUSAL_INPUTS]))

    def _achieved(self, found: Sequence[Raw]) -> Floats:
        return self.heads["achieved"](np.array([float(r.highest[self._at["achieved"]]) for r in found]))

    def beside(self, pairs: Sequence[tuple[str, str]]) -> Floats:
        """Probabilities, of shape (n,), that a text goes against the instructions of who set the model up: ``pairs`` are (instructions, text).

        Raises ValueError with weights that do not read instructions (``reads_operators``).
        """
        if not self.reads_operators:
            raise ValueError("these weights do not read an operator's instructions")
        found, head = self._reader.pairs(pairs, self.encoder.beside), OPERATOR_HEADS[0]
        return self.heads[head](np.array([float(each.raw.highest[self._at[head]]) for each in found]))

    def as_injection(self, probabilities: Floats) -> Floats:
        """Probabilities of ``beside`` on the scale of the injection head: operating point falls on operating point, with straight lines between, so
        that one threshold for injections holds for both."""
        own, other = (self.encoder.card["heads"][head]["points"] for head in (OPERATOR_HEADS[0], "injection"))
        out: Floats = np.interp(probabilities, [0.0, own["safe"], own["unsafe"], 1.0], [0.0, other["safe"], other["unsafe"], 1.0])
        return out

    def _at_least(self, scores: dict[str, float], stock: Mapping[str, float]) -> dict[str, float]:
        """Stock phrases that are sure reach the operating point, wherever the encoder's own harmless texts have put it."""
        points = self.encoder.card["heads"]
        sure = {head: max(v, points[head]["points"]["unsafe"]) for head, v in stock.items() if v >= SURE and head not in self.untaught}
        return scores | {head: max(scores[head], value) for head, value in sure.items()}

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


def _key(text: str) -> bytes:
    """A text's hash: what a person wrote is not kept."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def any_content(scores: Mapping[str, Floats]) -> Floats:
    """Logit of the chance that any kind of content is there, taking the heads for independent (noisy-or): what a moderation policy flags.

    The head ``toxicity`` has no part in it: it learned what Perspective calls toxic, swearing without a target included.
    """
    none = np.prod([1.0 - np.clip(scores[head], 0.0, 0.999) for head in CONTENT_HEADS], axis=0)
    out: Floats = np.log1p(-np.clip(none, 1e-6, 1.0 - 1e-6)) - np.log(np.clip(none, 1e-6, 1.0))
    return out


def _any_content(scores: Mapping[str, float]) -> float:
    """``any_content`` of one text."""
    none = math.prod(1.0 - min(max(scores[head], 0.0), 0.999) for head in CONTENT_HEADS)
    return math.log1p(-min(max(none, 1e-6), 1.0 - 1e-6)) - math.log(min(max(none, 1e-6), 1.0))


__all__ = ["ON_TEXTS", "Scored", "Scorer", "any_content"]
