"""One request of a surface, from its head to its last byte: let in, read, checked, asked upstream, checked, answered; told once, whatever happened,
to everybody who keeps accounts."""

from __future__ import annotations

import asyncio
import logging
import re
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from charter.guard._workers import Workers, away
from charter.guard.engine import Guard
from charter.guard.gateway import ids
from charter.guard.gateway.checking import Checking, refused_input
from charter.guard.gateway.config import GatewayConfig
from charter.guard.gateway.gate import Gate, OpenTicket, Ticket
from charter.guard.gateway.moderating import SURFACES, Moderating, take
from charter.guard.gateway.moderation import Moderator, shipped
from charter.guard.gateway.outbox import Outbox
from charter.guard.gateway.reading import check_fields, credential, read_body
from charter.guard.gateway.record import Audit, AuditError, Exchange, Sink, settle_outcome
from charter.guard.gateway.recording import Recorder, written
from charter.guard.gateway.relay import stream
from charter.guard.gateway.streaming import Pump
from charter.guard.gateway.surfaces._surface import Asked, BadAnswerError, BadRequestError, Failing, Ids, Surface, Withheld
from charter.guard.gateway.turned_away import TurnedAway
from charter.guard.gateway.upstream import Answer, Upstream, UpstreamLostError, bad_answer, interrupted
from charter.guard.gateway.upstream_errors import upstream_error
from charter.guard.gateway.wire import errors, strict
from charter.guard.gateway.wire.errors import GatewayError

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
log = logging.getLogger("charter.gateway")
_UNSAFE = re.compile(r"[^!-~]")
_FORWARDED = (b"traceparent", b"tracestate", b"anthropic-version", b"anthropic-beta")
#: Header by which a client asks for annotations.
_ANNOTATIONS = b"x-guard-annotations"
_OUTCOMES = {"guardrail_unavailable": "unavailable", "overloaded": "rejected", "content_filter": "blocked", "unsupported_content": "blocked"}


@dataclass(slots=True)
class Services:
    """What every request needs. ``guards`` by name; '' is the gateway's own."""

    config: GatewayConfig
    guards: dict[str, Guard]
    upstream: Upstream
    gate: Gate
    audit: Audit | None = None
    moderator: Callable[[], Moderator] = shipped
    sinks: tuple[Sink, ...] = ()
    turned_away: TurnedAway = field(default_factory=TurnedAway)
    #: The thread that ``moderator`` is called in: it may have to read weights.
    making: Workers = field(default_factory=lambda: Workers("moderator", 1))


@dataclass(slots=True, eq=False)
class Call:
    """One request. ``run`` never raises but for a cancellation that is not its own."""

    services: Services
    surface: Surface
    scope: MutableMapping[str, Any]
    receive: Receive
    send: Send
    headers: dict[bytes, bytes] = field(default_factory=dict)
    exchange: Exchange = field(init=False)
    ticket: Ticket = field(default_factory=OpenTicket)
    outbox: Outbox = field(init=False)
    pump: Pump | None = None
    answered: bool = False
    closing: bool = False
    left: bool = False
    stopped: bool = False
    #: Whose request it is cannot be known (yet): what is turned away then gets no audit row of its own.
    stranger: bool = True
    task: asyncio.Task[Any] | None = None
    recorder: Recorder = field(init=False)
    checking: Checking | None = None
    row: asyncio.Task[None] | None = None
    began_s: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.headers = dict(self.scope["headers"])
        self.exchange = Exchange(ids.request_id(self.headers.get(b"x-request-id")), ids.new(), self.surface.name, time.time())
        self.exchange.traceparent = ids.trace(self.headers.get(b"traceparent"))
        self.outbox = Outbox(self.send, self._stream_headers)
        self.recorder = Recorder(self.services.audit, self.exchange)

    async def run(self, refused: GatewayError | None = None) -> None:
        """``refused``: why it is turned away at once."""
        self.task = asyncio.current_task()
        watcher: asyncio.Task[None] | None = None
        try:
            if refused is not None:
                raise refused
            await self._admit()
            body = await read_body(self.headers, self.receive, self.services.config.limits.body_bytes)
            watcher = asyncio.create_task(self._watch())
            async with asyncio.timeout(self.services.config.limits.total_s):
                await self._serve(body)
        except GatewayError as error:
            await self._fail(error)
        except BadRequestError as error:
            await self._fail(GatewayError(error.status, error.code, error.message, param=error.param, retry=False))
        except ConnectionAbortedError:
            self.left = True
            self._gone()
        except TimeoutError:
            await self._fail(GatewayError(504, "deadline_exceeded", "the request took too long"))
        except asyncio.CancelledError:
            await self._cancelled()
        except Exception as error:  # a mistake of ours: nothing unchecked is sent, and the message, which may hold text, is not logged
            log.error("%s: %s\n%s", self.exchange.request_id, type(error).__name__, "".join(traceback.format_tb(error.__traceback__)))
            await self._fail(GatewayError(500, "internal_error", "the gateway failed", retry=False))
        finally:
            if watcher is not None:
                watcher.cancel()
            await self._close()

    def stop(self) -> None:
        """The gateway is about to end: answer with an error now."""
        self.stopped = True
        if self.task is not None and not self.closing:  # the accounts are told whole
            self.task.cancel()

    async def _watch(self) -> None:
        """A client that leaves is only ever told here."""
        while (await self.receive())["type"] != "http.disconnect":
            pass
        if not self.answered and self.task is not None:
            self.left = True
            self.task.cancel()

    async def _cancelled(self) -> None:
        if self.task is None or not (self.left or self.stopped):
            self.exchange.outcome = "disconnected"
            raise asyncio.CancelledError
        self.task.uncancel()
        if self.left and self.pump is not None and self.pump.failed is not None:
            self.ended_in(self.pump.failed)  # clients hang up on the error that they were told
        elif self.left:
            self._gone()
        else:
            await self._fail(GatewayError(503, "shutting_down", "the gateway is shutting down", retry_after_s=1))

    async def _admit(self) -> None:
        """Raises GatewayError."""
        try:
            self.ticket = await self.services.gate.admit(credential(self.headers), self.surface.name)
        except GatewayError as error:
            self.exchange.key, self.stranger = error.key, not error.key
            raise
        self.exchange.key, self.stranger = self.ticket.name, False

    def _gone(self) -> None:
        """The client left, or the protocol answered it and hung up: a body that came too slowly, garbage behind it."""
        self.exchange.outcome = "disconnected"
        rejected = self.scope.get(errors.REJECTED)
        if isinstance(rejected, GatewayError):
            self.ended_in(rejected)
            self.exchange.status = rejected.status

    async def _serve(self, body: bytes) -> None:
        services, exchange = self.services, self.exchange
        guard = services.guards[self.ticket.guard]
        exchange.policy = guard.label
        asked, moderating = self._ask(body)
        checking = self.checking = Checking(guard, self.recorder, exchange, asked, services.config.refusal_in_content, moderating=moderating)
        if moderating is None:
            found, unfit = await checking.inputs(), None
        else:
            found, unfit = await asyncio.gather(checking.inputs(), checking.moderated_input(self.surface.texts))
        exchange.input_ms = self._elapsed_ms()
        error = refused_input(found, self.surface.texts) or unfit
        if error is None:
            try:
                forward = strict.write(checking.forward(found))
            except KeyError:
                exchange.blocked_by.append("cannot be masked")
                error = errors.content_filter(guard.refusal(exchange.decision_id), self.surface.texts)
        if error is not None:
            await self.recorder.record(found, "input")
            await self._refuse(asked, error, moderating)
            return
        # a whole answer with text waits for the row of its own check, and this one may go with it
        alone = asked.stream or not checking.active or "guarded" not in self.surface.answer_fields.values()
        self.row = self.recorder.begin(found, "input", hurried=alone)
        await self._relay(asked, checking, forward)

    def _read(self, body: bytes) -> dict[str, Any]:
        try:
            given = strict.read_object(body, self.services.config.limits.values)
        except strict.NotJsonError as error:
            raise BadRequestError(f"the body cannot be read: {error.kind}", code="invalid_json") from None
        if self.services.config.strict_fields:
            check_fields(given, self.surface.request_fields)
        return given

    def _ask(self, body: bytes) -> tuple[Asked, Moderating | None]:
        limits = self.services.config.limits
        wanted, given = take(self.surface.name, self._read(body))
        asked = self.surface.ask(given)
        self.exchange.bypass += asked.bypass
        self.exchange.model, self.exchange.streamed = asked.model, asked.stream
        if asked.choices > limits.choices:
            raise BadRequestError(f"at most {limits.choices} choices are served", param="n")
        if len(asked.prompts) > limits.prompts:
            raise BadRequestError(f"at most {limits.prompts} prompts are served in one request", param=self.surface.texts)
        self.ticket.asked(asked.model, len(body), asked.choices * len(asked.prompts))
        azure = self.surface.name == "chat" and (self.services.config.annotations == "azure" or self.headers.get(_ANNOTATIONS) == b"azure")
        if wanted is None and not azure:
            return asked, None
        return asked, Moderating(lambda: away(self.services.making, self.services.moderator), wanted, azure, SURFACES[self.surface.name])

    async def _refuse(self, asked: Asked, error: GatewayError, moderating: Moderating | None) -> None:
        """A request that rails withheld."""
        if error.code == "guardrail_unavailable" or self.services.config.on_block == "error":
            raise error
        self._settle()
        withheld = Withheld(error.message, self.services.config.refusal_in_content)
        named = Ids(self.exchange.decision_id, int(self.exchange.began_unix_s))
        answer = self.surface.refuse(asked, withheld, named)
        self.exchange.response_id = ids.plain(answer.get("id"))
        if not asked.stream:
            await self._answer(200, strict.write(answer if moderating is None else moderating.annotate(answer, frozenset(range(asked.choices)))))
            return
        self.outbox.put(self.surface.refuse_stream(asked, withheld, named, moderating))
        await self.outbox.end()

    async def _relay(self, asked: Asked, checking: Checking, forward: bytes) -> None:
        asked_s = time.monotonic()
        headers = {"content-type": "application/json", "x-request-id": self.exchange.request_id}
        for name in _FORWARDED:
            if name in self.headers:
                headers[name.decode()] = self.headers[name].decode("latin-1")
        if self.surface.dialect == "anthropic":
            headers.setdefault("anthropic-version", "2023-06-01")
        answer = await self.services.upstream.send("POST", self.surface.path.removeprefix("/v1"), forward, headers)
        try:
            if asked.stream or answer.status != 200:
                await written(self.row)
            if answer.status != 200:
                raise await upstream_error(answer, self.surface.path, checking.error_message)
            if asked.stream:
                await stream(self, asked, checking, answer)
            else:
                await self._whole(asked, checking, answer, asked_s)
        except UpstreamLostError as error:
            raise interrupted(error.late) from None
        except BadAnswerError:
            raise bad_answer() from None
        finally:
            answer.close()
            self.exchange.upstream_ms = self.exchange.upstream_ms or (time.monotonic() - asked_s) * 1000

    async def _whole(self, asked: Asked, checking: Checking, answer: Answer, asked_s: float) -> None:
        body = await answer.read()
        self.exchange.upstream_ms = (time.monotonic() - asked_s) * 1000  # the checks of the reply are the gateway's own time
        try:
            given = strict.read(body)
        except strict.NotJsonError:
            raise bad_answer() from None
        if not isinstance(given, dict):
            raise bad_answer()
        if given.get("error") is not None and not (isinstance(self.surface, Failing) and self.surface.failed(given)):
            raise bad_answer()
        said = self.surface.replies(asked, given)
        if checking.moderating is None:
            found, held = await checking.outputs(said), dict[int, Withheld]()
        else:
            found, held = await asyncio.gather(checking.outputs(said), checking.moderated(said))
        await written(self.row)  # it was written while the reply was checked, of which nothing is out yet
        settled, withheld, changed = checking.settled(given, said, found)
        withheld = {**held, **withheld}
        self._settle()
        self.exchange.replies = {each.choice: checked for each, checked in zip(said, found, strict=False) if each.choice not in withheld}
        told = self.surface.answer(asked, settled, withheld, changed)
        self.exchange.response_id = ids.plain(told.get("id"))
        await self._answer(200, strict.write(told if checking.moderating is None else checking.moderating.annotate(told, withheld.keys())))

    def _settle(self) -> None:
        settle_outcome(self.exchange)

    def _elapsed_ms(self) -> float:
        return (time.monotonic() - self.began_s) * 1000

    def common_headers(self) -> list[tuple[bytes, bytes]]:
        exchange = self.exchange
        found = [(b"x-request-id", exchange.request_id.encode()), (b"x-decision-id", exchange.decision_id.encode()), *self.ticket.headers]
        if exchange.policy:
            found.append((b"x-guard-policy", _UNSAFE.sub("?", exchange.policy).encode("ascii")))
        if exchange.bypass:
            found.append((b"x-guard-status", b"bypassed"))
        if self.surface.dialect == "anthropic":  # where that SDK looks for it
            found.append((b"request-id", exchange.request_id.encode()))
        return found

    def _stream_headers(self) -> list[tuple[bytes, bytes]]:
        self.exchange.status = 200
        return [
            (b"content-type", b"text/event-stream; charset=utf-8"),
            (b"cache-control", b"no-cache"),
            (b"x-accel-buffering", b"no"),
            *self.common_headers(),
        ]

    async def _answer(self, status: int, body: bytes, headers: list[tuple[bytes, bytes]] | None = None) -> None:
        self.exchange.status = status
        decision = (b"x-guard-decision", self.exchange.outcome.encode())
        own = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), decision, *self.common_headers()]
        self.outbox.started = True
        await self.send({"type": "http.response.start", "status": status, "headers": [*own, *(headers or [])]})
        self.answered = True
        await self.send({"type": "http.response.body", "body": body})

    async def _fail(self, error: GatewayError) -> None:
        """Answer with an error, or end the stream with one."""
        exchange = self.exchange
        self.ended_in(error)
        if self.outbox.started:
            if self.pump is not None:
                if self.outbox.barred:
                    self.outbox.barred = False
                    self.outbox.forget()
                    self.pump.cut(error)
                self.pump.fail(error)
                await self.outbox.end()
            return
        self.outbox.forget()
        told = errors.body(error, self.surface.dialect, exchange.request_id, exchange.decision_id)
        await self._answer(error.status, strict.write(told), error.all_headers())

    def ended_in(self, error: GatewayError) -> None:
        """A stream that has begun ended in an error."""
        self.exchange.code = error.code
        self.exchange.outcome = self._outcome(error)

    def _outcome(self, error: GatewayError) -> Any:
        if error.code == "content_filter" and any(checked.action == "escalate" for checked in self.exchange.inputs):
            return "escalated"
        if error.code in _OUTCOMES:
            return _OUTCOMES[error.code]
        return "upstream_error" if error.code.startswith("upstream_") else "unavailable" if error.status >= 500 else "rejected"

    def _broken_off(self, pump: Pump) -> None:
        """Text that is out has a check on record and people who may look at it, also where the reply never became whole."""
        if self.checking is not None:
            out: Callable[[int], Mapping[str, str]] = pump.out if self.outbox.started else lambda choice: {}
            self.recorder.begin(self.checking.parts.broken_off(out), "output")

    async def _close(self) -> None:
        """The accounts. Told even if the client or the gateway is gone."""
        self.answered = self.closing = True
        if self.pump is not None:
            self.pump.close()
            self.exchange.response_id = ids.plain(self.pump.codec.answer_id)
            tally = self.pump.tally
            self.exchange.held_ms = tally.held_s * 1000
            if tally.first_put_s is not None:
                self.exchange.first_chunk_ms = (tally.first_put_s - self.began_s) * 1000
            self._broken_off(self.pump)
        if not await self.recorder.settle():  # what was decided goes on record, even if nobody waits for the answer any more
            log.error("%s: an audit row could not be written", self.exchange.request_id)
        self.exchange.total_ms = self._elapsed_ms()
        for told in (self.ticket.leave, *(sink.done for sink in self.services.sinks)):
            try:
                told(self.exchange)
            except Exception as error:
                log.error("%s: a listener failed: %s", self.exchange.request_id, type(error).__name__)
        if self.stranger:
            self.services.turned_away(self.exchange.code or self.exchange.outcome, accounted=True)
        elif self.services.audit is not None:
            try:
                await self.services.audit.done(self.exchange)
            except AuditError:
                log.error("%s: the closing audit row could not be written", self.exchange.request_id)
