"""From verdicts to metrics and to the row that says how the run went."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from charter.core.errors import InputError
from charter.core.rows import Example, Metric, Verdict, content_id
from charter.core.shapes import Judge
from charter.core.stats import Z95
from charter.core.trust import too_many
from charter.evaluate.corrected import with_corrected
from charter.evaluate.labelled import labels_of
from charter.evaluate.measured import MEASUREMENTS, Measurement, examples_id, judging_id
from charter.evaluate.shelved import Options, Shelved, draws
from charter.judges._judging import name_of
from charter.store.runs import RunFolder


def metrics(
    shelved: Shelved, options: Options, examples: Sequence[Example], verdicts: Mapping[str, Sequence[Verdict]], judges: Mapping[str, Judge]
) -> list[Metric]:
    """The benchmark's numbers, over seeds, each with the judge-corrected one after it where there is one; under an attack its name is in theirs."""
    seeds = 1 if shelved.benchmark.ask.mode == "score" else options.seeds
    found = over_seeds([shelved.benchmark.metrics(examples, part) for part in by_seed(verdicts, seeds)])
    found = with_corrected(shelved.benchmark, found, judges, options.cards)
    if options.disguise is None:
        return found
    return [metric.model_copy(update={"name": f"{metric.name}+{options.disguise.label}"}) for metric in found]


def by_seed(verdicts: Mapping[str, Sequence[Verdict]], seeds: int) -> list[dict[str, tuple[Verdict, ...]]]:
    """The verdicts of each seed; an item's are in the order of seeds, as many for one as for another."""
    return [
        {key: tuple(said[len(said) * seed // seeds : len(said) * (seed + 1) // seeds]) for key, said in verdicts.items()} for seed in range(seeds)
    ]


def over_seeds(runs: Sequence[Sequence[Metric]]) -> list[Metric]:
    """One metric for each name: the mean over runs of the same items with other seeds. Its interval adds the variance between runs to the mean one
    within a run, (1 + 1/K) times as for repeated draws (Rubin 1987, Multiple Imputation, section 3.1): it covers new items and new seeds.

    ``n`` is the smallest of the runs', ``n_failed``, ``n_unparsed`` and ``n_answers`` are sums. A run in which the metric is undefined is left out of
    its mean; it may lack it altogether, or name other scorers. Raises InputError where runs that measured it name other scorers.
    """
    if len(runs) == 1:
        return list(runs[0])
    tables = [{_unscored(metric.name): metric for metric in run} for run in runs]
    return [_over_seeds(_alike(name, tables)) for name in dict.fromkeys(name for table in tables for name in table)]


def _unscored(name: str) -> str:
    """A metric's name without the scorer at its end."""
    return name.rpartition("[")[0] if name.endswith("]") else name


def _alike(name: str, tables: Sequence[Mapping[str, Metric]]) -> list[Metric]:
    found = [table[name] for table in tables if name in table]
    names = list(dict.fromkeys(metric.name for metric in found if metric.value is not None))
    if len(names) > 1:
        what = f"they measured {' and '.join(names)}"
        raise InputError(f"the seeds of one run cannot be averaged: {what}", "let the same judges read every seed, or run one seed")
    return found


def _over_seeds(found: Sequence[Metric]) -> Metric:
    first = next((metric for metric in found if metric.value is not None), found[0])
    counts = {"n": min(m.n for m in found), "n_failed": sum(m.n_failed for m in found), "n_unparsed": sum(m.n_unparsed for m in found)}
    counts["n_answers"] = sum(m.answers for m in found)
    values = [m.value for m in found if m.value is not None]
    method = f"{first.method}; mean of {len(values)} seeds"
    if not values:
        return first.model_copy(update={**counts, "method": method})
    mean = sum(values) / len(values)
    between = (1 + 1 / len(values)) * sum((v - mean) ** 2 for v in values) / (len(values) - 1) if len(values) > 1 else 0.0
    ends = {"low": [m.value - m.low for m in found if m.value is not None and m.low is not None]}
    ends["high"] = [m.high - m.value for m in found if m.value is not None and m.high is not None]
    half = {name: math.sqrt(sum(x * x for x in widths) / len(widths) + Z95**2 * between) for name, widths in ends.items() if widths}
    low, high = mean - half["low"] if "low" in half else None, mean + half["high"] if "high" in half else None
    if all(m.low is None or m.low >= 0 for m in found) and all(m.high is None or m.high <= 1 for m in found):
        low, high = None if low is None else max(0.0, low), None if high is None else min(1.0, high)
    return first.model_copy(update={**counts, "value": mean, "low": low, "high": high, "method": method})


def measurement(
    shelved: Shelved,
    model: str,
    options: Options,
    examples: Sequence[Example],
    verdicts: Mapping[str, Sequence[Verdict]],
    judges: Mapping[str, Judge],
    spent: Mapping[str, float],
    unused: Mapping[str, int],
) -> Measurement:
    """What was asked and how it went. ``unused``: what of the given replies was read by nobody, reason -> how many."""
    benchmark, names = shelved.benchmark, {role: name_of(judge) for role, judge in judges.items()}
    seeds = 1 if benchmark.ask.mode == "score" else options.seeds
    outcomes = Counter(verdict.outcome for said in verdicts.values() for verdict in said)
    reasons = distrust(verdicts, options.max_failed)
    return Measurement.model_validate(
        {
            "benchmark": shelved.name,
            "version": shelved.version,
            "model": model,
            "settings": shelved.settings,
            "data": "+".join(sorted({example.source.revision for example in examples} - {""})),
            "mode": benchmark.ask.mode,
            "sampling": benchmark.ask.sampling,
            "samples": draws(benchmark, options) // seeds,
            "seeds": seeds,
            "items": len(examples),
            "limit": options.limit,
            "examples": examples_id(examples),
            "system": content_id(options.system) if options.system else "",
            "attack": options.disguise.label if options.disguise else "",
            "attack_words": options.disguise.words if options.disguise else "",
            "judges": names,
            "labels": labels_of(judges),
            "judging": judging_id(names, shelved.version, labels_of(judges)),
            "trusted": not reasons,
            "reasons": reasons,
            "answers": outcomes.total(),
            "failed": outcomes["failed"],
            "unparsed": outcomes["unsure"],
            "dropped": {**getattr(benchmark, "dropped", {}), **unused},
            **spent,
        }
    )


def distrust(verdicts: Mapping[str, Sequence[Verdict]], max_failed: float) -> tuple[str, ...]:
    """Why a run cannot be trusted; () if it can: more than a share ``max_failed`` of its answers failed."""
    failed = [verdict.reason for said in verdicts.values() for verdict in said if verdict.outcome == "failed"]
    return too_many(failed, sum(map(len, verdicts.values())), max_failed)


def record(folder: RunFolder, found: Measurement, numbers: Sequence[Metric]) -> Measurement:
    """Write the metrics, then the measurement that says that they are whole; nothing where nothing has changed. Returns the one that now holds."""
    log, rows = folder.log("metrics", Metric), folder.log(MEASUREMENTS, Measurement)
    number, last = len(rows), next(reversed(rows.rows()), None)
    same = last is not None and last.model_copy(update={"seconds": 0.0}) == found.model_copy(update={"seconds": 0.0})
    if last is not None and same and [metric for key, metric in log.items() if key.startswith(f"{number}:")] == list(numbers):
        return last
    log.replace((f"{number + 1}:{metric.name}", metric) for metric in numbers)
    rows.append([(str(number + 1), found)])
    folder.settle(
        rows_in=found.answers,
        rows_out=found.answers - found.failed,
        dropped={"failed": found.failed} if found.failed else {},
        status="done" if found.trusted else "failed",
    )
    return found
