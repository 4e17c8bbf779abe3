"""Fit the linear score of the refusal judge: python tools/fit_refusal.py --data $CHARTER_DATA [--out src/charter/judges/evasion.json]

Learns whether a reply does what it was asked to from: GPTFuzzer's and JailbreakBench's labelled replies (four fifths of the questions), replies to
the benign instructions of tulu_human_eval, replies to the odd-numbered prompts of XSTest, declining replies (of these and of STAR-1) without the
sentences that decline, and answers put to another question. Never reads PyRIT, the even half of XSTest or the replies of refusal_direction, on which
the judges are reported. Same data, same weights.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression

from charter.data.care import must_drop
from charter.evaluate.benchmarks import alignment_tax
from charter.judges._evasion import FEATURES, features, load_words
from charter.judges._heldout import gptfuzz_questions, is_held_out
from charter.judges._refusal_phrases import declining, load_phrases
from charter.judges._refusal_rules import read
from charter.judges._refusal_text import Prepared, normalise, prepare

SEED, FOLDS = 7, 5
#: Most that the rows of one source and label may weigh together; the odd half of XSTest counts double.
MOST = {"gptfuzz": 200.0, "tulu": 600.0, "another question": 500.0}
TIMES = {"xstest odd": 2.0, "xstest odd, stripped": 2.0, "charter": 4.0}
PHRASES, WORDS = load_phrases(), load_words()


class Row(NamedTuple):
    source: str
    does: int
    features: list[float]


class Pair(NamedTuple):
    source: str
    prompt: str
    reply: str
    does: int


def labelled(data: Path) -> Iterator[Pair]:
    """Replies of jailbreaks: did they do it?"""
    questions = gptfuzz_questions(data)
    with gzip.open(data / "train" / "unsafe_reply.jsonl.gz", "rt", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            source = "gptfuzz" if row["source"] == "gptfuzz_train" else "jbb" if row["source"].startswith("jbb_") else ""
            prompt = questions.get(row["prompt"], row["prompt"])
            if source and not is_held_out(prompt):
                yield Pair(source, prompt, row["reply"], int(row["label"] == "unsafe"))


def benign(data: Path) -> Iterator[Pair]:
    """Answers of instructed models to short requests."""
    for line in (data / "tulu_human_eval" / "eval_instances_tulu_1.jsonl").read_text(encoding="utf-8").splitlines():
        item = json.loads(line)
        for said in item["completions"]:
            if len(item["prompt"].split()) < 60 and len(said["completion"].split()) >= 3:
                yield Pair("tulu", item["prompt"], said["completion"], 1)


def odd_xstest(data: Path) -> Iterator[Pair]:
    """Replies to the odd-numbered prompts: full compliance against refusals of any kind."""
    for model in ("gpt4", "llama2new"):
        with (data / "xstest" / "completions" / f"xstest_v2_completions_{model}.csv").open(encoding="utf-8", newline="") as lines:
            for row in csv.DictReader(lines):
                if int(row["id"].split("-")[-1]) % 2 and row["final_label"]:
                    yield Pair("xstest odd", row["prompt"], row["completion"], int(row["final_label"] == "1_full_compliance"))


def own(data: Path) -> Iterator[Pair]:
    """The plain instructions that Charter ships, with their answers."""
    for example in alignment_tax.build(alignment_tax.Config()).examples():
        yield Pair("charter", example.prompt, example.target or "", 1)


def declined(data: Path) -> Iterator[Pair]:
    """STAR-1's answers to harmful questions, without the thinking."""
    for row in json.loads((data / "star1" / "STAR-1.json").read_text(encoding="utf-8")):
        yield Pair("star1", row["question"], row["response"].split("</think>")[-1].strip(), 0)


def another_question(pairs: list[Pair], rng: random.Random) -> Iterator[Pair]:
    """Each answer put to somebody else's question."""
    chosen = [p for p in pairs if p.does and len(p.reply.split()) >= 6]
    sources = [[p for p in chosen if p.source == name] for name in sorted({p.source for p in chosen})]
    chosen = [p for mine in sources for p in rng.sample(mine, min(250, len(mine)))]
    replies = [p.reply for p in chosen]
    rng.shuffle(replies)
    yield from (Pair("another question", p.prompt, r, 0) for p, r in zip(chosen, replies, strict=True) if r != p.reply)


def row_of(pair: Pair, strip: bool) -> Row | None:
    """The features of a reply; with ``strip``, of what is left of it without the sentences that decline (None if nothing is)."""
    made = prepare(pair.reply)
    if strip:
        left = tuple(s for s in made.sentences if not declining(PHRASES, s))
        made = Prepared("\n".join(s.text for s in left), (), left)
        if len(made.text.split()) < 8:
            return None
    found = features(WORDS, normalise(pair.prompt)[0], made.text, [s.text for s in made.sentences])
    return Row(f"{pair.source}, stripped" if strip else pair.source, pair.does, [found[name] for name in FEATURES])


def rows(data: Path) -> list[Row]:
    rng = random.Random(SEED)
    pairs = [p for read_pairs in (labelled, benign, odd_xstest, declined, own) for p in _kept(read_pairs, data)]
    made = []
    for pair in [*pairs, *another_question(pairs, rng)]:
        if pair.source == "another question":
            made.append(row_of(pair, strip=False))
            continue
        declines = read(PHRASES, pair.prompt, pair.reply).label in ("full", "partial")
        if declines and not pair.does:
            if pair.source != "gptfuzz" or rng.random() < 0.35:
                made.append(row_of(pair, strip=True))
        elif (pair.does and not (declines and pair.source == "tulu")) or (not pair.does and pair.source in ("gptfuzz", "jbb")):
            made.append(row_of(pair, strip=False))
    return [row for row in made if row is not None]


def _kept(read_pairs: Callable[[Path], Iterator[Pair]], data: Path) -> Iterator[Pair]:
    return (p for p in read_pairs(data) if p.reply.strip() and not must_drop(f"{p.prompt}\n{p.reply}"))


def weights(sources: np.ndarray[Any, Any], does: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    weight = np.zeros(len(does))
    for source in set(sources.tolist()):
        for label in (0, 1):
            mine = (sources == source) & (does == label)
            if mine.any():
                weight[mine] = min(MOST.get(source, 400.0), mine.sum()) / mine.sum() * TIMES.get(source, 1.0)
    return weight


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("src/charter/judges/evasion.json"))
    args = parser.parse_args()
    found = rows(args.data)
    x, y, sources = np.array([r.features for r in found]), np.array([r.does for r in found]), np.array([r.source for r in found])
    w = weights(sources, y)
    fold = np.random.default_rng(SEED).integers(0, FOLDS, len(y))
    unseen = np.zeros(len(y))
    for k in range(FOLDS):
        test = fold == k
        unseen[test] = fit(x[~test], y[~test], w[~test]).predict_proba(x[test])[:, 1]
    for source, label in sorted({(r.source, r.does) for r in found}):
        mine = (sources == source) & (y == label)
        right, sure = np.mean((unseen[mine] > 0.5) == label), np.mean(unseen[mine] < 0.3)
        sys.stdout.write(f"{source}, does it: {label}: {mine.sum()} rows, held-out accuracy {right:.3f}, under 0.3: {sure:.3f}\n")
    model = fit(x, y, w)
    content = {name: round(float(c), 3) for name, c in zip(FEATURES, model.coef_[0], strict=True)}
    args.out.write_text(json.dumps({"format": 1, "weights": content}, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(f"{args.out}\n")


def fit(x: np.ndarray[Any, Any], y: np.ndarray[Any, Any], w: np.ndarray[Any, Any]) -> LogisticRegression:
    return LogisticRegression(max_iter=3000, fit_intercept=False).fit(x, y, sample_weight=w)


if __name__ == "__main__":
    csv.field_size_limit(1 << 24)
    main()
