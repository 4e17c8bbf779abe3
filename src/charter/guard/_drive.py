"""Runs a plan: asks rails in threads and hears their answers, for a caller that waits and for an event loop. The plan decides; this only carries.

The thread that has an answer tells it to the plan and starts what comes next, so that the caller is woken once, when all is said, and not for every
rail. The caller keeps the time: it gives up what is late, also where every thread hangs.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from charter.core import stopping
from charter.core.rows import Conversation, Verdict
from charter.guard._build import COSTS, TIMEOUT_MS, Built
from charter.guard._plan import Job, Plan, Result
from charter.guard._shared import Shared, sharing
from charter.guard._workers import ExhaustedError, Ticket, Workers
from charter.guard.policy import Stage

_LOCAL = COSTS.index("local")


def ask(built: Built, conversation: Conversation, stage: Stage) -> Result:
    """One rail's answer. Whatever it raises is its failure, by kind: messages may hold text."""
    began = time.perf_counter()
    try:
        verdict = built.call(conversation, stage)
    except BaseException as error:  # SystemExit out of a rail must not end a thread unheard either
        return Result("failed", error=type(error).__name__, seconds=time.perf_counter() - began)
    seconds = time.perf_counter() - began
    if not isinstance(verdict, Verdict):
        return Result("failed", error="returned no verdict", seconds=seconds)
    return Result("ok", verdict, seconds=seconds)


class Driver:
    """Carries one plan. ``pools`` are the workers by tier. Everything that touches the plan holds ``_lock``."""

    def __init__(self, plan: Plan, pools: Mapping[int, Workers], conversation: Conversation, stage: Stage) -> None:
        self._plan, self._pools = plan, pools
        self._conversation, self._stage = conversation, stage
        self._tickets: dict[Job, Ticket] = {}
        self._shared = Shared(self._lend)
        self._lock = threading.Lock()
        self._over = False
        self._broken: Exception | None = None
        #: When the caller looks again by itself (monotonic seconds), and how to wake it before.
        self._looks_at = 0.0
        self._wake: Callable[[], None] = lambda: None

    def run(self) -> None:
        """Until the plan is done. Only for callers that may wait."""
        woken = threading.Semaphore(0)
        self._wake = woken.release
        try:
            while self._look():
                woken.acquire(timeout=max(0.0, self._looks_at - time.monotonic()))
        finally:
            self._cancel()

    async def arun(self) -> None:
        """The same for an event loop, which is never blocked."""
        loop = asyncio.get_running_loop()
        woken = asyncio.Event()

        def wake() -> None:
            try:
                loop.call_soon_threadsafe(woken.set)
            except RuntimeError:  # the loop has closed: nobody waits any more
                return

        self._wake = wake
        try:
            while self._look():
                timer = loop.call_later(max(0.0, self._looks_at - time.monotonic()), woken.set)
                try:
                    await woken.wait()
                finally:
                    timer.cancel()
                woken.clear()
        finally:
            self._cancel()

    def _look(self) -> bool:
        """For the caller: start what is ready, give up what is late; whether there is something to wait for, until ``_looks_at`` at most."""
        with self._lock:
            if self._broken is not None:
                raise self._broken
            self._step()
            self._looks_at = self._plan.wake_at()
            return not self._plan.done

    def _step(self) -> None:
        now = time.monotonic()
        for job in self._plan.expire(now):
            if job in self._tickets:
                self._pools[job.rails[0].tier].give_up(self._tickets[job])
        while True:
            jobs = self._plan.begin(time.monotonic())
            lost = [job for job in jobs if not self._start(job)]
            if not lost:
                break
            for job in lost:
                for label in list(job.left):
                    self._plan.hear(label, Result("failed", error="no thread is free"), time.monotonic())

    def _start(self, job: Job) -> bool:
        def work() -> None:
            with sharing(self._shared), stopping.until(lambda: job.cancelled or self._over):
                for built in job.rails:
                    with self._lock:  # another thread may have taken it over
                        wanted = not job.cancelled and built.label in job.left
                    if wanted:
                        self._hear(built.label, ask(built, self._conversation, self._stage))

        try:
            self._tickets[job] = self._pools[job.rails[0].tier].submit(work, time.monotonic() + job.time_s)
        except ExhaustedError:
            return False
        return True

    def _lend(self, work: Callable[[], None]) -> None:
        """``work`` in a thread of the rails that compute, unless the check is over before it begins."""

        def wanted() -> None:
            if not self._over:
                with stopping.until(lambda: self._over):
                    work()

        with suppress(ExhaustedError):
            self._pools[_LOCAL].submit(wanted, time.monotonic() + TIMEOUT_MS["local"] / 1000)

    def _hear(self, label: str, result: Result) -> None:
        """For the threads: tell the plan, start what is ready now. Wakes the caller when all is said, or when it has to look sooner than it would."""
        with self._lock:
            if self._over:
                return
            try:
                self._plan.hear(label, result, time.monotonic())
                self._step()
                wakes = self._plan.done or self._plan.wake_at() < self._looks_at
            except Exception as error:  # a mistake of ours is the caller's to raise, not the thread's to die of
                self._broken, wakes = error, True
            if wakes:
                self._wake()

    def _cancel(self) -> None:
        """Rails that nobody waits for: those that run end by themselves, those behind them do not begin. What was made for the check goes with its
        last thread: were it left to the collector of circles, each of its rounds would hold up a request."""
        with self._lock:
            self._over = True
            for job in self._tickets:
                job.cancelled = True
            self._tickets.clear()
            self._shared.lend = None
