"""The audit log: append-only, hash-chained, committed in groups.

Every row's hash is SHA-256 (or HMAC-SHA-256 under a key) of the hash before it, its number and its body, so a row that is changed, removed, inserted
or moved breaks the chain there. What is cut off at the end breaks nothing that is left: an anchor file, kept elsewhere, tells that.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection, insert, select, text

from charter.core.errors import StoreError
from charter.store.database import Database
from charter.store.tables import audit

log = logging.getLogger("charter.audit")
FIRST = "0" * 64
_CHAIN_LOCK = 0x41554449  # any number, the same in every process
#: Rows of one commit at most.
BATCH = 1000
_PAGE = 5000


class AuditError(Exception):
    """A row could not be written, or not in time: what it told of must be withheld."""


class Row(NamedTuple):
    """What a caller gives: ``body`` holds no text of a conversation."""

    request_id: str
    body: Mapping[str, Any]


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
    """The bytes that are hashed are the bytes that are stored: ASCII JSON with sorted keys."""
    return json.dumps(body, sort_keys=True, ensure_ascii=True, separators=(",", ":"), allow_nan=False)


class AuditLog:
    """``append`` from any thread; a writer thread commits what has gathered, so that one fsync serves many rows.

    ``key``: for HMAC, so that who can write the table but does not hold the key cannot make a chain that verifies. ``anchor``: a file to which the
    head is appended after every commit, at most once in ``anchor_s`` seconds. ``limit``: rows that may wait; more are refused at once.
    """

    def __init__(self, database: Database, *, key: bytes | None = None, anchor: Path | None = None, anchor_s: float = 60.0, limit: int = 10_000) -> None:
        self._database, self._key = database, key
        self._anchor = _Anchor(anchor, anchor_s) if anchor is not None else None
        self._waiting: queue.Queue[tuple[Row, Future[int]] | None] = queue.Queue(limit)
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="charter-audit", daemon=True)
        self._thread.start()

    def append(self, row: Row) -> Future[int]:
        """The row's number, once it is durable. The future raises AuditError if it cannot be written; so does this, at once, when too many wait."""
        done: Future[int] = Future()
        if self._closed:
            raise AuditError("the audit log is closed")
        try:
            self._waiting.put_nowait((row, done))
        except queue.Full:
            raise AuditError("too many rows wait to be written") from None
        return done

    def close(self) -> None:
        """Write what waits, then stop."""
        self._closed = True
        self._waiting.put(None)
        self._thread.join()

    def _work(self) -> None:
        open_ = True
        while open_:
            batch: list[tuple[Row, Future[int]]] = []
            item = self._waiting.get()
            while True:
                if item is None:
                    open_ = False
                else:
                    batch.append(item)
                if len(batch) >= BATCH:
                    break
                try:
                    item = self._waiting.get_nowait()
                except queue.Empty:
                    break
            if batch:
                self._commit(batch)

    def _commit(self, batch: Sequence[tuple[Row, Future[int]]]) -> None:
        try:
            head = self._write([row for row, _ in batch])
        except Exception as error:  # whatever it was: nobody may believe that the rows are there
            log.error("%d audit rows could not be written: %s", len(batch), error if isinstance(error, StoreError) else type(error).__name__)
            for _, done in batch:
                if not done.cancelled():
                    done.set_exception(AuditError("the audit log cannot be written"))
            return
        for seq, (_, done) in enumerate(batch, head.seq - len(batch) + 1):
            if not done.cancelled():
                done.set_result(seq)
        if self._anchor is not None:
            self._anchor.put(head)

    def _write(self, rows: Sequence[Row]) -> Head:
        with self._database.write() as connection:
            if not self._database.is_sqlite:  # one chain: the next writer reads the head that this one leaves
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _CHAIN_LOCK})
            head = head_of(connection)
            made = []
            for row in rows:
                body = canonical(row.body)
                head = Head(head.seq + 1, chained(head.hash, head.seq + 1, row.request_id, body, self._key))
                made.append({"seq": head.seq, "request_id": row.request_id, "body": body, "hash": head.hash})
            connection.execute(insert(audit), made)
        return head


def head_of(connection: Connection) -> Head:
    """The last row's number and hash; of an empty log 0 and zeros."""
    found = connection.execute(select(audit.c.seq, audit.c.hash).order_by(audit.c.seq.desc()).limit(1)).first()
    return Head(int(found[0]), str(found[1])) if found is not None else Head(0, FIRST)


class Verified(NamedTuple):
    """What a walk along the chain found. ``broken`` is the number of the first row that is wrong, None if the log is whole."""

    rows: int
    head: Head
    broken: int | None = None
    why: str = ""


def verify(
    database: Database, *, key: bytes | None = None, anchors: Sequence[Head] = (), tell: Callable[[int], None] | None = None
) -> Verified:
    """Walk the whole log. ``anchors``: heads that were seen before; a log that does not hold them was cut or rewritten. ``tell`` hears of progress."""
    known = {anchor.seq: anchor.hash for anchor in anchors}
    head, count = Head(0, FIRST), 0
    for seq, request_id, body, found in _rows(database):
        if seq != head.seq + 1:
            return Verified(count, head, head.seq + 1, f"row {head.seq + 1} is missing: row {seq} follows row {head.seq}")
        if chained(head.hash, seq, request_id, body, key) != found:
            return Verified(count, head, seq, f"row {seq} is not what was written, or the row before it is not" + ("" if key else ", or a key is needed"))
        if seq in known and known[seq] != found:
            return Verified(count, head, seq, f"row {seq} was another one when it was anchored")
        head, count = Head(seq, found), count + 1
        if tell is not None and count % _PAGE == 0:
            tell(count)
    lost = [seq for seq in known if seq > head.seq]
    if lost:
        return Verified(count, head, head.seq + 1, f"rows {head.seq + 1} to {max(lost)} were there when they were anchored and are gone")
    return Verified(count, head)


def _rows(database: Database) -> Iterator[tuple[int, str, str, str]]:
    """All rows in order, page by page, so that a long log needs no memory. A number that is none (a bit flipped in it) is told as row -1."""
    after = None
    with database.read() as connection:
        while True:
            page = select(audit.c.seq, audit.c.request_id, audit.c.body, audit.c.hash).order_by(audit.c.seq).limit(_PAGE)
            rows = connection.execute(page if after is None else page.where(audit.c.seq > after)).all()
            if not rows:
                return
            for seq, request_id, body, found in rows:
                yield int(seq), _text(request_id), _text(body), _text(found)
            after = rows[-1][0]


def _text(value: Any) -> str:
    """SQLite keeps whatever it is given: bytes are as wrong as a changed letter, and as visible."""
    return value if isinstance(value, str) else repr(value)


class _Anchor:
    """Heads in a file: ``seq hash`` a line. Best kept on another machine, or where only appending is allowed."""

    def __init__(self, path: Path, every_s: float) -> None:
        import time

        self._path, self._every_s, self._clock, self._last_s = path, every_s, time.monotonic, float("-inf")

    def put(self, head: Head) -> None:
        if self._clock() - self._last_s < self._every_s:
            return
        try:
            with self._path.open("a", encoding="ascii") as file:
                file.write(f"{head.seq} {head.hash}\n")
            self._last_s = self._clock()
        except OSError as error:
            log.error("%s: the anchor cannot be written: %s", self._path, error.strerror)


def read_anchors(path: Path) -> list[Head]:
    """Raises StoreError naming the line."""
    heads = []
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, ValueError) as error:
        raise StoreError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or 'not an anchor file'}", f"ls -l {path}") from None
    for number, line in enumerate(lines, 1):
        seq, _, found = line.partition(" ")
        if not seq.isdigit() or len(found) != len(FIRST):
            raise StoreError(f"{path}: line {number} is no anchor (a number and a hash)", "give the file that the gateway wrote")
        heads.append(Head(int(seq), found))
    return heads
