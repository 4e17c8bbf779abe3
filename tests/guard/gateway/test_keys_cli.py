"""``charter keys`` as a person runs it."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from pathlib import Path

import pytest

from charter.store.audit_verify import verify
from charter.store.database import Database
from forked import Forked


@pytest.fixture
def charter(tmp_path: Path, forked: Forked):  # type: ignore[no-untyped-def]
    (tmp_path / "gateway.yaml").write_text("database: {url: gateway.db}\nguards: {strict: default}\n", encoding="utf-8")

    def run(*arguments: str, folder: Path = tmp_path) -> subprocess.CompletedProcess[str]:
        config = os.path.relpath(tmp_path / "gateway.yaml", folder)
        return forked.run("keys", *arguments, "--config", config, cwd=folder, env={**os.environ, "CHARTER_KEY_PEPPER": "p"})

    return run


def test_a_key_from_its_making_to_its_end(charter, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    made = charter("add", "web", "--rpm", "60", "--concurrency", "4", "--policy", "strict", "--scopes", "chat,reports")
    assert made.returncode == 0, made.stderr
    secret = made.stdout.strip()
    assert secret.startswith("ck-")
    listed = charter("list")
    assert secret not in listed.stdout
    assert f"web: {secret[:9]}..., chat reports, 60 a minute, 4 at once, guard strict" in listed.stdout
    assert charter("revoke", "web").returncode == 0
    assert "revoked" in charter("list").stdout
    again = charter("revoke", "web")
    assert (again.returncode, "no key in use is called 'web'" in again.stderr) == (2, True)
    connection = sqlite3.connect(tmp_path / "gateway.db")
    told = [body for (body,) in connection.execute("SELECT body FROM audit")]
    connection.close()
    assert ["key added" in told[0], "key revoked" in told[1]] == [True, True]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("add", "a b"), "is no name"),
        (("add", "x", "--scopes", "everything"), "is no scope"),
        (("add", "x", "--scopes", "admin"), "is no scope; known: api, chat,"),
        (("add", "x", "--policy", "other"), "no guard is called"),
        (("revoke", "nobody"), "there is no such file, so there is no key"),
    ],
)
def test_mistakes_are_one_clear_line(charter, arguments: tuple[str, ...], says: str) -> None:  # type: ignore[no-untyped-def]
    done = charter(*arguments)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_a_key_is_made_with_its_audit_row_or_not_at_all(charter, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    assert charter("add", "first").returncode == 0
    with sqlite3.connect(tmp_path / "gateway.db") as connection:
        connection.execute("CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'the log is full'); END")
    connection.close()
    done = charter("add", "web")
    assert (done.returncode, done.stdout) == (1, "")
    assert "no key was made" in done.stderr
    assert "the log is full" in done.stderr
    with sqlite3.connect(tmp_path / "gateway.db") as connection:
        connection.execute("DROP TRIGGER full")
    connection.close()
    assert "web" not in charter("list").stdout
    made = charter("add", "web")
    assert (made.returncode, made.stdout[:3]) == (0, "ck-"), "the name is free"
    assert verify(Database(tmp_path / "gateway.db")).rows == 2


def test_the_database_is_the_same_one_from_every_folder_and_is_made_by_add_alone(charter, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    away = tmp_path / "away"
    away.mkdir()
    for words in (("list",), ("revoke", "web")):
        done = charter(*words, folder=away)
        assert (done.returncode, done.stdout) == (2, "")
        assert f"{tmp_path}/gateway.db: there is no such file, so there is no key" in done.stderr
    assert [each.name for each in tmp_path.iterdir() if each.is_file()] == ["gateway.yaml"]
    assert charter("add", "web", folder=away).returncode == 0
    assert "web: ck-" in charter("list").stdout
    assert charter("revoke", "web", folder=away).returncode == 0
    assert "revoked" in charter("list", folder=away).stdout
    assert list(away.iterdir()) == []


def test_another_programs_database_stays_as_it_is(charter, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    connection = sqlite3.connect(tmp_path / "gateway.db")
    connection.execute("CREATE TABLE notes (id INTEGER)")
    connection.close()
    before = (tmp_path / "gateway.db").read_bytes()
    for words in (("list",), ("revoke", "web")):
        done = charter(*words)
        assert (done.returncode, done.stdout, "Traceback" in done.stderr) == (2, "", False)
    assert (tmp_path / "gateway.db").read_bytes() == before
