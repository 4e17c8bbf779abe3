"""``charter align``: the main job, from a model and a charter to a gated checkpoint and a report. Kill it anywhere and run it again."""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

from charter.core.progress import SILENT, Reporter
from charter.evaluate.compare import compare
from charter.evaluate.evaluation import load_evaluation
from charter.evaluate.gate import GateResult, gate
from charter.evaluate.matrix import metrics
from charter.recipes import generation, redteaming, stages
from charter.recipes.config import Recipe
from charter.recipes.context import Context
from charter.recipes.preflight import preflight
from charter.recipes.summarise import Finished, write_report, write_results
from charter.report.summary import Summary, read_summary

SUMMARY, REPORT = "summary.json", "report.html"


class Aligned(NamedTuple):
    summary: Summary
    report: Path


def align(recipe: Recipe, out: Path, reporter: Reporter = SILENT) -> Aligned:
    """Run every stage that is not finished yet. Raises CharterError, for what cannot be trained before the first stage; a failed gate is a result,
    not an error (``summary.gate.passed``)."""
    context = Context(recipe, out, reporter)
    preflight(context, recipe.train.methods)
    with stages.open_root(context) as root:
        if root.finished and (out / SUMMARY).exists():
            reporter.say(f"{out} holds this run already, finished; nothing to do")
            return Aligned(read_summary(out / SUMMARY), out / REPORT)
        started = time.monotonic()
        checkpoint = _run(context, reporter)
        seconds = root.run.seconds + time.monotonic() - started
        finished = judge_outcome(context, checkpoint)
        summary = write_results(context, finished, seconds)
        with reporter.stage("report"):
            write_report(context, finished, summary)
        root.finish(
            rows_in=len(finished.before.examples), rows_out=len(finished.after.examples), outputs={"checkpoint": stages.weights_hash(checkpoint)}
        )
        return Aligned(summary, out / REPORT)


def _run(context: Context, reporter: Reporter) -> Path:
    with reporter.stage("baseline"):
        stages.measure(context, stages.BASELINE, None, context.identity)
    with reporter.stage("red team"):
        redteaming.require(redteaming.redteam(context))
    with reporter.stage("generate"):
        rows = generation.generate_rows(context)
        preferences = generation.generate_preferences(context, rows)
    with reporter.stage("train"):
        checkpoint = stages.train(context, rows, preferences)
    context.drop_model()
    with reporter.stage("evaluate again"):
        stages.measure(context, stages.AFTER, stages.aligned_model(checkpoint), f"checkpoint:{stages.weights_hash(checkpoint)}")
    return checkpoint


def judge_outcome(context: Context, checkpoint: Path) -> Finished:
    """Compare the two finished evaluations and ask the gate."""
    before = load_evaluation(context.out / stages.BASELINE)
    after = load_evaluation(context.out / stages.AFTER)
    paired = compare(before, after)
    result: GateResult = gate(metrics(before), metrics(after), paired, context.recipe.gate)
    return Finished(before, after, paired, result, checkpoint)
