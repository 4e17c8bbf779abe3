"""Drawing on the terminal: progress with rate and time left, tables, and a log file that a pipe or a later reader can follow.

Whatever a model or a file wrote is escaped before it is shown: no markup is read in it and no control character reaches the terminal.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Column, Table
from rich.text import Text

from charter.core.progress import Advance, Reporter
from charter.core.rows import Metric
from charter.core.visible import visible as visible
from charter.report.summary import Summary

#: Seconds between two lines of the same work when nobody watches a live bar.
QUIET_LINE_S = 10.0
#: Metrics of a benchmark in its table; the rest is in the files.
SHOWN_METRICS = 12


def _console() -> Console:
    return Console(stderr=True, highlight=False, markup=False)


class TerminalReporter(Reporter):
    """Live bars on a terminal, one line now and then in a pipe, everything in the log file."""

    def __init__(self, log: logging.Logger, quiet: bool) -> None:
        self._log = log
        self._quiet = quiet
        self._console = _console()
        self._live = self._console.is_terminal and not quiet

    def say(self, text: str) -> None:
        self._log.info(visible(text))
        if not self._quiet:
            self._console.print(Text(visible(text)))

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        self.say(f"{name} …")
        yield
        self.say(f"{name}: done in {time.monotonic() - started:.0f} s")

    @contextmanager
    def track(self, what: str, total: int, done: int = 0) -> Iterator[Advance]:
        if self._live:
            columns = (
                TextColumn("  {task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
            )
            with Progress(*columns, console=self._console, transient=True) as progress:
                task = progress.add_task(what, total=total, completed=done, rate="")
                yield _Counter(what, total, done, lambda n, rate: progress.update(task, completed=n, rate=rate))
        else:
            yield _Counter(what, total, done, self._line)
        self._log.info("%s: %d", what, total)

    def _line(self, _: int, text: str) -> None:
        if not self._quiet:
            self._console.print(Text(f"  {text}"))


class _Counter(Advance):
    """Counts, works out rate and time left, and draws no more often than someone can read."""

    def __init__(self, what: str, total: int, done: int, draw: Any) -> None:
        self._what, self._total, self._count, self._first, self._draw = what, total, done, done, draw
        self._started = time.monotonic()
        self._last = self._started
        self._live = not getattr(draw, "__name__", "").startswith("_line")

    def __call__(self, n: int = 1) -> None:
        self._count += n
        now = time.monotonic()
        rate = (self._count - self._first) / max(now - self._started, 1e-9)
        if self._live:
            self._draw(self._count, f"{rate:.1f}/s")
        elif now - self._last >= QUIET_LINE_S or self._count >= self._total:
            self._last = now
            left = (self._total - self._count) / rate if rate else 0.0
            self._draw(self._count, f"{self._what}: {self._count}/{self._total}, {rate:.1f}/s, {left:.0f} s left")


class _Loud(logging.StreamHandler[Any]):
    """A log that cannot be written is the user's to know, in one line, like any other file that cannot."""

    def handleError(self, record: logging.LogRecord) -> None:
        raise


@contextmanager
def reporter(log_file: Path, quiet: bool) -> Iterator[TerminalReporter]:
    """A reporter that also appends to ``log_file`` (which is not a row file: it holds times and no model text)."""
    from charter.store.runs import open_log

    log = logging.getLogger("charter.run")
    log.setLevel(logging.INFO)
    log.propagate = False
    with open_log(log_file) as stream:
        handler = _Loud(stream)
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        log.addHandler(handler)
        try:
            yield TerminalReporter(log, quiet)
        finally:
            log.removeHandler(handler)


def recipe_text(recipe: BaseModel) -> str:
    """The resolved recipe as YAML that could be given back."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


#: Columns where nobody watches: lines are not broken and names are not cut, for the next program reads them.
PIPE_COLUMNS = 1000


def _out() -> Console:
    return Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else PIPE_COLUMNS)


def _names(header: str) -> Column:
    """A column of names: on a narrow terminal they go on in the next line and are not cut, for two may begin alike."""
    return Column(header, overflow="fold")


def share(metric: Metric | None) -> str:
    """'12 % [8, 18] of 150', or why there is no number."""
    if metric is None or metric.value is None or metric.low is None or metric.high is None:
        return "not measured"
    failed = f", {metric.n_failed} unread" if metric.n_failed else ""
    return f"{100 * metric.value:.0f} % [{100 * metric.low:.0f}, {100 * metric.high:.0f}] of {metric.n}{failed}"


def show_metrics(found: Mapping[str, Metric], dropped: Mapping[str, int], reasons: Sequence[str] = ()) -> None:
    """Harm and over-refusal together, then the groups, and why they cannot be trusted."""
    table = Table(_names("metric"), "share [95 % interval] of requests", title="harm and over-refusal")
    for name, metric in found.items():
        table.add_row(visible(name), share(metric))
    console = _out()
    console.print(table)
    for reason, count in dropped.items():
        console.print(Text(f"left out: {count} ({visible(reason)})"))
    _show_distrust(console, reasons)


def show_measured(found: Sequence[Any]) -> None:
    """A table per run: the first numbers of every benchmark with their denominators, and whether they can be trusted."""
    console = _out()
    for measured in found:
        what = measured.measurement
        who = ", ".join(f"{role}: {judge}" for role, judge in what.judges.items())
        title = visible(f"{measured.folder.name} of {what.model}: {what.items} items; {who or 'no judge'}")
        table = Table(_names("metric"), "value [95 % interval]", "n", "failed", "not read", title=title)
        for name, metric in list(measured.metrics.items())[:SHOWN_METRICS]:
            table.add_row(visible(name), figure(metric), str(metric.n), str(metric.n_failed), str(metric.n_unparsed))
        console.print(table)
        if len(measured.metrics) > SHOWN_METRICS:
            console.print(Text(f"and {len(measured.metrics) - SHOWN_METRICS} more: --json FILE, or {measured.folder / 'metrics.jsonl'}"))
        _show_distrust(console, what.reasons)


def _show_distrust(console: Console, reasons: Sequence[str]) -> None:
    for reason in reasons:
        console.print(Text(f"CANNOT BE TRUSTED: {visible(reason)}; what was measured is kept, run it again to try the failed ones"))


def figure(metric: Metric) -> str:
    """Shares in per cent, other numbers as they are; 'undefined' where there is none."""
    if metric.value is None:
        return "undefined"
    scale, unit, digits = (100.0, " %", 1) if metric.method.startswith(("wilson95", "rogan-gladen")) else (1.0, "", 3)
    ends = "" if metric.low is None or metric.high is None else f" [{scale * metric.low:.{digits}f}, {scale * metric.high:.{digits}f}]"
    return f"{scale * metric.value:.{digits}f}{unit}{ends}"


def show_summary(summary: Summary, report: Path) -> None:
    """The before/after table, the gate's reasons, where the checkpoint and the report are."""
    table = Table("", "before", "after", title=f"{visible(summary.model)}, charter {visible(summary.charter.name)}")
    rows = {"harmful requests answered": "harmful_compliance", "harmless requests refused": "over_refusal", "partly refused (all)": "partial_refusal"}
    for title, name in rows.items():
        table.add_row(title, share(getattr(summary.before, name)), share(getattr(summary.after, name)))
    groups = {"lookalike": "  those that look harmful", "plain": "  plain ones", "twin": "harmless twins refused (not in the gate)"}
    for title, name in ((title, f"over_refusal/{group}") for group, title in groups.items()):
        if name in summary.before.groups:
            table.add_row(title, share(summary.before.groups[name]), share(summary.after.groups.get(name)))
    console = _out()
    console.print(table)
    console.print(Text("gate: passed" if summary.gate.passed else "gate: FAILED (exit code 3)"))
    for held, reason in summary.gate.conditions:
        console.print(Text(f"  {'' if held is None else 'ok      ' if held else 'FAILED  '}{visible(reason)}"))
    console.print(Text(f"checkpoint: {summary.checkpoint}"))
    console.print(Text(f"open the report: {report}"))


def show_comparison(result: Any) -> None:
    """Paired differences, how many items had no pair, and the gate, if they were held against one."""
    console = _out()
    for run, why in result.distrusted.items():
        console.print(Text(f"the run {visible(run)} cannot be trusted: {visible(why)}", style="bold"))
    table = Table(_names("metric"), "before only", "after only", "pairs", "difference [95 %]", "McNemar p", title="paired comparison")
    for name, found in result.paired.items():
        interval = f"{100 * found.difference:+.1f} points [{100 * found.low:+.1f}, {100 * found.high:+.1f}]"
        table.add_row(name, str(found.b), str(found.c), str(found.n), interval, f"{found.p:.2g}")
    console.print(table)
    for name, changed in result.changes.items():
        lost = {
            "failed or not read in either run": changed.left_out,
            "only in the first": changed.only_before,
            "only in the second": changed.only_after,
        }
        said = ", ".join(f"{len(keys)} {why}" for why, keys in lost.items() if keys)
        if said:
            console.print(Text(f"{name}: not paired: {said}"))
    if result.gate is None:
        return
    console.print(Text("gate: passed" if result.gate.passed else "gate: FAILED (exit code 3)"))
    for check in sorted(result.gate.checks, key=lambda check: check.passed):
        console.print(Text(f"  {'ok      ' if check.passed else 'FAILED  '}{visible(check.reason)}"))


def show_stage(result: Any) -> None:
    """Where a stage's rows are, what it dropped and what it cut short; of a campaign, what it found."""
    from charter.train.rows import is_kept

    console, run = _out(), result.run
    if result.found is None:
        console.print(Text(f"{run.stage}: {run.rows_in} rows in, {run.rows_out} out, {run.seconds:.0f} s: {result.folder}"))
    else:
        _show_found(console, result)
    for reason, count in result.run.dropped.items():
        console.print(Text(f"  {'changed' if is_kept(reason) else 'dropped'} {count}: {visible(reason)}"))
    _show_distrust(console, result.reasons)


def _show_found(console: Console, result: Any) -> None:
    """Findings by hazard, then how many goals and attempts succeeded, with how many there were."""
    run, found = result.run, result.found
    failed = run.dropped.get("failed", 0)
    console.print(Text(f"{run.stage}: {run.rows_out + failed} attempts, {run.rows_out} of them read, {run.seconds:.0f} s: {result.folder}"))
    by_hazard = ", ".join(f"{visible(hazard)} {count}" for hazard, count in found.findings.most_common())
    console.print(Text(f"findings: {found.findings.total()}{f' ({by_hazard}): {result.folder}/findings.jsonl' if by_hazard else ''}"))
    table = Table(_names("metric"), "share [95 % interval]", title="what got through, and what was refused only in part")
    for name, metric in found.metrics.items():
        table.add_row(visible(name), _of_campaign(metric))
    console.print(table)
    if found.untouched:
        console.print(Text(f"no goal is of the hazards {visible(found.untouched)}; more goals reach more: redteam.goals=N"))


def _of_campaign(metric: Metric) -> str:
    """``share`` with what it is of; attempts on a single goal have a share and no interval."""
    what = "goals" if metric.name.startswith("attack_") else "attempts"
    unread = f", {metric.n_failed} unread" if metric.n_failed else ""
    if metric.value is None:
        return f"not measured{unread}"
    ends = "" if metric.low is None or metric.high is None else f" [{100 * metric.low:.0f}, {100 * metric.high:.0f}]"
    return f"{100 * metric.value:.0f} %{ends} of {metric.n} {what}{unread}"


def show_checks(checks: Sequence[Any]) -> None:
    """What ``charter doctor`` found, each problem with the command that mends it."""
    console = _out()
    for check in checks:
        console.print(Text(f"{'ok     ' if check.ok else 'missing'} {check.name}: {visible(str(check.detail))}"))
        if not check.ok and check.fix:
            console.print(Text(f"        {check.fix}"))
