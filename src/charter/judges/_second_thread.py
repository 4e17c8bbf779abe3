"""The second thread of onnxruntime's, kept off the processor of whoever waits for it.

A system may wake a sleeping thread on the processor of the one that wakes it; the two then take turns on it while another processor sleeps, and two
threads take as long as one. Linux only: elsewhere nothing is placed.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

S = TypeVar("S")

#: Seconds after which it is looked at again where the thread may run: processors are taken from a process and given back.
_AGAIN_S = 1.0
_TASKS = Path("/proc/self/task")
_STARTING = threading.Lock()


class SecondThread:
    """``place`` before each window. ``thread`` None: it is not known, and is left where it is."""

    def __init__(self, thread: int | None) -> None:
        self._thread, self._here = thread, _here() if thread is not None else None
        self._on: frozenset[int] = frozenset()
        self._until_s = float("-inf")

    def place(self) -> None:
        """The second thread anywhere but on the processor of the thread that calls this. A system call only where that thread has moved, and now and
        then."""
        if self._here is None or self._thread is None:
            return
        here, now_s = self._here(), time.monotonic()
        if self._on and here not in self._on and now_s < self._until_s:
            return
        try:
            elsewhere = os.sched_getaffinity(0) - {here}
            if here >= 0 and elsewhere:
                os.sched_setaffinity(self._thread, elsewhere)
                self._on, self._until_s = frozenset(elsewhere), now_s + _AGAIN_S
        except OSError:  # processors were taken from the process, or such calls are forbidden: it runs where it may
            self._thread = None


def started(start: Callable[[], S]) -> tuple[S, SecondThread]:
    """What ``start`` returns, and the one thread that it started; where others start at the same time it is not known which."""
    with _STARTING:
        before = _threads()
        made = start()
        new = _threads() - before
    return made, SecondThread(new.pop() if len(new) == 1 else None)


def _forked() -> None:
    """Another thread may have held the lock when the process was forked, and is not there to give it back."""
    global _STARTING
    _STARTING = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


def _threads() -> set[int]:
    with suppress(OSError, ValueError):
        return {int(task.name) for task in _TASKS.iterdir()}
    return set()


def _here() -> Callable[[], int] | None:
    """The C library's call for the processor of the calling thread."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    with suppress(OSError, AttributeError, TypeError):
        # the interpreter's lock is kept: the call takes less than giving it back
        found: Callable[[], int] = ctypes.PyDLL(None).sched_getcpu
        return found
    return None
