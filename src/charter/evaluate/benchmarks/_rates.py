"""Shares of labels among verdicts, with what was not measured counted apart."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from charter.core.rows import Metric, Verdict
from charter.core.stats import rate
from charter.evaluate.benchmarks._items import Said, item_means, lost, mean, read


def label_share(name: str, said: Said, wanted: Collection[str], method: str = "") -> Metric:
    """Share of answers whose label is one of ``wanted``; failed ones are in ``n_failed``, unsure ones in ``n_unparsed``, neither in ``n``.

    With one answer to each item the interval is Wilson's. With more (forms of an attack, several seeds read as one) it is the mean over items of the
    share of each, and items are resampled: ``n`` counts them, ``n_answers`` the answers.
    """
    every = [verdict for verdicts in said.values() for verdict in verdicts]
    values = item_means(said, lambda verdict: float(verdict.label in wanted))
    if len(every) > sum(map(bool, said.values())):
        return mean(name, values, lost(every), method=method)
    counts = {key: value for key, value in lost(every).items() if key != "n_answers"}
    found = rate(name, sum(map(int, values)), len(read(every)), **counts)
    return found.model_copy(update={"method": f"{found.method}; {method}"}) if method else found


def judges_of(verdicts: Iterable[Verdict]) -> str:
    """The judges behind the measured verdicts, as ``name@version``, joined by '+' where there are several."""
    return "+".join(sorted({f"{v.judge}@{v.judge_version}" for v in verdicts if v.outcome != "failed"}))
