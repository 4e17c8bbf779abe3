"""Keys of the gateway's clients: 256 random bits, shown once. What is kept is their HMAC-SHA-256 under a pepper that is not in the database.

A slow hash (argon2) protects what people choose and others can guess; nobody guesses 256 random bits, and this one is computed for every request.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Callable
from typing import NamedTuple

from sqlalchemy import Connection, insert, select, update

from charter.core.errors import InputError, StoreError
from charter.store.database import Database
from charter.store.tables import api_key

PREFIX = "ck-"
_SHOWN = len(PREFIX) + 6
_DOMAIN = b"charter key 1\0"


class Key(NamedTuple):
    """What is known of a key. ``prefix`` is its beginning, so that a person can tell which it is. ``guard`` '' means the gateway's own."""

    name: str
    prefix: str
    digest: str
    guard: str
    scopes: frozenset[str]
    requests_per_minute: int | None
    concurrency: int | None
    created_unix_s: float
    revoked_unix_s: float | None


class NewKey(NamedTuple):
    """A key that was just made. ``secret`` is nowhere else."""

    secret: str
    key: Key


def digest_of(secret: str, pepper: bytes) -> str:
    """What is kept of a key, 64 hexadecimal digits."""
    return hmac.digest(_DOMAIN + pepper, secret.encode("utf-8", "surrogatepass"), "sha256").hex()


def add_key(
    database: Database,
    name: str,
    *,
    pepper: bytes,
    guard: str = "",
    scopes: frozenset[str] = frozenset({"api", "reports"}),
    requests_per_minute: int | None = None,
    concurrency: int | None = None,
    also: Callable[[Connection], None] | None = None,
) -> NewKey:
    """Make a key. ``also``: what is written in the same transaction, so that there is no key without it.

    Raises InputError for a name that is none or was used before: rows of the audit log name keys, so a name is never given twice. Raises StoreError
    where it cannot be kept; then there is no key."""
    if not 1 <= len(name) <= 64 or not name.isascii() or not name.replace("-", "").replace("_", "").replace(".", "").isalnum():
        raise InputError(f"{name[:64]!r} is no name for a key", "letters, digits, - _ and . make a name, such as: charter keys add web-app")
    secret = PREFIX + secrets.token_urlsafe(32)
    key = Key(name, secret[:_SHOWN], digest_of(secret, pepper), guard, scopes, requests_per_minute, concurrency, time.time(), None)
    with database.write() as connection:
        found = connection.execute(select(api_key.c.revoked_unix_s).where(api_key.c.name == name)).first()
        if found is None:
            connection.execute(insert(api_key).values(**{**key._asdict(), "scopes": " ".join(sorted(scopes))}))
            if also is not None:
                also(connection)
    if found is not None:
        state = "is in use" if found[0] is None else "was revoked, and a name is not used twice"
        raise InputError(f"a key called {name!r} {state}", f"charter keys add {name}-2")
    return NewKey(secret, key)


def revoke_key(database: Database, name: str) -> None:
    """From now on the key is not let in. Raises InputError where there is none, or it is revoked already."""
    with database.write() as connection:
        changed = connection.execute(
            update(api_key).where(api_key.c.name == name, api_key.c.revoked_unix_s.is_(None)).values(revoked_unix_s=time.time())
        ).rowcount
    if not changed:
        raise InputError(f"no key in use is called {name[:64]!r}", "charter keys list")


def all_keys(database: Database) -> list[Key]:
    """Every key, revoked ones too, oldest first. Raises StoreError."""
    with database.read() as connection:
        rows = connection.execute(select(api_key).order_by(api_key.c.created_unix_s)).mappings().all()
    try:
        return [Key(**{**row, "scopes": frozenset(row["scopes"].split())}) for row in rows]
    except (TypeError, AttributeError):
        raise StoreError(f"{database.name}: the table of keys cannot be read", "charter keys list") from None
