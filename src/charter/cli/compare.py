"""``charter compare``: finished runs side by side, and the release gate."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from charter.core.errors import EXIT_GATE_FAILED, InputError

if TYPE_CHECKING:
    from rich.console import Console

    from charter.recipes.comparison import Comparison

#: Keys of changed items shown per kind.
KEYS = 5
Runs = Annotated[list[Path], typer.Argument(metavar="OLD NEW", help="folders of finished runs, the oldest first; three or more give a trend")]
Gate = Annotated[Path | None, typer.Option("--gate", metavar="POLICY.yaml", help="hold the newest run against these rules; exit code 3 if one fails")]
Junit = Annotated[Path | None, typer.Option("--junit", help="write the gate's checks here as JUnit XML")]
Json = Annotated[Path | None, typer.Option("--json", help="write the comparison here")]
At = Annotated[str | None, typer.Option("--at", metavar="0,500,1000", help="where each run stands, such as its training steps")]
Plot = Annotated[Path | None, typer.Option("--plot", help="draw the trend here (.svg)")]
Metrics = Annotated[list[str] | None, typer.Option("--metric", help="look at these alone (* = any text; give it again for more)")]
All = Annotated[bool, typer.Option("--all", help="list every metric, not only the changed ones")]
Show = Annotated[int, typer.Option("--show", min=0, help="print so many broken and fixed answers side by side; they may be harmful")]


def compare(
    runs: Runs,
    gate: Gate = None,
    junit: Junit = None,
    json_file: Json = None,
    at: At = None,
    plot: Plot = None,
    metric: Metrics = None,
    all_metrics: All = False,
    show: Show = 0,
) -> None:
    """Runs paired item by item: what changed, whether it could be chance, which answers were fixed and broken, and whether the newest may ship.

    Two folders of align runs are held against the default gate.
    """
    from charter.recipes import comparison, single

    if junit is not None and gate is None:
        raise InputError("--junit writes the checks of a gate, and there is none", "charter compare OLD NEW --gate POLICY.yaml --junit FILE")
    _plottable(plot, len(runs))
    if len(runs) == 2 and gate is None and single.is_align(runs[0]) and single.is_align(runs[1]):
        given = {"--at": at, "--plot": plot, "--metric": metric, "--all": all_metrics, "--show": show}
        _align(runs[0], runs[1], json_file, [option for option, value in given.items() if value])
        return
    found = comparison.compare(*single.evaluations(runs), gate=gate, at=_numbers(at), metrics=metric or ())
    if found.gate is not None and gate is not None and junit is not None:
        _junit(junit, gate, found)
    if json_file is not None:
        comparison.write_comparison(json_file, found)
    _show(found, all_metrics, show)
    if plot is not None:
        _plot(found, plot)
    if found.gate is not None and not found.gate.passed:
        raise typer.Exit(EXIT_GATE_FAILED)


def _align(before: Path, after: Path, json_file: Path | None, useless: Sequence[str]) -> None:
    from charter.cli import terminal
    from charter.recipes import single

    if useless:
        raise InputError(
            f"{' and '.join(useless)}: {before} and {after} are lists of prompts with one table of four shares; nothing there to choose or draw",
            "charter compare OLD NEW [--json FILE]; charter report FOLDER shows answers",
        )
    result = single.compare_folders(before, after)
    if json_file is not None:
        single.write_comparison(json_file, result)
    terminal.show_comparison(result)
    if result.gate is not None and not result.gate.passed:
        raise typer.Exit(EXIT_GATE_FAILED)


def _numbers(text: str | None) -> list[float] | None:
    try:
        return None if text is None else [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"--at {text!r}: a list of numbers is needed, one per run", "charter compare A B C --at 0,500,1000") from None


def _junit(path: Path, policy: Path, found: Comparison) -> None:
    from charter.report.junit import Case, junit
    from charter.store.runs import write_text

    checks = found.gate.checks if found.gate is not None else ()
    write_text(path, junit(str(policy), [Case(check.name, check.passed, check.reason) for check in checks]))


def _plot(found: Comparison, path: Path) -> None:
    from charter.evaluate.differences import OVERALL
    from charter.report.trend import Line, trend_file
    from charter.store.runs import write_text

    rows = [row for row in found.trends if row.family == OVERALL or (row.p_holm is not None and row.p_holm < 0.05)]
    lines = [Line(row.metric, row.at, row.points) for row in rows]
    if not lines:
        raise InputError("there is no trend to draw: the runs share no benchmark", "charter compare A B C --all lists what they share")
    write_text(path, trend_file(lines, found.runs))


def _plottable(path: Path | None, runs: int) -> None:
    """Raises InputError for a plot that could not be drawn, before anything is compared."""
    if path is not None and path.suffix != ".svg":
        raise InputError(f"--plot {path}: the plot is an SVG file", f"--plot {path.with_suffix('.svg')}")
    if path is not None and runs < 3:
        raise InputError(f"--plot {path}: a trend needs at least three runs", "charter compare A B C --plot trend.svg")


def _show(found: Comparison, all_metrics: bool, answers: int) -> None:
    from rich.text import Text

    from charter.cli.terminal import _out, visible

    console = _out()
    for run, why in found.distrusted.items():
        console.print(Text(f"the run {visible(run)} cannot be trusted: {visible(why)}", style="bold"))
    _table(console, found, all_metrics)
    _trend(console, found, all_metrics)
    for part in found.shared:
        _items(console, found, part.benchmark)
        alone = ", ".join(f"{count} more in {visible(run)}" for run, count in part.alone.items() if count)
        if alone:
            console.print(Text(f"  not paired: {alone}"))
        if answers:
            _answers(console, found, part.benchmark, answers)
    for name, having in found.not_compared.items():
        console.print(Text(f"not compared: {visible(name)} is only in {visible(', '.join(having))}"))
    if found.gate is not None:
        console.print(Text("gate: passed" if found.gate.passed else "gate: FAILED (exit code 3)", style="bold"))
        for check in found.gate.checks:
            console.print(Text(f"  {'ok    ' if check.passed else 'FAILED'} {visible(check.reason)}"))


def _table(console: Console, found: Comparison, all_metrics: bool) -> None:
    from rich.table import Table

    from charter.cli.terminal import visible
    from charter.evaluate.differences import OVERALL

    always = [row for row in found.differences if row.family == OVERALL]
    rest = [row for row in found.differences if row.family != OVERALL]
    shown = rest if all_metrics else [row for row in rest if row.p_holm is not None and row.p_holm < 0.05]
    table = Table("metric", "before", "after", "pairs", "difference [95 %]", "p", "p (Holm)", title=visible(f"{found.runs[0]} → {found.runs[-1]}"))
    for row in [*always, *shown]:
        interval = f"{_signed(row.difference)} [{_signed(row.low)}, {_signed(row.high)}]"
        table.add_row(visible(row.metric), _number(row.before), _number(row.after), str(row.n), interval, _p(row.p), _p(row.p_holm))
    console.print(table)
    if len(rest) > len(shown):
        console.print(f"{len(rest) - len(shown)} more metrics changed by no more than chance explains (Holm p of 0.05 and above); --all lists them")


def _trend(console: Console, found: Comparison, all_metrics: bool) -> None:
    from rich.table import Table

    from charter.cli.terminal import visible
    from charter.evaluate.differences import OVERALL

    if not found.trends:
        return
    table = Table(
        "metric", *(f"{visible(run)} (at {at:g})" for run, at in zip(found.runs, found.trends[0].at, strict=True)), "slope [95 %]", "p (Holm)"
    )
    table.title = "trend"
    for row in found.trends:
        if all_metrics or row.family == OVERALL or (row.p_holm is not None and row.p_holm < 0.05):
            slope = f"{_signed(row.slope)} [{_signed(row.low)}, {_signed(row.high)}]"
            table.add_row(visible(row.metric), *(_number(metric.value) for metric in row.points), slope, _p(row.p_holm))
    console.print(table)


def _items(console: Console, found: Comparison, benchmark: str) -> None:
    from rich.text import Text

    from charter.cli.terminal import visible

    counts = ", ".join(f"{count} {kind}" for kind, count in found.counts(benchmark).items() if count)
    console.print(Text(f"{visible(benchmark)}: {counts}"))
    for kind in ("broken", "fixed"):
        keys = [change.key for change in found.changes if change.benchmark == benchmark and change.kind == kind]
        if keys:
            more = f" and {len(keys) - KEYS} more" if len(keys) > KEYS else ""
            console.print(Text(f"  {kind}: {visible(', '.join(keys[:KEYS]))}{more}"))


def _answers(console: Console, found: Comparison, benchmark: str, many: int) -> None:
    from rich.table import Table
    from rich.text import Text

    from charter.cli.terminal import visible

    for kind in ("broken", "fixed"):
        changes = [change for change in found.changes if change.benchmark == benchmark and change.kind == kind][:many]
        said = found.answers(benchmark, [change.key for change in changes])
        for change in changes:
            first, last = (" / ".join(_text(answer.reply) for answer in said[change.key][place]) for place in (0, -1))
            table = Table(visible(f"before: {change.labels[0]}"), visible(f"after: {change.labels[-1]}"), title=f"{kind}: {visible(change.key)}")
            table.add_row(Text(visible(first)), Text(visible(last)))
            console.print(table)


def _text(reply: object) -> str:
    text, error = getattr(reply, "text", ""), getattr(reply, "error", "")
    return text or f"(no reply: {error or 'empty'})"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.3g}"


def _p(value: float | None) -> str:
    return "–" if value is None else f"{value:.2g}"
