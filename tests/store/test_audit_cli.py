"""``charter audit verify`` as a person runs it: what its exit code says of a log."""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect, text

from charter.core.errors import EXIT_ERROR, EXIT_GATE_FAILED, EXIT_PASSED, EXIT_USAGE
from charter.store.audit import AuditLog, Row
from charter.store.database import Database
from forked import Forked


@pytest.fixture
def verify(tmp_path: Path, forked: Forked) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(*words: object) -> subprocess.CompletedProcess[str]:
        return forked.run("audit", "verify", *words, cwd=tmp_path)

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


def test_what_holds_no_log_is_a_mistake_and_is_left_as_it_was(
    verify: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path, fresh: str
) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE audit (id INTEGER, said TEXT)")
    connection.close()
    (tmp_path / "empty.db").touch()
    before = {each.name: each.read_bytes() for each in tmp_path.iterdir()}
    for name in (path.name, "empty.db"):
        done = verify(name)
        assert (done.returncode, done.stdout) == (EXIT_USAGE, "")
        assert "holds no audit log of Charter's" in done.stderr
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == before
    if "://" in fresh:
        done = verify(fresh)
        assert (done.returncode, "holds no audit log of Charter's" in done.stderr) == (EXIT_USAGE, True)
        engine = create_engine(fresh.replace("postgresql:", "postgresql+psycopg:"))
        assert inspect(engine).get_table_names() == []
        engine.dispose()


def test_the_gateways_own_database_is_not_made_to_be_verified(
    verify: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("CHARTER_DATABASE_URL", raising=False)
    done = verify()
    assert (done.returncode, "there is no such file" in done.stderr) == (EXIT_USAGE, True)
    assert not (tmp_path / "state").exists()


def test_an_empty_log_says_so_and_one_of_an_older_charter_stays_of_its_version(
    verify: Callable[..., subprocess.CompletedProcess[str]], fresh: str, tmp_path: Path
) -> None:
    database = Database(fresh)
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    done = verify(fresh)
    assert (done.returncode, done.stdout) == (EXIT_USAGE, ""), "who emptied it must not pass"
    assert "holds no row: none was ever written, or all were removed" in done.stderr
    assert database.version()[0] == "0001"
    (tmp_path / "heads").write_text(f"3 {'a' * 64}\n", encoding="ascii")
    done = verify(fresh, "--anchor", "heads")
    assert (done.returncode, "rows 1 to 3 were there" in done.stdout) == (EXIT_GATE_FAILED, True)
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    database.close()
    done = verify(fresh)
    assert (done.returncode, "of a newer Charter" in done.stderr) == (EXIT_ERROR, True)


def test_a_server_that_is_away_is_an_error_and_no_mistake(verify: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = verify("postgresql://nobody@127.0.0.1:1/none")
    assert done.returncode == EXIT_ERROR
    assert done.stderr.startswith("error: postgresql+psycopg://nobody@127.0.0.1:1/none: cannot be opened")
    assert "may be read" in done.stderr, "nothing is written"
    assert "1 if its server cannot be reached" in " ".join(verify("--help").stdout.split())


@pytest.mark.parametrize("text", ["", "\n"])
def test_an_anchor_file_without_heads_vouches_for_nothing(verify: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path, text: str) -> None:
    filled(tmp_path / "a.db").close()
    heads = tmp_path / "heads.txt"
    heads.write_text(text, encoding="ascii")
    done = verify("a.db", "--anchor", heads)
    assert done.returncode == EXIT_USAGE
    assert "heads.txt" in done.stderr


def keyed(where: Path, anchor: Path) -> None:
    """Nine rows under the key ``k`` and an anchor file."""
    database = Database(where)
    log = AuditLog(database, key=b"k", anchor=anchor, anchor_s=0.0)
    for done in [log.append(Row(f"r{n}", {"n": n})) for n in range(9)]:
        done.result(30)
    log.close()
    database.close()


def test_the_log_that_a_gateways_file_names_is_verified_by_that_files_key_and_anchor(
    verify: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("CHARTER_DATABASE_URL", raising=False)
    monkeypatch.setenv("CHAIN", "k")
    filled(tmp_path / "state" / "charter" / "gateway.db").close()  # an old one, which is whole
    real, heads, config = tmp_path / "real.db", tmp_path / "heads", tmp_path / "gateway.yaml"
    config.write_text(f"database: {{url: {real}}}\naudit: {{key_env: CHAIN, anchor: {heads}}}\n", encoding="utf-8")
    keyed(real, heads)
    done = verify("--config", config)
    assert (done.returncode, f"sqlite:///{real}: 9 rows are whole" in done.stdout) == (EXIT_PASSED, True), done.stdout + done.stderr
    assert f"{heads}: " in done.stdout, "says by which anchor"
    with sqlite3.connect(real) as connection:
        connection.execute("DROP TRIGGER audit_no_delete")
        connection.execute("DELETE FROM audit WHERE seq = 9")
    connection.close()
    done = verify("--config", config)
    assert (done.returncode, "BROKEN at row 9" in done.stdout) == (EXIT_GATE_FAILED, True), "only the anchor can tell"
    assert verify(real, "--key-env", "CHAIN").returncode == EXIT_PASSED, "a database that is named needs no file"
    assert verify(real, "--config", config).returncode == EXIT_GATE_FAILED
    assert verify("--config", config, "--key-env", "NONE").returncode == EXIT_GATE_FAILED


def test_an_anchor_that_the_file_names_and_that_is_gone_is_told(verify: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path) -> None:
    filled(tmp_path / "a.db").close()
    (tmp_path / "gateway.yaml").write_text(f"database: {{url: {tmp_path}/a.db}}\naudit: {{anchor: {tmp_path}/heads}}\n", encoding="utf-8")
    done = verify("--config", "gateway.yaml")
    assert (done.returncode, f"{tmp_path}/heads: cannot be read" in done.stderr) == (EXIT_USAGE, True)
