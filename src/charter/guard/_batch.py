"""Many conversations at once: rail by rail instead of conversation by conversation, so that a model reads a batch. The decisions are the same.

A rail may have ``many(conversations, stage) -> list[Verdict]`` besides being callable. If a batch fails as a whole, its conversations are asked one
by one, so that one bad text does not fail its neighbours.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Mapping, Sequence

from charter.core.rows import Conversation, Verdict
from charter.guard._build import Built
from charter.guard._drive import ask
from charter.guard._plan import Plan, Result
from charter.guard._workers import ExhaustedError, Workers
from charter.guard.policy import Stage

GROUP = 32


class StoppedError(Exception):
    """Nobody waits for the batch any more."""


def judge_many(
    conversations: Sequence[Conversation],
    stage: Stage,
    rails: Sequence[Built],
    pools: Mapping[int, Workers],
    plan_for: Callable[[Conversation], Plan],
    stopped: Callable[[], bool] = lambda: False,
) -> list[Plan]:
    """The finished plans of all conversations, in order. Raises StoppedError between two groups once ``stopped`` says so."""
    plans = [plan_for(conversation) for conversation in conversations]
    while waiting := [n for n, plan in enumerate(plans) if not plan.done]:
        wanted: dict[str, list[int]] = {built.label: [] for built in rails}
        for n in waiting:
            for job in plans[n].begin(time.monotonic()):
                for built in job.rails:
                    wanted[built.label].append(n)
        for built in rails:
            todo = [n for n in wanted[built.label] if not plans[n].decided]
            for at in range(0, len(todo), GROUP):
                group = todo[at : at + GROUP]
                if stopped():
                    raise StoppedError
                for n, result in zip(group, _ask_group(built, [conversations[n] for n in group], stage, pools), strict=True):
                    plans[n].hear(built.label, result, time.monotonic())
    return plans


def _ask_group(built: Built, group: Sequence[Conversation], stage: Stage, pools: Mapping[int, Workers]) -> list[Result]:
    answers: queue.SimpleQueue[list[Result]] = queue.SimpleQueue()
    limit_s = built.timeout_s * len(group)
    try:
        ticket = pools[built.tier].submit(lambda: answers.put(_answers(built, group, stage)), time.monotonic() + limit_s)
    except ExhaustedError:
        return [Result("failed", error="no thread is free")] * len(group)
    try:
        return answers.get(timeout=limit_s)
    except queue.Empty:
        pools[built.tier].give_up(ticket)
        if len(group) == 1:
            return [Result("timeout", error="time-out")]
        return [result for conversation in group for result in _ask_group(built, [conversation], stage, pools)]


def _answers(built: Built, group: Sequence[Conversation], stage: Stage) -> list[Result]:
    many: Callable[[Sequence[Conversation], Stage], list[Verdict]] | None = getattr(built.call, "many", None)
    if many is not None and len(group) > 1:
        began = time.perf_counter()
        try:
            found = list(many(group, stage))
            if len(found) == len(group) and all(isinstance(verdict, Verdict) for verdict in found):
                each_s = (time.perf_counter() - began) / len(group)
                return [Result("ok", verdict, seconds=each_s) for verdict in found]
        except Exception:  # one of them may be the cause: asked one by one, only that one fails
            pass
    return [ask(built, conversation, stage) for conversation in group]
