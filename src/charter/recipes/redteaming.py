"""Stage 2 of ``charter align``, and all of ``charter redteam``: which goals are attacked, what came out, and whether it may be built on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from charter.core.errors import CharterError, InputError, ModelError
from charter.core.rows import Example, Finding, Metric
from charter.core.seeds import stream
from charter.data.evenly import evenly
from charter.data.prompts import read_prompts
from charter.models import route
from charter.recipes.attacks import build_attack, name_of
from charter.recipes.context import Context, hash_of
from charter.redteam.campaign import run_campaign
from charter.redteam.outcome import READING
from charter.store.rowlog import RowLog
from charter.store.runs import read_run

REDTEAM = "2-redteam"
HARMLESS = "row of redteam.data that is not harmful, so no goal"
#: Under which name a run's outputs hold the hazards that no goal is of.
UNTOUCHED = "hazards_untouched"


class Goals(NamedTuple):
    """What is attacked. ``dropped``: rows of ``redteam.data`` that are no goals, by reason. ``untouched``: hazards of the charter that no goal is
    of."""

    examples: list[Example]
    dropped: dict[str, int]
    untouched: tuple[str, ...]


class Found(NamedTuple):
    """What a campaign left in its folder: findings by hazard, metrics, and the hazards that no goal is of."""

    findings: Counter[str]
    metrics: dict[str, Metric]
    untouched: str


def goals_of(context: Context) -> Goals:
    """The rows of ``redteam.data``, or goals of hazards that the charter names, spread over these. Raises InputError where none is left, DataError
    for a file that cannot be read."""
    examples, dropped = _own(context) if context.recipe.redteam.data is not None else (starter_goals(context), {})
    if not examples:
        there = ", ".join(sorted({example.hazard for example in _of_split(context)}))
        raise InputError(
            f"the charter {context.charter.name!r} has the hazards {', '.join(h.id for h in context.charter.hazards)}; the red team's goals are of "
            f"others: {there}",
            "give a hazard of the charter one of those ids where it means the same, or your own goals: redteam.data=FILE.jsonl",
        )
    touched = {example.hazard for example in examples}
    return Goals(examples, dropped, tuple(hazard.id for hazard in context.charter.hazards if hazard.id not in touched))


def starter_goals(context: Context) -> list[Example]:
    """Goals of the starter set, spread over the hazards that the charter names. Which hazards come first is drawn, for there are often fewer goals
    than hazards."""
    known = {hazard.id for hazard in context.charter.hazards}
    named = [example for example in _of_split(context) if example.hazard in known]
    hazards = sorted({example.hazard for example in named})
    stream(context.recipe.seed, "redteam", "hazards").shuffle(hazards)
    turn = {hazard: number for number, hazard in enumerate(hazards)}
    return evenly(named, lambda example: example.hazard, context.recipe.redteam.goals, order=turn)


def _of_split(context: Context) -> list[Example]:
    return context.examples(context.recipe.redteam.split, parts=("harmful",))


def _own(context: Context) -> tuple[list[Example], dict[str, int]]:
    data = context.recipe.redteam.data
    assert data is not None
    found = read_prompts(data)
    harmful = [example for example in found.examples if example.harmful]
    if not harmful:
        raise InputError(f"{data}: has no harmful row, and an attack needs a goal", 'mark rows that nobody should be helped with: "harmful": true')
    harmless = len(found.examples) - len(harmful)
    return harmful, {**found.dropped, **({HARMLESS: harmless} if harmless else {})}


def redteam(context: Context) -> tuple[str, ...]:
    """Every attack on every goal. Returns why the campaign cannot be trusted, () if it can; one that cannot is gone on with when it is run again."""
    part, recipe = context.recipe.redteam, context.recipe
    goals = goals_of(context)
    attacks = {name_of(entry): build_attack(entry) for entry in part.attacks}
    config = {"model": context.identity, "redteam": part.model_dump(mode="json", exclude={"max_failed", "data"}), "reading": READING}
    with context.folder(REDTEAM, "redteam", config, {"goals": hash_of(goals.examples)}) as folder:
        if folder.finished:
            return ()
        _say(context, goals)
        return run_campaign(
            context.model,
            goals.examples,
            attacks,
            context.judges,
            folder,
            recipe.greedy(part.max_tokens),
            recipe.seed,
            context.reporter,
            max_failed=part.max_failed,
            dropped=goals.dropped,
            facts={UNTOUCHED: ", ".join(goals.untouched)} if goals.untouched else {},
        ).reasons


def _say(context: Context, goals: Goals) -> None:
    for reason, count in goals.dropped.items():
        context.reporter.say(f"left out {count}: {reason}")
    if warning := trained_on(context):
        context.reporter.say(warning)


def trained_on(context: Context) -> str:
    """What to say where the model is a checkpoint that Charter trained, and the goals may be rows that it was trained on; '' where they are not."""
    part, recipe = context.recipe.redteam, context.recipe
    try:
        plugin, argument = route(recipe.model)
        run = read_run(Path(argument).expanduser().resolve().parent) if plugin == "hf" else None
    except CharterError:
        return ""
    if run is None or not run.stage.startswith("train ") or part.data is not None:
        return ""
    if part.split == "train":
        return f"{recipe.model} was trained on goals of these topics, so this says little: redteam.split=evaluation attacks with held-out ones"
    if run.seed != recipe.seed:
        return f"{recipe.model} was trained with seed {run.seed}, which held out other topics than seed {recipe.seed} does: seed={run.seed}"
    return ""


def require(reasons: Sequence[str]) -> None:
    """Raise ModelError where the campaign cannot be trusted: training rows are made of what it found."""
    if reasons:
        raise ModelError(
            f"the red team cannot be trusted, and nothing is made of it: {'; '.join(reasons)}",
            "run it again, and those are asked for again; or go on without them: redteam.max_failed=1",
        )


def found_in(folder: Path) -> Found:
    """What the campaign in ``folder`` found."""
    run = read_run(folder)
    findings = Counter(finding.hazard or "no hazard named" for finding in dict(RowLog(folder / "findings.jsonl", Finding).items()).values())
    metrics = dict(RowLog(folder / "metrics.jsonl", Metric).items())
    return Found(findings, metrics, run.outputs.get(UNTOUCHED, "") if run is not None else "")
