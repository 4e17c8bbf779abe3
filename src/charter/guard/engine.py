"""The guard: rails and a policy, to one decision. A rail that fails, raises, hangs or is unsure where the policy says so never lets text pass."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from charter.core.errors import InputError
from charter.core.processors import processors
from charter.core.rows import Conversation, Sampling, Verdict
from charter.core.shapes import Model
from charter.guard import _guarded, _wrapping
from charter.guard._assemble import Assembler
from charter.guard._batch import judge_many
from charter.guard._beside import anchored
from charter.guard._build import COSTS, Built, RailCall, build_rails
from charter.guard._cache import VerdictCache
from charter.guard._drive import Driver
from charter.guard._guarded import BlockedError, Guarded
from charter.guard._plan import Plan, Result
from charter.guard._weigh import is_verdict
from charter.guard._workers import Workers, away
from charter.guard.decision import Account, Checked
from charter.guard.holdback import Approval, AsyncHoldBack, HoldBack, Mode, Probe, Window
from charter.guard.messages import Asked, conversation_of, to_check
from charter.guard.policy import GuardPolicy, Stage, load_policy
from charter.policy.charter import Charter
from charter.policy.load import load_charter, shipped

__all__ = ["BlockedError", "Checked", "Guard", "Guarded", "RailCall"]
#: Threads for rails that wait for another machine. Rails that compute get one more than there are processors.
REMOTE_THREADS = 64
#: Batches that event loops have judged at once; more wait their turn.
BATCHES = 4


class Guard:
    """``guard.check(conversation, stage)`` runs the rails of a stage and decides: the strictest wins.

    ``policy`` is a GuardPolicy, the name of a shipped one or a YAML file. ``rails`` gives ready rails by label, instead of those from the shelf.
    Safe for many threads and tasks at once: a check keeps all its state to itself. Raises InputError, MissingPartError or ModelError when it cannot
    be built whole: a guard never starts with a rail missing.
    """

    def __init__(
        self, policy: GuardPolicy | str | Path = "default", *, rails: Mapping[str, RailCall] | None = None, charter: Charter | None = None
    ) -> None:
        self.policy = policy if isinstance(policy, GuardPolicy) else load_policy(policy)
        whole = anchored(self.policy)
        self.charter = charter or _charter(whole.charter)
        self.rails = build_rails(whole, self.charter, rails or {})
        self._assembler = Assembler(self.policy, self.charter, [w for rails in self.rails.values() for built in rails for w in _weights(built)])
        self._cache = VerdictCache(self.policy.cache)
        local = processors() + 1
        self._pools = {tier: Workers(cost, REMOTE_THREADS if cost == "remote" else local) for tier, cost in enumerate(COSTS)}
        self._batches = Workers("batch", BATCHES)

    def check(self, conversation: Asked, stage: Stage, *, deadline_ms: int | None = None) -> Checked:
        """What may be done with ``conversation``. ``input``: everything sent to the model; ``output``: the reply it ends in and what that answers. A
        text, or chat messages, are read as a Conversation; what cannot be read raises InputError.

        ``deadline_ms`` can only shorten the policy's. Never raises for a rail's fault: that is its ``on_error``, the kind of error being the reason.
        """
        began, conversation = time.monotonic(), to_check(conversation, stage)
        found = self._assembler.early(conversation, stage, bool(self.rails[stage]))
        if found is None:
            plan = self._plan(conversation, stage, began, deadline_ms)
            Driver(plan, self._pools, conversation, stage).run()
            found = self._finish(conversation, stage, plan, began)
        return found

    async def acheck(self, conversation: Asked, stage: Stage, *, deadline_ms: int | None = None) -> Checked:
        """``check`` for an event loop, which it never blocks."""
        began, conversation = time.monotonic(), to_check(conversation, stage)
        found = self._assembler.early(conversation, stage, bool(self.rails[stage]))
        if found is None:
            plan = self._plan(conversation, stage, began, deadline_ms)
            await Driver(plan, self._pools, conversation, stage).arun()
            found = self._finish(conversation, stage, plan, began)
        return found

    def check_many(self, conversations: Sequence[Asked], stage: Stage) -> list[Checked]:
        """One result per conversation, in order; rails that can judge many at once do. Each rail has its time-out for each conversation it reads."""
        return self._check_many(conversations, stage, lambda: False)

    def _check_many(self, asked: Sequence[Asked], stage: Stage, stopped: Callable[[], bool]) -> list[Checked]:
        if isinstance(asked, str):  # its letters would be checked one by one
            raise InputError("check_many needs a list of texts or conversations", "guard.check(TEXT, STAGE)")
        began, conversations = time.monotonic(), [to_check(given, stage) for given in asked]
        early = [self._assembler.early(conversation, stage, bool(self.rails[stage])) for conversation in conversations]
        unsettled = [conversation for conversation, found in zip(conversations, early, strict=True) if found is None]
        plans = iter(judge_many(unsettled, stage, self.rails[stage], self._pools, lambda c: self._plan(c, stage, began, None, endless=True), stopped))
        return [
            found if found is not None else self._finish(conversation, stage, next(plans), began)
            for conversation, found in zip(conversations, early, strict=True)
        ]

    async def acheck_many(self, conversations: Sequence[Asked], stage: Stage) -> list[Checked]:
        """``check_many`` for an event loop. When the caller is cancelled, no further rail begins."""
        stop = threading.Event()
        try:
            return await away(self._batches, lambda: self._check_many(conversations, stage, stop.is_set))
        finally:
            stop.set()

    def settle(self, limit_s: float = 15.0) -> bool:
        """Wait, at most so long, for rails of this machine that were cancelled or given up and still run; whether none does any more. For programs
        that end right after a check. Rails that wait for another machine are left alone: they wait for the network, which does no harm."""
        until = time.monotonic() + limit_s
        settled = [self._pools[tier].settle(until) for tier, cost in enumerate(COSTS) if cost != "remote"]
        return all(settled)

    def reply(self, model: Model, conversation: Asked, sampling: Sampling | None = None) -> Guarded:
        """Check the request, ask the model, check its reply, put masked values back. The model is not asked if the request is withheld."""
        return _guarded.reply(self, model, conversation_of(conversation), sampling or Sampling())

    async def areply(self, model: Model, conversation: Asked, sampling: Sampling | None = None) -> Guarded:
        """``reply`` for an event loop; the model is asked in a thread."""
        return await _guarded.areply(self, model, conversation_of(conversation), sampling or Sampling())

    def wrap(self, function: Any = None, *, on_block: _wrapping.OnBlock = "refuse", argument: str | None = None) -> Any:
        """Decorator for anything that turns a prompt, chat messages or a Conversation into text: functions, methods, coroutines, generators, objects.

        ``argument``: the parameter that is guarded; left out: the one called prompt, messages or conversation, else the only one without a default.
        Raises InputError where that leaves it open. ``on_block``: ``refuse`` returns the refusal, ``raise`` raises BlockedError.
        """
        return _wrapping.wrap(self, function, on_block, argument)

    def holdback(self, conversation: Conversation, mode: Mode | None = None) -> HoldBack:
        """Hold-back for the streamed reply to ``conversation`` (which ends in what the model was asked)."""

        def approve(text: str, final: bool) -> Approval:
            return self.approve(conversation, Probe(text, final, stream.window.released))

        stream = HoldBack(approve, self.policy.stream, hold_chars=self._hold(), mode=self._mode(mode))
        return stream

    def aholdback(self, conversation: Conversation, mode: Mode | None = None) -> AsyncHoldBack:
        """``holdback`` for an event loop."""

        async def approve(text: str, final: bool) -> Approval:
            return await self.aapprove(conversation, Probe(text, final, stream.window.released))

        stream = AsyncHoldBack(approve, self.policy.stream, hold_chars=self._hold(), mode=self._mode(mode))
        return stream

    def window(self, mode: Mode | None = None) -> Window:
        """A bare window as this guard's policy has it, for callers that drive it themselves with ``approve``."""
        return Window(self.policy.stream, hold_chars=self._hold(), mode=self._mode(mode))

    @property
    def label(self) -> str:
        """Name, version and the beginning of the hash of the policy, and the versions of own weights behind its rails."""
        return self._assembler.label

    def refusal(self, subject: str, *, unavailable: bool = False) -> str:
        """The words for something withheld that no check has words for: it could not be masked, or grew too long."""
        return self._assembler.refusal(subject, unavailable=unavailable)

    def approve(self, conversation: Conversation, probe: Probe) -> Approval:
        """What the output rails say about a streamed reply so far. Before it is whole, only its end is read: the rest was approved and is out."""
        start = self._start(probe)
        return approval(self.check(conversation.with_reply(probe.text[start:]), "output"), probe, start, self._hold())

    async def aapprove(self, conversation: Conversation, probe: Probe) -> Approval:
        """``approve`` for an event loop."""
        start = self._start(probe)
        return approval(await self.acheck(conversation.with_reply(probe.text[start:]), "output"), probe, start, self._hold())

    def _start(self, probe: Probe) -> int:
        """Where a check begins to read: what is not out yet, the hold before it, and at least the policy's context."""
        if probe.final:
            return 0
        return max(0, min(len(probe.text) - self.policy.stream.context_chars, probe.released - 2 * self._hold()))

    def _hold(self) -> int:
        return max(self.policy.stream.hold_chars, *(built.longest for built in self.rails["output"]), 0)

    def _mode(self, mode: Mode | None) -> Mode:
        masked = any(built.entry.action == "mask" and not built.entry.shadow for built in self.rails["output"])
        return mode or ("full" if masked and self.policy.stream.masked == "full" else self.policy.stream.mode)

    def _plan(self, conversation: Conversation, stage: Stage, began: float, deadline_ms: int | None, *, endless: bool = False) -> Plan:
        def weigh(built: Built, result: Result) -> Account:
            return self._assembler.weigh(stage, built, result)

        limit_ms = min(self.policy.deadline_ms, deadline_ms or self.policy.deadline_ms)
        plan = Plan(self.rails[stage], weigh, float("inf") if endless else began + limit_ms / 1000)
        for built in self.rails[stage]:
            known = self._cache.get(built.fingerprint, conversation.digest)
            if known is not None:
                plan.hear(built.label, Result("ok", known, cached=True), began)
        return plan

    def _finish(self, conversation: Conversation, stage: Stage, plan: Plan, began: float) -> Checked:
        subject = conversation.id
        said: dict[str, tuple[Account, Verdict | None]] = {}
        for built in self.rails[stage]:
            account, result = plan.accounts[built.label], plan.results[built.label]
            verdict = result.verdict if is_verdict(result.verdict) else None
            if verdict is not None and verdict.subject != subject:  # a rail may have looked at a part of the conversation
                verdict = verdict.model_copy(update={"subject": subject})
            if verdict is not None and account.status == "ok" and not account.cached:
                self._cache.put(built.fingerprint, conversation.digest, verdict)
            said[built.label] = account, verdict
        return self._assembler.finish(conversation, stage, [said[entry.label] for entry in self.policy.rails(stage)], began)


def _weights(built: Built) -> tuple[str, ...]:
    found: tuple[str, ...] = getattr(built.call, "weights", ())
    return found


def _charter(spec: str) -> Charter:
    return _shipped(spec) if spec in shipped() else load_charter(spec)


@cache
def _shipped(name: str) -> Charter:
    """A charter of the package, read once in a process; files are read anew for every guard."""
    return load_charter(name)


def approval(checked: Checked, probe: Probe, start: int = 0, hold: int = 0) -> Approval:
    """What a check of the reply from ``start`` on means for its stream: masks in the reply's text, by place. Masks in tool calls are not a stream's.

    A find at the very beginning of a later part may be the rest of something that was cut in two: it is out already, and is left alone.
    """
    places = [(m.start + start, m.end + start, m.placeholder) for m in checked.masks if m.field == "content"]
    kept = [place for place in places if not start or place[1] > probe.released or place[0] >= start + hold]
    return Approval(checked.passes, tuple(kept), checked)
