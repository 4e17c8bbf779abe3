"""Connections to a database server that may not be used for longer than a limit. Time-outs that the server keeps do not do: a server that went
silent (a failover, a dropped NAT entry, a proxy that holds the connection) tells nobody of them, and a driver waits for its word without end. No
connection is opened here: ``socket`` is only for shutting the driver's down."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.exc import InvalidatePoolError

#: Where a connection's ``_Use`` stands in what the pool knows of it.
_USE = "charter.use"
#: A connection that was used before is asked for a sign of life first. It gets this long; then a new one is made.
_PING_S = 2.0


class _Use:
    """One connection. ``socket`` is a handle of our own on its socket: shutting that down ends whatever the driver waits for, and cannot hit another
    one that the number was given to meanwhile. ``until_s``: on the monotonic clock, None while nobody uses it."""

    def __init__(self, connection: Any) -> None:
        self.socket = socket.socket(fileno=os.dup(connection.fileno()))
        self.until_s: float | None = None
        self.fresh = True


class Overdue:
    """Closes connections of ``engine`` that are in use for longer than ``limit_s`` seconds: their user gets the driver's OperationalError."""

    def __init__(self, engine: Engine, limit_s: float) -> None:
        self._engine, self._limit_s = engine, limit_s
        self._uses: set[_Use] = set()
        self._changed = threading.Condition()
        self._next_s = float("inf")
        self._closed = False
        for name, listener in (
            ("connect", self._connected), ("checkout", self._taken), ("checkin", self._back), ("invalidate", self._back), ("close", self._gone)
        ):  # fmt: skip
            event.listen(engine, name, listener)
        threading.Thread(target=self._watch, name="charter-overdue", daemon=True).start()

    def extend(self, info: Any, limit_s: float) -> None:
        """The connection with this ``info`` may be used for so long from now on."""
        self._until(info[_USE], limit_s)

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _connected(self, connection: Any, record: Any) -> None:
        record.info[_USE] = _Use(connection)

    def _taken(self, connection: Any, record: Any, _: Any) -> None:
        """In place of the pool's own ping, which waits without a limit."""
        use: _Use = record.info[_USE]
        if not use.fresh:
            self._until(use, min(_PING_S, self._limit_s))
            try:
                self._engine.dialect.do_ping(connection)
            except Exception:
                self._back(connection, record)
                raise InvalidatePoolError from None  # the others are most likely as dead: they are not waited for one by one
        use.fresh = False
        self._until(use, self._limit_s)

    def _until(self, use: _Use, limit_s: float) -> None:
        with self._changed:
            use.until_s = time.monotonic() + limit_s
            self._uses.add(use)
            if use.until_s < self._next_s:
                self._changed.notify()

    def _back(self, connection: Any, record: Any, _: Any = None) -> None:
        use = record.info.get(_USE)
        if use is not None:
            with self._changed:
                use.until_s = None
                self._uses.discard(use)

    def _gone(self, connection: Any, record: Any) -> None:
        self._back(connection, record)
        use = record.info.pop(_USE, None)
        if use is not None:
            use.socket.close()

    def _watch(self) -> None:
        with self._changed:
            while not self._closed:
                now = time.monotonic()
                for use in [each for each in self._uses if each.until_s is not None and each.until_s <= now]:
                    self._uses.discard(use)
                    with contextlib.suppress(OSError):  # it is closed already
                        use.socket.shutdown(socket.SHUT_RDWR)
                self._next_s = min((each.until_s for each in self._uses if each.until_s is not None), default=float("inf"))
                self._changed.wait(None if self._next_s == float("inf") else self._next_s - now)
