"""Rows on their way to the audit log's writer, who sleeps until one is there that is in a hurry, or others have waited long enough: waking a thread
for every row takes longer than writing it."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from contextlib import suppress
from typing import Generic, Protocol, TypeVar


class Hurried(Protocol):
    """What stands in line. ``hurried``: somebody waits for it."""

    @property
    def hurried(self) -> bool: ...


T = TypeVar("T", bound=Hurried)


class Line(Generic[T]):
    """In order, for many threads that put and one that takes. Once ``end`` is called, ``ended`` is true and nothing is waited for."""

    def __init__(self) -> None:
        self.ended = False
        self._lock = threading.Lock()
        self._rows: deque[T] = deque()
        self._hurried = 0
        #: Rung when the writer has to look; ringing once too often costs a look.
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()

    def __len__(self) -> int:
        return len(self._rows)

    def put(self, row: T) -> None:
        with self._lock:
            rings = row.hurried or not self._rows
            self._rows.append(row)
            self._hurried += row.hurried
        if rings:
            self._bell.put(None)

    def end(self) -> None:
        self.ended = True
        self._bell.put(None)

    def wait(self, limit_s: float | None) -> bool:
        """Until something stands in line or the end is called; whether that came within ``limit_s`` (None: however long it takes)."""
        while not (self._rows or self.ended):
            try:
                self._bell.get(timeout=limit_s)
            except queue.Empty:
                return False
        return True

    def take(self, most: int, patience_s: float) -> list[T]:
        """The first ``most`` rows, as soon as one of all is in a hurry; else after ``patience_s``."""
        until_s = time.monotonic() + patience_s
        while not (self._hurried or self.ended) and (left_s := until_s - time.monotonic()) > 0.0 and len(self._rows) < most:
            try:
                self._bell.get(timeout=left_s)
            except queue.Empty:
                break
        with suppress(queue.Empty):
            while True:  # rung for what is taken now, or stays to be seen
                self._bell.get_nowait()
        with self._lock:
            taken = [self._rows.popleft() for _ in range(min(most, len(self._rows)))]
            self._hurried -= sum(row.hurried for row in taken)
        return taken
