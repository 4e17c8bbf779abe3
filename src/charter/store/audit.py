"""The audit log: append-only, hash-chained, committed in groups.

Every row's hash is SHA-256 (or HMAC-SHA-256 under a key) of the hash before it, its number and its body, so a row that is changed, removed, inserted
or moved breaks the chain there. What is cut off at the end breaks nothing that is left: an anchor file, kept elsewhere, tells that, and so does a
writer whose own last row is gone.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import itertools
import json
import logging
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection, insert, select, text

from charter.core.errors import StoreError
from charter.store.audit_intake import Intake
from charter.store.audit_line import Line
from charter.store.database import Database, UnreachableError
from charter.store.tables import audit

log = logging.getLogger("charter.audit")
FIRST = "0" * 64
_CHAIN_LOCK = 0x41554449  # any number, the same in every process
#: Rows of one commit at most.
BATCH = 1000
LONGEST_ID = 64
#: How long a row that is in no hurry waits for others to be committed with.
PATIENCE_S = 0.025
_PAUSES_S = (0.02, 0.05, 0.1, 0.2, 0.5)
#: Made once: ``json.dumps`` makes an encoder each time.
_canonical = json.JSONEncoder(sort_keys=True, ensure_ascii=True, separators=(",", ":"), allow_nan=False).encode
_INSERT, _AT = insert(audit), text("SELECT hash FROM audit WHERE seq = :seq")
#: Seconds between two looks at whether a log that lost rows takes some again.
_AGAIN_S = 1.0
#: Who holds the chain's lock and does nothing for this long, frozen or cut off, loses it: all gateways on the database wait for it.
_IDLE_MS = 5000


class AuditError(Exception):
    """A row could not be written, or not in time: what it told of must be withheld."""


class ShorterError(StoreError):
    """Rows that this process wrote are no longer there, or others stand in their place."""

    def __init__(self, seq: int) -> None:
        super().__init__(
            f"the audit log was cut or replaced: row {seq}, which this gateway wrote, is gone; nothing is written into what is left of it",
            "charter audit verify --anchor FILE, bring the rows back from a backup; a gateway that is started anew goes on from what is there",
        )


class Row(NamedTuple):
    """What a caller gives: ``body`` holds no text of a conversation."""

    request_id: str
    body: Mapping[str, Any]


class Written(NamedTuple):
    """A row as it is stored."""

    request_id: str
    body: str


class _Waiting(NamedTuple):
    """A row until it is durable. ``until_s``: on the monotonic clock; it is not tried again after that. ``hurried``: somebody waits for it."""

    row: Written
    done: Future[int]
    until_s: float
    hurried: bool


class Head(NamedTuple):
    """The end of the chain."""

    seq: int
    hash: str


def chained(before: str, seq: int, request_id: str, body: str, key: bytes | None = None) -> str:
    """The hash of a row. Lengths stand before the parts, so that no two rows are the same bytes."""
    parts = (before, str(seq), request_id, body)
    data = b"".join(b"%d:%b" % (len(part), part) for part in (p.encode("utf-8", "surrogatepass") for p in parts))
    return hmac.new(key, data, "sha256").hexdigest() if key else hashlib.sha256(data).hexdigest()


def canonical(body: Mapping[str, Any]) -> str:
    """The bytes that are hashed are the bytes that are stored: ASCII JSON with sorted keys. Raises TypeError or ValueError for what is no JSON."""
    return _canonical(body)


class AuditLog:
    """``append`` from any thread; a writer thread commits what has gathered, so that one fsync serves many rows. ``intake`` says whether it goes on.

    ``key``: for HMAC, so that who can write the table but does not hold the key cannot make a chain that verifies. ``anchor``: a file to which the
    head is appended after every commit, at most once in ``anchor_s`` seconds. ``limit``: rows that may wait; more are refused at once.
    ``wait_s``: while the database is locked or away, a row is tried again until it is this old; 0: it fails at once. ``tells``: a log that lost rows
    tries by itself to write a row that says how many, so that it is known when it takes rows again although nobody comes.
    """

    def __init__(
        self,
        database: Database,
        *,
        key: bytes | None = None,
        anchor: Path | None = None,
        anchor_s: float = 60.0,
        limit: int = 10_000,
        wait_s: float = 0.0,
        tells: bool = False,
    ) -> None:
        self._database, self._key, self._wait_s, self._tells = database, key, wait_s, tells
        self.intake = Intake()
        self._lock = locking(database)
        self._insert, self._at = database.driver_sql(_INSERT), database.driver_sql(_AT)
        self._tried: tuple[Head, Sequence[_Waiting]] | None = None
        self._last: Head | None = None  # of those that this process knows to be written
        self._anchor = _Anchor(anchor, anchor_s) if anchor is not None else None
        self._waiting: Line[_Waiting] = Line()
        self._limit = limit
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="charter-audit", daemon=True)
        self._thread.start()

    def append(self, row: Row, *, hurried: bool = True) -> Future[int]:
        """The row's number, once it is durable. The future raises AuditError if it cannot be written; so does this, at once, when too many wait or
        the row is none that a database takes: it would take the rows of its group with it. A row that is not ``hurried`` is committed with the next
        that is, or after ``PATIENCE_S``."""
        done: Future[int] = Future()
        if self._closed:
            raise AuditError("the audit log is closed")
        try:
            body = canonical(row.body)
        except (TypeError, ValueError):
            raise AuditError("the row's body is no JSON") from None
        if len(row.request_id) > LONGEST_ID or not row.request_id.isascii() or not row.request_id.isprintable():
            raise AuditError(f"the request's id is no plain name of at most {LONGEST_ID} letters")
        if len(self._waiting) >= self._limit:
            raise AuditError("too many rows wait to be written")
        self.intake.put()
        self._waiting.put(_Waiting(Written(row.request_id, body), done, time.monotonic() + self._wait_s, hurried))
        return done

    def alive(self) -> Future[int]:
        """A row that says that the log is written, and how many rows were lost since the last one like it. As ``append``."""
        lost = self.intake.tell()

        def heard(written: Future[int]) -> None:
            if written.cancelled() or written.exception() is not None:
                self.intake.told(1 - lost)  # it is no loss itself, and those that it told of are told of later

        try:
            done = self.append(Row("", {"v": 1, "kind": "alive", "at_unix_ms": time.time_ns() // 1_000_000, "lost": lost}))
        except AuditError:
            self.intake.told(-lost)
            raise
        done.add_done_callback(heard)
        return done

    def close(self, limit_s: float | None = None) -> None:
        """Write what waits, then stop. ``limit_s``: what is not written by then is lost."""
        self._closed = True
        self._waiting.end()
        self._thread.join(limit_s)
        if self._thread.is_alive():
            self._fail(self._waiting.take(sys.maxsize, 0.0), UnreachableError("the database does not answer"))
            log.error("%d audit rows are on their way to a database that does not answer: they are given up", self.intake.pending)

    def _work(self) -> None:
        while True:
            self._look()
            batch = self._waiting.take(BATCH, PATIENCE_S)
            if batch:
                self._commit(batch)
            elif self._waiting.ended:  # and nothing is put any more
                if self._anchor is not None:
                    self._anchor.end()
                return

    def _look(self) -> None:
        """Until a row waits. After rows were lost the log is tried now and then: nobody may come while it is not known to be well."""
        while not self._waiting.wait(_AGAIN_S if self._tells and self.intake.silent_s else None):
            with contextlib.suppress(AuditError):  # closed: the end comes
                self.alive()

    def _commit(self, batch: Sequence[_Waiting]) -> None:
        self._tried = None
        for pause_s in itertools.chain(_PAUSES_S, itertools.repeat(_PAUSES_S[-1])):
            try:
                count = len(batch)
                head, batch = self._write(batch)
                self._last = head
                self.intake.taken(count)
                self.intake.told(len(batch) - count)  # counted as lost, and there all the same: only the answer to their commit was lost
                break
            except Exception as error:  # whatever it was: nobody may believe that the rows are there
                next_s = time.monotonic() + pause_s if isinstance(error, UnreachableError) else float("inf")
                self._fail([each for each in batch if each.until_s <= next_s or each.done.done()], error)
                batch = [each for each in batch if not each.done.done()]
            if not batch:
                return
            time.sleep(pause_s)
        for seq, each in enumerate(batch, head.seq - len(batch) + 1):
            if not each.done.done() and each.done.set_running_or_notify_cancel():  # else nobody waits any more
                each.done.set_result(seq)
        if self._anchor is not None:
            self._anchor.put(head)
        if self._tells and self.intake.lost:
            with contextlib.suppress(AuditError):
                self.alive()

    def _write(self, batch: Sequence[_Waiting]) -> tuple[Head, Sequence[_Waiting]]:
        """The head after the rows, and the rows: those tried before if their commit went through and only its answer was lost."""
        with self._database.append() as cursor:
            if not self._database.is_sqlite:  # one chain: the next writer reads the head that this one leaves
                cursor.execute(self._lock)
            if self._tried is not None and self._is_there(cursor, self._tried[0]):  # under the lock: an earlier try is over by now
                return self._tried
            head = self._head(cursor)
            head, made = _linked(head, [row for row, *_ in batch], self._key)
            cursor.executemany(self._insert, made)
            self._tried = head, batch
        return head, batch

    def _head(self, cursor: Any) -> Head:
        """Where the chain goes on. Other gateways may have written behind this one's last row, but that row stays. Raises ShorterError."""
        head = head_of(cursor)
        if self._last is not None and head != self._last and (head.seq <= self._last.seq or not self._is_there(cursor, self._last)):
            raise ShorterError(self._last.seq)
        return head

    def _fail(self, batch: Sequence[_Waiting], error: Exception) -> None:
        if not batch:
            return
        log.error("%d audit rows could not be written: %s", len(batch), error if isinstance(error, StoreError) else type(error).__name__)
        self.intake.failed(len(batch))
        for _, done, *_ in batch:
            if done.set_running_or_notify_cancel():
                done.set_exception(AuditError("the audit log cannot be written"))

    def _is_there(self, cursor: Any, head: Head) -> bool:
        cursor.execute(self._at, {"seq": head.seq})
        return bool(cursor.fetchone() == (head.hash,))


def append_within(database: Database, connection: Connection, row: Row, key: bytes | None = None) -> None:
    """One row, in a transaction that is another's: it is there exactly when what it tells of is. Raises SQLAlchemyError, which ``Database.write``
    knows, and StoreError for a key that is not the log's: who adds a row at a desk may lack it, and a row of another key breaks the chain."""
    if not database.is_sqlite:
        connection.execute(text(locking(database)))
    last = connection.execute(select(audit).order_by(audit.c.seq.desc()).limit(2)).mappings().all()
    before = last[1]["hash"] if len(last) > 1 else FIRST
    if last and chained(before, last[0]["seq"], last[0]["request_id"], last[0]["body"], key) != last[0]["hash"]:
        message = f"{database.name}: the last row of the audit log was made with another key, or changed since"
        raise StoreError(message, "export the gateway's own key (audit.key_env, CHARTER_AUDIT_KEY), then the same command; charter audit verify")
    head = Head(last[0]["seq"], last[0]["hash"]) if last else Head(0, FIRST)
    _, made = _linked(head, [Written(row.request_id, canonical(row.body))], key)
    connection.execute(_INSERT, made)


def _linked(head: Head, rows: Sequence[Written], key: bytes | None) -> tuple[Head, list[dict[str, Any]]]:
    """The rows as they are stored behind ``head``, and the head after them."""
    made = []
    for row in rows:
        head = Head(head.seq + 1, chained(head.hash, head.seq + 1, row.request_id, row.body, key))
        made.append({"seq": head.seq, "request_id": row.request_id, "body": row.body, "hash": head.hash})
    return head, made


def locking(database: Database) -> str:
    """The statement that makes a transaction the only one that writes the chain. Its time-outs hold for the lock, and until the end."""
    limits = {"idle_in_transaction_session_timeout": str(_IDLE_MS), "synchronous_commit": "on", **database.server_limits}
    settings = ", ".join(f"set_config('{name}', '{value}', true)" for name, value in limits.items())
    return f"SELECT {settings}, pg_advisory_xact_lock({_CHAIN_LOCK})"


def head_of(cursor: Any) -> Head:
    """The last row's number and hash, read with a driver's cursor; of an empty log 0 and zeros."""
    cursor.execute("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")
    found = cursor.fetchone()
    return Head(int(found[0]), str(found[1])) if found is not None else Head(0, FIRST)


class _Anchor:
    """Heads in a file: ``seq hash`` a line. Best kept on another machine, or where only appending is allowed."""

    def __init__(self, path: Path, every_s: float) -> None:
        self._path, self._every_s, self._last_s = path, every_s, float("-inf")
        self._head: Head | None = None
        self._anchored: Head | None = None

    def put(self, head: Head) -> None:
        self._head = head
        if time.monotonic() - self._last_s >= self._every_s:
            self._append(head)

    def end(self) -> None:
        """The last head, however short the time since the one before it."""
        if self._head is not None and self._head != self._anchored:
            self._append(self._head)

    def _append(self, head: Head) -> None:
        try:
            with self._path.open("a", encoding="ascii") as file:
                file.write(f"{head.seq} {head.hash}\n")
            self._last_s, self._anchored = time.monotonic(), head
        except OSError as error:
            log.error("%s: the anchor cannot be written: %s", self._path, error.strerror)
