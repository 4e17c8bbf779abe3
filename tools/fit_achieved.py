"""Fit what turns the refusal rules' reading into the probability that a goal was achieved: python tools/fit_achieved.py --data $CHARTER_DATA

Prints the constants that stand in ``src/charter/judges/achieved.py``, with their cross-fitted error. Learns from the fifth of GPTFuzzer's and
JailbreakBench's questions that the refusal rules were not fitted on; never reads PyRIT or the replies of refusal_direction, on which the judge is
reported. Both sources weigh the same as the square root of their rows.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from charter.judges import refusal
from charter.judges._calibration import expected_calibration_error
from charter.judges._heldout import gptfuzz_questions, is_held_out
from charter.judges.achieved import log_odds


def rows(data: Path) -> list[tuple[str, str, str, float, int]]:
    """(source, question, refusal label, log odds that it does what was asked, achieved)."""
    judge, questions, found = refusal.build(refusal.Config()), gptfuzz_questions(data), []
    with gzip.open(data / "train" / "unsafe_reply.jsonl.gz", "rt", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            source = "gptfuzz" if row["source"] == "gptfuzz_train" else "jbb" if row["source"].startswith("jbb_") else ""
            prompt = questions.get(row["prompt"], row["prompt"])
            if source and row["reply"].strip() and is_held_out(prompt):
                read = judge.read(prompt, row["reply"])
                found.append((source, prompt, read.label, log_odds(read.does), int(row["label"] == "unsafe")))
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    source, question, label, does, gold = (np.array(part) for part in zip(*rows(parser.parse_args().data), strict=True))
    full = label == "full"
    sys.stdout.write(f"REFUSED: {gold[full].mean():.3f} of {full.sum()} full refusals\n")
    inputs = np.column_stack([does, label == "partial"])
    sizes = {name: np.sqrt((source == name).sum()) for name in np.unique(source)}
    weights = np.array([1.0 / sizes[name] for name in source])
    scores = np.full(len(gold), gold[full].mean())
    for learn, test in GroupKFold(5).split(inputs, gold, question):
        learn, test = learn[~full[learn]], test[~full[test]]
        model = LogisticRegression(C=10.0).fit(inputs[learn], gold[learn], sample_weight=weights[learn] / weights[learn].mean())
        scores[test] = model.predict_proba(inputs[test])[:, 1]
    right = ((scores >= 0.5) == gold).mean()
    sys.stdout.write(f"cross-fitted: ECE {expected_calibration_error(scores, gold):.3f}, accuracy {right:.3f}, n {len(gold)}\n")
    model = LogisticRegression(C=10.0).fit(inputs[~full], gold[~full], sample_weight=weights[~full] / weights[~full].mean())
    sys.stdout.write(f"BASE {model.intercept_[0]:.3f}, DOES {model.coef_[0][0]:.3f}, PARTIAL {model.coef_[0][1]:.3f}\n")


if __name__ == "__main__":
    main()
