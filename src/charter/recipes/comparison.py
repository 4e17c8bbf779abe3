"""Finished runs side by side: paired differences, changed answers, the trend over checkpoints, and the release gate. Asks no model anything.

``compare`` is what ``charter compare`` and ``from charter import compare`` call.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from charter.core.errors import InputError
from charter.core.rows import Answer, Metric
from charter.evaluate import changed, trends
from charter.evaluate.changed import Change
from charter.evaluate.differences import Difference, differences, with_holm
from charter.evaluate.gate import GateResult
from charter.evaluate.itemwise import Taker
from charter.evaluate.measured import Measured
from charter.evaluate.pairing import Shared, named_apart, pair, unshared
from charter.evaluate.rules import decide, load_policy
from charter.evaluate.sides import Side, open_run, sides_of
from charter.evaluate.trends import Trend, wrong_metric
from charter.store.runs import write_json

if TYPE_CHECKING:
    import pandas as pd

CHOSEN = "chosen metrics"


@dataclass(frozen=True)
class Comparison:
    """Two or more runs. Differences and the gate are of the first and the last; ``trends`` are over all, from three runs on."""

    runs: tuple[str, ...]
    shared: tuple[Shared, ...]
    differences: tuple[Difference, ...]
    changes: tuple[Change, ...]
    trends: tuple[Trend, ...]
    not_compared: dict[str, list[str]]
    distrusted: dict[str, str]
    gate: GateResult | None = None

    def frame(self) -> pd.DataFrame:
        """The differences as a pandas table, a row per metric."""
        import pandas as pd

        return pd.DataFrame([row.model_dump(mode="json", exclude={"schema_version"}) for row in self.differences])

    def changed_frame(self) -> pd.DataFrame:
        """Every paired item and what became of it, a row per item."""
        import pandas as pd

        rows = [row.model_dump(mode="json", exclude={"schema_version"}) for row in self.changes]
        return pd.DataFrame(rows, columns=["benchmark", "key", "kind", "wrong", "labels"])

    def counts(self, benchmark: str) -> dict[changed.Kind, int]:
        """How many items of a benchmark were fixed, broken, ..."""
        return changed.counts([change for change in self.changes if change.benchmark == benchmark])

    def answers(self, benchmark: str, keys: Sequence[str]) -> dict[str, list[list[Answer]]]:
        """What each run said to these items, from the disk: key -> per run its answers."""
        shared = next(part for part in self.shared if part.benchmark == benchmark)
        return changed.answers_of(shared, keys)


#: A folder of a finished run, or what Python's ``evaluate`` returned.
Finished = str | os.PathLike[str] | Measured | Sequence[Measured]


class _Opened(NamedTuple):
    """One run before it is named: where it lies, and what was measured where it came as that."""

    path: Path
    measured: tuple[Measured, ...] = ()


def compare(
    *runs: Finished,
    gate: str | os.PathLike[str] | None = None,
    at: Sequence[float] | None = None,
    metrics: Sequence[str] = (),
) -> Comparison:
    """Compare finished runs, the oldest first: folders of ``charter evaluate`` or ``charter import``, or what Python's ``evaluate`` returned. A list
    with runs of several models is one run per model, in the order in which they stand there.

    ``gate``: a policy file; ``at``: where each run stands on the way, such as its training steps (0, 1, 2 … without); ``metrics``: names, with * for
    any text, to look at these alone: Holm's adjustment is then over exactly them. Raises InputError for runs that cannot be compared, with the
    difference named, and for mistakes in the policy.
    """
    given = [one for run in runs for one in _each(run)]
    if len(given) < 2:
        raise InputError("a comparison needs at least two runs", "charter compare OLD NEW")
    places = list(range(len(given))) if at is None else list(at)
    if len(places) != len(given):
        raise InputError(f"there are {len(given)} runs and {len(places)} places for them", "give --at one number per run, such as --at 0,500,1000")
    if not all(map(math.isfinite, places)):
        raise InputError("a run stands at no number", "give --at one finite number per run, such as --at 0,500,1000")
    if len(set(places)) < len(places):
        raise InputError("two runs stand at the same place", "give --at a different number to every run")
    policy = None if gate is None else load_policy(Path(gate))
    opened = named_apart([_open(one, name) for one, name in zip(given, _names([one.path for one in given]), strict=True)])
    shared = pair(opened)
    taker, found, moved = Taker(), [], []
    for part in shared:
        found += differences(part, taker)
        moved += trends.trends(part, places, taker) if len(given) > 2 else []
    distrusted = _distrusted(opened)
    result = None
    if policy is not None:
        result = decide(policy, published(opened[0]), published(opened[-1]), {row.metric: row for row in found}, distrusted)
    return Comparison(
        runs=tuple(next(iter(run.values())).run for run in opened),
        shared=tuple(shared),
        differences=tuple(with_holm(_chosen(found, metrics))),
        changes=tuple(change for part in shared for change in changed.changes(part)),
        trends=tuple(trends.adjusted(_chosen(moved, metrics))),
        not_compared=unshared(opened),
        distrusted=distrusted,
        gate=result,
    )


def _distrusted(opened: Sequence[dict[str, Side]]) -> dict[str, str]:
    """Why runs cannot be trusted, by their names: over all that they measured, for a policy may be about what only one of them has."""
    found: dict[str, list[str]] = {}
    for side in (side for run in opened for side in run.values() if not side.trusted):
        found.setdefault(side.run, []).extend(f"{side.benchmark}: {reason}" for reason in side.reasons or ("it says so",))
    return {run: "; ".join(reasons) for run, reasons in found.items()}


def _each(run: Finished) -> list[_Opened]:
    if isinstance(run, str | os.PathLike):
        return [_Opened(Path(run))]
    by_model: dict[str, list[Measured]] = {}
    for measured in (run,) if isinstance(run, Measured) else run:
        by_model.setdefault(measured.measurement.model, []).append(measured)
    return [_Opened(found[0].folder.parent, tuple(found)) for found in by_model.values()]


def _open(one: _Opened, name: str) -> dict[str, Side]:
    return sides_of(one.measured, name, name) if one.measured else open_run(one.path, name)


def published(run: dict[str, Side]) -> dict[str, Metric]:
    """Every number of a run by name, the shares of wrong answers among them."""
    found: dict[str, Metric] = {}
    for side in run.values():
        wrong = wrong_metric(side)
        found |= {wrong.name: wrong, **side.metrics}
    return found


def write_comparison(path: Path, found: Comparison) -> None:
    """Everything as JSON; answers are named by benchmark and key, not quoted."""
    write_json(path, as_json(found))


def as_json(found: Comparison) -> dict[str, Any]:
    """``{"runs", "benchmarks", "differences", "trends", "not_compared", "distrusted", "gate"}``."""
    return {
        "runs": [{"name": name, "models": _models(found, place), "folders": _folders(found, place)} for place, name in enumerate(found.runs)],
        "benchmarks": [_benchmark(found, part) for part in found.shared],
        "differences": [row.model_dump(mode="json", exclude={"schema_version"}) for row in found.differences],
        "trends": [row.model_dump(mode="json", exclude={"schema_version"}) for row in found.trends],
        "not_compared": found.not_compared,
        "distrusted": found.distrusted,
        "gate": None if found.gate is None else {"passed": found.gate.passed, "checks": [_check(check) for check in found.gate.checks]},
    }


def _check(check: Any) -> dict[str, Any]:
    return dict(check.model_dump(mode="json", exclude={"schema_version"}))


def _benchmark(found: Comparison, part: Shared) -> dict[str, Any]:
    rows = [change for change in found.changes if change.benchmark == part.benchmark]
    kinds = {kind: [change.key for change in rows if change.kind == kind] for kind in changed.KINDS}
    listed = {kind: keys for kind, keys in kinds.items() if kind not in ("still right", "left out")}
    return {
        "name": part.benchmark,
        "items": len(part.keys),
        "asked_alone": part.alone,
        "counts": {k: len(v) for k, v in kinds.items()},
        "keys": listed,
    }


def _models(found: Comparison, place: int) -> list[str]:
    return sorted({part.sides[place].model for part in found.shared})


def _folders(found: Comparison, place: int) -> dict[str, str]:
    return {part.benchmark: str(part.sides[place].folder) for part in found.shared}


def _names(runs: Sequence[Path]) -> list[str]:
    """Short names that tell the runs apart: the folders' own, or as much of the paths as it takes."""
    paths = [run.absolute().parts for run in runs]
    for length in range(1, max(map(len, paths)) + 1):
        names = ["/".join(parts[-length:]) for parts in paths]
        if len(set(names)) == len(names):
            return names
    return [f"{parts[-1]} ({number})" for number, parts in enumerate(paths, 1)]


def _chosen(rows: list[Any], metrics: Sequence[str]) -> list[Any]:
    if not metrics:
        return rows
    patterns = [re.compile(".*".join(map(re.escape, wanted.split("*")))) for wanted in metrics]
    kept = [row.model_copy(update={"family": CHOSEN}) for row in rows if any(pattern.fullmatch(row.metric) for pattern in patterns)]
    if rows and not kept:
        known = ", ".join(row.metric for row in rows[:5])
        raise InputError(f"no metric of these runs fits {', '.join(metrics)}; there are {len(rows)}, such as {known}", "charter compare A B --all")
    return kept
