"""The order of one check, without doing any of it: which rails to start now, what was heard, what is late, when it is decided.

Cheap rails first. Rails of one cost run at once; those of the next cost start when all cheaper ones have answered, or after ``PATIENCE_S``, so that a
slow cheap rail does not hold up the others. As soon as an acting rail blocks, nothing can change the decision: whatever still waits or runs is
cancelled. Rails that cost next to nothing share one thread, one after another, and so do those that wait for the same reading of a text: the first
has it read, the others find it, and nobody is woken for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass, field
from typing import NamedTuple

from charter.core.rows import Verdict
from charter.guard._build import Built
from charter.guard.decision import Account, Status

PATIENCE_S = 0.03
#: How long rails wait behind another one that shares their reading, before each gets a thread of its own: none spends the others' deadline.
SHARING_S = 0.25


class Result(NamedTuple):
    """What became of one rail. ``error`` is the kind of failure, never text of the conversation."""

    status: Status
    verdict: Verdict | None = None
    error: str = ""
    seconds: float = 0.0
    cached: bool = False


Weigh = Callable[[Built, Result], Account]


@dataclass(eq=False)
class Job:
    """Rails to run one after another in one thread. ``cancelled`` is read by the thread between two of them."""

    rails: list[Built]
    cancelled: bool = False
    left: list[str] = field(default_factory=list)
    due_at: float = math.inf
    #: When those behind the first of them are taken out of it.
    parts_at: float = math.inf

    @property
    def time_s(self) -> float:
        return sum(built.timeout_s for built in self.rails)


class Plan:
    """The state of one check. Times are monotonic seconds. The driver calls ``expire``, ``begin``, then waits until ``wake_at`` for something to
    ``hear``, until ``done``; then it cancels ``unfinished`` jobs."""

    def __init__(self, rails: Sequence[Built], weigh: Weigh, deadline_at: float) -> None:
        self.accounts: dict[str, Account] = {}
        self.results: dict[str, Result] = {}
        self.decided = False
        self._rails = {built.label: built for built in rails}
        self._waiting: list[Built] = list(rails)
        self._jobs: list[Job] = []
        self._opened: dict[int, float] = {}
        self._apart: set[str] = set()
        self._weigh, self._deadline_at = weigh, deadline_at

    @property
    def done(self) -> bool:
        return not self._waiting and not self._running

    @property
    def unfinished(self) -> list[Job]:
        return [job for job in self._jobs if job.left]

    @property
    def _running(self) -> list[Job]:
        return [] if self.decided else self.unfinished

    def hear(self, label: str, result: Result, now_s: float) -> None:
        """A rail has answered. Answers of rails that were given up or cancelled are ignored."""
        if label in self.results:
            return
        built = self._rails[label]
        self._settle(built, result)
        self._waiting = [other for other in self._waiting if other.label != label]
        for job in self._jobs:
            if label in job.left:
                job.left.remove(label)
                if job.left:
                    self._next(job, now_s)
        if self.decided:
            self._cancel_rest()

    def begin(self, now_s: float) -> list[Job]:
        """The jobs to start now."""
        self._part(now_s)
        jobs: list[Job] = []
        for tier in sorted({built.tier for built in self._waiting}):
            if not self._open(tier, now_s):
                break
            ready = [built for built in self._waiting if built.tier == tier and self._wanted(built)]
            self._waiting = [built for built in self._waiting if built not in ready and built.label not in self.results]
            jobs += [self._job(group, now_s) for group in _groups(ready, tier, self._apart)]
        self._jobs += jobs
        return jobs

    def expire(self, now_s: float) -> list[Job]:
        """Settle what is late; returns the jobs to give up. Rails behind a hung one in its thread wait for another thread."""
        late = [job for job in self._running if job.due_at <= now_s or self._deadline_at <= now_s]
        for job in late:
            stuck, *behind = job.left
            job.left, job.cancelled = [], True
            self._settle(self._rails[stuck], Result("timeout", error="time-out"))
            self._waiting = [*(self._rails[label] for label in behind), *self._waiting]
        if self._deadline_at <= now_s:
            for built in self._waiting:
                self._settle(built, Result("timeout", error="deadline"))
            self._waiting = []
        if self.decided:
            self._cancel_rest()
        return late

    def wake_at(self) -> float:
        """When to look again if nothing is heard."""
        times = [self._deadline_at, *(min(job.due_at, job.parts_at) for job in self._running)]
        if self._waiting and self._opened:
            patience_ends = max(self._opened.values()) + PATIENCE_S
            times += [patience_ends] if any(built.tier not in self._opened for built in self._waiting) else []
        return min(times)

    def _job(self, group: list[Built], now_s: float) -> Job:
        job = Job(group, left=[built.label for built in group])
        self._next(job, now_s)
        return job

    def _next(self, job: Job, now_s: float) -> None:
        """The clocks of the first that is left of a job."""
        job.due_at = now_s + self._rails[job.left[0]].timeout_s
        job.parts_at = now_s + SHARING_S if len(job.left) > 1 and job.rails[0].shares else math.inf

    def _part(self, now_s: float) -> None:
        """Rails that wait too long behind one that shares their reading wait for threads of their own."""
        for job in self._running:
            if job.parts_at <= now_s:
                behind, job.left, job.parts_at = job.left[1:], job.left[:1], math.inf
                self._apart.update(behind)
                self._waiting = [*(self._rails[label] for label in behind), *self._waiting]

    def _open(self, tier: int, now_s: float) -> bool:
        if tier in self._opened:
            return True
        cheaper = [at for other, at in self._opened.items() if other < tier]
        unsettled = any(built.tier < tier and label not in self.results for label, built in self._rails.items())
        if unsettled and (not cheaper or now_s < max(cheaper) + PATIENCE_S):
            return False
        self._opened[tier] = now_s
        return True

    def _wanted(self, built: Built) -> bool:
        """Whether a rail may start; settles it as skipped where its cascade does not ask for it."""
        condition = built.entry.only_if
        if condition is None:
            return True
        if condition.rail not in self.results:
            return False
        if saw(self.results[condition.rail], condition.at_least):
            return True
        self._settle(built, Result("skipped", error=f"{condition.rail} saw nothing"))
        return False

    def _settle(self, built: Built, result: Result) -> None:
        self.results[built.label] = result
        self.accounts[built.label] = account = self._weigh(built, result)
        self.decided = self.decided or (account.action == "block" and not account.shadow)

    def _cancel_rest(self) -> None:
        for built in [*self._waiting, *self._left_over()]:
            if built.label not in self.results:
                self._settle(built, Result("cancelled", error="blocked before"))
        self._waiting = []

    def _left_over(self) -> Iterable[Built]:
        for job in self.unfinished:
            job.cancelled = True
            yield from (self._rails[label] for label in job.left)


def _groups(ready: Sequence[Built], tier: int, apart: Set[str]) -> list[list[Built]]:
    """Which rails of one cost share a thread, in their order; those of ``apart`` do not."""
    groups: dict[str, list[Built]] = {}
    for built in ready:
        shares = built.shares if built.label not in apart else ""
        name = "" if tier == 0 else f"of {shares}" if shares else f"alone {built.label}"
        groups.setdefault(name, []).append(built)
    return list(groups.values())


def saw(result: Result, at_least: float) -> bool:
    """Whether a cheap rail saw enough for the dear one to run. A rail that failed saw something: the dear one has to look."""
    verdict = result.verdict
    if result.status != "ok" or verdict is None or verdict.outcome == "failed":
        return result.status != "skipped"
    return verdict.score >= at_least if verdict.score is not None else verdict.outcome != "safe"
