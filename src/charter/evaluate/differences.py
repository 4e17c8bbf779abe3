"""What changed from one run to the next, number by number, each with its paired interval and test.

Yes/no items: Newcombe's interval and McNemar's exact test. Scores, several samples, items that share a template: the studentised bootstrap over
clusters. Numbers that are no means of items, or are over other items in either run: the delete-a-group jackknife. p-values are adjusted by Holm in a
family: the shares of wrong answers of all benchmarks are one, the numbers of each benchmark are another.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from charter.core.resampling import Estimate, cluster_bootstrap, grouped_jackknife, points_only, ratio
from charter.core.rows import Example, Row
from charter.core.seeds import derive
from charter.core.stats import holm, paired_difference
from charter.evaluate.itemwise import Parts, Taker, cluster_of, left_out, readable, weighs_alike, wrong_name
from charter.evaluate.pairing import Shared
from charter.evaluate.sides import Side

OVERALL = "wrong answers"


class Difference(Row):
    """``metric`` in two runs, paired. ``before`` and ``after`` are over the ``n`` pairs; ``difference`` = after - before. ``b``: items that were 1
    before only, ``c``: after only, where items are yes or no. None: there is no telling (one cluster, or undefined)."""

    metric: str
    family: str
    before: float | None
    after: float | None
    n: int
    b: int | None = None
    c: int | None = None
    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    p_holm: float | None = None
    method: str


class Pairs(NamedTuple):
    """One metric over the items that both runs measured, aligned."""

    before: list[float]
    after: list[float]
    weights: list[float]
    clusters: list[object]


def differences(shared: Shared, taker: Taker | None = None) -> list[Difference]:
    """Every number that the first and the last of the sides have, first the share of wrong answers."""
    taker = taker or Taker()
    before, after = shared.sides[0], shared.sides[-1]
    parts = taker.parts(before), taker.parts(after)
    examples = {key: after.examples[key] for key in shared.keys}
    both = [name for name in parts[0].by_metric if name in parts[1].by_metric]
    alike = [name for name in both if weighs_alike(name, (before, after), parts, shared.keys)]
    found = [_item_by_item(name, shared, _pairs(parts, name, examples)) for name in alike]
    anew = parts[0].other | parts[1].other | (set(both) - set(alike))
    other = [name for name in before.metrics if name in anew and name in after.metrics]
    return [*found, *_counted_anew(other, shared, before, after, examples)]


def with_holm(found: Iterable[Difference]) -> list[Difference]:
    """The same, with p adjusted within each family."""
    rows = list(found)
    families: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        families.setdefault(row.family, []).append(place)
    for places in families.values():
        adjusted = holm([math.nan if (p := rows[place].p) is None else p for place in places])
        for place, value in zip(places, adjusted, strict=True):
            rows[place] = rows[place].model_copy(update={"p_holm": _known(value)})
    return rows


def _pairs(parts: Sequence[Parts], name: str, examples: Mapping[str, Example]) -> Pairs:
    old, new = (part.by_metric.get(name, {}) for part in parts)
    keys = [key for key in examples if key in old and key in new]
    weights = [min(old[key].weight, new[key].weight) for key in keys]
    return Pairs([old[k].value for k in keys], [new[k].value for k in keys], weights, [cluster_of(examples[k]) for k in keys])


def _item_by_item(name: str, shared: Shared, pairs: Pairs) -> Difference:
    family = OVERALL if name == wrong_name(shared.sides[0]) else shared.benchmark
    n = len(pairs.before)
    if not n:
        return Difference(metric=name, family=family, before=None, after=None, n=0, difference=None, low=None, high=None, p=None, method="no pair")
    total = math.fsum(pairs.weights)
    before, after = (math.fsum(v * w for v, w in zip(values, pairs.weights, strict=True)) / total for values in (pairs.before, pairs.after))
    given = {"metric": name, "family": family, "before": before, "after": after, "n": n}
    yes_no = set(pairs.before) | set(pairs.after) <= {0.0, 1.0} and set(pairs.weights) == {1.0}
    counts = _counts(pairs) if yes_no else None
    if counts is not None and len(set(pairs.clusters)) == n:
        found = paired_difference(*counts)
        estimate = Estimate(found.difference, found.low, found.high, found.p, n)
        method = "newcombe95, mcnemar exact"
    else:
        estimate = _bootstrap(name, pairs)
        clusters = "" if len(set(pairs.clusters)) == n else f" over {estimate.n_clusters} clusters"
        method = f"paired bootstrap95{clusters}"
    changed = {"b": counts[1], "c": counts[2]} if counts else {}
    return Difference.model_validate({**given, **changed, **_ends(estimate), "method": method})


def _counts(pairs: Pairs) -> tuple[int, int, int, int]:
    """both, b, c, neither."""
    seen = [(old == 1.0, new == 1.0) for old, new in zip(pairs.before, pairs.after, strict=True)]
    return seen.count((True, True)), seen.count((True, False)), seen.count((False, True)), seen.count((False, False))


def _bootstrap(name: str, pairs: Pairs) -> Estimate:
    totals: dict[object, list[float]] = {}
    for old, new, weight, cluster in zip(*pairs, strict=True):
        total = totals.setdefault(cluster, [0.0, 0.0])
        total[0] += (new - old) * weight
        total[1] += weight
    return cluster_bootstrap(list(totals.values()), ratio, bounds=reach([*pairs.before, *pairs.after]), seed=derive(0, name))


def reach(values: Iterable[float]) -> tuple[float, float]:
    """The least and the greatest difference that such values allow: shares, scores from -1 to 1, or anything."""
    given = list(values)
    if min(given) >= 0.0 and max(given) <= 1.0:
        return -1.0, 1.0
    return (-2.0, 2.0) if min(given) >= -1.0 and max(given) <= 1.0 else (-math.inf, math.inf)


def _counted_anew(names: Sequence[str], shared: Shared, before: Side, after: Side, examples: Mapping[str, Example]) -> list[Difference]:
    keys = readable(before, shared.keys) & readable(after, shared.keys)
    kept = [example for key, example in examples.items() if key in keys]
    if not names or not kept:
        return []
    old, new = (_values(side, kept) for side in (before, after))
    replicates = [(_values(before, rest), _values(after, rest)) for rest in left_out(kept) if rest]
    rows = []
    for name in names:
        if name not in old or name not in new:
            continue
        without = [b.get(name, math.nan) - a.get(name, math.nan) for a, b in replicates]
        estimate = grouped_jackknife(new[name] - old[name], without, bounds=reach([old[name], new[name]]))
        if len(set(without)) == 1 and abs(estimate.value) > 1e-12:
            # no group of items moves it: a step, such as a grade, of which the jackknife knows nothing (it holds for smooth numbers alone)
            estimate = Estimate(estimate.value, math.nan, math.nan, math.nan, estimate.n_clusters)
        given = {"metric": name, "family": shared.benchmark, "before": old[name], "after": new[name], "n": len(kept)}
        rows.append(Difference.model_validate({**given, **_ends(estimate), "method": f"jackknife95 over {estimate.n_clusters} groups"}))
    return rows


def _values(side: Side, examples: Sequence[Example]) -> dict[str, float]:
    with points_only():
        found = side.count(examples, {example.key: side.verdicts[example.key] for example in examples})
    return {metric.name: metric.value for metric in found if metric.value is not None}


def _ends(estimate: Estimate) -> dict[str, float | None]:
    return {"difference": _known(estimate.value), "low": _known(estimate.low), "high": _known(estimate.high), "p": _known(estimate.p)}


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
