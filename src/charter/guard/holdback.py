"""Streaming hold-back: no character of a reply is let out before every output rail has approved text that reaches past it.

``Window`` decides and does no input or output: it says what to check (``due``, ``last``) and is told the answer (``settle``). ``HoldBack`` and
``AsyncHoldBack`` drive it for callers that want ``push(text) -> released text``; a server that reads its upstream while a check is under way drives
``Window`` itself. One object per reply (and per choice); nothing is shared.

What is released after a check of the first ``e`` characters ends at least ``hold_chars`` solid characters before ``e``, never inside an unfinished
word, number or token (so a secret of any length stays whole), never inside something masked. A look-back alone would see a split entity after its
first half had left. Zero-width characters and runs of spaces do not count as solid: padding does not shorten the hold.
"""

from __future__ import annotations

import re
import time
import unicodedata
from collections.abc import Awaitable, Callable
from typing import Literal, NamedTuple

from charter.guard.decision import Checked
from charter.guard.policy import StreamPolicy

Mode = Literal["window", "full", "async"]
_SENTENCE_END = re.compile(r"[.!?…。！？](?=[\s\"'”’)\]])|\n|[。！？]")
#: What ends a token that is held whole, besides white space and letters of scripts that are written without spaces.
_BREAKERS = frozenset("\"'`,;(){}[]<>|")
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3000-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef]")
#: A sentence shorter than this part of ``window_chars`` waits for the next one.
_SENTENCE_PART = 8


class Approval(NamedTuple):
    """What the output rails said about a text: whether it passes, and what in it must be replaced (start, end, replacement; no overlaps)."""

    passes: bool
    masks: tuple[tuple[int, int, str], ...] = ()
    checked: Checked | None = None


class Probe(NamedTuple):
    """A text to check now: the reply so far. ``final``: it is the whole reply. ``released``: how much of it is out."""

    text: str
    final: bool
    released: int = 0


Approve = Callable[[str, bool], Approval]
AsyncApprove = Callable[[str, bool], Awaitable[Approval]]


class Window:
    """The state of one streamed reply. Offsets count characters of the reply as it came.

    ``released`` is how far it is out; ``stopped`` says that nothing more will come, and ``why``: ``blocked``, ``too long``, ``mask`` (a replacement
    would touch what is out), ``error`` (the check itself failed).
    """

    def __init__(self, policy: StreamPolicy, *, hold_chars: int = 0, mode: Mode | None = None) -> None:
        self.mode: Mode = mode or policy.mode
        self.hold_chars = max(hold_chars, policy.hold_chars)
        self.released = 0
        self.stopped = False
        self.why = ""
        self.checked: Checked | None = None
        self.checks = 0
        self._policy = policy
        self._text = ""
        self._asked = 0
        self._asked_at: float | None = None
        self._masked: set[tuple[int, int, str]] = set()

    @property
    def text(self) -> str:
        """All that came so far, released or not. Not for the client."""
        return self._text

    @property
    def masks(self) -> list[tuple[int, int, str]]:
        """Every replacement in what is released, in order."""
        return sorted(self._masked)

    @property
    def bypass(self) -> tuple[str, ...]:
        """Why this stream is weaker than its rails: it shows text before it is checked."""
        return ("stream: async",) if self.mode == "async" else ()

    def add(self, text: str, now_s: float) -> str:
        """Take more of the reply. Returns '' except in mode ``async``, where text is out before it is checked."""
        if self.stopped:
            return ""
        self._text += text
        if self._asked_at is None:
            self._asked_at = now_s
        if len(self._text) > self._policy.max_chars:
            self._stop("too long")
            return ""
        if self.mode != "async":
            return ""
        self.released = len(self._text)
        return text

    def due(self, now_s: float) -> Probe | None:
        """What to check now, or None. The caller owes a ``settle`` for every probe; probes may overlap."""
        fresh = len(self._text) - self._asked
        if self.stopped or self.mode == "full" or fresh <= 0:
            return None
        late = self._asked_at is not None and (now_s - self._asked_at) * 1000 >= self._policy.window_ms
        return self._probe(now_s) if late or self._grown(fresh) else None

    def last(self) -> Probe | None:
        """The final check, when the reply is whole. None if there is nothing to check or nothing more may come."""
        if self.stopped or not self._text:
            return None
        self._asked = len(self._text)
        self.checks += 1
        return Probe(self._text, final=True, released=self.released)

    def settle(self, probe: Probe, approval: Approval) -> str:
        """The text that a check lets out. Late answers to older probes are harmless."""
        if self.stopped:
            return ""
        if not approval.passes:
            self._stop("blocked", approval.checked)
            return ""
        masks = sorted(approval.masks)
        if any(start < self.released and (start, end, new) not in self._masked for start, end, new in masks):
            self._stop("mask", approval.checked)
            return ""
        cut = len(probe.text) if probe.final else self._cut(probe.text, masks)
        return self._release(probe.text, cut, masks)

    def fail(self) -> None:
        """The check itself broke: nothing more comes out."""
        if not self.stopped:
            self._stop("error")

    def _stop(self, why: str, checked: Checked | None = None) -> None:
        self.stopped, self.why, self.checked = True, why, checked

    def _grown(self, fresh: int) -> bool:
        least = self._policy.growth * len(self._text)
        if fresh >= max(self._policy.window_chars, least):
            return True
        if not self._policy.sentences or fresh < max(self._policy.window_chars / _SENTENCE_PART, least):
            return False
        return _SENTENCE_END.search(self._text, self._asked) is not None

    def _probe(self, now_s: float) -> Probe:
        self._asked, self._asked_at = len(self._text), now_s
        self.checks += 1
        return Probe(self._text, final=False, released=self.released)

    def _release(self, text: str, cut: int, masks: list[tuple[int, int, str]]) -> str:
        if cut <= self.released:
            return ""
        out, at = [], self.released
        for start, end, new in masks:
            if start >= self.released and end <= cut:
                if start < at:
                    self._stop("mask")
                    return ""
                out += [text[at:start], new]
                at = end
                self._masked.add((start, end, new))
        self.released = cut
        return "".join([*out, text[at:cut]])

    def _cut(self, text: str, masks: list[tuple[int, int, str]]) -> int:
        """How far a check of an unfinished ``text`` lets the reply out."""
        cut = min(_solid_before_end(text, self.hold_chars), _open_token(text))
        for start, end, _ in reversed(masks):
            if start < cut < end:
                cut = start
        while cut > self.released and _joins(text, cut):
            cut -= 1
        for start, end, _ in masks:  # stepping back over a joined character may have entered a mask that ended there
            if start < cut < end:
                cut = start
        return max(cut, self.released)


def _solid_before_end(text: str, count: int) -> int:
    """The offset before the last ``count`` solid characters."""
    at = len(text)
    while at > 0 and count > 0:
        at -= 1
        letter = text[at]
        if letter.isspace():
            count -= at == 0 or not text[at - 1].isspace()
        elif letter.isascii() or unicodedata.category(letter) not in ("Cf", "Mn", "Me"):
            count -= 1
    return at


def _open_token(text: str) -> int:
    """Where the token begins that ``text`` ends in, which may go on; the end of the text if there is none."""
    at = len(text)
    while at > 0 and not (text[at - 1].isspace() or text[at - 1] in _BREAKERS or _UNSPACED.match(text[at - 1])):
        at -= 1
    return at


def _joins(text: str, at: int) -> bool:
    """Whether the character at ``at`` belongs to the one before it (marks, joiners, variation selectors)."""
    if at >= len(text) or (text[at].isascii() and text[at - 1].isascii()):
        return False
    return text[at - 1] == "\u200d" or unicodedata.category(text[at]) in ("Mn", "Mc", "Me", "Cf")


class HoldBack:
    """``push`` text as it comes, pass on what it returns, ``finish`` at the end; ``tick`` now and then when nothing comes.

    ``approve(text, final)`` is asked for the reply so far. If it raises, the stream is stopped: a broken check lets nothing out.
    """

    def __init__(self, approve: Approve, policy: StreamPolicy | None = None, *, hold_chars: int = 0, mode: Mode | None = None) -> None:
        self.window = Window(policy or StreamPolicy(), hold_chars=hold_chars, mode=mode)
        self._approve = approve
        self.clock: Callable[[], float] = time.monotonic

    @property
    def stopped(self) -> bool:
        return self.window.stopped

    def push(self, text: str) -> str:
        now_s = self.clock()
        return self.window.add(text, now_s) + self._settle(self.window.due(now_s))

    def tick(self) -> str:
        return self._settle(self.window.due(self.clock()))

    def finish(self) -> str:
        return self._settle(self.window.last())

    def _settle(self, probe: Probe | None) -> str:
        if probe is None:
            return ""
        try:
            approval = self._approve(probe.text, probe.final)
        except Exception:  # whatever went wrong in a check, its text is not approved
            self.window.fail()
            return ""
        out = self.window.settle(probe, approval)
        return "" if self.window.mode == "async" else out


class AsyncHoldBack:
    """``HoldBack`` for an event loop. Not for two tasks at once."""

    def __init__(self, approve: AsyncApprove, policy: StreamPolicy | None = None, *, hold_chars: int = 0, mode: Mode | None = None) -> None:
        self.window = Window(policy or StreamPolicy(), hold_chars=hold_chars, mode=mode)
        self._approve = approve
        self.clock: Callable[[], float] = time.monotonic

    @property
    def stopped(self) -> bool:
        return self.window.stopped

    async def push(self, text: str) -> str:
        now_s = self.clock()
        return self.window.add(text, now_s) + await self._settle(self.window.due(now_s))

    async def tick(self) -> str:
        return await self._settle(self.window.due(self.clock()))

    async def finish(self) -> str:
        return await self._settle(self.window.last())

    async def _settle(self, probe: Probe | None) -> str:
        if probe is None:
            return ""
        try:
            approval = await self._approve(probe.text, probe.final)
        except Exception:  # whatever went wrong in a check, its text is not approved
            self.window.fail()
            return ""
        out = self.window.settle(probe, approval)
        return "" if self.window.mode == "async" else out
