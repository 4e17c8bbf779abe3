"""Whether the gateway may get traffic does not hang on what others do with its threads, and an answer that does not come is a no."""

from __future__ import annotations

import asyncio
import os
import threading

import pytest

from charter.guard.gateway import auditing
from charter.guard.gateway.auditing import Schema


def test_ready_although_all_threads_of_the_loop_are_taken() -> None:
    go = threading.Event()

    async def ask() -> str:
        loop = asyncio.get_running_loop()
        busy = [loop.run_in_executor(None, go.wait, 20) for _ in range((os.cpu_count() or 1) + 4)]
        try:
            return await asyncio.wait_for(Schema(lambda: ("1", "1"))(), 10)
        finally:
            go.set()
            await asyncio.gather(*busy)

    assert asyncio.run(ask()) == ""


def test_a_database_that_hangs_is_not_ready_and_one_that_has_come_back_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auditing, "_READY_S", 0.2)
    go = threading.Event()
    asked: list[int] = []

    def version() -> tuple[str, str]:
        asked.append(1)
        if len(asked) == 1:
            go.wait(20)
        return "1", "2"

    async def ask() -> list[str]:
        schema = Schema(version)
        together = await asyncio.gather(*(schema() for _ in range(20)))
        assert len(asked) == 1, "who asks at the same time hears the same"
        monkeypatch.setattr(auditing, "_READY_S", 10.0)
        found = [*set(together), await schema()]
        go.set()
        return found

    assert asyncio.run(ask()) == ["the database does not answer", "the database's tables are of version 1, not 2"]


def test_what_goes_wrong_is_named_without_words() -> None:
    def version() -> tuple[str, str]:
        raise RuntimeError("/a/path")

    assert asyncio.run(Schema(version)()) == "RuntimeError"
