"""``charter audit verify`` as a person runs it: what its exit code says of a log."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from charter.core.errors import EXIT_ERROR, EXIT_GATE_FAILED, EXIT_PASSED, EXIT_USAGE
from charter.store.audit import AuditLog, Row
from charter.store.database import Database


@pytest.fixture
def verify(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(*words: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "charter.cli", "audit", "verify", *map(str, words)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    return run


def filled(where: Path | str) -> Database:
    database = Database(where)
    log = AuditLog(database)
    for done in [log.append(Row(f"r{n}", {"n": n})) for n in range(9)]:
        done.result(30)
    log.close()
    return database


def test_a_whole_log_and_a_changed_one(verify: Callable[..., subprocess.CompletedProcess[str]], fresh: str) -> None:
    database = filled(fresh)
    done = verify(fresh)
    assert (done.returncode, "9 rows are whole" in done.stdout) == (EXIT_PASSED, True), done.stderr
    with database.write() as connection:
        connection.execute(text("DROP TRIGGER audit_no_update" if database.is_sqlite else "ALTER TABLE audit DISABLE TRIGGER ALL"))
        connection.execute(text("UPDATE audit SET body = '{}' WHERE seq = 4"))
    database.close()
    done = verify(fresh)
    assert (done.returncode, "BROKEN at row 4" in done.stdout) == (EXIT_GATE_FAILED, True)


def garbled_names(raw: bytearray) -> None:
    """SQLite tells of this in the bytes of the damage, which are no text."""
    at = raw.index(b"CREATE TABLE api_key")
    raw[at + len("CREATE ")] = 0xFF


def cut_off(raw: bytearray) -> None:
    del raw[len(raw) // 2 :]


def overwritten(raw: bytearray) -> None:
    raw[4096:] = b"\xa5" * (len(raw) - 4096)


def no_database(raw: bytearray) -> None:
    raw[:] = b"no database, but long enough to look at\n" * 100


def another_column(raw: bytearray) -> None:
    at = raw.index(b"hash VARCHAR")
    raw[at] ^= 1


@pytest.mark.parametrize("harm", [no_database, overwritten, cut_off, garbled_names, another_column])
def test_a_file_that_cannot_be_read_is_a_mistake_in_the_input(
    verify: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path, harm: Callable[[bytearray], None]
) -> None:
    path = tmp_path / "a.db"
    database = filled(path)
    with database.engine.connect() as connection:
        connection.connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    raw = bytearray(path.read_bytes())
    harm(raw)
    path.write_bytes(bytes(raw))
    done = verify(path)
    assert done.returncode == EXIT_USAGE, done.stdout + done.stderr
    first, hint = done.stderr.splitlines()
    assert first.startswith(f"error: sqlite:///{path}: cannot be ")
    assert hint.startswith("  try: check ")
    assert "\ufffd" not in first
    assert done.stdout == ""


def test_a_file_that_is_not_there_or_no_file_of_heads_is_the_same(verify: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path) -> None:
    filled(tmp_path / "a.db").close()
    (tmp_path / "heads").write_text("nothing of the kind\n", encoding="ascii")
    for words, says in (
        (("none.db",), "none.db: there is no such file"),
        (("a.db", "--anchor", "heads"), "heads: line 1 is no anchor"),
        (("a.db", "--anchor", "none"), "none: cannot be read"),
    ):
        done = verify(*words)
        assert (done.returncode, done.stdout) == (EXIT_USAGE, "")
        assert done.stderr.startswith(f"error: {says}")


def test_a_server_that_is_away_is_an_error_and_no_mistake(verify: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = verify("postgresql://nobody@127.0.0.1:1/none")
    assert done.returncode == EXIT_ERROR
    assert done.stderr.startswith("error: postgresql+psycopg://nobody@127.0.0.1:1/none: cannot be opened")
