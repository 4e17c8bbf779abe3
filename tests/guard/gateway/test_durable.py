"""What is written is told to the event loop: to everybody who waits, and all of a commit by one call."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from typing import Any, cast

import pytest

from charter.guard.gateway.durable import Durable


class Loop(asyncio.SelectorEventLoop):
    """Counts what other threads have it do."""

    calls = 0

    def call_soon_threadsafe(self, *args: Any, **named: Any) -> Any:
        self.calls += 1
        return super().call_soon_threadsafe(*args, **named)


def test_a_commit_of_many_rows_is_told_by_one_call() -> None:
    rows: list[Future[int]] = [Future() for _ in range(50)]

    async def work() -> list[Any]:
        durable = Durable()
        waits = [asyncio.create_task(durable.wait(row, 30.0)) for row in rows]
        await asyncio.sleep(0)
        loop.calls = 0
        for number, row in enumerate(rows):  # as the writer does, while the loop has something else to do
            if number == 7:
                row.set_exception(KeyError("no"))
            else:
                row.set_result(number)
        assert loop.calls == 1
        return await asyncio.gather(*waits, return_exceptions=True)

    with asyncio.Runner(loop_factory=Loop) as runner:
        loop = cast(Loop, runner.get_loop())
        found = runner.run(work())
    assert [type(each) for each in found] == [KeyError if n == 7 else type(None) for n in range(50)]


def test_who_waits_too_long_or_no_more_takes_the_row_back() -> None:
    async def work() -> None:
        durable = Durable()
        late: Future[int] = Future()
        with pytest.raises(TimeoutError):
            await durable.wait(late, 0.01)
        assert late.cancelled()
        left: Future[int] = Future()
        waiting = asyncio.create_task(durable.wait(left, 30.0))
        await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert left.cancelled()

    asyncio.run(work())


def test_what_is_written_already_or_after_the_loop_ended_harms_nobody() -> None:
    durable, row = Durable(), Future[int]()
    row.set_result(1)
    asyncio.run(durable.wait(row, 30.0))
    never: Future[int] = Future()

    async def leave() -> None:
        asyncio.get_running_loop().create_task(durable.wait(never, 30.0))
        await asyncio.sleep(0)

    asyncio.run(leave())
    assert never.cancelled()
    again: Future[int] = Future()

    async def wait() -> None:
        asyncio.get_running_loop().call_later(0.01, again.set_result, 1)
        await durable.wait(again, 30.0)

    asyncio.run(wait())
