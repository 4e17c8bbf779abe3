"""``charter guard``: check texts, choose thresholds from data, move from LLM Guard."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Annotated, Any

import typer

from charter.core.errors import EXIT_GATE_FAILED, InputError, ModelError

app = typer.Typer(no_args_is_help=True, help="Check requests and replies; calibrate and migrate guards.")
GuardFile = Annotated[str, typer.Option("--guard", help="a guard.yaml, or the name of a shipped one")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="no progress")]


@app.command()
def init(file: Annotated[Path, typer.Argument(help="where to write it")] = Path("guard.yaml")) -> None:
    """Write the default guard, to start from. docs/guard.md explains every key."""
    from charter.guard.policy import shipped_text
    from charter.store.runs import write_text

    if file.exists():
        raise InputError(f"{file}: is there already", f"charter guard check hello --guard {file}")
    write_text(file, shipped_text("default"))
    typer.echo(f"wrote {file}")


@app.command()
def check(
    text: Annotated[str | None, typer.Argument(help="a request to check")] = None,
    reply: Annotated[str | None, typer.Option("--reply", help="check this reply to it instead")] = None,
    data: Annotated[Path | None, typer.Option("--data", help='JSONL rows {"id", "prompt", "reply"?, "harmful"?} to check instead')] = None,
    guard: GuardFile = "default",
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object for each text")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="no progress; with --json no table either")] = False,
) -> None:
    """Check one text, or every row of a file. One text: exit code 3 if it is withheld. A row's text is never printed."""
    from charter.core.rows import Conversation
    from charter.guard.engine import Guard

    if (text is None) == (data is None):
        raise InputError("give one text, or --data FILE", "charter guard check 'How do I prune roses?'")
    if data is not None:
        if reply is not None:
            raise InputError("--reply belongs to one text; in a file every row has its own", "leave --reply out")
        _check_rows(Guard(guard), data, as_json, quiet)
        return
    talk, asked = Conversation.ask(text or ""), Guard(guard)
    try:
        checked = asked.check(talk if reply is None else talk.with_reply(reply), "input" if reply is None else "output")
        if as_json:
            typer.echo(json.dumps(_told("", checked), ensure_ascii=True))
        else:
            _show(checked)
    finally:
        asked.settle()
    if not checked.passes:
        raise typer.Exit(EXIT_GATE_FAILED)


@app.command()
def calibrate(
    data: Annotated[Path, typer.Option("--data", help='JSONL rows {"id", "prompt", "reply"?, "harmful", "labels"?}')],
    max_false_alarms: Annotated[float, typer.Option("--max-false-alarms", min=0.0001, max=0.5, help="share of harmless rows held back")] = 0.02,
    guard: Annotated[str | None, typer.Option("--guard", help="a guard.yaml, or the name of a shipped one; without guard.yaml here: default")] = None,
    out: Annotated[Path, typer.Option("--out", help="where to write it; overwrites nothing but the file of --guard")] = Path("guard.yaml"),
    rail: Annotated[list[str] | None, typer.Option("--rail", help="only these rails; without it, those whose score is an estimate of harm")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="write the trade-off curves here")] = None,
    quiet: Quiet = False,
) -> None:
    """Choose thresholds: as low as they can be within the false alarms you accept. Shows the trade-off, writes the guard with the data's hash."""
    from charter.cli import _guard_tables, terminal
    from charter.guard._beside import anchored
    from charter.guard.calibrate import calibrate as run
    from charter.guard.policy import dump_policy, load_policy
    from charter.guard.rows import read_rows
    from charter.store.runs import write_json, write_text

    given = _chosen(guard, out, data)
    rows = read_rows(data)
    policy, stages = run(
        load_policy(given), rows, max_false_alarms, rail or (), reporter=terminal.TerminalReporter(logging.getLogger("charter.guard"), quiet)
    )
    for reason, count in rows.dropped.items():
        typer.echo(f"left out: {count} ({reason})")
    for stage in stages:
        _guard_tables.show_calibration(stage)
    if policy.folder != out.absolute().parent:
        policy = anchored(policy)
    write_text(out, dump_policy(policy, [f"Thresholds by charter guard calibrate --max-false-alarms {max_false_alarms:g}, on data {rows.hash}."]))
    if json_file is not None:
        write_json(json_file, {"data": rows.hash, "max_false_alarms": max_false_alarms, "stages": [_plain(stage) for stage in stages]})
    typer.echo(f"wrote {out}")


@app.command()
def migrate(
    file: Annotated[Path, typer.Argument(help="LLM Guard's scanners.yml")],
    out: Annotated[Path, typer.Option("--out", help="where to write the guard")] = Path("guard.yaml"),
) -> None:
    """Turn LLM Guard's scanners.yml into a guard.yaml, and say what maps and what does not."""
    from charter.cli import _guard_tables
    from charter.guard.migrate import migrate as run
    from charter.guard.policy import dump_policy
    from charter.store.runs import write_text

    if out.exists():
        raise InputError(f"{out}: is there already", f"charter guard migrate {file} --out NEW.yaml")
    found = run(file)
    _guard_tables.show_migration(found.mapped)
    lost = [f"not carried over: {m.stage} {m.scanner}: {m.note}" for m in found.mapped if m.how == "no"]
    write_text(out, dump_policy(found.policy, [f"From {file.name} of LLM Guard; calibrate the thresholds before use.", *lost]))
    typer.echo(f"wrote {out}")


def _chosen(guard: str | None, out: Path, data: Path) -> str:
    """The guard to calibrate. Raises InputError rather than calibrate the shipped guard where a person has one of their own, or overwrite another."""
    own, named = Path("guard.yaml"), None if guard is None else Path(guard).expanduser()
    again = f"charter guard calibrate --data {data} --guard"
    if named is None and own.exists():
        raise InputError(f"{own} is here and --guard does not say which guard to calibrate", f"{again} {own}")
    if out.exists() and not (named is not None and named.exists() and out.samefile(named)):
        raise InputError(f"{out}: is there already, and is not the guard to calibrate", f"{again} {out}, or give another --out")
    return guard or "default"


def _check_rows(guard: Any, data: Path, as_json: bool, quiet: bool) -> None:
    from charter.cli import _guard_tables
    from charter.guard.rows import read_rows

    found = read_rows(data)
    results = []
    try:
        for stage in ("input", "output"):
            rows = [row for row in found.rows if row.stage == stage]
            results += list(zip(rows, guard.check_many([row.conversation for row in rows], stage), strict=True))
    finally:
        guard.settle()
    order = {row.id: n for n, row in enumerate(found.rows)}
    results.sort(key=lambda item: order[item[0].id])
    if as_json:
        for row, checked in results:
            typer.echo(json.dumps(_told(row.id, checked), ensure_ascii=True))
    if not (as_json and quiet):
        _guard_tables.show_checked(results, found.dropped)
    if all(checked.failed for _, checked in results):
        failed = sorted({rail for _, checked in results for rail in checked.failed})
        raise ModelError(f"{data}: nothing was measured: on every row a rail failed: {', '.join(failed)}", "charter guard check 'Hello' says how")


def _show(checked: Any) -> None:
    from charter.cli.terminal import visible

    typer.echo(f"{checked.action}{': ' + visible(checked.reason) if checked.reason else ''}")
    if checked.replacement is not None:
        typer.echo(f"  instead: {visible(checked.replacement)}")
    for account in checked.accounts:
        score = "" if account.score is None else f" {account.score:.2f} of {account.threshold:.2f}"
        typer.echo(f"  {account.rail}: {account.status} {account.action}{score} ({account.latency_ms:.1f} ms)")
    for name in checked.bypass:
        typer.echo(f"  bypass: {visible(name)}")


def _told(key: str, checked: Any) -> dict[str, Any]:
    accounts = [
        {"rail": a.rail, "status": a.status, "action": a.action, "score": a.score, "threshold": a.threshold, "latency_ms": a.latency_ms}
        for a in checked.accounts
    ]
    told = {"action": checked.action, "by": checked.by, "reason": checked.reason, "bypass": checked.bypass, "review": checked.review}
    return {**({"id": key} if key else {}), "stage": checked.stage, **told, "accounts": accounts}


def _plain(stage: Any) -> dict[str, Any]:
    def metric(found: Any) -> dict[str, Any]:
        return found.model_dump(mode="json", exclude={"schema_version"})  # type: ignore[no-any-return]

    def point(found: Any) -> dict[str, Any]:
        return {"threshold": found.threshold, "false_alarms": metric(found.false_alarms), "caught": metric(found.caught)}

    rails = [{"rail": r.rail, "before": r.before, "after": r.after, "note": r.note, "curve": [point(p) for p in r.curve]} for r in stage.rails]
    whole = {name: metric(getattr(stage, name)) for name in ("false_alarms", "held_out", "caught")}
    return {"stage": stage.stage, **whole, "warning": stage.warning, "rails": rails}
