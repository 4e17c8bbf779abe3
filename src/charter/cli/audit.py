"""``charter audit``: whether the gateway's audit log is what was written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from charter.core.errors import EXIT_GATE_FAILED, InputError, MissingPartError
from charter.core.installing import install

app = typer.Typer(no_args_is_help=True, help="The gateway's audit log.")


@app.callback()
def _one_door() -> None:
    """The gateway's audit log."""


@app.command()
def verify(
    database: Annotated[str | None, typer.Argument(help="a SQLite file or a URL (default: the configuration's, else the gateway's own)")] = None,
    config: Annotated[Path | None, typer.Option("--config", help="the gateway.yaml whose database, audit.anchor and audit.key_env hold")] = None,
    anchor: Annotated[Path | None, typer.Option("--anchor", help="a file of heads that the gateway wrote (default: audit.anchor)")] = None,
    key_env: Annotated[
        str | None, typer.Option("--key-env", help="environment variable with the chain's key (default: audit.key_env, CHARTER_AUDIT_KEY)")
    ] = None,
) -> None:
    """Walk the chain of the whole log; nothing is written. Without DATABASE and --config it is the log that CHARTER_DATABASE_URL names, else the one
    in the user's state folder: a gateway that was started with a gateway.yaml needs the same --config here. Exit code 3 if a row was changed,
    removed, added or moved, 2 if there is no log, no row in it, or no way to read it, 1 if its server cannot be reached."""
    try:
        from charter.guard.gateway.auditing import open_database
        from charter.guard.gateway.config import load_config
        from charter.store.audit_verify import read_anchors
        from charter.store.audit_verify import verify as walk
    except ModuleNotFoundError as error:
        raise MissingPartError(f"the audit log needs {error.name}, which is not installed", install("serve")) from None

    settings = load_config(config)
    heads = anchor or (Path(settings.audit.anchor).expanduser() if settings.audit.anchor else None)
    anchors = read_anchors(heads) if heads is not None else []
    chosen = settings.database if database is None else settings.database.model_copy(update={"url": database})
    opened = open_database(chosen, os.environ, make=False)
    key = os.environ.get(settings.audit.key_env if key_env is None else key_env, "").encode() or None
    found = walk(opened, key=key, anchors=anchors, tell=lambda rows: typer.echo(f"{rows} rows", err=True))
    if not found.rows and found.broken is None:  # it vouches for nothing, and may have been emptied
        raise InputError(f"{opened.name}: holds no row: none was ever written, or all were removed", "charter audit verify --anchor FILE")
    typer.echo(f"{opened.name}: {found.rows} rows are whole, head {found.head.seq} {found.head.hash}")
    if found.broken is not None:
        typer.echo(f"BROKEN at row {found.broken}: {found.why}")
        raise typer.Exit(EXIT_GATE_FAILED)
    if heads is None:
        typer.echo("without --anchor FILE, rows that were cut off at the end cannot be missed")
    else:
        typer.echo(f"{heads}: {len(anchors)} heads are in it")
