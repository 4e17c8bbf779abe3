"""What several rails of one check work out alike, such as the forms of a text: by whoever comes first, for all; kept as long as the check."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any, TypeVar

T = TypeVar("T")


class Shared:
    """Of one check, for its threads. ``lend`` has something done by another thread, if one can be had; None when the check is over."""

    def __init__(self, lend: Callable[[Callable[[], None]], None] | None = None) -> None:
        self.lend = lend
        self._lock = threading.Lock()
        self._made: dict[Hashable, Future[Any]] = {}
        self.alike: dict[Hashable, Any] = {}

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """What ``make`` returns or raises; others who ask for ``key`` meanwhile wait for it."""
        with self._lock:
            made = self._made.get(key)
            if made is None:
                mine = self._made[key] = Future()
        if made is not None:
            found: T = made.result()
            return found
        try:
            found = make()
        except BaseException as error:
            mine.set_exception(error)
            raise
        mine.set_result(found)
        return found


_CURRENT: ContextVar[Shared | None] = ContextVar("shared", default=None)


@contextmanager
def sharing(shared: Shared) -> Iterator[None]:
    """Inside, this thread works for the check that ``shared`` belongs to."""
    token = _CURRENT.set(shared)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def once(key: Hashable, make: Callable[[], T]) -> T:
    """``make()``, once in a check; outside one, always."""
    shared = _CURRENT.get()
    return make() if shared is None else shared.once(key, make)


def alike(key: Hashable, make: Callable[[], T]) -> T:
    """As ``once``, for what is quickly made and the same whoever makes it: nobody waits, so two who come at once may both make it."""
    shared = _CURRENT.get()
    if shared is None:
        return make()
    found: T | None = shared.alike.get(key)
    return shared.alike.setdefault(key, make()) if found is None else found


def first(key: Hashable) -> bool:
    """Whether nobody has asked this of ``key`` in this check before; outside one, always."""
    shared = _CURRENT.get()
    if shared is None:
        return True
    mine = object()
    return shared.alike.setdefault(("first", key), mine) is mine


def meanwhile(work: Callable[[], object]) -> None:
    """In a check, have ``work`` done by another thread while this one waits for what needs no interpreter (the encoder). Only for what is asked for
    again by ``once`` or kept elsewhere: it may be done late or never, and what it raises is met by whoever asks."""
    shared = _CURRENT.get()
    lend = None if shared is None else shared.lend
    if shared is None or lend is None:
        return

    def done() -> None:
        with sharing(shared), suppress(Exception):
            work()

    lend(done)


def in_a_check() -> bool:
    """Whether this thread works for a check, beside others."""
    return _CURRENT.get() is not None
