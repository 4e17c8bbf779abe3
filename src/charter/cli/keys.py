"""``charter keys``: who may use the gateway."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from charter.core.errors import InputError, MissingPartError, StoreError
from charter.core.installing import install

app = typer.Typer(no_args_is_help=True, help="Keys of the gateway's clients.")
ConfigFile = Annotated[Path | None, typer.Option("--config", help="the gateway.yaml whose database holds the keys")]
_OTHER = "charter keys add NAME makes the first one; --config FILE names the gateway.yaml whose database it is"
Name = Annotated[str, typer.Argument(help="what people call the key; the audit log names it")]


@app.command()
def add(
    name: Name,
    policy: Annotated[str, typer.Option("--policy", help="a guard of its own: a name under guards: in gateway.yaml")] = "",
    rpm: Annotated[int | None, typer.Option("--rpm", min=1, help="requests a minute")] = None,
    concurrency: Annotated[int | None, typer.Option("--concurrency", min=1, help="requests at once")] = None,
    scopes: Annotated[str, typer.Option("--scopes", help="what it may use: api, reports, or names of surfaces")] = "api,reports",
    config: ConfigFile = None,
) -> None:
    """Make a key. It is shown once and kept only as a hash."""
    settings, database, pepper = _opened(config)
    from charter.guard.gateway.app import surfaces
    from charter.guard.gateway.auditing import admin_row
    from charter.guard.gateway.keys import SCOPES
    from charter.store.keys import add_key

    wanted = frozenset(scopes.replace(",", " ").split())
    known = {*SCOPES, *(surface.name for surface in surfaces(settings))}
    if unknown := sorted(wanted - known):
        raise InputError(f"{unknown[0][:40]!r} is no scope; known: {', '.join(sorted(known))}", f"charter keys add {name} --scopes api")
    if not wanted:
        raise InputError("a key without scopes opens nothing", f"charter keys add {name} --scopes api")
    if policy and policy not in settings.guards:
        known_guards = ", ".join(settings.guards) or "none"
        raise InputError(f"no guard is called {policy!r} in the gateway's configuration (guards: {known_guards})", "write guards: {NAME: FILE}")
    row = admin_row(settings.audit, database, os.environ, "key added", name)
    try:  # a key that is there without its row would never be shown, and its name be taken
        made = add_key(database, name, pepper=pepper, guard=policy, scopes=wanted, requests_per_minute=rpm, concurrency=concurrency, also=row)
    except StoreError as error:
        raise type(error)(f"no key was made (it is kept with its audit row or not at all): {error.message}", error.hint) from None
    typer.echo(made.secret)
    typer.echo("this is the only time that it is shown", err=True)


@app.command("list")
def list_keys(config: ConfigFile = None) -> None:
    """Every key, with the beginning by which people know it. Makes no database."""
    _, database, _ = _opened(config, make=False)
    from charter.store.keys import all_keys

    for key in all_keys(database):
        limits = f"{key.requests_per_minute or 'any'} a minute, {key.concurrency or 'any'} at once"
        state = "in use" if key.revoked_unix_s is None else f"revoked {_day(key.revoked_unix_s)}"
        guard = f", guard {key.guard}" if key.guard else ""
        typer.echo(f"{key.name}: {key.prefix}..., {' '.join(sorted(key.scopes))}, {limits}{guard}, made {_day(key.created_unix_s)}, {state}")


@app.command()
def revoke(name: Name, config: ConfigFile = None) -> None:
    """Shut a key out. Every gateway on this database follows within seconds."""
    _, found, _ = _opened(config, make=False)  # a file that is named wrong is told, not made
    here, _ = found.version()
    found.close()
    if here is None:
        raise InputError(f"{found.name}: holds no tables of Charter's, so no key", _OTHER)
    settings, database, _ = _opened(config)
    from charter.guard.gateway.auditing import record_admin
    from charter.store.keys import revoke_key

    revoke_key(database, name)
    record_admin(settings.audit, database, os.environ, "key revoked", name)
    typer.echo(f"{name}: revoked")


def _opened(config: Path | None, *, make: bool = True) -> tuple[Any, Any, bytes]:
    try:
        from charter.guard.gateway.auditing import open_database
        from charter.guard.gateway.config import load_config
        from charter.store.database import MissingError
    except ImportError as error:
        raise MissingPartError(f"keys need {error.name}, which is not installed", install("serve")) from None
    settings = load_config(config)
    try:
        database = open_database(settings.database, os.environ, make=make)
    except MissingError as error:
        raise InputError(f"{error.message}, so there is no key", _OTHER) from None
    return settings, database, os.environ.get(settings.keys.pepper_env, "").encode()


def _day(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%d")
