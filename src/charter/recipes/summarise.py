"""From the rows of a finished run to ``summary.json`` and the report's data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from charter.core.errors import CharterError
from charter.core.rows import Finding, Metric, Run
from charter.core.shapes import Judge
from charter.core.stats import Paired
from charter.evaluate.evaluation import Evaluation
from charter.evaluate.gate import GateResult
from charter.evaluate.matrix import by_group, matrix, metrics
from charter.evaluate.style import RefusalStyle, refusal_style
from charter.judges._card_files import card_folders, find_card
from charter.recipes.context import Context
from charter.recipes.redteaming import REDTEAM, UNTOUCHED
from charter.report.page import Drop, Fact, FamilyCount, HazardRow, LineageStep, Matrices, ReportData, SideBySide, StyleFact, render
from charter.report.summary import CharterRef, GateSummary, Measured, PairedSummary, StageSummary, Summary, write_summary
from charter.store.rowlog import RowLog
from charter.store.runs import read_run, write_text
from charter.train.rows import is_kept

HEADLINES = ("harmful_compliance", "over_refusal", "partial_refusal")
EXAMPLES_SHOWN = 60
#: Figures of a judge's card that the report shows.
SHOWN = ("accuracy", "precision", "recall", "specificity", "f1", "kappa", "auprc", "ece", "three_way_macro_f1")
OF_HAZARD = "harmful_compliance/"
ALL_FAMILIES = "all families"
CHANGED = (
    "The charter has changed since this run, or is no longer where it was. The name and the hash above are the run's own; hazards go by their ids."
)
NOTES = (
    "The evaluation prompts are short, single-turn and English. Nothing here says how the model behaves over several turns or in other languages.",
    "The judges are rules and a small classifier; their measured error is in the table above and is not corrected for.",
    "A reply that does not refuse is counted as compliance even where it would be useless to an attacker.",
    "Attacks with white-box access, long jailbreaks and fine-tuning by an attacker were not tried.",
)


class Finished(NamedTuple):
    """What the last stages found."""

    before: Evaluation
    after: Evaluation
    paired: dict[str, Paired]
    gate: GateResult
    checkpoint: Path


def write_results(context: Context, finished: Finished, seconds: float) -> Summary:
    """Build and write ``summary.json``."""
    summary = Summary(
        model=context.recipe.model,
        charter=CharterRef(name=context.charter.name, hash=context.charter.hash),
        seconds=round(seconds, 3),
        stages=tuple(_stage(run) for _, run in stage_runs(context.out)),
        before=measured(metrics(finished.before)),
        after=measured(metrics(finished.after)),
        paired={name: _paired(found) for name, found in finished.paired.items()},
        gate=GateSummary(passed=finished.gate.passed, reasons=finished.gate.reasons, failed=finished.gate.failures),
        checkpoint=str(finished.checkpoint),
        recipe=context.recipe.name,
        seed=context.recipe.seed,
    )
    write_summary(context.out / "summary.json", summary)
    return summary


def measured(found: Mapping[str, Metric]) -> Measured:
    groups = {name: metric for name, metric in found.items() if name not in HEADLINES}
    return Measured(**{name: found[name] for name in HEADLINES}, groups=groups)


def _paired(found: Paired) -> PairedSummary:
    return PairedSummary(b=found.b, c=found.c, n=found.n, p=found.p, difference=found.difference, interval=(found.low, found.high))


def stage_runs(out: Path) -> list[tuple[Path, Run]]:
    """The finished stage folders of a run, in order."""
    runs = [(folder, read_run(folder)) for folder in sorted(out.iterdir()) if folder.is_dir()]
    return [(folder, run) for folder, run in runs if run is not None and run.status == "done"]


def _stage(run: Run) -> StageSummary:
    return StageSummary(name=run.stage, seconds=run.seconds, rows_in=run.rows_in, rows_out=run.rows_out, dropped=_lost(run))


def _lost(run: Run) -> dict[str, int]:
    """What a stage dropped, without the rows that it cut short and kept."""
    return {reason: count for reason, count in run.dropped.items() if not is_kept(reason)}


def write_report(context: Context, finished: Finished, summary: Summary, place: Path | None = None) -> Path:
    """Render ``report.html`` from the rows, in the run's folder or at ``place``."""
    path = place or context.out / "report.html"
    write_text(path, render(report_data(context, finished, summary)))
    return path


def report_data(context: Context, finished: Finished, summary: Summary) -> ReportData:
    runs = stage_runs(context.out)
    pairs = _side_by_side(finished)
    titles = _titles(context, summary)
    return ReportData(
        title=f"{context.recipe.name}: {context.recipe.model} aligned with {summary.charter.name}",
        summary=summary,
        matrices=Matrices(before=_cells(finished.before), after=_cells(finished.after)),
        hazards=_hazards(titles or {}, summary),
        titles=titles or {},
        examples=tuple(_picked(pairs)),
        compared=len(pairs),
        changed=sum(pair.changed for pair in pairs),
        drops=tuple(Drop(run.stage, reason, count) for _, run in runs for reason, count in _lost(run).items()),
        findings=_families(context.out / REDTEAM),
        generation=_facts(runs),
        style=_style(refusal_style(finished.after, context.recipe.style), context),
        judges=tuple(_judge_figures(context.judges.values())),
        lineage=tuple(LineageStep(run.stage, folder.name, run.rows_in, run.rows_out, run.seconds, run.id) for folder, run in runs),
        versions=runs[0][1].versions if runs else {},
        notes=NOTES if titles is not None else (CHANGED, *NOTES),
    )


def _cells(evaluation: Evaluation) -> dict[str, dict[str, int]]:
    groups = by_group(evaluation)
    cells = {"harmful": matrix(evaluation).harmful, **{name: found.harmless for name, found in groups.items() if found.harmless.total}}
    names = {"refused": "full", "complied": "none"}
    return {kind: {names.get(name, name): count for name, count in cell._asdict().items()} for kind, cell in cells.items()}


def _titles(context: Context, summary: Summary) -> dict[str, str] | None:
    """Titles of the charter's hazards by id; None if the charter is no longer the run's, or no longer to be read."""
    try:
        charter = context.charter
    except CharterError:
        return None
    return {hazard.id: hazard.title for hazard in charter.hazards} if charter.hash == summary.charter.hash else None


def _hazards(titles: Mapping[str, str], summary: Summary) -> tuple[HazardRow, ...]:
    """In the charter's order; by their ids where there are no titles."""
    before, after = (
        {name.removeprefix(OF_HAZARD): m for name, m in side.groups.items() if name.startswith(OF_HAZARD)} for side in (summary.before, summary.after)
    )
    found = [hazard for hazard in (titles or before) if hazard in before and hazard in after]
    return tuple(HazardRow(titles.get(hazard, hazard), before[hazard], after[hazard]) for hazard in found)


def _side_by_side(finished: Finished) -> list[SideBySide]:
    return [
        SideBySide(
            key=e.key,
            prompt=e.prompt,
            harmful=bool(e.harmful),
            hazard=e.hazard,
            before=finished.before.answers[e.key].reply.text,
            after=finished.after.answers[e.key].reply.text,
            before_label=finished.before.labels[e.key],
            after_label=finished.after.labels[e.key],
        )
        for e in finished.after.examples
        if e.key in finished.before.answers
    ]


def _picked(pairs: Iterable[SideBySide]) -> list[SideBySide]:
    """At most ``EXAMPLES_SHOWN``: what got worse, then whatever else changed, then a spread of the rest."""
    ordered = sorted(pairs, key=lambda pair: (pair.key.split("/")[-2:][0], pair.key))
    worse, changed, same = [p for p in ordered if p.worse], [p for p in ordered if p.changed and not p.worse], [p for p in ordered if not p.changed]
    shown = [*_in_turn(worse), *_in_turn(changed)][:EXAMPLES_SHOWN]
    room = EXAMPLES_SHOWN - len(shown)
    return [*shown, *same[:: max(1, len(same) // room)][:room]] if room else shown


def _in_turn(pairs: list[SideBySide]) -> list[SideBySide]:
    """Harmful and harmless in turn, so that neither crowds the other out."""
    sides = [[pair for pair in pairs if pair.harmful is harmful] for harmful in (True, False)]
    return [pair for two in zip_longest(*sides) for pair in two if pair is not None]


def _families(folder: Path) -> tuple[FamilyCount, ...]:
    if not (folder / "run.json").exists():
        return ()
    rows = dict(RowLog(folder / "metrics.jsonl", Metric).items())
    if not any(name.startswith("attempt_success/") for name in rows):  # an older campaign, which counted attempts alone, under the other name
        return tuple(FamilyCount(name.partition("/")[2], 0, 0, attempts=row) for name, row in rows.items() if name.startswith("attack_success/"))
    families = {name.removeprefix("attack_success"): row for name, row in rows.items() if name.startswith("attack_success")}
    return tuple(_family(at, row, rows) for at, row in families.items())


def _family(at: str, goals: Metric, rows: Mapping[str, Metric]) -> FamilyCount:
    """``at``: what ends the names of a family's metrics, '' for all of them."""
    partly = rows.get(f"attack_partial{at}")
    counts = (goals.n, _count(goals), goals.n_failed)
    return FamilyCount(at[1:] or ALL_FAMILIES, *counts, rows.get(f"attempt_success{at}"), None if partly is None else _count(partly))


def _count(share: Metric) -> int:
    return round((share.value or 0.0) * share.n)


def _facts(runs: list[tuple[Path, Run]]) -> tuple[Fact, ...]:
    facts = []
    for folder, run in runs:
        if run.stage == "redteam":
            facts.append(Fact("findings of the red team", len(RowLog(folder / "findings.jsonl", Finding))))
            if untouched := run.outputs.get(UNTOUCHED):
                facts.append(Fact("hazards of the charter that no goal of the red team is of", len(untouched.split(", "))))
        if run.stage == "generate critique":
            facts += [
                Fact("goals the model criticised and revised itself", _int(run, "self_tried")),
                Fact("of those, accepted", _int(run, "self_accepted")),
            ]
            if failed := _int(run, "self_failed"):
                facts.append(Fact("goals for which that failed: the model gave an error", failed))
            facts.append(Fact("rows for SFT", run.rows_out))
        if run.stage == "generate preferences":
            facts += [Fact("preference pairs", run.rows_out), Fact("of those, labelled against how the pair was built", _int(run, "overturned"))]
        if run.stage.startswith("train"):
            facts.append(Fact(f"{run.stage}: steps", _int(run, "steps")))
        facts += [Fact(f"{run.stage}: {reason}", count) for reason, count in run.dropped.items() if is_kept(reason)]
    return tuple(facts)


def _int(run: Run, name: str) -> int | None:
    return int(run.outputs[name]) if run.outputs.get(name, "").isdigit() else None


def _style(style: RefusalStyle, context: Context) -> tuple[StyleFact, ...]:
    bars = context.recipe.style
    return (
        StyleFact("refusals read", style.n),
        _fact("most repeated sentence, per 100 refusals", style.repeated_sentence_per_100, "at most", bars.max_repeated_sentence),
        _fact("most common first four words, per 100 refusals", style.opening_per_100, "at most", bars.max_opening),
        _fact("name the concern or offer a way forward, share", style.grounded, "at least", bars.min_grounded),
        _fact("median words", style.median_words, "at most", bars.max_median_words),
    )


def _fact(label: str, value: float | None, sense: str, bar: float) -> StyleFact:
    met = None if value is None else (value <= bar if sense == "at most" else value >= bar)
    return StyleFact(label, None if value is None else round(value, 2), f"{sense} {bar:g}", met)


def _judge_figures(judges: Iterable[Judge]) -> Iterator[dict[str, Any]]:
    """What the cards of these judges say, a row for each judge set; of a judge without a card of its version, why there is none."""
    for judge in judges:
        found = find_card(judge, card_folders())
        if found.card is None:
            yield {"judge": judge.name, "dataset": found.why}
        for row in found.card.rows if found.card else ():
            figures = {name: row.figures[name].value if name in row.figures else None for name in SHOWN}
            accuracy = row.figures.get("accuracy")
            yield {
                "judge": judge.name, "dataset": row.title, "head": row.task, "used in development": "yes" if row.development else "no",
                "n": row.n, "n_failed": row.n_failed, "n_unsure": row.n_unsure, **figures,
                "accuracy_low": accuracy.low if accuracy else None, "accuracy_high": accuracy.high if accuracy else None,
            }  # fmt: skip
