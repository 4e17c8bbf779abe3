"""Calibration, the mix for replies, and operating points, all on held-out sources and on the quantised network that ships."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from charter.judges import refusal
from charter.judges._calibration import Calibration, choose, expected_calibration_error, fit_temperature, sigmoid, threshold_at
from charter.judges._encoder import Encoder
from charter.judges._heads import CONTENT_HEADS, HAZARDS, OPERATOR_HEADS, TEXT_HEADS
from charter.judges._raw import raw, raw_texts, without_and_with_sentences
from charter.judges._reply_inputs import HEAD_ALONE, REFUSAL_INPUTS, REPLY_INPUTS, refusal_inputs, reply_inputs, said
from charter.judges._scoring import any_content
from charter.train.classifier.rows import LabelledText

#: Share of false alarms on held-out harmless rows, at the upper operating point ("unsafe") and at the lower one (under it is "safe"): among plain
#: texts, and among those that were written to look like what they are not. The stricter of the two decides.
FALSE_ALARMS = {
    "harmful_request": ((0.01, 0.06), (0.05, 0.20)), "jailbreak": ((0.005, 0.03), (0.01, 0.05)), "injection": ((0.005, 0.03), (0.02, 0.08)),
    "harmful_reply": ((0.05, 0.2), (0.05, 0.2)), "against_operator": ((0.01, 0.05), (0.10, 0.30)),
}  # fmt: skip
OTHER_ALARMS = ((0.02, 0.1), (0.05, 0.2))
#: Sources whose harmless rows look harmful (Presidio's sentences are full of cards, passwords and stolen things).
_LOOK_ALIKES = frozenset({
    "starter_twin", "starter_lookalike", "wildguard_benign", "own_trigger_words", "own_content_held", "own_requests_held", "own_quotes_held",
    "agent_injections", "presidio_sentences", "own_among_held", "own_written_content_held", "own_written_hazards_held", "own_written_operators_held",
    "own_written_overrides_held", "own_written_passages_held", "own_written_roles_held", "own_written_secrets_held", "own_written_subjects_held",
    "own_written_triggers_held", "own_written_pairs_held", "own_written_more_pairs_held", "own_written_languages_held",
})  # fmt: skip
#: No source of at least so many harmless rows may have a larger share of false alarms than this, by itself, at the upper point of an attack head:
#: among all rows together, those that were written like the learned ones drown the texts from elsewhere, which are what a user has.
SOURCE_ALARMS, SOURCE_ROWS = {"jailbreak": 0.03, "injection": 0.03}, 50
#: Held-out rows from which a head is calibrated, or a mix is set, if there are both kinds among them.
FEWEST = 20
_RIDGE = 1e-2
#: Sources whose refusals were labelled by the refusal rules: nothing can be learned there of how far those are to be trusted.
_BY_RULES = ("gptfuzz_", "jbb_")
#: Lowest upper operating point: where the held-out harmless rows are all far below, a point beside them would rest on rows nobody saw.
_FLOOR = 0.25


def calibrate(encoder: Encoder, held_out: Sequence[LabelledText]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(heads, stacks) for the card. A head without held-out rows of both kinds keeps its raw probability, and the card says so."""
    at = {name: n for n, name in enumerate(encoder.outputs)}
    alone = [row for row in held_out if row.alone]
    paired = [row for row in held_out if row.reply is not None]
    # a text of one sentence keeps its score, whatever other texts gain by their sentences: the scale is set without these, the points with them
    whole, high = (
        np.array([r.highest for r in raws], dtype=np.float64).reshape(len(alone), len(encoder.outputs))
        for raws in without_and_with_sentences(encoder, encoder.tokens([r.text for r in alone]))
    )
    heads: dict[str, Any] = {}
    for head in (*TEXT_HEADS, *CONTENT_HEADS):
        known = [n for n, row in enumerate(alone) if head in row.labels]
        heads[head] = _head(head, high[known, at[head]], [alone[n] for n in known], whole[known, at[head]])
    stacks: dict[str, Any] = {"hazards": {"scale": _hazard_scale(high[:, [at[c] for c in HAZARDS]], alone)}}
    request = Calibration.from_json(heads["harmful_request"]["calibration"])
    stacks["harmful_reply"], logits = _reply_mix(encoder, at, paired, request)
    known = [n for n, row in enumerate(paired) if "harmful_reply" in row.labels]
    heads["harmful_reply"] = _head("harmful_reply", logits[known], [paired[n] for n in known])
    heads["refusal"], stacks["refusal"] = _refusal(encoder, at, paired)
    heads["achieved"] = _achieved(encoder, at, paired)
    heads |= _operator_heads(encoder, at, [row for row in held_out if row.operator is not None])
    heads["moderation"] = _moderation(heads, high, at, alone)
    return heads, stacks


def _refusal(encoder: Encoder, at: dict[str, int], rows: Sequence[LabelledText]) -> tuple[dict[str, Any], dict[str, float]]:
    """The refusal head mixed with the refusal rules, on rows that the rules have not labelled themselves: (head, mix)."""
    known = [row for row in rows if "refusal" in row.labels and not row.source.startswith(_BY_RULES)]
    found = raw(encoder, [encoder.reply(a, b)[:1] for a, b in _tokens(encoder, known)])
    judge = refusal.build(refusal.Config())
    inputs = refusal_inputs(found, at, [said(judge, row.text, row.reply or "") for row in known])
    gold = np.array([round(row.labels["refusal"]) for row in known], dtype=np.float64)
    theta = np.array([HEAD_ALONE[name] for name in REFUSAL_INPUTS])
    if len(gold) >= FEWEST and 0.0 < gold.mean() < 1.0:
        theta = logistic(inputs, gold, even([row.source for row in known]))
    return _head("refusal", inputs @ theta, known), {name: round(float(v), 6) for name, v in zip(REFUSAL_INPUTS, theta, strict=True)}


def _achieved(encoder: Encoder, at: dict[str, int], rows: Sequence[LabelledText]) -> dict[str, Any]:
    """Whether the reply does what was asked, by the window that says so most."""
    known = [row for row in rows if "achieved" in row.labels]
    found = raw(encoder, [encoder.reply(a, b) for a, b in _tokens(encoder, known)])
    return _head("achieved", np.array([float(r.highest[at["achieved"]]) for r in found]), known)


def even(sources: Sequence[str]) -> Any:
    """Weights by which every source counts as the square root of its rows, so that none of them decides alone."""
    weights = np.array([1.0 / np.sqrt(sources.count(s)) for s in sources])
    return weights / weights.mean()


def _operator_heads(encoder: Encoder, at: dict[str, int], rows: Sequence[LabelledText]) -> dict[str, Any]:
    told, texts = encoder.tokens([row.operator or "" for row in rows]), encoder.tokens([row.text for row in rows])
    found = raw(encoder, [encoder.beside(a, b) for a, b in zip(told, texts, strict=True)])
    heads = {}
    for head in OPERATOR_HEADS:
        known = [n for n, row in enumerate(rows) if head in row.labels]
        heads[head] = _head(head, np.array([float(found[n].highest[at[head]]) for n in known]), [rows[n] for n in known])
    return heads


def _tokens(encoder: Encoder, rows: Sequence[LabelledText]) -> list[tuple[Any, Any]]:
    return list(zip(encoder.tokens([r.text for r in rows]), encoder.tokens([r.reply or "" for r in rows]), strict=True))


def _head(head: str, logits: Any, rows: Sequence[LabelledText], scale: Any = None) -> dict[str, Any]:
    """``scale``: raw numbers to calibrate on, where they are not the served ones; the ECE is then that of what is served, not cross-fitted."""
    labels = np.array([round(row.labels[head]) for row in rows], dtype=np.float64)
    if len(labels) < FEWEST or labels.min() == labels.max():
        alike = {"n": len(labels), "n_positive": int(labels.sum()), "ece": None}
        return {"calibration": Calibration().as_json(), "points": {"safe": 0.2, "unsafe": 0.8}, **alike}
    # rows of one source stand together: shuffle, so that every fold has all of them
    order = np.random.default_rng(0).permutation(len(labels))
    logits, labels = logits[order], labels[order]
    calibration, error = choose(logits if scale is None else scale[order], labels)
    scores = calibration(logits)
    if scale is not None and not np.array_equal(scale[order], logits):
        error = expected_calibration_error(scores, labels)
    before = expected_calibration_error(sigmoid(logits), labels)
    sources = [rows[n].source for n in order[labels == 0]]
    return {
        "calibration": calibration.as_json(), "points": _points(head, scores[labels == 0], sources), "n": len(labels),
        "n_positive": int(labels.sum()), "ece": round(error, 4), "ece_before": round(before, 4),
    }  # fmt: skip


def _points(head: str, harmless: Any, sources: Sequence[str]) -> dict[str, float]:
    """The operating points: the higher of those that plain texts and look-alikes ask for, and for attacks of what each source asks for alone."""
    similar = np.array([source in _LOOK_ALIKES for source in sources])
    groups = [(harmless[part], shares) for part, shares in zip((~similar, similar), FALSE_ALARMS.get(head, OTHER_ALARMS), strict=True) if part.any()]
    upper, lower = (max(threshold_at(scores, shares[n]) for scores, shares in groups) for n in (0, 1))
    if head in SOURCE_ALARMS:
        each = (harmless[np.array(sources) == source] for source in sorted(set(sources)))
        upper = max(upper, *(threshold_at(scores, SOURCE_ALARMS[head]) for scores in each if len(scores) >= SOURCE_ROWS), 0.0)
    unsafe = max(_FLOOR, min(0.999, _over(upper)))
    return {"safe": min(_over(lower), unsafe), "unsafe": unsafe}


def _over(point: float) -> float:
    """With six digits, as scores are written, and still over the harmless row that it must let through."""
    return round(point + 1e-6, 6)


def _moderation(heads: dict[str, Any], high: Any, at: dict[str, int], rows: Sequence[LabelledText]) -> dict[str, Any]:
    """Toxicity as moderation means it: any of the content heads, on rows where one is known to be there or all are known to be absent."""

    def there(row: LabelledText) -> bool:
        return any(row.labels.get(c, 0.0) >= 0.5 for c in CONTENT_HEADS)

    known = [n for n, row in enumerate(rows) if all(c in row.labels for c in CONTENT_HEADS) or there(row)]
    scores = {c: Calibration.from_json(heads[c]["calibration"])(high[known, at[c]]) for c in CONTENT_HEADS}
    marked = [rows[n]._replace(labels={"moderation": float(there(rows[n]))}) for n in known]
    return _head("moderation", any_content(scores), marked)


def _reply_mix(encoder: Encoder, at: dict[str, int], rows: Sequence[LabelledText], request: Calibration) -> tuple[dict[str, float], Any]:
    """Logistic regression over ``REPLY_INPUTS`` (ridge, Newton), and its raw numbers for all rows."""
    judge = refusal.build(refusal.Config())
    tokens = _tokens(encoder, rows)
    found = raw(encoder, [encoder.reply(a, b) for a, b in tokens])
    asked = raw_texts(encoder, [a for a, _ in tokens])
    requests = request(np.array([float(r.highest[at["harmful_request"]]) for r in asked]))
    inputs = reply_inputs(found, at, [said(judge, r.text, r.reply or "") for r in rows], requests)
    known = [n for n, row in enumerate(rows) if "harmful_reply" in row.labels]
    gold = np.array([round(rows[n].labels["harmful_reply"]) for n in known], dtype=np.float64)
    if len(gold) < FEWEST or not 0.0 < gold.mean() < 1.0:  # the reply head alone: replies of one kind would make all others theirs
        theta = np.array([float(name == "highest") for name in REPLY_INPUTS])
        return {name: float(v) for name, v in zip(REPLY_INPUTS, theta, strict=True)}, inputs @ theta
    theta = logistic(inputs[known], gold, even([rows[n].source for n in known]))
    return {name: round(float(v), 6) for name, v in zip(REPLY_INPUTS, theta, strict=True)}, inputs @ theta


def logistic(x: Any, y: Any, weights: Any, steps: int = 100) -> Any:
    """Weights of a ridge logistic regression, by damped Newton steps."""
    theta = np.zeros(x.shape[1])
    penalty = _RIDGE * len(y) * np.eye(x.shape[1])
    penalty[0, 0] = 1e-6
    for _ in range(steps):
        p = sigmoid(x @ theta)
        gradient = x.T @ (weights * (p - y)) + penalty @ theta
        hessian = (x * (weights * p * (1 - p))[:, None]).T @ x + penalty
        step = np.linalg.solve(hessian, gradient)
        theta = theta - step * min(1.0, 2.0 / (float(np.abs(step).max()) + 1e-12))
        if float(np.abs(step).max()) < 1e-8:
            break
    return theta


def _hazard_scale(logits: Any, rows: Sequence[LabelledText]) -> float:
    """Temperature of the softmax over hazards: least log-loss over a grid."""
    codes = list(HAZARDS)
    known = [n for n, row in enumerate(rows) if row.hazard]
    if not known:
        return 1.0
    gold, found = np.array([codes.index(rows[n].hazard) for n in known]), logits[known]

    def loss(scale: float) -> float:
        z = found * scale
        z = z - z.max(axis=1, keepdims=True)
        return float((np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(gold)), gold]).mean())

    return float(min(np.arange(0.3, 3.01, 0.05), key=loss).round(2))


__all__ = ["FALSE_ALARMS", "FEWEST", "OTHER_ALARMS", "calibrate", "fit_temperature", "logistic"]
