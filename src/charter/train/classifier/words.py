"""The words beside the network (``judges/_words.py``): a logistic regression for each head, and how much it counts beside the network.

The network is done before and not changed by them; a row teaches both. How much the words count is set on held-out rows, where the network does not
know the answers by heart, every source with the root of its rows.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.sparse import csr_matrix

from charter.core.seeds import stream
from charter.judges._calibration import sigmoid
from charter.judges._encoder import Encoder, Tokens
from charter.judges._windows import Window
from charter.judges._words import DIM, FORMAT, HEADS, ON_TEXTS, Features, Words, features
from charter.train.classifier.calibrate import even, logistic
from charter.train.classifier.rows import MOST_CHARACTERS, MOST_TOKENS, LabelledText

#: How little large weights cost (one over the ridge), the most that words count beside the network, rows of a head that are enough, and the most
#: held-out rows that are asked.
LOOSENESS, MOST, FEWEST, ASKED = 4.0, 1.0, 50, 3000
#: Steps of a regression after which it is left as it is.
STEPS = 200


def fit_words(
    encoder: Encoder, rows: Sequence[LabelledText], held_out: Sequence[LabelledText], path: Path, seed: int, tell: Callable[[str], None]
) -> None:
    """Learn the table from ``rows`` and write it; ``encoder`` is the network without words. Same rows and seed, same bytes."""
    table, scale, bias = np.zeros((DIM, len(HEADS)), np.int8), np.ones(len(HEADS), np.float32), np.zeros(len(HEADS), np.float32)
    unsettled = []
    for paired in (False, True):
        mine = [row for row in rows if row.alone is not paired]
        windows, of = _windows(encoder, mine)
        x = _matrix([features(window, encoder.token) for window in windows])
        share = 1.0 / np.bincount(of, minlength=len(mine))[of] if len(of) else np.zeros(0)
        for column, head in enumerate(HEADS):
            known = np.array([head in mine[n].labels for n in of], bool)
            if (head in ON_TEXTS) is paired or not _enough(row.labels[head] for row in mine if head in row.labels):
                continue
            gold = np.array([mine[n].labels.get(head, 0.0) for n in of])[known]
            weights, bias[column], settled = _logistic(x[known], gold, (share * np.array([mine[n].weight for n in of]))[known])
            unsettled += [] if settled else [head]
            scale[column] = np.abs(weights).max() / 127 or 1.0
            table[:, column] = np.round(weights / scale[column])
    if unsettled:
        tell(f"words of {', '.join(unsettled)}: still changing after {STEPS} steps, taken as they are")
    _write(path, table, scale, bias)
    counts = _counts(encoder, Words(path, encoder.outputs, encoder.token), held_out, stream(seed, "classifier", "words"))
    tell("words count " + ", ".join(f"{head} {count:.2f}" for head, count in zip(HEADS, counts, strict=True)))
    table[:, counts == 0] = 0
    _write(path, table, (scale * counts).astype(np.float32), (bias * counts).astype(np.float32))


def _windows(encoder: Encoder, rows: Sequence[LabelledText]) -> tuple[list[Window], Any]:
    """All windows of the rows, and whose each is."""

    def cut(texts: Sequence[str]) -> list[Tokens]:
        return [Tokens(t.ids[:MOST_TOKENS], t.offsets[:MOST_TOKENS]) for t in encoder.tokens([text[:MOST_CHARACTERS] for text in texts])]

    texts, others = cut([r.text for r in rows]), cut([r.reply or r.operator or "" for r in rows])
    found = [
        encoder.text(text) if row.alone else encoder.reply(text, other) if row.reply is not None else encoder.beside(other, text)
        for row, text, other in zip(rows, texts, others, strict=True)
    ]
    return [w for ws in found for w in ws], np.array([n for n, ws in enumerate(found) for _ in ws], np.int64)


def _matrix(found: Sequence[Features]) -> csr_matrix:
    if not found:
        return csr_matrix((0, DIM), dtype=np.float32)
    pointer = np.cumsum([0, *(len(f.buckets) for f in found)])
    values, buckets = np.concatenate([f.values for f in found]), np.concatenate([f.buckets for f in found]).astype(np.int32)
    return csr_matrix((values, buckets, pointer), shape=(len(found), DIM))


def _enough(labels: Any) -> bool:
    gold = [round(label) for label in labels]
    return len(gold) >= FEWEST and 0 < sum(gold) < len(gold)


def _logistic(x: csr_matrix, gold: Any, weight: Any) -> tuple[Any, float, bool]:
    """(weights, intercept, whether they have settled): cross entropy with labels between 0 and 1 and a ridge, by L-BFGS."""
    flipped = x.T.tocsr()

    def loss(theta: Any) -> tuple[float, Any]:
        z = x @ theta[:-1] + theta[-1]
        value = float(weight @ (np.logaddexp(0.0, z) - gold * z)) + 0.5 / LOOSENESS * float(theta[:-1] @ theta[:-1])
        off = weight * (sigmoid(z) - gold)
        return value, np.append(flipped @ off + theta[:-1] / LOOSENESS, off.sum())

    found = minimize(loss, np.zeros(x.shape[1] + 1), jac=True, method="L-BFGS-B", options={"maxiter": STEPS, "maxcor": 10})
    return found.x[:-1], float(found.x[-1]), bool(found.success)


def _counts(encoder: Encoder, words: Words, held_out: Sequence[LabelledText], rng: random.Random) -> Any:
    """(heads,): what a raw number of the words is worth beside one of the network, between 0 and ``MOST``."""
    counts = np.zeros(len(HEADS))
    for paired in (False, True):
        rows = [row for row in held_out if row.alone is not paired]
        rows = rng.sample(rows, min(ASKED, len(rows)))
        windows, of = _windows(encoder, rows)
        network, said = encoder.run(windows), np.array([words.numbers(window) for window in windows]).reshape(-1, len(encoder.outputs))
        for column, head in enumerate(HEADS):
            at, known = encoder.outputs.index(head), [n for n, row in enumerate(rows) if head in row.labels]
            if (head in ON_TEXTS) is paired or not _enough(rows[n].labels[head] for n in known):
                continue
            pairs = np.full((2, len(rows)), -np.inf)
            for line, numbers in zip(pairs, (network, said), strict=True):
                np.maximum.at(line, of, numbers[:, at])
            gold = np.array([round(rows[n].labels[head]) for n in known], dtype=np.float64)
            theta = logistic(np.column_stack([np.ones(len(known)), *pairs[:, known]]), gold, even([rows[n].source for n in known]))
            counts[column] = round(float(np.clip(theta[2] / max(float(theta[1]), 1e-6), 0.0, MOST)), 3)
    return counts


def _write(path: Path, table: Any, scale: Any, bias: Any) -> None:
    np.savez_compressed(path, format=np.int64(FORMAT), table=table, scale=scale, bias=bias)
