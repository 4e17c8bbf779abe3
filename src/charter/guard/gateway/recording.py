"""Decisions of one request on their way into the audit log: all rows of a record are begun at once, and what was begun is finished, also when the
request is cancelled meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from charter.guard.decision import Checked
from charter.guard.gateway.record import Audit, AuditError, Exchange
from charter.guard.gateway.wire.errors import GatewayError, unavailable


class Recorder:
    """``audit`` None: nothing is kept, and every record is done at once."""

    def __init__(self, audit: Audit | None, exchange: Exchange) -> None:
        self._audit, self._exchange = audit, exchange
        self._begun: list[asyncio.Task[None]] = []

    def begin(self, found: Sequence[Checked], stage: str, *, hurried: bool = True) -> asyncio.Task[None] | None:
        """The writing of these decisions; None if there is nothing to write. Wait for it with ``written``: whoever cancelled it would take back what
        was decided."""
        if self._audit is None or not found:
            return None
        task = asyncio.get_running_loop().create_task(self._write(self._audit, found, stage, hurried))
        self._begun.append(task)
        return task

    async def record(self, found: Sequence[Checked], stage: str) -> None:
        """Returns when the decisions are on record. Raises GatewayError: what was decided on must be withheld."""
        await written(self.begin(found, stage))

    async def going_on(self) -> GatewayError | None:
        """Why no more of a stream may leave; None if it may."""
        try:
            if self._audit is not None:
                await self._audit.going_on()
        except AuditError:
            return _withheld()
        return None

    async def settle(self) -> bool:
        """Until all that was begun is over. Whether it is all on record."""
        waiting = [task for task in self._begun if not task.done()]
        if waiting:
            await asyncio.wait(waiting)
        return all(not task.cancelled() and task.exception() is None for task in self._begun)

    async def _write(self, audit: Audit, found: Sequence[Checked], stage: str, hurried: bool) -> None:
        """Only the last row is in a hurry: those before it are committed with it."""
        last = len(found) - 1
        rows = [audit.decided(self._exchange, checked, stage, hurried=hurried and nth == last) for nth, checked in enumerate(found)]
        try:
            if not last:
                await rows[0]
                return
            for error in await asyncio.gather(*rows, return_exceptions=True):
                if error is not None:
                    raise error
        except AuditError:
            raise _withheld() from None


def _withheld() -> GatewayError:
    return unavailable("the audit log cannot be written, so the text is withheld")


async def written(task: asyncio.Task[None] | None) -> None:
    """Returns when these rows are on record. Raises GatewayError as ``Recorder.record`` does. A caller that is cancelled leaves the writing alone."""
    if task is not None:
        await asyncio.shield(task)
