"""The audit log: nothing that was acknowledged is lost, nothing that was changed goes unseen."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select, text

import charter.store.audit as audit_log
from charter.core.errors import StoreError
from charter.store.audit import BATCH, FIRST, AuditError, AuditLog, Head, Row, canonical, chained, head_of
from charter.store.audit_verify import read_anchors, verify
from charter.store.database import Database, UnreachableError
from charter.store.tables import audit, metadata

Opener = Callable[[], Database]


def fill(database: Database, count: int, **settings: object) -> None:
    log = AuditLog(database, **settings)  # type: ignore[arg-type]
    written = [log.append(Row(f"r{n}", {"kind": "decision", "n": n, "action": "allow", "score": n / 7})) for n in range(count)]
    assert [done.result(30) for done in written] == list(range(1, count + 1))
    log.close()


def free(database: Database) -> None:
    """What an attacker with the table's owner's rights would do first."""
    with database.write() as connection:
        if database.is_sqlite:
            connection.execute(text("DROP TRIGGER audit_no_update"))
            connection.execute(text("DROP TRIGGER audit_no_delete"))
            connection.execute(text("DROP TRIGGER audit_only_at_the_end"))
        else:
            connection.execute(text("ALTER TABLE audit DISABLE TRIGGER ALL"))


def test_rows_are_chained_and_verified(open_database: Opener) -> None:
    database = open_database()
    fill(database, 2 * BATCH + 3)
    found = verify(database)
    assert (found.rows, found.broken) == (2 * BATCH + 3, None)
    with database.append() as cursor:
        assert head_of(cursor) == found.head


def test_the_chain_goes_on_after_a_restart_and_over_several_writers(open_database: Opener) -> None:
    logs = [AuditLog(open_database()) for _ in range(3)]

    def write(log: AuditLog) -> None:
        for done in [log.append(Row("r", {"n": n})) for n in range(150)]:
            done.result(30)

    threads = [threading.Thread(target=write, args=(log,)) for log in logs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for log in logs:
        log.close()
    found = verify(open_database())
    assert (found.rows, found.broken) == (450, None)


def test_the_database_refuses_changes_and_deletions(open_database: Opener) -> None:
    database = open_database()
    fill(database, 3)
    for statement in ("UPDATE audit SET body = '{}' WHERE seq = 2", "DELETE FROM audit WHERE seq = 3"):
        with pytest.raises(StoreError, match="append-only"), database.write() as connection:
            connection.execute(text(statement))
    if not database.is_sqlite:
        with pytest.raises(StoreError, match="append-only"), database.write() as connection:
            connection.execute(text("TRUNCATE audit"))
    if database.is_sqlite:  # which asks no trigger for deletions when it replaces
        with pytest.raises(StoreError, match="append-only"), database.write() as connection:
            connection.execute(text("INSERT OR REPLACE INTO audit (seq, request_id, body, hash) VALUES (2, 'r', '{}', 'x')"))
    assert verify(database).rows == 3


@pytest.mark.parametrize(
    ("statement", "row"),
    [
        ("UPDATE audit SET body = replace(body, 'allow', 'block') WHERE seq = 4", 4),
        ("UPDATE audit SET request_id = 'r9' WHERE seq = 5", 5),
        ("UPDATE audit SET hash = (SELECT hash FROM audit WHERE seq = 1) WHERE seq = 6", 6),
        ("DELETE FROM audit WHERE seq = 3", 3),
        ("DELETE FROM audit WHERE seq = 1", 1),
        ("UPDATE audit SET seq = 100 WHERE seq = 8", 8),
        ("UPDATE audit SET seq = -3 WHERE seq = 8", 0),
        ("INSERT INTO audit (seq, request_id, body, hash) VALUES (0, 'r', '{}', 'x')", 0),
    ],
)
def test_tampering_is_found_at_its_row(open_database: Opener, statement: str, row: int) -> None:
    database = open_database()
    fill(database, 8)
    free(database)
    with database.write() as connection:
        connection.execute(text(statement))
    found = verify(database)
    assert found.broken == row
    assert found.why


def test_two_rows_that_changed_places_are_found(open_database: Opener) -> None:
    database = open_database()
    fill(database, 6)
    free(database)
    with database.write() as connection:
        for statement in ("SET seq = 99 WHERE seq = 3", "SET seq = 3 WHERE seq = 4", "SET seq = 4 WHERE seq = 99"):
            connection.execute(text(f"UPDATE audit {statement}"))
    assert verify(database).broken == 3


def test_rows_cut_off_at_the_end_are_told_by_the_anchor(open_database: Opener, tmp_path: Path) -> None:
    database, anchor = open_database(), tmp_path / "heads"
    fill(database, 5, anchor=anchor, anchor_s=0.0)
    fill_more = AuditLog(database, anchor=anchor, anchor_s=0.0)
    fill_more.append(Row("r", {"n": 6})).result(30)
    fill_more.close()
    heads = read_anchors(anchor)
    assert heads[-1].seq == 6
    assert verify(database, anchors=heads).broken is None
    free(database)
    with database.write() as connection:
        connection.execute(text("DELETE FROM audit WHERE seq = 6"))
    assert verify(database).broken is None  # nothing that is left is wrong
    found = verify(database, anchors=heads)
    assert found.broken == 6
    assert "are gone" in found.why


def cut(database: Database, after: int) -> None:
    free(database)
    with database.write() as connection:
        connection.execute(text(f"DELETE FROM audit WHERE seq > {after}"))


def test_a_log_that_was_cut_and_written_on_is_told_by_two_anchors_of_one_number(open_database: Opener, tmp_path: Path) -> None:
    database, anchor = open_database(), tmp_path / "heads"
    fill(database, 5, anchor=anchor, anchor_s=0.0)
    cut(database, 3)
    again = AuditLog(open_database(), anchor=anchor, anchor_s=0.0)  # a gateway that was started anew
    for number in (4, 5, 6):
        assert again.append(Row("r", {"another": number})).result(30) == number
    again.close()
    heads = read_anchors(anchor)
    assert [head.seq for head in heads].count(5) == 2
    assert verify(database).broken is None
    found = verify(database, anchors=heads)
    assert (found.broken, "was another one" in found.why) == (5, True)
    assert verify(database, anchors=[*heads[1:], heads[-1]]).broken is None, "the same head twice is no contradiction"


@pytest.mark.parametrize("others", [0, 1, 4])
def test_a_writer_whose_own_rows_are_gone_writes_nothing_more(open_database: Opener, caplog: pytest.LogCaptureFixture, others: int) -> None:
    """Whether the head is behind its last row, or others wrote on and the head is at it or ahead."""
    database = open_database()
    log, other = AuditLog(database, wait_s=30), open_database()
    for number in (1, 2, 3):
        assert log.append(Row("own", {"n": number})).result(30) == number
    cut(database, 2)
    for number in range(others):
        fill_one(other)
        with other.append() as cursor:
            assert head_of(cursor).seq == 3 + number
    for _ in range(2):
        with pytest.raises(AuditError, match="cannot be written"):
            log.append(Row("own", {"n": 4})).result(10)
    log.close()
    assert verify(database).rows == 2 + others
    assert "row 3, which this gateway wrote, is gone" in caplog.text
    assert "charter audit verify --anchor" in caplog.text


def test_the_last_head_is_anchored_when_the_log_closes(tmp_path: Path) -> None:
    database, anchor = Database(tmp_path / "a.db"), tmp_path / "heads"
    log = AuditLog(database, anchor=anchor, anchor_s=3600.0)
    for n in range(3):
        log.append(Row("r", {"n": n})).result(30)
    log.close()
    assert read_anchors(anchor)[-1] == verify(database).head
    database.close()


def test_a_log_rewritten_from_the_start_is_told_by_the_anchor_and_by_the_key(open_database: Opener) -> None:
    database = open_database()
    fill(database, 3, key=b"a key")
    with database.append() as cursor:
        anchored = head_of(cursor)
    assert verify(database, key=b"a key").broken is None
    assert verify(database).broken == 1
    assert verify(database, key=b"another").broken == 1
    free(database)
    head = Head(0, FIRST)
    with database.write() as connection:
        connection.execute(text("DELETE FROM audit"))
        for seq in (1, 2, 3):
            head = Head(seq, chained(head.hash, seq, "r", canonical({"n": 0})))
            connection.execute(insert(audit), {"seq": seq, "request_id": "r", "body": canonical({"n": 0}), "hash": head.hash})
    assert verify(database).broken is None
    assert verify(database, key=b"a key").broken == 1
    assert verify(database, anchors=[anchored]).broken == 3


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[tuple[object, ...]]]:
    path = tmp_path_factory.mktemp("bits") / "small.db"
    database = Database(path)
    fill(database, 20)
    database.close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        rows = connection.execute("SELECT seq, request_id, body, hash FROM audit ORDER BY seq").fetchall()
    connection.close()
    return path, rows


@given(st.data())
@settings(max_examples=150)
def test_one_flipped_bit_of_a_row_is_found(small: tuple[Path, list[tuple[object, ...]]], data: st.DataObject) -> None:
    path, rows = small
    row = data.draw(st.integers(0, len(rows) - 1))
    column = data.draw(st.sampled_from(["request_id", "body", "hash"]))
    value = bytearray(str(rows[row][{"request_id": 1, "body": 2, "hash": 3}[column]]).encode())
    at = data.draw(st.integers(0, len(value) * 8 - 1))
    value[at // 8] ^= 1 << at % 8
    copy = path.with_name("flipped.db")
    copy.write_bytes(path.read_bytes())
    with sqlite3.connect(copy) as connection:
        connection.execute("DROP TRIGGER audit_no_update")
        connection.execute(f"UPDATE audit SET {column} = CAST(? AS TEXT) WHERE seq = ?", (bytes(value), row + 1))
    connection.close()
    database = Database(copy)
    try:
        assert verify(database).broken == row + 1
    finally:
        database.close()


@given(st.integers(min_value=0))
@settings(max_examples=100)
def test_one_flipped_bit_of_the_file_is_found_or_changes_no_row(small: tuple[Path, list[tuple[object, ...]]], at: int) -> None:
    path, rows = small
    raw = bytearray(path.read_bytes())
    at %= len(raw) * 8
    raw[at // 8] ^= 1 << at % 8
    copy = path.with_name("raw.db")
    copy.write_bytes(bytes(raw))
    try:
        database = Database(copy)
    except StoreError:
        return  # the file says itself that it is broken
    try:
        found = verify(database)
        if found.broken is None:
            with database.read() as connection:
                left = connection.execute(text("SELECT seq, request_id, body, hash FROM audit ORDER BY seq")).all()
            assert [tuple(row) for row in left] == rows[: len(left)]
            assert found.rows == len(left)
    except StoreError:
        pass
    finally:
        database.close()


_CHILD = """
import sys
from charter.store.audit import AuditLog, Row
from charter.store.database import Database, UnreachableError
log = AuditLog(Database(sys.argv[1]))
waiting = [log.append(Row(f"r{n}", {"n": n})) for n in range(50)]
n = 50
while True:
    print(waiting.pop(0).result(), flush=True)
    waiting.append(log.append(Row(f"r{n}", {"n": n})))
    n += 1
"""


@pytest.mark.parametrize("rows", [1, 40, 333])
def test_a_kill_loses_no_acknowledged_row(open_database: Opener, fresh: str, rows: int) -> None:
    open_database()
    child = subprocess.Popen([sys.executable, "-c", _CHILD, fresh], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    told = [int(child.stdout.readline()) for _ in range(rows)]
    os.kill(child.pid, signal.SIGKILL)
    rest, _ = child.communicate()
    told += [int(line) for line in rest.splitlines() if line.strip()]
    found = verify(open_database())
    assert found.broken is None
    assert found.rows >= told[-1] == len(told)


def test_a_log_that_cannot_be_written_says_so_and_goes_on_when_it_can(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    database = Database(path, busy_s=0.1)
    log = AuditLog(database)
    assert log.append(Row("r", {})).result(10) == 1
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    with pytest.raises(AuditError):
        log.append(Row("r", {})).result(10)
    blocker.execute("ROLLBACK")
    blocker.close()
    assert log.append(Row("r", {})).result(10) == 2
    log.close()
    with pytest.raises(AuditError):
        log.append(Row("r", {}))
    assert verify(database).rows == 2
    database.close()


def test_a_full_queue_refuses_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    database = Database(path, busy_s=2.0)
    log = AuditLog(database, limit=2)
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    for _ in range(3):  # one is being written, two wait
        log.append(Row("r", {}))
        time.sleep(0.05)
    with pytest.raises(AuditError, match="too many"):
        log.append(Row("r", {}))
    blocker.execute("ROLLBACK")
    blocker.close()
    log.close()
    assert verify(database).broken is None
    database.close()


def test_a_lost_server_is_an_error_and_its_return_is_not(postgres: str, fresh: str, open_database: Opener) -> None:
    database = open_database()
    if database.is_sqlite:
        return
    log = AuditLog(database)
    assert log.append(Row("r", {})).result(10) == 1
    import psycopg

    with psycopg.connect(f"{postgres}/postgres", autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = %s", (fresh.rpartition("/")[2],)
        )
    for _ in range(3):
        try:
            log.append(Row("r", {})).result(10)
        except AuditError:
            continue
        break
    else:
        pytest.fail("the log did not come back")
    log.close()
    assert verify(database).broken is None


def test_a_lock_that_ends_within_the_wait_costs_no_row_and_one_that_does_not_fails_closed(tmp_path: Path) -> None:
    database = Database(tmp_path / "a.db", busy_s=0.01)
    log, short = AuditLog(database, wait_s=30), AuditLog(database, wait_s=0.1)
    other = sqlite3.connect(tmp_path / "a.db", isolation_level=None, timeout=30)
    other.execute("BEGIN IMMEDIATE")
    late, early = log.append(Row("late", {})), short.append(Row("early", {}))
    with pytest.raises(AuditError, match="cannot be written"):
        early.result(30)
    assert not late.done()
    other.execute("ROLLBACK")
    other.close()
    assert late.result(30) == 1
    log.close()
    short.close()
    assert (verify(database).rows, verify(database).broken) == (1, None)
    database.close()


def test_a_server_process_that_ends_mid_way_costs_no_row(postgres: str, fresh: str, open_database: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    database = open_database()
    if database.is_sqlite:
        pytest.skip("SQLite has no server")
    append, ended = database.append, []

    @contextmanager
    def ends_once() -> Iterator[Any]:
        with append() as cursor:
            yield cursor
            if not ended:
                ended.append(1)
                cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    monkeypatch.setattr(database, "append", ends_once)
    fill(database, 3, wait_s=30)
    assert ended == [1]
    assert (verify(database).rows, verify(database).broken) == (3, None)


def test_a_lost_answer_to_a_commit_writes_no_row_twice(open_database: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    database, other = open_database(), open_database()
    append, lost = database.append, []

    @contextmanager
    def loses_once() -> Iterator[Any]:
        with append() as cursor:
            yield cursor
        if not lost:
            lost.append(1)
            fill_one(other)  # somebody else goes on with the chain meanwhile
            raise UnreachableError("the answer was lost")

    monkeypatch.setattr(database, "append", loses_once)
    log = AuditLog(database, wait_s=30)
    assert log.append(Row("a", {})).result(30) == 1
    assert log.append(Row("c", {})).result(30) == 3
    log.close()
    with database.read() as connection:
        assert connection.execute(select(audit.c.request_id).order_by(audit.c.seq)).scalars().all() == ["a", "b", "c"]
    assert verify(database).broken is None


def fill_one(database: Database) -> None:
    log = AuditLog(database)
    log.append(Row("b", {})).result(30)
    log.close()


def test_a_row_in_no_hurry_goes_with_the_next_one_or_soon_by_itself(open_database: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    database, commits = open_database(), []
    append = database.append

    @contextmanager
    def counted() -> Iterator[Any]:
        commits.append(1)
        with append() as cursor:
            yield cursor

    monkeypatch.setattr(database, "append", counted)
    monkeypatch.setattr(audit_log, "PATIENCE_S", 30.0)
    log = AuditLog(database)
    waits = [log.append(Row(f"r{n}", {}), hurried=False) for n in range(3)]
    with pytest.raises(FutureTimeoutError):
        waits[0].result(0.3)
    assert log.append(Row("now", {})).result(10) == 4
    assert [done.result(10) for done in waits] == [1, 2, 3]
    assert commits == [1]
    monkeypatch.setattr(audit_log, "PATIENCE_S", 0.01)
    assert log.append(Row("later", {}), hurried=False).result(10) == 5  # nobody else comes
    monkeypatch.setattr(audit_log, "PATIENCE_S", 30.0)
    last = log.append(Row("last", {}), hurried=False)
    log.close()  # the end is in a hurry
    assert last.result(0) == 6
    assert verify(database).broken is None


def test_a_row_that_is_no_json_is_refused_and_harms_no_other(tmp_path: Path) -> None:
    database = Database(tmp_path / "a.db")
    log = AuditLog(database)
    for row in (Row("r", {"score": float("nan")}), Row("r" * 65, {}), Row("a\0b", {}), Row("r", {"x": object()})):
        with pytest.raises(AuditError):
            log.append(row)
    assert log.append(Row("r", {"score": 1.0})).result(10) == 1
    log.close()
    database.close()


def test_the_migrations_make_the_tables_that_the_code_uses(open_database: Opener) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    database = open_database()
    with database.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    here, wanted = database.version()
    assert here == wanted


def test_a_newer_database_is_refused(open_database: Opener) -> None:
    database = open_database()
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match="newer Charter"):
        open_database()


def test_a_database_that_is_none_is_one_clear_line(tmp_path: Path) -> None:
    from charter.core.errors import InputError

    text_file = tmp_path / "notes.txt"
    text_file.write_text("no database, but long enough to look at\n" * 100)
    with pytest.raises(StoreError, match="not a database"):
        Database(text_file)
    with pytest.raises(StoreError, match="cannot be opened"):
        Database("postgresql://nobody@127.0.0.1:1/none")
    with pytest.raises(InputError, match="mysql"):
        Database("mysql://root@localhost/x")
    with pytest.raises(StoreError):
        Database(tmp_path / "notes.txt" / "under" / "a.db")


def test_several_that_open_an_empty_database_at_once_make_its_tables_once(fresh: str) -> None:
    ready, found = threading.Barrier(4), list[tuple[str | None, str]]()

    def open_() -> None:
        ready.wait()
        database = Database(fresh, busy_s=30.0)
        found.append(database.version())
        database.close()

    threads = [threading.Thread(target=open_) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert {here == wanted for here, wanted in found} == {True}


def test_a_new_database_is_its_owners_alone(tmp_path):
    database = Database(tmp_path / "new" / "gateway.db")
    log = AuditLog(database)
    log.append(Row("r1", {"kind": "x"})).result(30)
    modes = {path.name: path.stat().st_mode & 0o077 for path in (tmp_path / "new").glob("gateway.db*")}
    log.close()
    database.close()
    assert "gateway.db" in modes
    assert not any(modes.values()), modes
