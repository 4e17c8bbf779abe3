"""Threads that rails run in, and that may be given up: a rail that hangs costs its thread, never the check, and never the end of the process.

The standard executor will not do: it waits for a hung thread when the process ends, and has no way to replace one.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

IDLE_S = 10.0
#: Threads that may hang at once before no more work is taken.
MAX_STUCK = 64


T = TypeVar("T")


class ExhaustedError(RuntimeError):
    """So many rails hang that no thread is left; every further check fails closed."""


@dataclass(eq=False)
class Ticket:
    """One piece of work in a pool. ``due_at`` (monotonic seconds) is when it counts as hung if a thread is missed."""

    work: Callable[[], None]
    due_at: float
    started: bool = False
    finished: bool = False
    given_up: bool = False
    dropped: bool = field(default=False)


class Workers:
    """At most ``size`` threads at work, made when needed, ended when idle. Threads given up do not count."""

    def __init__(self, name: str, size: int) -> None:
        self._name, self._size = name, size
        self._queue: queue.SimpleQueue[Ticket] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._running: set[Ticket] = set()
        #: ``_unclaimed``: work that no thread has taken. The queue's own length will not do: a thread that has its work, and has not said so yet,
        #: would count as idle, and the next piece would wait behind it.
        self._threads = self._idle = self._stuck = self._unclaimed = 0

    @property
    def stuck(self) -> int:
        """Threads that hang in a rail at this moment."""
        return self._stuck

    def submit(self, work: Callable[[], None], due_at: float) -> Ticket:
        """Queue ``work``, which must not raise. Raises ExhaustedError when too many threads hang."""
        ticket = Ticket(work, due_at)
        with self._lock:
            if self._idle <= self._unclaimed and self._threads >= self._size:
                self._sweep()
            if self._stuck >= MAX_STUCK:
                raise ExhaustedError(f"{self._stuck} rails hang")
            self._queue.put(ticket)
            self._unclaimed += 1
            if self._idle < self._unclaimed and self._threads < self._size:
                self._spawn()
        return ticket

    def settle(self, until: float) -> bool:
        """Wait, until then (monotonic seconds) at most, for all that runs or hangs here; whether nothing does any more. A process that ends while one
        of its threads is in native code (the encoder being loaded) aborts instead of ending with its exit code."""
        while True:
            with self._lock:  # a ticket on its way from one of these to another is in one of them
                if not (self._running or self._stuck or self._unclaimed):
                    return True
            if time.monotonic() >= until:
                return False
            time.sleep(0.01)

    def give_up(self, ticket: Ticket) -> None:
        """Do not run ``ticket`` if it has not begun; otherwise leave its thread to itself and let another take its place."""
        with self._lock:
            self._give_up(ticket)

    def _give_up(self, ticket: Ticket) -> None:
        if ticket.finished or ticket.given_up:
            return
        if not ticket.started:
            ticket.dropped = True
            return
        ticket.given_up = True
        self._running.discard(ticket)
        self._threads -= 1
        self._stuck += 1
        if self._unclaimed and self._stuck < MAX_STUCK:
            self._spawn()

    def _sweep(self) -> None:
        now = time.monotonic()
        for ticket in [t for t in self._running if t.due_at < now]:
            self._give_up(ticket)

    def _spawn(self) -> None:
        self._threads += 1
        threading.Thread(target=self._serve, name=f"charter-{self._name}", daemon=True).start()

    def _serve(self) -> None:
        while True:
            with self._lock:
                self._idle += 1
            try:
                ticket = self._queue.get(timeout=IDLE_S)
            except queue.Empty:
                with self._lock:
                    self._idle -= 1
                    if self._unclaimed == 0:
                        self._threads -= 1
                        return
                continue
            with self._lock:
                self._idle -= 1
                self._unclaimed -= 1
                if ticket.dropped:
                    continue
                ticket.started = True
                self._running.add(ticket)
            ticket.work()
            with self._lock:
                ticket.finished = True
                self._running.discard(ticket)
                if ticket.given_up:  # another thread has taken this one's place
                    self._stuck -= 1
                    return


async def away(pool: Workers, work: Callable[[], T], limit_s: float = float("inf")) -> T:
    """What ``work`` gives or raises, from a thread of ``pool``: the loop's own threads are everybody's, and who fills them stops all others.
    After ``limit_s`` seconds the thread counts as hung, and another takes its place; without a limit it keeps its place until it ends, also when
    nobody waits for it any more: else who hangs up again and again has as many threads as they like. Raises ExhaustedError."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def tell(result: T | None, error: BaseException | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]  # None only where T is

    def run() -> None:
        try:
            told: tuple[T | None, BaseException | None] = work(), None
        except BaseException as error:
            told = None, error
        try:
            loop.call_soon_threadsafe(tell, *told)
        except RuntimeError:  # the loop has closed: nobody waits any more
            return

    ticket = pool.submit(run, time.monotonic() + limit_s)
    try:
        return await done
    except asyncio.CancelledError:
        if limit_s < float("inf") or not ticket.started:
            pool.give_up(ticket)
        raise
