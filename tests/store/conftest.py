"""Databases to test on: SQLite always; PostgreSQL where its programs are installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from charter.store.database import Database


@pytest.fixture(params=["sqlite", "postgresql"])
def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a database may be made that nobody else uses."""
    if request.param == "sqlite":
        return str(tmp_path / "fresh.db")
    return str(request.getfixturevalue("fresh_postgres"))


@pytest.fixture
def open_database(fresh: str) -> Iterator[Callable[[], Database]]:
    """Opens the fresh database, as often as asked; all are closed at the end."""
    opened: list[Database] = []

    def open_() -> Database:
        opened.append(Database(fresh))
        return opened[-1]

    yield open_
    for database in opened:
        database.close()
