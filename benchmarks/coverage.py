"""How often Charter's 95 % intervals hold the truth, by simulation: each method over designs like those of the benchmarks.

Run: .venv/bin/python benchmarks/coverage.py [--runs 2000] [--only PART OF A NAME] [--json FILE]

A row per design: in how many of the simulated experiments the interval held the truth, the standard error of that share, and how often the truth lay
below or above it. ``far`` marks what is more than a point from 95 even after twice the simulation's own error. Shares of small counts are lumpy: they
are averaged over many true shares, as is usual (Brown, Cai and DasGupta 2001), exactly for Wilson's.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy import stats as scipy_stats

from charter.core.resampling import cluster_bootstrap, grouped_jackknife, paired_bootstrap, ratio, trend
from charter.core.stats import paired_difference, wilson
from charter.evaluate.benchmarks._correlation import correlation
from charter.evaluate.benchmarks._ranking import Point, auprc
from charter.evaluate.benchmarks._variety import distinct
from charter.evaluate.corrected import Accuracy, lang_reiczigel

Rng = np.random.Generator
#: One experiment: low, high, and the truth, or what to average over all experiments where the truth is the mean of the estimates.
Experiment = Callable[[Rng], tuple[float, float, float]]
MANY = 2_000_000


def newcombe(n: int) -> Experiment:
    def run(rng: Rng) -> tuple[float, float, float]:
        both, b, c = rng.dirichlet([2, 1, 1, 2])[:3]
        found = paired_difference(*rng.multinomial(n, [both, b, c, 1 - both - b - c]).tolist())
        return found.low, found.high, c - b

    return run


def scores(draw: Callable[[Rng, int], np.ndarray], n: int) -> Experiment:
    """The mean of n scores from 0 to 1."""
    truth = float(draw(np.random.default_rng(99), MANY).mean())

    def run(rng: Rng) -> tuple[float, float, float]:
        found = cluster_bootstrap(np.stack([draw(rng, n), np.ones(n)], 1), ratio, bounds=(0, 1), seed=int(rng.integers(1 << 30)), draws=1999)
        return found.low, found.high, truth

    return run


def skewed(a: float, b: float) -> Callable[[Rng, int], np.ndarray]:
    return lambda rng, n: rng.beta(a, b, n)


def mostly_zero(zeros: float) -> Callable[[Rng, int], np.ndarray]:
    """StrongREJECT's scale: eighths, and a share of zeros."""
    return lambda rng, n: np.where(rng.random(n) < zeros, 0.0, rng.integers(1, 9, n) / 8)


def heavy(rng: Rng, n: int) -> np.ndarray:
    """Rare high scores: lognormal, cut at 1."""
    return np.minimum(1.0, rng.lognormal(-3.0, 1.2, n))


def score_change(n: int) -> Experiment:
    """Scores most of which are low move down by a quarter of themselves, give or take."""

    def run(rng: Rng) -> tuple[float, float, float]:
        before = rng.beta(1, 3.5, n)
        found = paired_bootstrap(before, before * rng.uniform(0.5, 1.0, n), seed=1, draws=1999)
        return found.low, found.high, -1 / 18

    return run


def few_changes(n: int) -> Experiment:
    def run(rng: Rng) -> tuple[float, float, float]:
        found = paired_bootstrap(np.zeros(n), rng.choice([-1, 1, 0], n, p=[0.10, 0.04, 0.86]), seed=1, draws=1999)
        return found.low, found.high, -0.06

    return run


def templates(count: int) -> Experiment:
    """A rate of 0.3 over templates of 4 to 15 items that resemble each other (intraclass correlation 0.2)."""

    def run(rng: Rng) -> tuple[float, float, float]:
        items = rng.integers(4, 16, count)
        totals = np.stack([rng.binomial(items, rng.beta(1.2, 2.8, count)), items], 1)
        found = cluster_bootstrap(totals, ratio, bounds=(0, 1), seed=1, draws=1999)
        return found.low, found.high, 0.3

    return run


def bias(count: int) -> Experiment:
    """The shape of BBQ's s_AMB: (1 - accuracy) (2 biased / wrong - 1), over templates."""

    def product(sums: np.ndarray) -> np.ndarray:
        return (1 - sums[..., 2] / sums[..., 3]) * (2 * sums[..., 0] / sums[..., 1] - 1)

    def run(rng: Rng) -> tuple[float, float, float]:
        wrong = 8 - rng.binomial(8, rng.beta(4, 4, count))
        totals = np.stack([rng.binomial(wrong, rng.beta(6, 4, count)), wrong, 8 - wrong, np.full(count, 8)], 1)
        found = cluster_bootstrap(totals, product, bounds=(-1, 1), seed=1, draws=1999)
        return found.low, found.high, 0.1

    return run


def falling(n: int) -> Experiment:
    def run(rng: Rng) -> tuple[float, float, float]:
        chance = rng.uniform(0.35, 0.95, (n, 1)) - 0.1 * np.arange(4)
        found = trend((rng.random((n, 4)) < chance).astype(float), [0, 1, 2, 3], seed=1, draws=1999)
        return found.low, found.high, -0.1

    return run


def grouped(n: int) -> Experiment:
    def run(rng: Rng) -> tuple[float, float, float]:
        values, group = rng.beta(2, 5, n), rng.permutation(np.arange(n) % 40)
        found = grouped_jackknife(values.mean(), [values[group != g].mean() for g in range(40)], bounds=(0, 1))
        return found.low, found.high, 2 / 7

    return run


def ranking(n: int, share: float, shift: float) -> Experiment:
    """Average precision of normal scores, ``shift`` apart, with so large a share of positives."""

    def draw(rng: Rng, m: int) -> tuple[np.ndarray, np.ndarray]:
        is_so = rng.random(m) < share
        return rng.normal(size=m) + shift * is_so, is_so

    values, is_so = draw(np.random.default_rng(99), MANY)
    ranked = is_so[np.argsort(-values)]
    truth = float((np.cumsum(ranked) / np.arange(1, len(ranked) + 1) * ranked).sum() / ranked.sum())

    def run(rng: Rng) -> tuple[float, float, float]:
        found = auprc("x", [Point(float(s), bool(y)) for s, y in zip(*draw(rng, n), strict=True)], {})
        return float(found.low or 0.0), float(found.high or 0.0), truth

    return run


def variety(kind: str, items: int, n: int) -> Experiment:
    """Distinct-n of replies of up to 24 words after Zipf's law: independent, each about something of its own, or some of them looping. The truth is
    the mean over all experiments; until it is known the estimate stands for it, with a minus."""
    weights = 1 / np.arange(1, 3001)
    weights /= weights.sum()

    def reply(rng: Rng) -> list[str]:
        words = rng.choice(3000, size=24, p=weights)
        if kind == "topics":
            words = np.where(rng.random(24) < 0.6, words, rng.integers(0, 3000, 40)[rng.integers(0, 40, 24)])
            if rng.random() < 0.4:
                words[:6] = np.arange(6)
            return [str(word) for word in words[: int(rng.integers(10, 25))]]
        if kind == "loops" and rng.random() < 0.2:
            words = np.tile(words[:4], 6)
        return [str(word) for word in words]

    def run(rng: Rng) -> tuple[float, float, float]:
        found = distinct("x", {str(at): [reply(rng)] for at in range(items)}, n, {})
        low, high, value = (math.nan if end is None else end for end in (found.low, found.high, found.value))
        return low, high, -value

    return run


def corrected(true: float, sensitivity: float, specificity: float) -> Experiment:
    """250 replies, a judge measured on 200 of each kind."""

    def run(rng: Rng) -> tuple[float, float, float]:
        rate = rng.binomial(250, true * sensitivity + (1 - true) * (1 - specificity)) / 250
        card = Accuracy(int(rng.binomial(200, sensitivity)), 200, int(rng.binomial(200, specificity)), 200)
        return *lang_reiczigel(rate, 250, card), true

    return run


def fisher(rho: float) -> Experiment:
    def draw(rng: Rng, n: int) -> tuple[np.ndarray, np.ndarray]:
        x = rng.normal(size=n)
        return x, rho * x + math.sqrt(1 - rho * rho) * rng.normal(size=n)

    def run(rng: Rng) -> tuple[float, float, float]:
        x, y = draw(rng, 60)
        found = correlation("x", list(zip(x.tolist(), y.tolist(), strict=True)), {})
        return float(found.low or 0.0), float(found.high or 0.0), rho

    return run


def designs() -> dict[str, Callable[[], Experiment]]:
    found: dict[str, Callable[[], Experiment]] = {}
    for n in (50, 100, 450):
        found[f"paired shares (Newcombe), {n} items"] = lambda n=n: newcombe(n)
    shapes = {"beta(0.3, 3)": skewed(0.3, 3), "beta(0.5, 5)": skewed(0.5, 5), "beta(2, 2)": skewed(2, 2), "6 of 10 zero": mostly_zero(0.6)}
    shapes |= {"8 of 10 zero": mostly_zero(0.8), "rare high scores": heavy}
    for n in (20, 50, 100, 300):
        for name, draw in shapes.items():
            found[f"mean of scores, {name}, {n} items"] = lambda draw=draw, n=n: scores(draw, n)
    for n in (20, 100):
        found[f"paired scores, {n} items"] = lambda n=n: score_change(n)
    found["paired, few changes, 250 items"] = lambda: few_changes(250)
    for count in (25, 50):
        found[f"rate over {count} templates"] = lambda count=count: templates(count)
    found["bias product over 50 templates"] = lambda: bias(50)
    found["trend over 4 checkpoints, 100 items"] = lambda: falling(100)
    found["grouped jackknife, 200 items"] = lambda: grouped(200)
    for n, share, shift in (
        (760, 0.25, 0.7),
        (400, 0.25, 1.0),
        (788, 0.15, 2.0),
        (200, 0.5, 2.0),
        (400, 0.1, 3.0),
        (400, 0.25, 3.0),
        (100, 0.5, 3.0),
    ):
        found[f"average precision, {n} items, {share:.0%} positive, {shift} apart"] = lambda n=n, share=share, shift=shift: ranking(n, share, shift)
    for kind in ("independent", "topics", "loops"):
        for n in (1, 2):
            found[f"distinct-{n}, {kind}, 48 replies"] = lambda kind=kind, n=n: variety(kind, 48, n)
    for true, sensitivity, specificity in ((0.05, 0.95, 0.97), (0.3, 0.9, 0.95), (0.5, 0.8, 0.9)):
        found[f"corrected rate {true}, judge {sensitivity}/{specificity}"] = lambda t=true, s=sensitivity, p=specificity: corrected(t, s, p)
    for rho in (0.0, 0.5):
        found[f"correlation {rho} over 60"] = lambda rho=rho: fisher(rho)
    return found


def wilson_exactly(n: int) -> dict[str, object]:
    """Over all counts, averaged over shares from 0.02 to 0.98."""
    true = np.linspace(0.02, 0.98, 97)
    ends = np.array([wilson(k, n) for k in range(n + 1)])
    mass = scipy_stats.binom.pmf(np.arange(n + 1)[:, None], n, true)
    below, above = (float((mass * out).sum(0).mean()) for out in (true < ends[:, 0, None], true > ends[:, 1, None]))
    return row(f"share (Wilson), {n} items", 1 - below - above, 0.0, below, above)


def row(name: str, covered: float, error: float, below: float, above: float) -> dict[str, object]:
    far = abs(covered - 0.95) > 0.01 + 2 * error
    print(
        f"{name:62s} {100 * covered:6.2f} % ± {100 * error:.2f}   below {100 * below:.1f}, above {100 * above:.1f} {'  far' if far else ''}",
        flush=True,
    )
    return {"design": name, "covered": covered, "error": error, "truth_below": below, "truth_above": above, "far": far}


def simulate(name: str, experiment: Experiment, runs: int) -> dict[str, object]:
    table = np.array([experiment(np.random.default_rng([7, number])) for number in range(runs)])
    low, high, truth = table.T
    if name.startswith("distinct"):
        truth = np.full(runs, -truth.mean())
    below, above = float((truth < low).mean()), float((truth > high).mean())
    covered = 1 - below - above
    return row(name, covered, math.sqrt(covered * (1 - covered) / runs), below, above)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--only", default="")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    started = time.perf_counter()
    rows = [wilson_exactly(n) for n in (20, 100, 250, 450) if args.only in f"share (Wilson), {n} items"]
    rows += [simulate(name, make(), args.runs) for name, make in designs().items() if args.only in name]
    far = sum(bool(found["far"]) for found in rows)
    took = f"{args.runs} experiments each, {time.perf_counter() - started:.0f} s"
    print(f"{len(rows)} designs, {took}: {len(rows) - far} within a point of 95 %, {far} not")
    if args.json is not None:
        args.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
