"""Published numbers taken apart into what each item contributes, so that two runs can be paired item by item.

A benchmark counts over any part of its items, so it is asked for its numbers over one item alone. Where the mean of these (weighted by their ``n``)
is the published number, that number is a mean of items and its items can be paired. The few that are not (a product of two rates, a correlation), or
whose items weigh by what was said (a ratio over answers of one kind), are counted anew with groups of items left out.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from typing import NamedTuple

from charter.core.rows import Example, Verdict
from charter.core.seeds import stream
from charter.evaluate.corrected import is_corrected
from charter.evaluate.sides import Side

#: Wrong answers among the readable ones: every benchmark has it.
WRONG = "wrong"
#: Groups that are left out in turn for numbers that are no means; so many degrees of freedom, less one, has their interval.
GROUPS = 40
_SAME = 1e-9


class Share(NamedTuple):
    """What one item contributes: the metric over it alone, and how much it weighs."""

    value: float
    weight: float


Shares = dict[str, Share]


class Parts(NamedTuple):
    """``by_metric``: for every metric that is a mean of items, its shares by item key; ``other``: metrics that are not."""

    by_metric: dict[str, Shares]
    other: frozenset[str]


def cluster_of(example: Example) -> Hashable:
    """Items that share it resemble each other (a template, a group that belongs together) and are drawn together; alone, an item is its own."""
    return example.labels.get("cluster") or example.labels.get("group") or f"\x00{example.key}"


class Taker:
    """Takes runs of one benchmark apart. What an item contributes depends on its verdicts only, so it is worked out once for all runs."""

    def __init__(self) -> None:
        self._known: dict[Hashable, dict[str, Share]] = {}

    def parts(self, side: Side) -> Parts:
        """Every published number of ``side`` that can be counted anew, and ``<benchmark>/wrong``."""
        found: dict[str, Shares] = {wrong_name(side): wrong_shares(side)}
        for key, example in side.examples.items():
            for name, share in self._one(side, example).items():
                found.setdefault(name, {})[key] = share
        means = {name: shares for name, shares in found.items() if name == wrong_name(side) or _is_mean(shares, side, name)}
        whole = {metric.name for metric in side.metrics.values() if metric.value is not None and not is_corrected(metric.name)}
        return Parts(means, frozenset(whole - set(means)))

    def _one(self, side: Side, example: Example) -> dict[str, Share]:
        verdicts = side.verdicts.get(example.key, ())
        signature = (side.benchmark, side.notes.get("seeds"), example.key, *(_signature(verdict) for verdict in verdicts))
        if signature not in self._known:
            metrics = side.count([example], {example.key: verdicts}) if verdicts else []
            self._known[signature] = {m.name: Share(m.value, m.n) for m in metrics if m.value is not None and m.n > 0 and math.isfinite(m.value)}
        return self._known[signature]


def _signature(verdict: Verdict) -> Hashable:
    return (verdict.outcome, verdict.label, verdict.score, tuple(sorted(verdict.scores.items())), verdict.judge, verdict.judge_version)


def _is_mean(shares: Shares, side: Side, name: str) -> bool:
    published = side.metrics.get(name)
    if published is None or published.value is None:
        return False
    weight = math.fsum(share.weight for share in shares.values())
    mean = math.fsum(share.value * share.weight for share in shares.values()) / weight
    return abs(mean - published.value) <= _SAME * max(1.0, abs(mean)) and weight == published.n


def weighs_alike(name: str, sides: Sequence[Side], parts: Sequence[Parts], keys: Iterable[str]) -> bool:
    """Whether every item of ``keys`` that all ``sides`` read whole weighs the same in each. Where not, what a run said decides which items the number
    is over (BBQ's s_DIS is over answers that name a person), and pairs of those that all runs count would say nothing of the others."""
    tables = [part.by_metric.get(name, {}) for part in parts]
    apart = (key for key in keys if len({table[key].weight if key in table else 0.0 for table in tables}) > 1)
    return not any(all(_whole(side, key) for side in sides) for key in apart)


def _whole(side: Side, key: str) -> bool:
    return all(verdict.outcome in ("safe", "unsafe") for verdict in side.verdicts.get(key, ()))


def wrong_name(side: Side) -> str:
    return f"{side.benchmark}/{WRONG}"


def wrong_shares(side: Side) -> Shares:
    """Per item, the share of 'unsafe' among its readable verdicts; one item weighs as much as another, however many samples it has."""
    found = {}
    for key, verdicts in side.verdicts.items():
        read = [verdict.outcome == "unsafe" for verdict in verdicts if verdict.outcome in ("safe", "unsafe")]
        if read:
            found[key] = Share(sum(read) / len(read), 1.0)
    return found


def left_out(examples: Sequence[Example], seed: int = 0) -> list[list[Example]]:
    """The examples without each of at most ``GROUPS`` random groups of clusters, in turn."""
    clusters: dict[Hashable, list[Example]] = {}
    for example in examples:
        clusters.setdefault(cluster_of(example), []).append(example)
    names = list(clusters)
    stream(seed, "jackknife").shuffle(names)
    groups = min(GROUPS, len(names))
    gone = {example.key: place % groups for place, name in enumerate(names) for example in clusters[name]}
    return [[example for example in examples if gone[example.key] != group] for group in range(groups)]


def readable(side: Side, keys: Iterable[str]) -> set[str]:
    """Those of ``keys`` with an answer that did not fail."""
    return {key for key in keys if any(verdict.outcome != "failed" for verdict in side.verdicts.get(key, ()))}
