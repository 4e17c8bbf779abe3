"""The pump: events of an upstream's stream in, approved frames out. It opens no socket: the pipeline feeds it and writes what it puts out.

Per choice a ``Line`` holds frames back. At most one check per choice runs at a time; what comes meanwhile waits for the next one. A choice that rails
withhold ends with a refusal, and the others go on; if a check itself fails, the whole stream ends in an error, without an end mark.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from charter.guard.gateway._line import Edit, Line
from charter.guard.gateway.surfaces._surface import Asked, BadAnswerError, Codec, Frame, Said, UpstreamFailedError, Withheld
from charter.guard.gateway.upstream import bad_answer, interrupted
from charter.guard.gateway.wire.errors import GatewayError, unavailable
from charter.guard.gateway.wire.sse import Event
from charter.guard.holdback import Approval, Probe, Window
from charter.guard.vault import Vault

log = logging.getLogger("charter.gateway")


class Final(NamedTuple):
    """What the check of a whole reply said: the words in its place (None: it may go), or its masks by channel."""

    withheld: Withheld | None
    masks: dict[str, tuple[Edit, ...]]


class Checks(Protocol):
    """The guard as the pump sees it. Raises GatewayError when a check fails: nothing more may leave."""

    #: Whether replies are checked at all. Where not, frames pass as they come, but for values that are put back.
    active: bool
    #: Whether sound and pictures in replies are held back.
    blocks_media: bool

    def window(self, channel: str) -> Window: ...

    def vault(self, prompt: int) -> Vault | None: ...

    async def part(self, choice: int, prompt: int, probe: Probe) -> Approval:
        """The reply so far."""
        ...

    async def blocked(self, choice: int, why: str, approval: Approval | None) -> Withheld:
        """Words for a choice whose window stopped, once that is on record."""
        ...

    async def whole(self, said: Said) -> Final:
        """The whole reply; returns when the decision is on record."""
        ...


@dataclass(slots=True)
class Tally:
    """Seconds, by the clock of the pump."""

    held_s: float = 0.0
    last_put_s: float = 0.0
    first_put_s: float | None = None
    waiting_since_s: float = float("inf")  # since when the upstream is waited for
    seen: set[int] = field(default_factory=set)


class Pump:
    """``feed`` events, ``finish`` at the end of the upstream, ``wait`` until the last check is over. ``put`` gets bytes in order; ``wake`` is called
    after checks that put something; ``over`` turns true when nothing more is wanted from the upstream, and ``stop`` is called."""

    def __init__(
        self,
        codec: Codec,
        asked: Asked,
        checks: Checks,
        put: Callable[[bytes], None],
        wake: Callable[[], Coroutine[Any, Any, None]],
        stop: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        self.codec, self.tally, self.over = codec, Tally(last_put_s=clock()), False
        self.failed: GatewayError | None = None
        self._asked, self._checks, self._put_out, self._wake, self._stop, self._clock = asked, checks, put, wake, stop, clock
        self._lines: dict[int, Line] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._loose: deque[tuple[int, Frame]] = deque()
        self._number = 0
        self._done: set[int] = set()
        self._refused: set[int] = set()
        self._plain = not checks.active
        self._wanted = asked.choices * len(asked.prompts)

    def feed(self, events: Sequence[Event]) -> None:
        """Take what came. Whatever cannot be read ends the stream in an error."""
        try:
            for event in events:
                if self.over or self.codec.ended:
                    return
                for frame in self.codec.read(event.name, event.data):
                    self._take(frame)
        except (BadAnswerError, UpstreamFailedError) as error:
            self.fail(bad_answer() if isinstance(error, BadAnswerError) else interrupted(late=False))

    def tick(self) -> None:
        """Now and then, when nothing comes: checks that are due by time."""
        for line in list(self._lines.values()):
            self._check(line)

    async def finish(self) -> None:
        """The upstream has nothing more to say. Returns when all that may leave has been put out, the end mark included."""
        lines = self._lines.values()
        whole = self.tally.seen and all(index in self._done for index in self.tally.seen)
        if not self.over and not self.codec.ended and not (whole and len(self.tally.seen) >= self._wanted):
            self.fail(interrupted(late=False))
        elif not self.over and not self.tally.seen:
            self.fail(bad_answer())
        for line in lines:
            if not self.over:
                line.ended = True
                self._check(line)
                if not self._checks.active:
                    line.passed = True
                    self._leave(line)
        await self.wait()
        if self.failed is None:
            self._loosen(everything=True)
            self._put(self.codec.end())

    async def wait(self) -> None:
        """Until no check runs."""
        while self._tasks:
            await asyncio.wait(list(self._tasks.values()))

    def fail(self, error: GatewayError) -> None:
        """End in an error. What waits is never told."""
        if self.failed is not None:
            return
        self.failed = error
        for line in self._lines.values():
            line.drop()
        self._loose.clear()
        self._put(self.codec.fail(error.code, error.message))
        self._end()

    def cut(self, error: GatewayError) -> None:
        """As ``fail``, where what was put is taken back: an error that was among it is told anew."""
        if self.failed is None:
            self.fail(error)
        else:
            self._put(self.codec.fail(self.failed.code, self.failed.message))

    def out(self, choice: int) -> dict[str, str]:
        """What has left of a choice, by channel and masked."""
        line = self._lines.get(choice)
        return line.out() if line is not None else {}

    def close(self) -> None:
        """Nobody listens any more."""
        for task in self._tasks.values():
            task.cancel()

    def _take(self, frame: Frame) -> None:
        self._number += 1
        choice = frame.choice
        if choice is None:
            self._loose.append((self._number, frame))
            self._loosen()
            return
        self.tally.seen.add(choice)
        if choice in self._refused:
            return
        line = self._lines.get(choice)
        if line is None:
            vault = self._checks.vault(self.codec.prompt(choice))
            if self._plain and vault is None:
                self._pass(choice, frame)
                return
            line = self._lines[choice] = Line(choice, self._checks.window, vault, checked=self._checks.active, json_content=self._asked.structured)
        line.add(frame, self._number, self._clock())
        if line.ended:
            self._done.add(choice)
        if self._plain and self._media(frame):
            self._refuse_media(choice)
            return
        self._leave(line)
        self._check(line)

    def _pass(self, choice: int, frame: Frame) -> None:
        """Nothing is checked, nothing to put back."""
        if choice in self._done and frame.pieces:
            raise BadAnswerError("text after the end of a choice")
        if frame.ends:
            self._done.add(choice)
        if self._media(frame):
            self._refuse_media(choice)
            return
        self._put(frame.emit([piece.text for piece in frame.pieces]))

    def _media(self, frame: Frame) -> bool:
        return self._checks.blocks_media and any(piece.channel[1] == "audio" for piece in frame.pieces)

    def _refuse_media(self, choice: int) -> None:
        """Sound in a reply that nobody listens to first."""
        self._lines.setdefault(choice, Line(choice, self._checks.window))
        self._run(choice, self._refuse(choice, "media", None))

    def _leave(self, line: Line) -> None:
        frames, waited = line.leave(self._clock())
        if frames:
            self.tally.held_s = max(self.tally.held_s, waited)
            self._put(frames[0] if len(frames) == 1 else b"".join(frames))
        if self._loose:
            self._loosen()

    def _loosen(self, everything: bool = False) -> None:
        """Frames of no choice leave when all frames before them have."""
        while self._loose:
            number, frame = self._loose[0]
            waiting = [line.oldest for line in self._lines.values() if line.oldest is not None]
            if not everything and waiting and min(waiting) < number:
                return
            self._loose.popleft()
            self._put(frame.emit([]))

    def _put(self, data: bytes) -> None:
        if data:
            self.tally.last_put_s = self._clock()
            if self.tally.first_put_s is None:
                self.tally.first_put_s = self.tally.last_put_s
            self._put_out(data)

    def _check(self, line: Line) -> None:
        """Start a check if one is due and none runs."""
        if line.over or line.choice in self._tasks or not self._checks.active:
            return
        if line.stopped is not None:
            self._run(line.choice, self._refuse(line.choice, "too long", None))
        elif line.ended and not line.passed:
            self._run(line.choice, self._settle(line, None))
        elif (due := line.due(self._clock())) is not None:
            self._run(line.choice, self._settle(line, due))

    def _run(self, choice: int, work: Coroutine[Any, Any, None]) -> None:
        if choice in self._tasks:
            work.close()
            return
        self._tasks[choice] = asyncio.get_running_loop().create_task(self._guarded(choice, work))

    async def _guarded(self, choice: int, work: Coroutine[Any, Any, None]) -> None:
        """Whatever goes wrong in a check ends the stream: nothing unchecked may leave."""
        try:
            await work
        except GatewayError as error:
            self.fail(error)
        except Exception as error:  # its message may hold text, so only its kind is told
            log.error("a check of a stream failed: %s", type(error).__name__)
            self.fail(unavailable())
        finally:
            del self._tasks[choice]
        await self._wake()

    async def _settle(self, line: Line, due: tuple[str, Probe] | None) -> None:
        prompt = self.codec.prompt(line.choice)
        while due is not None and not line.over:
            channel, probe = due
            approval = await self._checks.part(line.choice, prompt, probe)
            window = line.windows[channel]
            window.settle(probe, approval)
            if window.stopped:
                await self._refuse(line.choice, window.why, approval)
                return
            self._leave(line)
            await self._wake()
            due = line.due(self._clock())
        if line.stopped is not None:
            await self._refuse(line.choice, "too long", None)
        elif line.ended and not line.over:
            await self._last(line)

    async def _last(self, line: Line) -> None:
        final = await self._checks.whole(self.codec.whole(line.choice, line.texts()))
        if line.over:
            return
        if final.withheld is None:
            line.settle_all(final.masks)
            if line.stopped is not None:
                await self._refuse(line.choice, line.stopped.why, None)
                return
            self._leave(line)
        else:
            self._withhold(line.choice, final.withheld)

    async def _refuse(self, choice: int, why: str, approval: Approval | None) -> None:
        self._withhold(choice, await self._checks.blocked(choice, why, approval))

    def _withhold(self, choice: int, withheld: Withheld) -> None:
        if self.over:
            return
        self._lines[choice].drop()
        self._refused.add(choice)
        self._done.add(choice)
        self._put(self.codec.withhold(choice, withheld))
        if len(self._refused) >= self._wanted:
            self._end()
        elif self._loose:
            self._loosen()

    def _end(self) -> None:
        self.over = True
        self._stop()
