"""What was decided goes on record, all of it and in one commit, also when nobody waits for the answer any more."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest
from gateway_call import Client, Upstream, call

from charter.core.rows import Conversation
from charter.guard.gateway.auditing import GatewayAudit
from charter.guard.gateway.config import AuditConfig
from charter.guard.gateway.record import AuditError, Exchange
from charter.guard.gateway.recording import Recorder
from charter.guard.gateway.wire.errors import GatewayError
from charter.store import audit as store
from charter.store.audit import AuditLog
from charter.store.database import Database

MANY = 40


class Slow:
    """An audit log that takes its time, and keeps how it was asked."""

    def __init__(self, fails: bool = False) -> None:
        self.rows: list[tuple[str, bool]] = []
        self.begun = 0
        self.fails = fails

    async def decided(self, exchange: Exchange, checked: Any, stage: str, *, hurried: bool = True) -> None:
        self.begun += 1
        await asyncio.sleep(0.05)
        if self.fails:
            raise AuditError("full")
        self.rows.append((stage, hurried))

    async def done(self, exchange: Exchange) -> None:
        self.rows.append(("done", False))

    async def going_on(self) -> None:
        return


@pytest.fixture
def checks(fakes):
    guard = fakes.guard({"a": fakes.rail("safe", 0.1)})
    return [guard.check(Conversation.ask(f"How do I prune rose {n}?"), "input") for n in range(MANY)]


def exchange() -> Exchange:
    return Exchange("r1", "d1", "embeddings", 1_700_000_000.0)


def test_all_rows_are_begun_at_once_and_only_the_last_is_in_a_hurry(checks):
    async def write() -> Slow:
        audit = Slow()
        await Recorder(audit, exchange()).record(checks, "input")
        return audit

    began = time.monotonic()
    audit = asyncio.run(write())
    assert time.monotonic() - began < MANY * 0.05 / 2
    assert audit.rows == [("input", False)] * (MANY - 1) + [("input", True)]


def test_who_is_cancelled_takes_no_row_back(checks):
    async def write() -> Slow:
        audit = Slow()
        recorder = Recorder(audit, exchange())
        waits = asyncio.create_task(recorder.record(checks, "output"))
        await asyncio.sleep(0.01)
        waits.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waits
        assert not audit.rows
        assert await recorder.settle()
        return audit

    assert len(asyncio.run(write()).rows) == MANY


@pytest.mark.parametrize("count", [1, MANY])
def test_a_row_that_cannot_be_written_withholds_and_is_told_at_the_end(checks, count):
    async def write() -> bool:
        recorder = Recorder(Slow(fails=True), exchange())
        with pytest.raises(GatewayError) as told:
            await recorder.record(checks[:count], "input")
        assert told.value.code == "guardrail_unavailable"
        return await recorder.settle()

    assert not asyncio.run(write())


def test_a_batch_is_one_commit_of_the_real_log(checks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Each row alone would wait for others, one after the other."""
    monkeypatch.setattr(store, "PATIENCE_S", 0.5)
    commits = []
    database = Database(tmp_path / "a.db")
    append = database.append
    monkeypatch.setattr(database, "append", lambda: commits.append(1) or append())
    log = AuditLog(database)
    audit = GatewayAudit(log, AuditConfig())

    async def write() -> None:
        recorder = Recorder(audit, exchange())
        recorder.begin(checks, "input", hurried=False)
        recorder.begin(checks, "output")
        assert await recorder.settle()

    asyncio.run(write())
    log.close()
    with sqlite3.connect(tmp_path / "a.db") as connection:
        ((rows,),) = connection.execute("SELECT count(*) FROM audit")
    connection.close()
    database.close()
    assert rows == 2 * MANY
    assert len(commits) <= 3, "a writer may take the first rows while the others are on their way"


@pytest.mark.parametrize("action", ["allow", "block"])
def test_a_client_that_leaves_takes_no_row_of_its_batch_with_it(fakes, action):
    """Whether the batch may go on, and its rows are written beside the model server's work, or is withheld."""
    rails = {"a": fakes.rail("unsafe" if action == "block" else "safe", 0.9 if action == "block" else 0.1)}

    async def ask() -> Slow:
        audit = Slow()
        client = Client({"model": "m", "input": [f"Rose number {n}" for n in range(MANY)]})
        running = call(client, fakes.guard(rails), Upstream([b"{}"], "hang", is_stream=False), surface="embeddings", audit=audit)
        task = asyncio.create_task(running.run())
        while audit.begun < MANY:
            await asyncio.sleep(0.005)
        client.gone.set()
        await task
        assert running.exchange.outcome == "disconnected"
        return audit

    rows = asyncio.run(ask()).rows
    assert [stage for stage, _ in rows] == ["input"] * MANY + ["done"]
    assert rows[MANY - 1][1], "no row of a reply follows on this surface that the last one could wait for"


def test_a_gateway_that_stops_leaves_no_account_half_told(fakes):
    async def ask() -> Slow:
        audit = Slow()
        client = Client({"model": "m", "input": ["A rose"]})
        running = call(client, fakes.guard({"a": fakes.rail("safe", 0.1)}), Upstream([b"{}"], is_stream=False), surface="embeddings", audit=audit)
        task = asyncio.create_task(running.run())
        while not audit.begun:
            await asyncio.sleep(0.005)
        client.gone.set()
        while not running.closing:
            await asyncio.sleep(0.001)
        running.stop()
        await task
        return audit

    assert [stage for stage, _ in asyncio.run(ask()).rows] == ["input", "done"]
