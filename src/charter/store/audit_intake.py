"""Whether the audit log takes rows, for those who must know it without waiting for one."""

from __future__ import annotations

import threading
import time


class Intake:
    """Rows that were put, taken and lost. Safe for many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pending = self._lost = 0
        self._taken_s = time.monotonic()
        self._silent_since_s: float | None = None

    @property
    def silent_s(self) -> float:
        """For how long rows were put and none was taken: 0.0 where nothing waits and the last one was taken. A log that is slow but goes on starts
        anew with every commit."""
        since_s = self._silent_since_s
        return 0.0 if since_s is None else time.monotonic() - since_s

    @property
    def taken_s(self) -> float:
        """Seconds since a row was last taken, or since the log was opened."""
        return time.monotonic() - self._taken_s

    @property
    def pending(self) -> int:
        """Rows that are neither taken nor lost."""
        return self._pending

    @property
    def lost(self) -> int:
        """Rows that could not be written, and of which the log does not tell yet."""
        return self._lost

    def put(self) -> None:
        with self._lock:
            self._pending += 1
            if self._silent_since_s is None:
                self._silent_since_s = time.monotonic()

    def taken(self, rows: int) -> None:
        with self._lock:
            self._pending -= rows
            self._taken_s = time.monotonic()
            self._silent_since_s = self._taken_s if self._pending else None

    def failed(self, rows: int) -> None:
        with self._lock:
            self._pending -= rows
            self._lost += rows

    def tell(self) -> int:
        """Rows that were lost since this was last asked. Who asks tells of them; if that fails, ``told`` takes the negative of it."""
        with self._lock:
            lost, self._lost = self._lost, 0
        return lost

    def told(self, rows: int) -> None:
        """So many rows that were counted as lost are none, or are told of."""
        with self._lock:
            self._lost -= rows
