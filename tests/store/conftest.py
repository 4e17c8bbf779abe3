"""Databases to test on: SQLite always; PostgreSQL where its programs are installed, in a cluster of the test run's own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from charter.store.database import Database


def _programs() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).parent if on_path else None


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a server; databases in it are the tests' to make."""
    programs = _programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    root = os.geteuid() == 0
    if root and (shutil.which("runuser") is None or subprocess.run(["id", "postgres"], capture_output=True, check=False).returncode):
        pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
    home = Path(tempfile.mkdtemp(prefix="charter-postgres-"))  # pytest's own folders are closed to other users
    if root:
        shutil.chown(home, "postgres")
    before = ["runuser", "-u", "postgres", "--"] if root else []
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]

    def run(*command: str) -> None:
        subprocess.run([*before, *command], check=True, capture_output=True, cwd=home, timeout=60)

    run(str(programs / "initdb"), "-D", str(home / "data"), "-U", "charter", "--auth=trust", "-E", "UTF8", "--locale=C")
    options = f"-p {port} -h 127.0.0.1 -k {home}"
    run(str(programs / "pg_ctl"), "-D", str(home / "data"), "-l", str(home / "log"), "-w", "-o", options, "start")
    yield f"postgresql://charter@127.0.0.1:{port}"
    stopped = subprocess.run(
        [*before, str(programs / "pg_ctl"), "-D", str(home / "data"), "-m", "immediate", "-w", "stop"], capture_output=True, text=True, cwd=home
    )
    shutil.rmtree(home, ignore_errors=True)
    assert stopped.returncode == 0, stopped.stderr


@pytest.fixture(params=["sqlite", "postgresql"])
def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a database may be made that nobody else uses."""
    if request.param == "sqlite":
        return str(tmp_path / "fresh.db")
    server = request.getfixturevalue("postgres")
    name = "t" + os.urandom(6).hex()
    import psycopg

    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return f"{server}/{name}"


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
