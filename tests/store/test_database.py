"""A database as an object: what becomes of its connections."""

from __future__ import annotations

import gc
from pathlib import Path

from charter.store.database import Database


def test_a_file_that_nobody_closed_is_closed_when_it_is_let_go(tmp_path: Path) -> None:
    """Newer Pythons warn of every connection that is not."""
    database = Database(tmp_path / "charter.db")
    with database.engine.connect() as connection:
        connection.exec_driver_sql("SELECT 1")
    pool = database.engine.pool
    assert pool.checkedin() == 1
    kept = database.engine
    del database
    gc.collect()
    assert kept.pool is not pool, "the pool was emptied and made anew"
