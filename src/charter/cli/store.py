"""``charter store``: the gateway's database."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from charter.core.errors import InputError, MissingPartError
from charter.core.installing import install

app = typer.Typer(no_args_is_help=True, help="The gateway's database.")
Target = Annotated[str | None, typer.Argument(help="a SQLite file or a URL (default: the configuration's)")]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="a gateway.yaml")]


@app.command()
def upgrade(database: Target = None, config: ConfigFile = None) -> None:
    """Make the tables, or bring them to this Charter's version."""
    opened, _ = _opened(database, config)
    here, _ = opened.version()
    typer.echo(f"{opened.name}: version {here}")


@app.command()
def purge(database: Target = None, config: ConfigFile = None) -> None:
    """Take out texts whose time is over (review.keep_days, review.keep_answers_hours). The audit log stays: it holds no text."""
    found, _ = _opened(database, config, make=False)  # a name typed wrong is told, not made
    here, _ = found.version()
    found.close()
    if here is None:
        raise InputError(f"{found.name}: holds no tables of Charter's, so nothing was taken out", "check the name; charter store upgrade makes them")
    opened, settings = _opened(database, config)
    from charter.guard.gateway.auditing import record_admin
    from charter.store.review import purge as run

    done = run(opened)
    said = f"{done.items} review texts, {done.answers} answers, {done.comments} comments"
    record_admin(settings.audit, opened, os.environ, "texts purged", said)
    typer.echo(f"{opened.name}: taken out: {said}")


def _opened(database: str | None, config: Path | None, *, make: bool = True) -> tuple[Any, Any]:
    try:
        from charter.guard.gateway.auditing import open_database
        from charter.guard.gateway.config import DatabaseConfig, load_config
    except ImportError as error:
        raise MissingPartError(f"the database needs {error.name}, which is not installed", install("serve")) from None
    settings = load_config(config)
    return open_database(DatabaseConfig(url=database) if database else settings.database, os.environ, make=make), settings
