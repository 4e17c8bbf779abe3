"""``charter review``: what the gateway put before people, what they decide, and what becomes of it."""

from __future__ import annotations

import os
import re
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from charter.core.errors import CharterError, InputError, MissingPartError
from charter.core.installing import install

app = typer.Typer(
    no_args_is_help=True, help="Escalated, flagged, sampled and reported texts of the gateway: read them, decide, export the decisions."
)
ConfigFile = Annotated[Path | None, typer.Option("--config", help="the gateway.yaml whose database it is")]
DatabaseName = Annotated[str | None, typer.Option("--database", help="a SQLite file or a URL (default: the configuration's, else the gateway's own)")]
ItemId = Annotated[str, typer.Argument(metavar="ID", help="an item's id, or its beginning")]
AsJson = Annotated[bool, typer.Option("--json", help="one JSON object for each item, with its whole text")]
_OTHER = "charter serve makes it; --config FILE names the gateway.yaml whose database it is"
_SECRET = re.compile(r"(?<=://)([^:/]*:).*(?=@)|([?&]password=)[^&]*")
_COMMAND = re.compile(r"charter review (?:list|show|decide|export)\b")
_STATUSES = ("open", "decided", "disputed", "expired", "all")


@app.command("list")
def list_items(
    status: Annotated[str, typer.Option("--status", help=f"{', '.join(_STATUSES)}")] = "open",
    why: Annotated[str, typer.Option("--why", help="only escalated, report, flagged or sampled ones")] = "",
    hazard: Annotated[str, typer.Option("--hazard", help="only those of this hazard, or reported as this")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, help="most items")] = 20,
    as_json: AsJson = False,
    config: ConfigFile = None,
    database: DatabaseName = None,
) -> None:
    """Items, the highest priority first and of equals the oldest. Nothing is written."""
    if status not in _STATUSES:
        raise InputError(
            f"{status[:40]!r} is no status; known: {', '.join(_STATUSES)}", f"charter review list{_where(database, config)} --status open"
        )
    now = time.time()
    with _opened(database, config) as (opened, _):
        from charter.review.reading import json_of, line_of
        from charter.store.decisions import listed, unplaced
        from charter.store.review_rows import PRIORITY

        if why and why not in PRIORITY:
            raise InputError(f"{why[:40]!r} is no reason; known: {', '.join(PRIORITY)}", "charter review list --why escalated")
        found, count = listed(opened, status, why=why, hazard=hazard, limit=limit, now=now)
        lost = unplaced(opened)
    for item in found:
        typer.echo(json_of(item, now) if as_json else "\n".join(line_of(item, now)))
    typer.echo(f"{len(found)} of {count} items{'' if status == 'all' else f' that are {status}'}", err=True)
    if lost:
        typer.echo(
            f"and {lost} reports or ratings of answers whose text is not here (review.keep_answers_hours keeps it): nobody can decide", err=True
        )


@app.command()
def show(item: ItemId, as_json: AsJson = False, config: ConfigFile = None, database: DatabaseName = None) -> None:
    """One item whole: request, reply, what rails, users and reviewers said. Nothing is written."""
    now = time.time()
    with _opened(database, config) as (opened, _):
        from charter.review.reading import json_of, page_of
        from charter.store.decisions import one

        found = one(opened, item, now)
    typer.echo(json_of(found, now) if as_json else "\n".join(page_of(found, now, _where(database, config))))


@app.command()
def decide(
    item: ItemId,
    label: Annotated[list[str] | None, typer.Option("--label", help="safe, unsafe or unsure, of what was checked; or request=..., reply=...")] = None,
    hazard: Annotated[str, typer.Option("--hazard", help="of what kind it is, such as violent_crime, if it is unsafe")] = "",
    comment: Annotated[str, typer.Option("--comment", help="why; taken out when the item's text is")] = "",
    reviewer: Annotated[str, typer.Option("--reviewer", envvar="CHARTER_REVIEWER", help="who decides")] = "",
    again: Annotated[bool, typer.Option("--again", help="in place of what the same reviewer decided before")] = False,
    config: ConfigFile = None,
    database: DatabaseName = None,
) -> None:
    """Say whether the request, the reply or both are safe. It stands beside what other reviewers say, and is in the audit log."""
    with _opened(database, config, write=True) as (opened, settings):
        from charter.cli.terminal import visible
        from charter.guard.gateway.auditing import admin_row
        from charter.review.labels import decide as made_of
        from charter.review.labels import read_labels, state_of, told
        from charter.store.decisions import one, record

        found = one(opened, item)
        if found.finding is None:
            raise InputError(
                f"{found.id}: its text is gone (its time was over), and nobody can decide about what nobody can read", "charter review list"
            )
        made = made_of(found.finding, read_labels(label or [], found.finding), reviewer, hazard, comment)
        row = admin_row(settings.audit, opened, os.environ, "item decided", f"{found.id} {reviewer}: {told(made.decision)}")
        now = record(opened, found, made, again=again, state_of=state_of, also=row)
    others = len(now.made) - 1
    beside = f"; {others} other{'s' if others > 1 else ''} decided too" if others else ""
    typer.echo(visible(f"{found.id}: {told(made.decision)}, by {reviewer}; the item is {now.status}{beside}"))


@app.command()
def export(
    out: Annotated[Path, typer.Option("--out", help="a new file for the rows, JSONL; it holds texts, and no purge takes it away")],
    form: Annotated[
        str, typer.Option("--form", help="guard (guard calibrate), judges (judges fit and measure), classifier (train classifier)")
    ] = "guard",
    config: ConfigFile = None,
    database: DatabaseName = None,
) -> None:
    """Decided items as labelled rows. What people contradict each other about is left out and counted."""
    with _opened(database, config) as (opened, _):
        from charter.review.export import FORMS, text_of
        from charter.review.export import export as rows_of
        from charter.store.decisions import listed
        from charter.store.lines import write_new

        if form not in FORMS:
            raise InputError(f"{form[:40]!r} is no form; known: {', '.join(FORMS)}", f"charter review export --form guard --out {out}")
        decided = [item for item in listed(opened, "all")[0] if item.made]
    done = rows_of(decided, form)
    left_out = "".join(f"\nleft out {count}: {why}" for why, count in sorted(done.left_out.items()))
    if not done.rows:
        hint = _here("charter review list, then charter review decide ID --label ...", database, config)
        raise InputError(f"no decision gives a row{left_out}".replace("\n", "; "), hint)
    write_new(out, text_of(done.rows))
    harmful = sum(bool(row.get("harmful", any(row.get("labels", {}).values()))) for row in done.rows)
    typer.echo(f"{out}: {len(done.rows)} rows, {harmful} of them unsafe{left_out}")


@contextmanager
def _opened(database: str | None, config: Path | None, *, write: bool = False) -> Iterator[tuple[Any, Any]]:
    """The database and the gateway's settings. None is made, and none is upgraded: a gateway may be at work on it."""
    try:
        from charter.guard.gateway.auditing import open_database
        from charter.guard.gateway.config import load_config
        from charter.store.database import MissingError
    except ImportError as error:
        raise MissingPartError(f"the review queue needs {error.name}, which is not installed", install("serve")) from None
    settings = load_config(config)
    chosen = settings.database if database is None else settings.database.model_copy(update={"url": database})
    try:
        opened = open_database(chosen, os.environ, make=False)
    except MissingError as error:
        raise InputError(f"{error.message}, so there is nothing to review", _OTHER) from None
    try:
        here, wanted = opened.version()
        if here is None:
            raise InputError(f"{opened.name}: holds no tables of Charter's, so there is nothing to review", _OTHER)
        if here != wanted:
            named = f" {shlex.quote(_shown(database))}" if database else ""
            hint = f"charter store upgrade{named}{f' --config {shlex.quote(str(config))}' if config else ''}"
            raise InputError(f"{opened.name}: its tables are of version {here}, and reviewing needs {wanted}", hint)
        if write:
            opened.close()
            opened = open_database(chosen, os.environ)
        yield opened, settings
    except CharterError as error:
        error.hint = _here(error.hint, database, config)
        raise
    finally:
        opened.close()


def _where(database: str | None, config: Path | None) -> str:
    """The options that name this database, for a command to type next."""
    named = f" --config {shlex.quote(str(config))}" if config is not None else ""
    return named if database is None else f"{named} --database {shlex.quote(_shown(database))}"


def _shown(database: str) -> str:
    """A database's name without a password, which would end in logs."""
    return _SECRET.sub(r"\1\2***", database)


def _here(hint: str, database: str | None, config: Path | None) -> str:
    """A hint whose commands are about this database."""
    return _COMMAND.sub(lambda found: found[0] + _where(database, config), hint)
