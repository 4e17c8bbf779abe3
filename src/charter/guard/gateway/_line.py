"""One choice of a stream: its frames wait in a line until everything they tell is approved, and leave in order. Does no input or output.

A frame leaves when every piece of it is released by its channel's window, and every frame before it has left. A mask that spans several frames puts
its words into the first and takes its letters from all of them; a masked value of the request is put back the same way. So deltas that are joined
give exactly the checked text, wherever the upstream cut it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import NamedTuple

from charter.guard.gateway.surfaces._surface import BadAnswerError, Frame
from charter.guard.holdback import Approval, Probe, Window
from charter.guard.vault import Vault

#: Channels that are let out window by window; all others are held until the whole reply is approved.
PROSE = frozenset({"content", "reasoning", "thinking", "refusal", "transcript"})
Edit = tuple[int, int, str]
Open = Callable[[str], Window]


class Need(NamedTuple):
    """A piece of a frame: where in its channel it stands."""

    channel: str
    start: int
    end: int


class Held(NamedTuple):
    frame: Frame
    needs: tuple[Need, ...]
    number: int
    came_s: float


class Line:
    """``checked`` False: nothing is checked, and frames wait only for values that are put back. ``json_content``: the reply's content is JSON source.

    ``ended``: the last frame has come. ``passed``: the whole reply is approved. ``over``: nothing more will leave.
    """

    def __init__(self, choice: int, open_window: Open, vault: Vault | None = None, *, checked: bool = True, json_content: bool = False) -> None:
        self.choice = choice
        self.ended = self.passed = self.over = False
        self.windows: dict[str, Window] = {}
        self._left: dict[str, int] = {}
        self._open, self._vault, self._checked, self._json_content = open_window, vault, checked, json_content
        self._queue: deque[Held] = deque()

    @property
    def oldest(self) -> int | None:
        """Number of the first frame that waits."""
        return self._queue[0].number if self._queue else None

    @property
    def stopped(self) -> Window | None:
        """The window that said no."""
        return next((window for window in self.windows.values() if window.stopped), None)

    def add(self, frame: Frame, number: int, now_s: float) -> None:
        """Raises BadAnswerError for text after the end and for a frame that repeats what was never said."""
        if self.ended and frame.pieces:
            raise BadAnswerError("text after the end of a choice")
        needs = []
        for piece in frame.pieces:
            channel = piece.channel[1]
            window = self.windows.get(channel)
            if window is None:
                window = self.windows[channel] = self._open(channel)
            start = len(window.text)
            if piece.repeats:
                if piece.text != window.text:
                    raise BadAnswerError("an event repeats what was not said")
                start = 0
            elif piece.text:
                window.add(piece.text, now_s)
            needs.append(Need(channel, start, start + len(piece.text)))
        self._queue.append(Held(frame, tuple(needs), number, now_s))
        self.ended = self.ended or frame.ends
        if not self._checked:
            for window in self.windows.values():
                window.released = len(window.text)
            self.passed = self.ended

    def due(self, now_s: float) -> tuple[str, Probe] | None:
        """What to check now, before the end."""
        if self.ended or self.over or not self._checked:
            return None
        for channel, window in self.windows.items():
            probe = window.due(now_s)
            if probe is not None:
                return channel, probe
        return None

    def texts(self) -> dict[str, str]:
        return {channel: window.text for channel, window in self.windows.items()}

    def out(self) -> dict[str, str]:
        """What has left of each channel, masked; values of the request that are put back stay placeholders, as in what is checked."""
        return {channel: _edited(self.windows[channel].text, 0, end, self.windows[channel].masks) for channel, end in self._left.items() if end}

    def settle_all(self, masks: Mapping[str, tuple[Edit, ...]]) -> None:
        """The whole reply is approved, with ``masks`` by channel. Afterwards either ``passed``, or a window has stopped."""
        for channel, window in self.windows.items():
            probe = window.last()
            if probe is not None:
                window.settle(probe, Approval(True, masks.get(channel, ())))
        self.passed = self.stopped is None

    def leave(self, now_s: float) -> tuple[list[bytes], float]:
        """The frames that may leave now, in order, and how long the one that waited longest did, in seconds."""
        out: list[bytes] = []
        waited = 0.0
        while self._queue and not self.over and self._may_leave(self._queue[0]):
            held = self._queue.popleft()
            waited = max(waited, now_s - held.came_s)
            texts = [self._told(need, piece.text) for need, piece in zip(held.needs, held.frame.pieces, strict=True)]
            self._left |= {need.channel: need.end for need in held.needs}
            if emitted := held.frame.emit(texts):
                out.append(emitted)
        return out, waited

    def drop(self) -> None:
        """Nothing of what waits will leave."""
        self.over = True
        self._queue.clear()

    def _may_leave(self, held: Held) -> bool:
        if self.passed:
            return True
        if held.frame.ends or any(self._checked and self.windows[need.channel].mode == "full" for need in held.needs):
            return False
        return all(need.end <= self._limit(need.channel) for need in held.needs)

    def _limit(self, channel: str) -> int:
        """How far a channel may be told: as far as it is released, but not into a placeholder whose end is not."""
        window = self.windows[channel]
        limit = window.released
        if self._vault is None or not limit:
            return limit
        near = window.text[max(0, limit - self._vault.longest) : limit + self._vault.longest]
        for start in range(max(0, limit - self._vault.longest), limit):
            tail = near[start - max(0, limit - self._vault.longest) :]
            if self._vault.may_begin(tail) or any(start + size > limit for size in self._vault.begins(tail)):
                return start
        return limit

    def _told(self, need: Need, text: str) -> str:
        """What a piece tells after masks and values put back."""
        window = self.windows[need.channel]
        masks = window.masks
        if not masks and self._vault is None:
            return text
        edits = masks
        if self._vault is not None:
            as_json = need.channel.startswith(("tool:", "call")) or (self._json_content and need.channel == "content")
            hidden = self._vault.find(window.text, need.start, need.end, as_json=as_json)
            edits = sorted(masks + [edit for edit in hidden if not any(edit[0] < m[1] and m[0] < edit[1] for m in masks)])
        return _edited(window.text, need.start, need.end, edits)


def _edited(text: str, start: int, end: int, edits: list[Edit]) -> str:
    """``text[start:end]`` with edits of the whole text; one that begins before ``start`` was told by an earlier piece."""
    out: list[str] = []
    at = start
    for first, last, new in edits:
        if last <= start or first >= end:
            continue
        if first >= start:
            out += [text[at:first], new]
        at = max(at, min(last, end))
    return "".join([*out, text[at:end]])
