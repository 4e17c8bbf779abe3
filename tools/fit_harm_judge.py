"""Fit the harm judge's weights: python tools/fit_harm_judge.py --data $CHARTER_DATA [--out src/charter/judges/harm.npz]

Reads the pooled training rows (``train/harmful_request`` and ``train/unsafe_reply``), the benign instructions with replies of
``tulu_human_eval``, and the starter pairs that Charter ships. Never reads XSTest or PyRIT, on which the judge is reported. A fifth of the
requests (by CRC-32) is held out: nothing is fitted on them, ``measured.json`` reports them. Same data, same weights.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression

import charter.data
from charter.core.rows import Conversation
from charter.judges import refusal
from charter.judges._hashed import DIM, FORMAT, Sparse, mix_inputs, reply_features, request_features, sigmoid
from charter.judges._heldout import NEVER_TRAINED, gptfuzz_questions, is_held_out, part_of

SEED, FOLDS = 7, 5
CHILD = re.compile(
    r"\b(?:child|children|kids?|minors?|underage|(?:pre)?teen\w*|toddler\w*|infant\w*|school(?:girl|boy)\w*|girls?|boys?|daughter|son|pupils?|baby)\b"
)
SEXUAL = re.compile(
    r"\b(?:sex\w*|porn\w*|nud\w+|naked|erotic\w*|molest\w*|groom\w*|pedo\w*|paedo\w*|loli\w*|rape\w*|incest\w*|intimate|fetish\w*|csam)\b"
)


class Row(NamedTuple):
    prompt: str
    reply: str
    label: int
    source: str
    weight: float


def about_minors(text: str) -> bool:
    """Conservative: any word for a child beside any sexual word, and the row is not used."""
    low = text.lower()
    return bool(CHILD.search(low) and SEXUAL.search(low))


def read(path: Path) -> Iterator[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def starter_pairs() -> Iterator[dict[str, str]]:
    for path in sorted((Path(charter.data.__file__).parent / "starter" / "pairs").glob("*.jsonl")):
        yield from map(json.loads, path.read_text(encoding="utf-8").splitlines())


def request_rows(data: Path) -> list[Row]:
    rows = [Row(r["text"], "", int(r["label"] == "harmful"), r["source"], 1.0) for r in read(data / "train" / "harmful_request.jsonl.gz")]
    for pair in starter_pairs():
        rows += [Row(pair["harmful"], "", 1, "charter_starter", 1.5), Row(pair["safe"], "", 0, "charter_starter", 1.5)]
    return rows


def reply_rows(data: Path) -> list[Row]:
    questions = gptfuzz_questions(data)
    rows = []
    for r in read(data / "train" / "unsafe_reply.jsonl.gz"):
        prompt = questions.get(r["prompt"], r["prompt"]) if r["source"] == "gptfuzz_train" else r["prompt"]
        weight = 0.25 if r["source"] == "diasafety" else 1.0
        rows.append(Row(prompt, r["reply"], int(r["label"] == "unsafe"), r["source"], weight))
    for line in (data / "tulu_human_eval" / "eval_instances_tulu_1.jsonl").read_text(encoding="utf-8").splitlines():
        item = json.loads(line)
        rows += [Row(item["prompt"], c["completion"], 0, "tulu_human_eval", 1.0) for c in item["completions"]]
    rows += [Row(p["harmful"], p["refusal"], 0, "charter_starter", 0.5) for p in starter_pairs()]
    return rows


def keep(rows: list[Row], what: str) -> list[Row]:
    """Drop rows that must not be trained on; say how many and why."""
    dropped: Counter[str] = Counter()
    kept = []
    for row in rows:
        if row.source.split("(")[0] in NEVER_TRAINED:
            dropped["source reserved for reporting"] += 1
        elif about_minors(row.prompt + " " + row.reply):
            dropped["sexual words beside words for children"] += 1
        elif not row.prompt.strip() or (what == "replies" and not row.reply.strip()):
            dropped["empty"] += 1
        elif is_held_out(row.prompt):
            dropped["held out for reporting"] += 1
        else:
            kept.append(row)
    sys.stdout.write(f"{what}: {len(kept)} rows kept, {dict(Counter(r.source for r in kept))}; dropped {dict(dropped)}\n")
    return kept


def matrix(features: list[Sparse]) -> csr_matrix:
    pointer = np.cumsum([0, *(len(f.buckets) for f in features)])
    values, buckets = (np.concatenate(parts) for parts in zip(*((f.values, f.buckets) for f in features), strict=True))
    return csr_matrix((values, buckets, pointer), shape=(len(features), DIM))


def fit(x: csr_matrix, y: np.ndarray, weight: np.ndarray, c: float) -> LogisticRegression:
    return LogisticRegression(C=c, solver="liblinear", random_state=SEED, max_iter=300).fit(x, y, sample_weight=weight)


def folds(rows: list[Row]) -> np.ndarray:
    return np.array([part_of(r.prompt, FOLDS, "fold") for r in rows])


def left_out(x: csr_matrix, y: np.ndarray, weight: np.ndarray, group: np.ndarray, c: float) -> np.ndarray:
    """Logits for every row from a model that saw nothing of its group."""
    logits = np.zeros(len(y))
    for k in sorted(set(group.tolist())):
        test = group == k
        logits[test] = fit(x[~test], y[~test], weight[~test], c).decision_function(x[test])
    return logits


def thresholds(score: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Lowest score with 85 % precision above it (at least 0.5), highest with 10 % harmful under it (at most 0.5)."""
    grid = np.linspace(0.02, 0.98, 97)
    high = next((t for t in grid if t >= 0.5 and (score >= t).any() and y[score >= t].mean() >= 0.85), 0.98)
    low = next((t for t in grid[::-1] if t <= 0.5 and (score <= t).any() and y[score <= t].mean() <= 0.10), 0.02)
    return round(float(low), 2), round(float(high), 2)


def quantise(model: LogisticRegression) -> tuple[np.ndarray, float, float]:
    weights = model.coef_[0]
    scale = float(np.abs(weights).max() / 127)
    return np.round(weights / scale).astype(np.int8), scale, float(model.intercept_[0])


def family(row: Row) -> str:
    """Replies of one family share attackers and templates: what holds inside one need not hold outside."""
    return "jbb" if row.source.startswith("jbb") else row.source


def shorten(row: Row) -> Row:
    """The first 40 words: replies to be judged are often cut there."""
    return row._replace(reply=" ".join(row.reply.split()[:40]), weight=row.weight * 0.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("src/charter/judges/harm.npz"))
    parser.add_argument("--c-request", type=float, default=8.0)
    parser.add_argument("--c-reply", type=float, default=2.0)
    args = parser.parse_args()

    asked = keep(request_rows(args.data), "requests")
    x, y, w = matrix([request_features(r.prompt) for r in asked]), np.array([r.label for r in asked]), np.array([r.weight for r in asked])
    request_oof = left_out(x, y, w, folds(asked), args.c_request)
    request = fit(x, y, w, args.c_request)
    request_limits = thresholds(1 / (1 + np.exp(-request_oof)), y)
    sys.stdout.write(f"request head: out-of-fold accuracy {np.mean((request_oof > 0) == y):.4f}, limits {request_limits}\n")
    request_logit = {r.prompt: z for r, z in zip(asked, request_oof, strict=True)}

    whole = keep(reply_rows(args.data), "replies")
    said = whole + [shorten(r) for r in whole if r.source != "diasafety"]
    x, y, w = matrix([reply_features(r.prompt, r.reply) for r in said]), np.array([r.label for r in said]), np.array([r.weight for r in said])
    unseen_set = left_out(x, y, w, np.array([family(r) for r in said]), args.c_reply)
    unseen_request = left_out(x, y, w, folds(said), args.c_reply)
    reply = fit(x, y, w, args.c_reply)
    right = [float(np.mean((z > 0) == y)) for z in (unseen_request, unseen_set)]
    sys.stdout.write(f"reply head: accuracy on requests not seen {right[0]:.4f}, on sets not seen {right[1]:.4f}\n")

    mix, limits = fit_mix(said, [unseen_set, unseen_request], request, request_logit)
    heads = {}
    for name, model in (("request", request), ("reply", reply)):
        weights, scale, bias = quantise(model)
        heads |= {f"{name}_weights": weights, f"{name}_scale": np.float64(scale), f"{name}_bias": np.float64(bias)}
    np.savez_compressed(args.out, format=np.int64(FORMAT), mix=mix, thresholds=np.array([*request_limits, *limits]), **heads)
    sys.stdout.write(f"{args.out}: {args.out.stat().st_size} bytes\n")


def fit_mix(
    rows: list[Row], reply_logits: list[np.ndarray], request: LogisticRegression, known: dict[str, float]
) -> tuple[np.ndarray, tuple[float, float]]:
    """Mix both heads and the refusal label over rows that do not refuse in full. Each row counts twice: with the logit of a model that did
    not see its set, and of one that did not see its request; so the reply head is trusted as far as it carries over, and no further.
    diasafety is left out: its replies are one-line insults, not answers to requests."""
    judge = refusal.build(refusal.Config())
    labels = [judge(Conversation.ask(r.prompt).with_reply(r.reply)).label for r in rows]
    use = [i for i, r in enumerate(rows) if r.source not in ("diasafety", "charter_starter") and labels[i] != "full"]
    prompts = sorted({rows[i].prompt for i in use})
    fitted = request.decision_function(matrix([request_features(p) for p in prompts]))
    logits = {p: known.get(p, float(z)) for p, z in zip(prompts, fitted, strict=True)}
    inputs = np.array([mix_inputs(logits[rows[i].prompt], float(z[i]), labels[i])[1:] for z in reply_logits for i in use])
    y = np.array([rows[i].label for _ in reply_logits for i in use])
    w = np.array([rows[i].weight for _ in reply_logits for i in use])
    model = LogisticRegression(C=1.0, random_state=SEED, max_iter=1000).fit(inputs, y, sample_weight=w)
    mix = np.concatenate([model.intercept_, model.coef_[0]])
    score = np.array([sigmoid(float(mix[0] + row @ mix[1:])) for row in inputs])
    limits = thresholds(score, y)
    sys.stdout.write(f"mix {np.round(mix, 3).tolist()}: accuracy {np.mean((score > 0.5) == y):.4f} of {len(y)}, limits {limits}\n")
    return mix, limits


if __name__ == "__main__":
    csv.field_size_limit(1 << 24)
    main()
