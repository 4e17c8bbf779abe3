"""Server-sent events, read piece by piece and written. Lines end in CRLF, LF or CR; pieces may be cut anywhere, in the middle of a letter too."""

from __future__ import annotations

from typing import NamedTuple

from charter.guard.gateway.wire import strict

COMMENT = b": keepalive\n\n"
DONE = b"data: [DONE]\n\n"
_BOM = b"\xef\xbb\xbf"


class FrameTooLargeError(ValueError):
    """An event is larger than it may be, or has no end."""


class Event(NamedTuple):
    """``name`` is '' if the event has none. ``data`` is bytes as they came: whether they are UTF-8 is for whoever reads them."""

    name: str
    data: bytes


def event(value: object, name: str = "") -> bytes:
    """One event with ``value`` as JSON. JSON has no raw line breaks, so it is always one line."""
    data = strict.write(value)
    return b"event: %b\ndata: %b\n\n" % (name.encode("ascii"), data) if name else b"data: %b\n\n" % data


class Reader:
    """``feed`` pieces as they come; it returns the events that are whole. What is left over at the end is no event."""

    def __init__(self, max_event_bytes: int = 4 << 20) -> None:
        self._max = max_event_bytes
        self._rest: list[bytes] = []
        self._rest_bytes = 0
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._name = b""
        self._skip_lf = False
        self._at_start = True

    @property
    def pending(self) -> bool:
        """Whether an event has begun and is not whole."""
        return bool(self._rest or self._data)

    def feed(self, piece: bytes) -> list[Event]:
        """Raises FrameTooLargeError."""
        if piece[:6] == b"data: " and piece[-2:] == b"\n\n" and self._plain(piece):
            events = piece[:-2].split(b"\n\n")
            if all(event[:6] == b"data: " and b"\n" not in event for event in events):
                self._at_start = False
                return [Event("", event[6:]) for event in events]
        if self._skip_lf and piece:
            piece = piece[1:] if piece[:1] == b"\n" else piece
            self._skip_lf = False
        if b"\n" not in piece and b"\r" not in piece:
            self._keep(piece)
            return []
        if self._rest:
            piece = b"".join((*self._rest, piece))
            self._rest, self._rest_bytes = [], 0
        if self._at_start:
            piece = piece.removeprefix(_BOM)
            self._at_start = False
        if b"\r" in piece:
            self._skip_lf = piece.endswith(b"\r")
            piece = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, rest = piece.split(b"\n")
        self._keep(rest)
        found: list[Event] = []
        for line in lines:
            if line:
                self._line(line)
            elif self._data or self._name:
                self._dispatch(found)
        return found

    def _plain(self, piece: bytes) -> bool:
        """Whether whole events of one line each may be taken apart at once, as nearly all of them can."""
        return not (self._rest or self._data or self._name or self._skip_lf or b"\r" in piece) and len(piece) <= self._max

    def _keep(self, rest: bytes) -> None:
        if rest:
            self._rest.append(rest)
            self._rest_bytes += len(rest)
            if self._rest_bytes > self._max:
                raise FrameTooLargeError

    def _line(self, line: bytes) -> None:
        if line.startswith(b"data:"):
            data = line[6:] if line[5:6] == b" " else line[5:]
            self._data.append(data)
            self._data_bytes += len(data) + 1
            if self._data_bytes > self._max:
                raise FrameTooLargeError
        elif line.startswith(b"event:"):
            self._name = line[6:].removeprefix(b" ")
        elif line == b"data":
            self._data.append(b"")
        # comments, ids, retry times and unknown fields say nothing to a client of these APIs

    def _dispatch(self, found: list[Event]) -> None:
        if self._data:
            data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
            found.append(Event(self._name.decode("ascii", "replace"), data))
        self._data, self._data_bytes, self._name = [], 0, b""
