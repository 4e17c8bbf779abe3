"""``charter judges``: measure them, have rows judged, read their cards."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from charter.core.errors import EXIT_GATE_FAILED, InputError
from charter.core.rows import Metric

judges_app = typer.Typer(no_args_is_help=True, help="Judges: measured against people, put to work on rows, and their cards.")

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="no progress; the log file still tells")]
Retry = Annotated[bool, typer.Option("--retry-failed", help="ask again about rows whose verdict failed, after a lost connection say")]
JudgeArgument = Annotated[str, typer.Argument(metavar="JUDGE", help="a name, NAME:MODEL, YAML such as 'cascade: [refusal, harm]', or a YAML file")]


@judges_app.command()
def measure(
    judges: Annotated[list[str] | None, typer.Argument(metavar="[JUDGE]...", help="default: every judge that needs no model")] = None,
    data: Annotated[Path | None, typer.Option("--data", help="folder of public sets (default: $CHARTER_DATA)")] = None,
    sets: Annotated[list[str] | None, typer.Option("--set", help="only this judge set (a name or a YAML file); may be repeated")] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="a random part of each set, for judges that cost money")] = None,
    out: Annotated[Path, typer.Option("--out", help="folder for verdicts and cards; running it again goes on")] = Path("runs/judges"),
    cards: Annotated[Path | None, typer.Option("--cards", help="folder for the cards (default: OUT/cards)")] = None,
    retry_failed: Retry = False,
    quiet: Quiet = False,
) -> None:
    """Judge human-labelled rows and write a card for each judge: figures with intervals, by hazard, latency (JSON and Markdown)."""
    from charter.cli import terminal
    from charter.judges._pairs import build_measured
    from charter.judges.cascade import usage
    from charter.recipes import measuring
    from charter.store.runs import alone_in

    named = os.environ.get("CHARTER_DATA", "")
    folder = data or (Path(named) if named else None)
    if folder is None or not folder.is_dir():
        raise InputError(
            f"there is no folder of labelled rows{f' at {folder}' if folder else ''}", "export CHARTER_DATA=FOLDER, or give --data FOLDER"
        )
    built = [build_measured(spec) for spec in judges or measuring.judges_without_model()]
    with alone_in(out), terminal.reporter(out / "charter.log", quiet) as reporter:
        for judge in built:
            done = measuring.measure_judge(
                judge, folder, out, sets=sets or (), limit=limit, cards=cards, retry_failed=retry_failed, reporter=reporter
            )
            for name, why in done.skipped.items():
                reporter.say(f"not measured on {name}: {why}")
            _show_card(done.card)
            if done.card.steps is not None:
                _show_usage(usage(done.card.steps.decided, done.card.steps.costs))
            typer.echo(f"card: {done.json}\npage: {done.page}")


@judges_app.command()
def score(
    judge: JudgeArgument,
    data: Annotated[Path, typer.Option("--data", help='JSONL rows {"id", "system"?, "prompt"?, "reply"?}')],
    out: Annotated[Path, typer.Option("--out", help="JSONL to append a verdict row per id to; running it again goes on")],
    untested: Annotated[bool, typer.Option("--untested", help="leave out the self-test of a judge that asks a model; every row says so")] = False,
    retry_failed: Retry = False,
    quiet: Quiet = False,
) -> None:
    """Judge anybody's rows: outcome, score, scores by head, refusal, hazards and spans for every id."""
    from charter.cli import terminal
    from charter.recipes import judging

    with terminal.reporter(out.with_name(out.name + ".log"), quiet) as reporter:
        done = judging.score_rows(judge, data, out, untested=untested, retry_failed=retry_failed, reporter=reporter)
    typer.echo(", ".join(f"{count} {name}" for name, count in done.outcomes.items()))
    if done.retry:
        typer.echo(f"{done.retry} of the failed may come out otherwise in another try: the same command with --retry-failed")
    if done.usage is not None:
        _show_usage(done.usage)
    typer.echo(f"rows: {out}")


@judges_app.command()
def card(
    judges: Annotated[list[str] | None, typer.Argument(metavar="[JUDGE]...", help="default: all that come with the package")] = None,
    cards: Annotated[Path | None, typer.Option("--cards", help="look here first (default: runs/judges/cards, where it is)")] = None,
) -> None:
    """What is known of a judge. A card of another version is stale: it is named and not shown."""
    from charter.judges._card_files import card_folders, find_card
    from charter.judges._card_files import cards as packaged
    from charter.judges._pairs import build_measured

    folders = card_folders(cards)
    for spec in judges or [found.judge for found in packaged()]:
        judge = build_measured(spec)
        found = find_card(judge, folders)
        if found.card is None:
            typer.echo(f"{judge.name}@{judge.version}: {found.why}")
        else:
            _show_card(found.card)


@judges_app.command()
def selftest(judge: JudgeArgument) -> None:
    """The self-test of a judge that asks a model: refuse-then-comply, benign paragraph, other behaviour, plain refusal. Exit code 3 if it fails."""
    from charter.cli.terminal import visible
    from charter.judges import _prequalify
    from charter.judges._spec import build_judge
    from charter.recipes.measuring import selftest_of

    built = build_judge(judge)
    if not _prequalify.needs(built):
        typer.echo(f"{built.name}: asks no model for an opinion, so there is nothing to test; see its card: charter judges card")
        return
    found = selftest_of(built)
    for asked in found.asked:
        said = asked.verdict.outcome + (f" ({visible(asked.verdict.reason)})" if asked.verdict.outcome == "failed" else "")
        typer.echo(f"{'right' if asked.right else 'WRONG'}  {asked.kind.replace('_', ' ')}: wanted {asked.wanted}, said {said}")
    typer.echo(f"{'passed' if found.passed else 'NOT passed'}: {found.summary()}")
    if not found.passed:
        raise typer.Exit(EXIT_GATE_FAILED)


@judges_app.command("sets")
def list_sets() -> None:
    """The judge sets: what a judge must answer on which labelled rows."""
    from charter.judges._sets import load_set, set_names

    for name in set_names():
        _, found = load_set(name)
        typer.echo(f"{name}: {found.title}\n  asks for: {found.task}, labelled by {found.labelled_by}, {found.licence}")


@judges_app.command()
def fit(
    judge: JudgeArgument,
    data: Annotated[Path, typer.Option("--data", help='JSONL rows {"prompt", "reply", "harmful": true|false}')],
    out: Annotated[Path, typer.Option("--out", help="YAML file for the fitted weights")],
    l2: Annotated[float, typer.Option("--l2", min=0.0, help="penalty on large weights")] = 1.0,
    quiet: Quiet = False,
) -> None:
    """Fit the weights of the propositions judge to labelled rows."""
    from charter.cli import terminal
    from charter.recipes import judging

    with terminal.reporter(out.with_name(out.name + ".log"), quiet) as reporter:
        made, failed = judging.fit_propositions(judge, data, out, l2, reporter)
    for proposition in made.propositions:
        typer.echo(f"{proposition.weight:+8.3f}  {proposition.id}")
    typer.echo(f"{made.bias:+8.3f}  bias\nfitted on {made.fitted['rows']} rows, {failed} answers failed: {out}")


_FIGURES = {"accuracy": "accuracy", "f1": "F1", "recall": "recall", "specificity": "specificity", "auprc": "AUPRC", "ece": "ECE"}


def _show_card(card: object) -> None:
    """Each set's figures with their 95 % intervals, as lines: a table of so many numbers fits no terminal."""
    from rich.text import Text

    from charter.cli.terminal import _out, visible
    from charter.judges._cards import Card

    assert isinstance(card, Card)
    console = _out()
    console.print(Text(visible(f"{card.judge}@{card.version}"), style="bold"))
    for row in card.rows:
        console.print(Text(visible(f"{row.judge_set}{' *' if row.development else ''}, {row.task}: {row.n} rows, {row.n_failed} failed")))
        figures = ((said, row.figures.get(name)) for name, said in _FIGURES.items())
        values = [f"{said} {metric.value:.3f}{_ends(metric)}" for said, metric in figures if metric is not None and metric.value is not None]
        console.print(Text(f"  {'; '.join(values) or 'nothing to measure'}"))
    if any(row.development for row in card.rows):
        console.print(Text("* used while the judge was made: these figures flatter"))
    if card.latency is not None:
        console.print(Text(f"one question: median {card.latency.p50_ms:g} ms, 95 % within {card.latency.p95_ms:g} ms ({card.latency.machine})"))
    if card.selftest is not None:
        console.print(Text(f"self-test: {'passed' if card.selftest.passed else 'NOT passed'} ({card.selftest.summary})"))


def _ends(metric: Metric) -> str:
    return " [no interval]" if metric.low is None or metric.high is None else f" [{metric.low:.2f}, {metric.high:.2f}]"


def _show_usage(usage: object) -> None:
    from charter.cli.terminal import share
    from charter.judges.cascade import Usage

    assert isinstance(usage, Usage)
    typer.echo(f"cascade: asked {' > '.join(map(str, usage.asked))}; handed on by the first step: {share(usage.escalated)}")
    if usage.saved is not None:
        typer.echo(f"cascade: saved {100 * usage.saved:.0f} % of what always asking the last step costs")
