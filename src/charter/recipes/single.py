"""One command's worth of work outside a whole ``align``: evaluate a model, run one stage, compare two folders, write a report again."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from charter.core.errors import InputError
from charter.core.progress import SILENT, Reporter
from charter.core.rows import Example, Metric, Run, Sampling, content_id
from charter.core.stats import Paired
from charter.data.prompts import read_prompts
from charter.data.sources import starter
from charter.evaluate.compare import Changes, changes, compare
from charter.evaluate.gate import GatePolicy, GateResult, gate
from charter.evaluate.matrix import metrics
from charter.evaluate.runner import distrusted, evaluate, load_evaluation, recorded_distrust
from charter.evaluate.shelved import MAX_FAILED
from charter.models import load_model
from charter.models._identity import identity
from charter.recipes import generation, redteaming, stages
from charter.recipes.align import judge_outcome
from charter.recipes.config import Recipe
from charter.recipes.context import Context, build_judge, hash_of
from charter.recipes.preflight import preflight
from charter.recipes.summarise import stage_runs, write_report
from charter.report.summary import read_summary
from charter.store.runs import RunFolder, read_run, write_json


class Measured(NamedTuple):
    """``reasons`` say why it cannot be trusted; () if it can."""

    metrics: dict[str, Metric]
    dropped: dict[str, int]
    labels: Counter[str]
    reasons: tuple[str, ...] = ()


class Compared(NamedTuple):
    """``changes`` has for every number of ``paired``, and for those without a pair, what became of every item; ``distrusted``: run -> why."""

    paired: dict[str, Paired]
    gate: GateResult | None
    changes: dict[str, Changes]
    distrusted: dict[str, str]


class StageDone(NamedTuple):
    """``reasons`` say why its numbers cannot be trusted; () if they can. ``found``: of a campaign, what it found."""

    run: Run
    folder: Path
    reasons: tuple[str, ...] = ()
    found: redteaming.Found | None = None


def default_folder(command: str, *parts: str) -> Path:
    """A folder under runs/ that is the same for the same question, so that asking again resumes."""
    name = re.sub(r"[^A-Za-z0-9.-]+", "-", parts[0]).strip("-")[:40]
    return Path("runs") / f"{command}-{name}-{content_id(list(parts))[:8]}"


def evaluate_model(
    spec: str, data: Path | None, max_tokens: int, seed: int, folder: Path, reporter: Reporter = SILENT, max_failed: float = MAX_FAILED
) -> Measured:
    """Harm and over-refusal of ``spec`` on ``data``, or on the starter set's held-out topics. Where more than a share ``max_failed`` of the answers
    failed it cannot be trusted, and running it again asks for those. Raises DataError, ModelError, StoreError."""
    examples, dropped = _prompts(data, seed)
    model = load_model(spec)
    judges = {name: build_judge(name) for name in ("refusal", "harm")}
    sampling = Sampling(max_tokens=max_tokens, seed=seed)
    config = {
        "model": identity(spec),
        "sampling": sampling.model_dump(mode="json"),
        "judges": {name: judge.version for name, judge in judges.items()},
    }
    with RunFolder(folder, "evaluate", config, seed=seed, inputs={"examples": hash_of(examples)}) as run:
        done = load_evaluation(folder) if run.finished else None
        if done is None or distrusted(done, max_failed):
            done = evaluate(model, examples, judges, run, sampling, reporter, max_failed, dropped)
    for key, answer in done.answers.items():
        if answer.reply.finish == "error":
            reporter.say(f"no reply to {key}: {answer.reply.error}")
    return Measured(metrics(done), dropped, Counter(done.labels.values()), distrusted(done, max_failed))


def _prompts(data: Path | None, seed: int) -> tuple[list[Example], dict[str, int]]:
    if data is None:
        return starter.build(starter.Config(split="evaluation", seed=seed)), {}
    found = read_prompts(data)
    return found.examples, found.dropped


def write_metrics(path: Path, model: str, data: Path | None, result: Measured) -> None:
    """Every metric as JSON: ``{"model", "data", "trusted", "reasons", "dropped", "labels", "metrics": {name: metric}}``."""
    found = {name: metric.model_dump(mode="json") for name, metric in result.metrics.items()}
    trust = {"trusted": not result.reasons, "reasons": list(result.reasons)}
    counts = {"dropped": result.dropped, "labels": dict(sorted(result.labels.items()))}
    write_json(path, {"model": model, "data": str(data or "starter"), **trust, **counts, "metrics": found})


def run_stage(stage: str, recipe: Recipe, out: Path, reporter: Reporter = SILENT) -> StageDone:
    """Run one stage of a recipe and whatever it needs first, in the folders that ``align`` would use."""
    context = Context(recipe, out, reporter)
    methods = _methods_until(stage, recipe)
    if methods:
        preflight(context, methods)
    if stage != "redteam":
        generation.gather(context, ())  # goals of one's own are attacked and never trained on, so they are no way out
    redteaming.goals_of(context)
    with stages.open_root(context):
        reasons = redteaming.redteam(context)
        name = redteaming.REDTEAM if stage == "redteam" else _run_until(stage, context, reasons)
    run = read_run(out / name)
    if run is None:
        raise InputError(f"{out / name}: the stage left no run", "run it again")
    return StageDone(run, out / name, reasons, redteaming.found_in(out / name) if stage == "redteam" else None)


def _methods_until(stage: str, recipe: Recipe) -> tuple[str, ...]:
    """The trainers to run for ``stage``, itself the last; none for a stage before training. Raises InputError for one that the recipe leaves out."""
    if stage in ("redteam", "critique", "preferences"):
        return ()
    methods = recipe.train.methods
    if stage not in methods:
        raise InputError(f"the recipe {recipe.name!r} trains {', '.join(methods)}, not {stage}", f"charter train {stage} train.methods='[sft, dpo]'")
    return methods[: methods.index(stage) + 1]


def _run_until(stage: str, context: Context, reasons: tuple[str, ...]) -> str:
    redteaming.require(reasons)
    rows = generation.generate_rows(context)
    if stage == "critique":
        return generation.CRITIQUE
    if stage == "preferences":
        generation.generate_preferences(context, rows)
        return generation.PREFERENCES
    preferences = generation.generate_preferences(context, rows)
    wanted = _methods_until(stage, context.recipe)
    start: Path | str = stages.local_weights(context)
    for number, method in enumerate(wanted, 5):
        start = stages.train_one(context, f"{number}-train-{method}", method, start, rows if method == "sft" else preferences)
    return f"{4 + len(wanted)}-train-{stage}"


def compare_folders(before: Path, after: Path, policy: GatePolicy | None = None) -> Compared:
    """Two finished evaluation folders, paired; those of align runs held against the gate (``policy``, or the default one), others against none
    unless ``policy`` is given. Raises InputError if they did not ask the same."""
    folders = _evaluation(before, stages.BASELINE), _evaluation(after, stages.AFTER)
    first, second = (load_evaluation(folder) for folder in folders)
    paired, changed = compare(first, second), changes(first, second)
    why = {str(folder): "; ".join(recorded_distrust(folder, found)) for folder, found in zip(folders, (first, second), strict=True)}
    lost = {run: reasons for run, reasons in why.items() if reasons}
    if policy is None and not (is_align_run(before) and is_align_run(after)):
        return Compared(paired, None, changed, lost)
    return Compared(paired, gate(metrics(first), metrics(second), paired, policy or GatePolicy(), lost), changed, lost)


def is_align(folder: Path) -> bool:
    """Whether the folder is of ``align``, or of an evaluation as ``align`` makes it: harm and over-refusal on a list of prompts."""
    return (folder / "judgings.jsonl").exists() or (folder / stages.BASELINE).is_dir()


def is_align_run(folder: Path) -> bool:
    """Whether ``align`` made the folder, finished or not."""
    root = read_run(folder) if folder.is_dir() else None
    return root is not None and root.stage == "align"


def evaluations(runs: Sequence[Path]) -> list[Path]:
    """The folders to compare: of an align run its last evaluation, or the baseline if it comes first."""
    return [_evaluation(run, stages.AFTER if place else stages.BASELINE) for place, run in enumerate(runs)]


def _evaluation(folder: Path, inside: str) -> Path:
    """The folder itself, or the evaluation inside an align run."""
    return folder / inside if (folder / inside).is_dir() else folder


def write_comparison(path: Path, result: Compared) -> None:
    """``{"paired", "not_paired", "distrusted", "gate"}``; ``not_paired`` counts by number the items that were left out, or asked in one run only."""
    counts = ("left_out", "only_before", "only_after")
    not_paired = {name: {kind: len(getattr(found, kind)) for kind in counts} for name, found in result.changes.items()}
    paired: dict[str, Any] = {name: {**found._asdict()} for name, found in result.paired.items()}
    decided = None if result.gate is None else {"passed": result.gate.passed, "reasons": list(result.gate.reasons)}
    write_json(path, {"paired": paired, "not_paired": not_paired, "distrusted": result.distrusted, "gate": decided})


def rewrite_report(out: Path, place: Path | None = None) -> Path:
    """Render the report of a finished run again, in the run or at ``place``. Raises InputError if the run is not finished."""
    root = read_run(out)
    if root is None or root.stage != "align" or not (out / "summary.json").exists() or not stage_runs(out):
        raise InputError(f"{out}: is not the folder of a finished align run", "charter align --out FOLDER")
    context = Context(Recipe.model_validate(root.config["recipe"]), out, SILENT)
    summary = read_summary(out / "summary.json")
    return write_report(context, judge_outcome(context, Path(summary.checkpoint)), summary, place)
