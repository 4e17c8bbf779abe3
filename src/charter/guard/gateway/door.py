"""Who may come in, from the configuration: everybody, whoever has a key, or everybody for as long as nobody ever made a key."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence

from charter.core.errors import InputError
from charter.guard.gateway.auditing import open_database
from charter.guard.gateway.config import GatewayConfig
from charter.guard.gateway.gate import Gate, OpenGate
from charter.guard.gateway.keys import KeyGate
from charter.store.database import Database
from charter.store.keys import Key, all_keys


class KeyTable:
    """Every key, revoked ones too. Without ``database`` that of the configuration is opened, and a file that nobody has made yet holds none."""

    def __init__(self, config: GatewayConfig, environ: Mapping[str, str], database: Database | None) -> None:
        self._config, self._environ = config, environ
        self._shared, self._own = database, None if database is not None else self._opened()

    def __call__(self) -> Sequence[Key]:
        """Raises StoreError."""
        if self._shared is None and self._own is None:
            self._own = self._opened()
        database = self._shared or self._own
        return all_keys(database) if database is not None else ()

    @property
    def name(self) -> str:
        database = self._shared or self._own
        return database.name if database is not None else "the database"

    def close(self) -> None:
        if self._own is not None:
            self._own.close()

    def _opened(self) -> Database | None:
        return open_database(self._config.database, self._environ, only_if_there=True)


def entrance(config: GatewayConfig, environ: Mapping[str, str], database: Database | None) -> tuple[Gate, KeyTable | None]:
    """The gate, and the table to close at the end. Raises InputError where keys are asked for and none is in use, and StoreError."""
    times, listen = config.keys, config.listen
    if listen.open and not times.required:
        return OpenGate("no keys"), None
    table = KeyTable(config, environ, database)
    keys = table()
    because = _because(config, keys)
    if because and all(key.revoked_unix_s is not None for key in keys):
        table.close()
        missing = f"all keys in {table.name} are revoked" if keys else f"there are no keys in {table.name}"
        away = "" if is_loopback(listen.host) else "listen on 127.0.0.1, "
        raise InputError(f"{because}, and {missing}", f"charter keys add NAME, {away}or write listen: {{open: true}} to let everybody in")
    pepper = environ.get(times.pepper_env, "").encode()
    gate = KeyGate(table, pepper, guards=frozenset(config.guards), refresh_s=times.refresh_s, stale_s=times.stale_s, optional=not because)
    return gate, table


def _because(config: GatewayConfig, keys: Sequence[Key]) -> str:
    """Why a key is asked for; '' where nobody has to have one."""
    if not is_loopback(config.listen.host):
        return f"listen.host: {config.listen.host} can be reached from other machines"
    if config.keys.required:
        return "keys.required is true"
    if config.guards:
        return f"guards: {next(iter(config.guards))} is for those who have a key"
    return "keys were made for this gateway" if keys else ""


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
