"""``charter evaluate``: a model on anybody's prompts (``--data``), or on published benchmarks (``--suite``)."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from charter.core.errors import EXIT_ERROR, InputError

Models = Annotated[list[str], typer.Argument(metavar="MODEL...", help="models to measure; judge:NAME measures a judge; with --replies, a label")]
SuiteName = Annotated[str | None, typer.Option("--suite", help="quick, standard, full, a YAML file, or benchmarks; several with commas")]
Data = Annotated[Path | None, typer.Option("--data", help='JSONL rows {"id", "prompt", "harmful": true|false, "hazard"?}, instead of a suite')]
JsonFile = Annotated[Path | None, typer.Option("--json", help="write every metric here")]
MaxTokens = Annotated[int | None, typer.Option("--max-tokens", min=1, help="longest reply without --suite (default: 48); benchmarks have their own")]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="items of each benchmark at most, a fair sample")]
Seeds = Annotated[int | None, typer.Option("--seeds", min=1, help="whole repetitions with other seeds")]
Attack = Annotated[
    list[str] | None,
    typer.Option("--attack", help="put every harmful item in the words of this attack: NAME, or NAME:KEY=VALUE; several with commas"),
]
System = Annotated[Path | None, typer.Option("--system", help="file with a system prompt for every item")]
RepliesFile = Annotated[Path | None, typer.Option("--replies", help='JSONL rows {"id", "reply"}: score these instead of asking a model')]
JudgeName = Annotated[
    list[str] | None,
    typer.Option("--judge", help='NAME, or human:FILE of rows {"id", "label", "reply"} beside --replies; ROLE=... where a benchmark has several'),
]
Cards = Annotated[Path | None, typer.Option("--cards", help="folder of judge cards to correct rates by (default: runs/judges/cards, where it is)")]
Out = Annotated[Path | None, typer.Option("--out", help="folder for the runs' rows")]
Seed = Annotated[int, typer.Option("--seed")]
MaxFailed = Annotated[float, typer.Option("--max-failed", min=0.0, max=1.0, help="share of failed answers above which a run cannot be trusted")]
PriceText = Annotated[str | None, typer.Option("--price", help="IN,OUT per million tokens, for the estimate of the cost")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="say what would be asked, how long it may take and what it may cost, and stop")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="no progress; the log file still tells")]

#: Longest reply on prompts marked harmful or not, which tells a refusal from none.
MAX_TOKENS = 48


def evaluate(
    models: Models,
    suite: SuiteName = None,
    data: Data = None,
    json_file: JsonFile = None,
    max_tokens: MaxTokens = None,
    limit: Limit = None,
    seeds: Seeds = None,
    attack: Attack = None,
    system: System = None,
    replies: RepliesFile = None,
    judge: JudgeName = None,
    cards: Cards = None,
    out: Out = None,
    seed: Seed = 0,
    max_failed: MaxFailed = 0.10,
    price: PriceText = None,
    dry_run: DryRun = False,
    quiet: Quiet = False,
) -> None:
    """Harm and over-refusal on published benchmarks, on your own test set, or on the starter set's held-out topics."""
    only_suite = {
        "--limit": limit, "--seeds": seeds, "--attack": attack, "--system": system, "--replies": replies, "--judge": judge, "--price": price,
        "--cards": cards, "--dry-run": dry_run or None,
    }  # fmt: skip
    if suite is None:
        given = next((name for name, value in only_suite.items() if value is not None), None)
        if given is not None:
            raise InputError(f"{given} belongs to benchmarks, and no --suite is named", "--suite quick, or --suite xstest; charter list benchmarks")
        _labelled(models, data, json_file, max_tokens or MAX_TOKENS, out, seed, max_failed, quiet)
        return
    if data is not None:
        raise InputError("--data and --suite cannot go together", "run it once for each")
    if max_tokens is not None:
        raise InputError(
            "--max-tokens belongs to --data: every benchmark has a length of its own",
            f"a suite sets it: benchmarks: [{{benchmark: NAME, settings: {{max_tokens: {max_tokens}}}}}]; docs/evaluation.md",
        )
    from charter.evaluate.estimate import Price
    from charter.recipes.evaluation import Request

    request = Request(
        models=tuple(models),
        suite=suite,
        limit=limit,
        seeds=seeds,
        seed=seed,
        attacks=tuple(name.strip() for text in attack or () for name in text.split(",") if name.strip()),
        system=_text(system) if system is not None else "",
        replies=replies,
        judges=tuple(judge or ()),
        out=out,
        max_failed=max_failed,
        price=Price(*_numbers(price)) if price is not None else None,
        cards=cards,
    )
    _benchmarks(request, json_file, dry_run, quiet)


def _benchmarks(request: object, json_file: Path | None, dry_run: bool, quiet: bool) -> None:
    from charter.cli import terminal
    from charter.recipes import evaluation

    assert isinstance(request, evaluation.Request)
    todo = evaluation.plan(request)
    if dry_run:
        for name, expected in evaluation.forecast(request, todo):
            typer.echo(f"{terminal.visible(name)}: {expected}")
        return
    with terminal.reporter(todo.targets[0].folder.parent / "charter.log", quiet) as reporter:
        found = evaluation.evaluate_suite(request, reporter, todo)
    terminal.show_measured(found)
    if json_file is not None:
        evaluation.write_measured(json_file, found, todo.problems)
    for folder in dict.fromkeys(measured.folder.parent for measured in found):
        typer.echo(f"rows: {folder}")
    for problem in todo.problems:
        typer.echo(f"error: {terminal.visible(problem)}", err=True)
    if todo.problems or not all(measured.measurement.trusted for measured in found):
        raise typer.Exit(EXIT_ERROR)


def _labelled(
    models: list[str], data: Path | None, json_file: Path | None, max_tokens: int, out: Path | None, seed: int, max_failed: float, quiet: bool
) -> None:
    """Prompts marked harmful or not, without a benchmark: one model at a time."""
    from charter.cli import terminal
    from charter.models._written import lasting
    from charter.recipes import single

    if len(models) > 1 and (out is not None or json_file is not None):
        raise InputError(f"--data takes one model with --out or --json, and {len(models)} are named", "run it once for each")
    trusted = True
    for model in models:
        folder = out or single.default_folder("evaluate", lasting(model), str(data or "starter"), str(max_tokens), str(seed))
        with terminal.reporter(folder / "charter.log", quiet) as reporter:
            result = single.evaluate_model(model, data, max_tokens, seed, folder, reporter, max_failed)
        terminal.show_metrics(result.metrics, result.dropped, result.reasons)
        if json_file is not None:
            single.write_metrics(json_file, model, data, result)
        typer.echo(f"rows: {folder}")
        trusted = trusted and not result.reasons
    if not trusted:
        raise typer.Exit(EXIT_ERROR)


def _text(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or 'not UTF-8 text'}", f"ls -l {path}") from None
    if not text:
        raise InputError(f"{path}: is empty, so it is no system prompt", "leave --system out")
    return text


def _numbers(text: str) -> tuple[float, float]:
    try:
        tokens_in, tokens_out = (float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"--price {text!r}: two numbers are needed, per million tokens in and out", "--price 0.15,0.60") from None
    if not all(0 <= price < math.inf for price in (tokens_in, tokens_out)):
        raise InputError(f"--price {text!r}: a price is a number from 0 up", "--price 0.15,0.60")
    return tokens_in, tokens_out
