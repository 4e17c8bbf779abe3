"""What the gateway writes into the audit log: one row for every decision, one for the end of every request. Names, scores and hashes, never text."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, overload

from sqlalchemy import Connection

from charter.core.errors import InputError, StoreError
from charter.guard._workers import Workers, away
from charter.guard.decision import Account, Checked
from charter.guard.gateway.config import AuditConfig, DatabaseConfig, GatewayConfig
from charter.guard.gateway.durable import Durable
from charter.guard.gateway.record import AuditError, Exchange
from charter.store import audit as store
from charter.store.audit import AuditLog, Row, append_within
from charter.store.database import Database, is_missing

_LONGEST = 200
#: A database that does not say its version within so many seconds is not ready.
_READY_S = 5.0
#: How long rows that wait when the gateway ends are still tried.
_CLOSE_S = 3.0


@overload
def open_database(config: DatabaseConfig, environ: Mapping[str, str], *, make: bool = True, limit_s: float | None = None) -> Database: ...
@overload
def open_database(config: DatabaseConfig, environ: Mapping[str, str], *, only_if_there: Literal[True]) -> Database | None: ...
def open_database(
    config: DatabaseConfig, environ: Mapping[str, str], *, make: bool = True, only_if_there: bool = False, limit_s: float | None = None
) -> Database | None:
    """``make``, ``limit_s``: as in ``Database``. ``only_if_there``: None for a file that nobody has made yet. Raises InputError and StoreError."""
    url = config.url or environ.get(config.url_env, "").strip()
    file = environ.get(config.password_file_env, "").strip()
    if not url:
        state = environ.get("XDG_STATE_HOME", "").strip() or str(Path.home() / ".local" / "state")
        url = str(Path(state) / "charter" / "gateway.db")
    try:
        password = Path(file).read_text(encoding="utf-8").strip() if file else ""
    except (OSError, UnicodeDecodeError):
        raise InputError(f"{config.password_file_env}: {file} cannot be read", f"ls -l {file}") from None
    if only_if_there and is_missing(url):
        return None
    return Database(url, password=password, make=make, limit_s=limit_s)


class GatewayAudit:
    """See ``record.Audit``. ``lost`` hears of rows that a relaxed log could not write."""

    def __init__(self, log: AuditLog, config: AuditConfig, lost: Callable[[int], None] | None = None) -> None:
        self._log, self._strict, self._wait_s, self._lost = log, config.mode == "strict", config.wait_s, lost
        self._durable = Durable()
        self._asked: Future[int] | None = None
        self._asked_s = float("-inf")

    async def decided(self, exchange: Exchange, checked: Checked, stage: str, *, hurried: bool = True) -> None:
        await self._put(Row(exchange.request_id, decision(exchange, checked, stage)), hurried)

    async def done(self, exchange: Exchange) -> None:
        await self._put(Row(exchange.request_id, ended(exchange)), False)

    async def going_on(self) -> None:
        """See ``record.Audit``. Streams that are under way write no row, so a row of the log's own is begun when half of ``wait_s`` passed without
        any, one for all streams; only when all of it has is it waited for."""
        intake = self._log.intake
        if not self._strict or intake.taken_s < self._wait_s / 2:
            return
        asked = self._ask()
        if intake.taken_s < self._wait_s:
            return
        if asked is None:
            raise AuditError("the audit log cannot be written")
        heard = asyncio.wrap_future(asked)
        heard.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody may be left who asks
        await asyncio.wait([heard], timeout=self._wait_s)
        if not heard.done() or heard.exception() is not None:
            raise AuditError("the audit log cannot be written")

    def _ask(self) -> Future[int] | None:
        now_s = time.monotonic()
        if self._asked is None or (self._asked.done() and now_s - self._asked_s > min(1.0, self._wait_s / 4)):
            try:
                self._asked, self._asked_s = self._log.alive(), now_s
            except store.AuditError:
                return None
        return self._asked

    def turned_away(self, began_unix_s: float, codes: Mapping[str, int]) -> None:
        """One row for all that was turned away since then before anybody knew whose it is. Nobody waits for it."""
        told = {"v": 1, "kind": "turned_away", "began_unix_ms": int(began_unix_s * 1000), "codes": dict(codes)}
        try:
            self._log.append(Row("", told), hurried=False).add_done_callback(self._heard)
        except store.AuditError:
            self._count()

    async def ready(self) -> str:
        """'' or why not, as ``app.Gateway`` asks: every answer would be withheld. It is known at once, on whichever connection the log hangs."""
        return "the audit log takes no rows" if self._strict and self._log.intake.silent_s > self._wait_s else ""

    def close(self) -> None:
        """Write what waits."""
        self._log.close(_CLOSE_S)

    async def _put(self, row: Row, hurried: bool) -> None:
        try:
            written = self._log.append(row, hurried=hurried and self._strict)
            if not self._strict:
                written.add_done_callback(self._heard)
                return
            await self._durable.wait(written, self._wait_s)
        except (store.AuditError, TimeoutError):
            if self._strict:
                raise AuditError("the audit log cannot be written") from None
            self._count()

    def _heard(self, written: Future[int]) -> None:
        if not written.cancelled() and written.exception() is not None:
            self._count()

    def _count(self) -> None:
        if self._lost is not None:
            self._lost(1)


@dataclass(frozen=True, slots=True)
class Kept:
    """The gateway's database and what hangs on it. ``ready`` and ``closers`` as in ``app.Gateway``."""

    database: Database
    audit: GatewayAudit

    @property
    def ready(self) -> tuple[Callable[[], Awaitable[str]], ...]:
        return (Schema(self.database.version), self.audit.ready)

    def closers(self, *others: Callable[[], None]) -> tuple[Callable[[], None], ...]:
        """``others`` write into the database too. The log goes first: what it has is owed."""
        return (self.audit.close, *others, self.database.close)


class Schema:
    """Whether the database's tables are those of this Charter: '' or why not. ``version`` is asked in a thread of its own, once for all who want to
    know at the same time: the loop's common threads are everybody's, and readiness must not hang on what others do with them."""

    def __init__(self, version: Callable[[], tuple[str | None, str]]) -> None:
        self._version, self._threads = version, Workers("ready", 1)
        self._asking: asyncio.Task[str] | None = None

    async def __call__(self) -> str:
        if self._asking is None or self._asking.done():
            self._asking = asyncio.get_running_loop().create_task(self._ask())
        return await asyncio.shield(self._asking)

    async def _ask(self) -> str:
        try:
            async with asyncio.timeout(_READY_S):
                here, wanted = await away(self._threads, self._version, _READY_S)
        except TimeoutError:
            return "the database does not answer"
        except Exception as error:  # it may hold a path
            return type(error).__name__
        return "" if here == wanted else f"the database's tables are of version {here}, not {wanted}"


def open_kept(config: GatewayConfig, environ: Mapping[str, str], lost: Callable[[int], None] | None = None) -> Kept:
    """Raises InputError and StoreError: a gateway that must keep an audit log does not start without one."""
    key = environ.get(config.audit.key_env, "").encode() or None
    anchor = Path(config.audit.anchor).expanduser() if config.audit.anchor else None
    if anchor is not None and not os.access(anchor.parent, os.W_OK):
        raise InputError(f"audit.anchor: {anchor.parent} cannot be written to", "name a file in a folder that is there and may be written to")
    # a commit that takes longer than a row may wait serves nobody any more: it is given up, and the next one begins on a new connection
    database = open_database(config.database, environ, limit_s=max(1.0, config.audit.wait_s))
    log = AuditLog(database, key=key, anchor=anchor, limit=config.audit.queue, wait_s=config.audit.wait_s, tells=True)
    return Kept(database, GatewayAudit(log, config.audit, lost))


def record_admin(config: AuditConfig, database: Database, environ: Mapping[str, str], what: str, name: str) -> None:
    """One row about what an administrator did, by a command. Raises AuditError."""
    log = AuditLog(database, key=environ.get(config.key_env, "").encode() or None)
    try:
        log.append(_admin(what, name)).result(config.wait_s)
    except (store.AuditError, TimeoutError):
        raise StoreError(f"{what}, but the audit log could not be written", "charter audit verify") from None
    finally:
        log.close()


def admin_row(config: AuditConfig, database: Database, environ: Mapping[str, str], what: str, name: str) -> Callable[[Connection], None]:
    """As ``record_admin``, for who has a transaction of his own: what writes the row in it."""
    key = environ.get(config.key_env, "").encode() or None
    return lambda connection: append_within(database, connection, _admin(what, name), key)


def _admin(what: str, name: str) -> Row:
    return Row("", {"v": 1, "kind": "admin", "at_unix_ms": time.time_ns() // 1_000_000, "what": what, "name": name})


def decision(exchange: Exchange, checked: Checked, stage: str) -> dict[str, Any]:
    """The row of one check. ``subject`` is a hash of what was checked."""
    return {
        **_head("decision", exchange),
        "stage": stage,
        "subject": checked.decision.subject,
        "action": checked.action,
        "by": list(checked.by),
        "unavailable": checked.unavailable,
        "bypass": list(checked.bypass),
        "masks": len(checked.masks),
        "review": checked.review,
        "check_ms": _ms(checked.latency_ms),
        "rails": [_rail(account) for account in checked.accounts],
    }


def ended(exchange: Exchange) -> dict[str, Any]:
    """The closing row of a request."""
    return {
        **_head("end", exchange),
        "outcome": exchange.outcome,
        "status": exchange.status,
        "code": _name(exchange.code),
        "response_id": exchange.response_id,
        "streamed": exchange.streamed,
        "bypass": list(exchange.bypass),
        "blocked_by": list(exchange.blocked_by),
        "subjects": {"input": [c.decision.subject for c in exchange.inputs], "output": [c.decision.subject for c in exchange.outputs]},
        "total_ms": _ms(exchange.total_ms),
        "upstream_ms": _ms(exchange.upstream_ms),
        "input_ms": _ms(exchange.input_ms),
    }


def _head(kind: Literal["decision", "end"], exchange: Exchange) -> dict[str, Any]:
    return {
        "v": 1,
        "kind": kind,
        "began_unix_ms": int(exchange.began_unix_s * 1000),
        "decision_id": exchange.decision_id,
        "endpoint": exchange.endpoint,
        "model": _name(exchange.model),
        "key": exchange.key,
        "policy": exchange.policy,
    }


def _rail(account: Account) -> dict[str, Any]:
    told: dict[str, Any] = {"rail": account.rail, "status": account.status, "action": account.action, "ms": _ms(account.latency_ms)}
    if account.score is not None:
        told["score"] = account.score
    if account.threshold is not None:
        told["threshold"] = account.threshold
    if account.hazards:
        told["hazards"] = list(account.hazards)
    if account.bypass:
        told["bypass"] = account.bypass
    if account.cached:
        told["cached"] = True
    if account.shadow:
        told["shadow"] = True
    return told


def _name(given: str) -> str:
    """A name that a client chose, as a name: nobody gets a text into the log through it."""
    kept = "".join(letter for letter in given[:_LONGEST] if letter.isascii() and (letter.isalnum() or letter in "-_./:@+"))
    return kept[:100]


def _ms(value: float) -> float:
    return round(value, 3)
