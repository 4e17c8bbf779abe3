"""``charter keys`` as a person runs it."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def charter(tmp_path: Path):  # type: ignore[no-untyped-def]
    (tmp_path / "gateway.yaml").write_text("database: {url: gateway.db}\nguards: {strict: default}\n", encoding="utf-8")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "charter.cli", "keys", *arguments, "--config", "gateway.yaml"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, env={**os.environ, "CHARTER_KEY_PEPPER": "p"})

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
        (("revoke", "nobody"), "no key in use"),
    ],
)
def test_mistakes_are_one_clear_line(charter, arguments: tuple[str, ...], says: str) -> None:  # type: ignore[no-untyped-def]
    done = charter(*arguments)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
