"""``charter evaluate --suite``: benchmarks on models, as planned. With ``planning``, the only place that puts models, attacks, judges and benchmarks
together."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from charter.core.errors import CharterError, InputError, MissingPartError, ModelError
from charter.core.progress import SILENT, Reporter
from charter.core.rows import Answer
from charter.core.shapes import Model
from charter.evaluate.estimate import Estimate, Load, Price, estimate, probe
from charter.evaluate.judged import PREFIX as JUDGE_TARGET
from charter.evaluate.judged import JudgeTarget
from charter.evaluate.measured import Measured, named_with
from charter.evaluate.run import load, run, selected
from charter.evaluate.shelved import folder_config
from charter.models import load_model
from charter.recipes.context import build_judge
from charter.recipes.planning import Plan, Planned, Request, Target, plan
from charter.store.rowlog import RowLog
from charter.store.runs import RunFolder, write_json

__all__ = ["Plan", "Request", "evaluate", "evaluate_suite", "forecast", "plan", "write_measured"]


def evaluate(
    models: str | Sequence[str],
    suite: str = "quick",
    *,
    judges: str | Sequence[str] = (),
    attacks: str | Sequence[str] = (),
    limit: int | None = None,
    seeds: int | None = None,
    seed: int = 0,
    system: str = "",
    replies: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    cards: str | os.PathLike[str] | None = None,
    reporter: Reporter = SILENT,
) -> list[Measured]:
    """``charter evaluate MODEL... --suite SUITE`` from Python, with the same meaning and the same folders; ``Measured.frame()`` is a pandas table,
    and ``compare`` takes the list. ``system`` is the prompt itself, no file.

    What could not be measured is told to ``reporter``; a run that cannot be trusted has ``measurement.trusted`` False. Raises what ``plan`` and
    ``evaluate_suite`` raise.
    """
    names, attacks, judges = ((given,) if isinstance(given, str) else tuple(given) for given in (models, attacks, judges))
    said, folder, known = (None if given is None else Path(given) for given in (replies, out, cards))
    request = Request(names, suite, limit, seeds, seed, attacks, system, said, judges, folder, cards=known)
    return evaluate_suite(request, reporter)


def evaluate_suite(request: Request, reporter: Reporter = SILENT, planned: Plan | None = None) -> list[Measured]:
    """Run the plan: every model, every benchmark. One that a model cannot be put to (chat servers weigh no plain text), or whose judge is not there,
    does not stop the others: it is said, and kept in the plan's ``problems``. Raises what ``run`` raises where nothing could be measured, and where
    rows cannot be kept; finished rows are there."""
    todo = planned or plan(request)
    first: CharterError | None = None
    for line in (*todo.left_out, *todo.problems):
        reporter.say(line)
    found = []
    for target in todo.targets:
        model = _load(target)
        if todo.estimates:
            expected = _expect(target, model, todo.runs, request.price)
            if expected.replies or expected.choices:
                reporter.say(f"{target.name}: {expected}")
        for one in todo.runs:
            try:
                with reporter.stage(f"{target.name}: {one.folder}"):
                    found.append(_measure(target, model, one, reporter))
            except (InputError, ModelError, MissingPartError) as error:
                first = first or error
                todo.problems.append(f"{target.name}: {one.folder} could not be measured: {error}")
                reporter.say(todo.problems[-1])
    if first is not None and not found:
        raise first
    return found


def forecast(request: Request, todo: Plan) -> list[tuple[str, Estimate]]:
    """By model, what is left to be asked, how long it may take and what it may cost. Asks a few short questions to see how fast the model is."""
    return [(target.name, _expect(target, _load(target), todo.runs, request.price)) for target in todo.targets]


def _measure(target: Target, model: Model | None, one: Planned, reporter: Reporter) -> Measured:
    config = folder_config(one.shelved, target.identity, one.options)
    with RunFolder(target.folder / one.folder, f"evaluate {one.shelved.name}", config, seed=one.options.seed) as folder:
        answering = model if target.replies is None else target.replies.of(one.shelved.name)
        assert answering is not None
        done = run(one.shelved, answering, one.judges, folder, one.options, reporter, one.examples)
    for reason, count in done.measurement.dropped.items():
        reporter.say(f"{one.shelved.name}: left out {count}: {reason}")
    return done


def _expect(target: Target, model: Model | None, runs: Sequence[Planned], price: Price | None) -> Estimate:
    loads = [_load_of(target, one) for one in runs]
    replies, choices = any(each.replies for each in loads), any(each.choices for each in loads)
    speed = probe(model, replies, choices) if model is not None and (replies or choices) else None
    return estimate(loads, speed, price)


def _load_of(target: Target, one: Planned) -> Load:
    log = RowLog(target.folder / one.folder / "answers.jsonl", Answer)
    return load(one.shelved, one.options, selected(one.shelved, one.options, one.examples), log)


def _load(target: Target) -> Model | None:
    if target.replies is not None:
        return None
    if target.name.startswith(JUDGE_TARGET):
        return JudgeTarget(build_judge(target.name.removeprefix(JUDGE_TARGET)))
    return load_model(target.name)


def write_measured(path: Path, found: Sequence[Measured], problems: Sequence[str] = ()) -> None:
    """Every metric as JSON: ``trusted``, ``models``, ``runs``, ``problems``; for a single model also ``model`` and ``metrics`` by name."""
    runs = [
        {
            **measured.measurement.model_dump(mode="json", exclude={"schema_version"}),
            "folder": str(measured.folder),
            "metrics": {name: metric.model_dump(mode="json") for name, metric in measured.metrics.items()},
        }
        for measured in found
    ]
    models = list(dict.fromkeys(measured.measurement.model for measured in found))
    trusted = not problems and all(measured.measurement.trusted for measured in found)
    document: dict[str, Any] = {"trusted": trusted, "problems": list(problems), "models": models, "runs": runs}
    if len(models) == 1:
        document = {"model": models[0], "metrics": _merged(found), **document}
    write_json(path, document)


def _merged(found: Sequence[Measured]) -> dict[str, Any]:
    """All metrics by name; those that two runs of a benchmark under other settings share are named with these."""
    often = Counter(name for measured in found for name in measured.metrics)
    return {
        named_with(name, measured.measurement.set_to) if often[name] > 1 else name: metric.model_dump(mode="json")
        for measured in found
        for name, metric in measured.metrics.items()
    }
