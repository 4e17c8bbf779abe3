"""Settings of the whole test run."""

from __future__ import annotations

import gc
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from forked import Forked

# Timings belong in benchmarks/, not in pass or fail: a busy machine must not fail a property.
settings.register_profile("charter", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("charter")

# No test reaches out for data: what is missing is missing.
os.environ["CHARTER_OFFLINE"] = "1"

# Dozens of processes import the same files: compiled once, not by each, whatever the shell says.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

#: Where several processes share the files of tests, these are begun first: a minute or more each, and the last one to begin is waited for.
LONGEST = (
    "recipes/test_align.py",
    "judges/test_cards.py",
    "guard/gateway/test_gateway_postgres_hangs.py",
    "recipes/test_embedded.py",
    "guard/test_rails_shelf.py",
    "evaluate/test_gate_example.py",
    "evaluate/test_inspect.py",
    "judges/test_bad_input.py",
    "guard/gateway/test_gateway_replicas.py",
    "guard/gateway/test_audit_hangs.py",
)


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False  # by the number of tests, which says nothing of how long they take


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        rank = {Path(__file__).parent / name: n for n, name in enumerate(LONGEST)}
        items.sort(key=lambda item: rank.get(item.path, len(rank)))


def pytest_collection_finish() -> None:
    gc.freeze()  # what the imports left stays to the end; looking it through again and again costs more than many a test


@pytest.fixture(scope="session")
def forked() -> Iterator[Forked]:
    """``forked.run("keys", "list", cwd=folder)`` is ``charter keys list`` in a process of its own; for commands that need no torch."""
    surfaces = [f"charter.guard.gateway.surfaces.{name}" for name in ("chat", "messages", "moderations", "responses")]
    with Forked("charter.recipes.single", "charter.guard.gateway.app", "charter.store.reports", "alembic.migration", *surfaces) as running:
        yield running


def _programs() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).parent if on_path else None


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL server in a cluster of the test run's own; databases in it are the tests' to make."""
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


@pytest.fixture
def fresh_postgres(postgres: str) -> str:
    """The URL of a database that nobody else uses."""
    import psycopg

    name = "t" + os.urandom(6).hex()
    with psycopg.connect(f"{postgres}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return f"{postgres}/{name}"
