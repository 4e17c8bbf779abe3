"""Work that nobody waits for any more ends between two of its pieces, instead of computing to the end for nobody.

Whoever has work done in a thread says when it is not wanted any more (``until``); whoever works long asks between two pieces (``check``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_STOPPED: ContextVar[Callable[[], bool] | None] = ContextVar("stopped", default=None)


class StoppedError(Exception):
    """Nobody waits for this work any more. It is no result: what was not read was not found harmless."""


@contextmanager
def until(stopped: Callable[[], bool]) -> Iterator[None]:
    """Inside, work of this thread ends at its next ``check`` once ``stopped`` says so. What it says must not become false again."""
    token = _STOPPED.set(stopped)
    try:
        yield
    finally:
        _STOPPED.reset(token)


def checker() -> Callable[[], None]:
    """``check`` of this thread's work, for the threads that help with it."""
    stopped = _STOPPED.get()

    def asked() -> None:
        if stopped is not None and stopped():
            raise StoppedError("nobody waits for it any more")

    return asked


def check() -> None:
    """Raises StoppedError once this thread's work is not wanted any more. Work that nobody limits is always wanted."""
    checker()()
