"""``charter audit``: whether the gateway's audit log is what was written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from charter.core.errors import EXIT_GATE_FAILED

app = typer.Typer(no_args_is_help=True, help="The gateway's audit log.")


@app.callback()
def _one_door() -> None:
    """The gateway's audit log."""


@app.command()
def verify(
    database: Annotated[str | None, typer.Argument(help="a SQLite file or a URL (default: the gateway's own)")] = None,
    anchor: Annotated[Path | None, typer.Option("--anchor", help="the file of heads that the gateway wrote (audit.anchor)")] = None,
    key_env: Annotated[str, typer.Option("--key-env", help="environment variable with the chain's key, if there is one")] = "CHARTER_AUDIT_KEY",
) -> None:
    """Walk the chain of the whole log; nothing is written. Exit code 3 if a row was changed, removed, added or moved, 2 if there is no log, or no way
    to read it."""
    from charter.guard.gateway.auditing import open_database
    from charter.guard.gateway.config import DatabaseConfig
    from charter.store.audit_verify import read_anchors
    from charter.store.audit_verify import verify as walk

    anchors = read_anchors(anchor) if anchor is not None else []
    opened = open_database(DatabaseConfig(url=database or ""), os.environ, make=False)
    found = walk(opened, key=os.environ.get(key_env, "").encode() or None, anchors=anchors, tell=lambda rows: typer.echo(f"{rows} rows", err=True))
    if found.rows or found.broken is not None:
        typer.echo(f"{opened.name}: {found.rows} rows are whole, head {found.head.seq} {found.head.hash}")
    else:
        typer.echo(f"{opened.name}: the log is empty: no row was ever written, or all were removed")
    if found.broken is not None:
        typer.echo(f"BROKEN at row {found.broken}: {found.why}")
        raise typer.Exit(EXIT_GATE_FAILED)
    if anchor is None:
        typer.echo("without --anchor FILE, rows that were cut off at the end cannot be missed")
