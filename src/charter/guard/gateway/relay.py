"""The streamed half of a request: reads the upstream, feeds the pump, writes what it puts out; heartbeats while nothing may leave yet."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from charter.guard.gateway.checking import Checking
from charter.guard.gateway.record import settle_outcome
from charter.guard.gateway.streaming import Pump
from charter.guard.gateway.surfaces._surface import Annotated, Asked
from charter.guard.gateway.upstream import Answer, UpstreamLostError, bad_answer, interrupted
from charter.guard.gateway.wire import sse

if TYPE_CHECKING:
    from charter.guard.gateway.pipeline import Call

_NEVER = float("inf")
Flush = Callable[[], Coroutine[Any, Any, None]]


async def stream(call: Call, asked: Asked, checking: Checking, answer: Answer) -> None:
    """Raises GatewayError only while nothing has been sent."""
    if not answer.is_stream:
        raise bad_answer()
    if not checking.active:
        call.exchange.bypass.append("unguarded")
    outbox = call.outbox

    cut = False

    async def flush() -> None:
        """An error that comes before anything else is told by the status, not in the stream. Nothing leaves that the audit log could not tell of."""
        nonlocal cut
        if outbox.waits and not cut:
            outbox.barred = True
            error = await call.recorder.going_on()
            outbox.barred = False
            if error is not None and not cut:
                cut = True
                outbox.forget()
                pump.cut(error)
        if outbox.started or pump.failed is None:
            await outbox.flush()

    codec = call.surface.codec(asked)
    if checking.moderating is not None and isinstance(codec, Annotated):
        codec.notes = checking.moderating
    pump = call.pump = Pump(codec, asked, checking, outbox.put, flush, answer.close, time.monotonic)
    call.exchange.bypass += checking.window("content").bypass if checking.active else ()
    config = call.services.config
    step_s = min(config.heartbeat_s, config.upstream.idle_s / 4)
    if checking.active:
        step_s = min(step_s, checking.guard.policy.stream.window_ms / 4000)
    ticker = asyncio.create_task(_tick(call, pump, flush, step_s))
    try:
        await _read(call, pump, answer, flush)
        await pump.finish()
        await flush()
    finally:
        ticker.cancel()
    if pump.failed is not None and not outbox.started:
        outbox.forget()
        raise pump.failed
    if pump.failed is not None:
        call.ended_in(pump.failed)
    else:
        settle_outcome(call.exchange)
    await outbox.idle()
    call.answered = True
    await outbox.end()


async def _read(call: Call, pump: Pump, answer: Answer, flush: Flush) -> None:
    """Until the upstream has nothing more to say, or nobody wants to hear it."""
    reader = sse.Reader(call.services.config.upstream.max_event_bytes)
    tally = pump.tally
    try:
        while not pump.over and not pump.codec.ended:
            tally.waiting_since_s = time.monotonic()
            piece = await answer.piece()
            tally.waiting_since_s = _NEVER
            if not piece:
                break
            events = reader.feed(piece)
            if events:
                pump.feed(events)
                await flush()
    except UpstreamLostError as error:
        if not pump.over:
            pump.fail(interrupted(error.late))
    except sse.FrameTooLargeError:
        pump.fail(bad_answer())
    finally:
        tally.waiting_since_s = _NEVER


async def _tick(call: Call, pump: Pump, flush: Flush, step_s: float) -> None:
    while True:
        await asyncio.sleep(step_s)
        pump.tick()
        now_s = time.monotonic()
        if now_s - pump.tally.waiting_since_s > call.services.config.upstream.idle_s:  # one look now and then, not a timer for every piece
            pump.fail(interrupted(late=True))
        if now_s - pump.tally.last_put_s >= call.services.config.heartbeat_s:
            pump.tally.last_put_s = now_s
            call.outbox.put(sse.COMMENT)
        await flush()
