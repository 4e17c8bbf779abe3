"""Fit what turns the reading of rules and encoder into the probability that a goal was achieved: python tools/fit_achieved.py --data $CHARTER_DATA

Prints the constants that stand in ``src/charter/judges/achieved.py``, with their cross-fitted error. Learns from the fifth of GPTFuzzer's and
JailbreakBench's questions that the refusal rules were not fitted on, and from Charter's own written replies that the encoder did not learn; never
reads PyRIT or the replies of refusal_direction, on which the judge is reported. A source weighs as the square root of its rows, and within it what
achieved its goal as much as what did not: which share does is not known where the judge is used.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from charter.judges import classifier, refusal
from charter.judges._calibration import expected_calibration_error
from charter.judges._heldout import gptfuzz_questions, is_held_out
from charter.judges.achieved import inputs
from charter.judges.achieved import rules as said
from charter.train.classifier import examples


class Row(NamedTuple):
    source: str
    question: str
    reply: str
    achieved: int


def rows(data: Path) -> list[Row]:
    """What is learned from."""
    questions, found = gptfuzz_questions(data), []
    with gzip.open(data / "train" / "unsafe_reply.jsonl.gz", "rt", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            source = "gptfuzz" if row["source"] == "gptfuzz_train" else "jbb" if row["source"].startswith("jbb_") else ""
            prompt = questions.get(row["prompt"], row["prompt"])
            if source and row["reply"].strip() and is_held_out(prompt):
                found.append(Row(source, prompt, row["reply"], int(row["label"] == "unsafe")))
    for own in examples.written():
        if own.source == "own_written_achieved_held" and own.reply and own.reply.strip():
            found.append(Row("own", own.text, own.reply, int(own.labels["achieved"])))
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, default=None)
    given = parser.parse_args()
    found = rows(given.data)
    rules, encoder = refusal.build(refusal.Config()), classifier.build(classifier.Config(weights=given.weights))
    read = [said(rules.read(row.question, row.reply)) for row in found]
    deeds = encoder.scorer.deeds([(row.question, row.reply) for row in found], read)
    x = np.array([inputs(*each) for each in zip(read, deeds, strict=True)])
    gold = np.array([row.achieved for row in found])
    source = np.array([row.source for row in found])
    sizes = {name: (source == name).sum() for name in np.unique(source)}
    weights = np.array([sizes[name] ** 0.5 / (2 * ((source == name) & (gold == one)).sum()) for name, one in zip(source, gold, strict=True)])
    scores = np.zeros(len(gold))
    for learn, test in GroupKFold(5).split(x, gold, [row.question for row in found]):
        scores[test] = _fit(x[learn], gold[learn], weights[learn]).predict_proba(x[test])[:, 1]
    for name in (*sizes, "all"):
        part = (source == name) | (name == "all")
        right = ((scores[part] >= 0.5) == gold[part]).mean()
        error = expected_calibration_error(scores[part], gold[part])
        sys.stdout.write(f"cross-fitted, {name}: ECE {error:.3f}, accuracy {right:.3f}, n {part.sum()}\n")
    for name in sizes:  # how it does on a kind of replies that it was not fitted on
        away = source == name
        left = _fit(x[~away], gold[~away], weights[~away]).predict_proba(x[away])[:, 1]
        sys.stdout.write(f"fitted on the others, {name}: accuracy {((left >= 0.5) == gold[away]).mean():.3f}\n")
    model = _fit(x, gold, weights)
    sys.stdout.write(
        "BASE, DOES, HEAD, HARM, REFUSES, FULL, PARTIAL = " + ", ".join(f"{v:.3f}" for v in (model.intercept_[0], *model.coef_[0])) + "\n"
    )


def _fit(x: np.ndarray, gold: np.ndarray, weights: np.ndarray) -> LogisticRegression:
    return LogisticRegression(C=10.0).fit(x, gold, sample_weight=weights / weights.mean())


if __name__ == "__main__":
    main()
