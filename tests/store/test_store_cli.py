"""``charter store`` as a person runs it, on both databases."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import select, text

from charter.core.errors import EXIT_USAGE
from charter.core.rows import Conversation
from charter.store.audit_verify import verify
from charter.store.database import Database
from charter.store.review import add_items
from charter.store.review_rows import Answer
from charter.store.tables import audit, kept_text
from forked import Forked

Charter = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def charter(forked: Forked) -> Charter:
    def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
        return forked.run("store", *words, cwd=folder)

    return run


def test_upgrade_makes_the_tables_and_says_their_version(charter: Charter, fresh: str, tmp_path: Path, open_database: Callable[[], Database]) -> None:
    for _ in range(2):  # the second time nothing is left to do
        done = charter(tmp_path, "upgrade", fresh)
        assert done.returncode == 0, done.stderr
    here, wanted = open_database().version()
    assert here == wanted
    assert f"version {wanted}" in done.stdout


def test_upgrade_refuses_a_newer_database_in_one_clear_line(
    charter: Charter, fresh: str, tmp_path: Path, open_database: Callable[[], Database]
) -> None:
    with open_database().write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    done = charter(tmp_path, "upgrade", fresh)
    assert done.returncode != 0
    assert "of a newer Charter (version 9999)" in done.stderr
    assert "Traceback" not in done.stderr


def test_purge_takes_out_what_is_over_keeps_the_rest_and_is_in_the_audit_log(
    charter: Charter, fresh: str, tmp_path: Path, open_database: Callable[[], Database]
) -> None:
    database = open_database()
    talk = {0: Conversation.ask("q").with_reply("a")}
    add_items(database, [], [Answer("old", "d1", "p@1", "m", talk)], 1.0, -1.0)
    add_items(database, [], [Answer("new", "d2", "p@1", "m", talk)], 1.0, 3600.0)
    done = charter(tmp_path, "purge", fresh)
    assert done.returncode == 0, done.stderr
    assert "0 review texts, 1 answers, 0 comments" in done.stdout
    with database.read() as connection:
        assert connection.execute(select(kept_text.c.request_id)).scalars().all() == ["new"]
        told = [json.loads(body) for body in connection.execute(select(audit.c.body)).scalars()]
    assert [(row["kind"], row["what"]) for row in told] == [("admin", "texts purged")]
    assert verify(database).broken is None


def test_purge_of_a_database_that_is_not_there_makes_none(charter: Charter, tmp_path: Path) -> None:
    done = charter(tmp_path, "purge", "nope.sqlite")
    assert (done.returncode, done.stdout) == (EXIT_USAGE, "")
    assert "nope.sqlite: there is no such file" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_purge_leaves_another_programs_database_as_it_was(charter: Charter, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "mine.db")) as mine:
        mine.execute("CREATE TABLE notes (id INTEGER)")
    before = (tmp_path / "mine.db").read_bytes()
    done = charter(tmp_path, "purge", "mine.db")
    assert done.returncode == EXIT_USAGE
    assert "holds no tables of Charter's" in done.stderr
    assert (tmp_path / "mine.db").read_bytes() == before
