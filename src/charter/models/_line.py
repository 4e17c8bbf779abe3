"""Replies handed on one by one and in order while a group of requests is under way."""

from __future__ import annotations

from collections.abc import Callable

from charter.core.rows import Reply
from charter.models._trouble import Trouble

Keep = Callable[[int, Reply], None]


def as_reply(item: Reply | Trouble) -> Reply:
    return item if isinstance(item, Reply) else Reply(text="", finish="error", error=item.text)


class Line:
    """Hands on in order what comes out of order. Troubles wait for a first reply or the end: without one, an error may be raised instead."""

    def __init__(self, keep: Keep | None) -> None:
        self._keep, self._waiting, self._next, self._answered = keep, dict[int, Reply | Trouble](), 0, False

    def put(self, index: int, item: Reply | Trouble) -> Reply | Trouble:
        self._waiting[index] = item
        self._answered = self._answered or isinstance(item, Reply)
        if self._answered:
            self.close()
        return item

    def close(self) -> None:
        while self._next in self._waiting:
            item, index = self._waiting.pop(self._next), self._next
            self._next += 1
            keep, self._keep = self._keep, None  # one that raises is not called again by what is still under way
            if keep is not None:
                keep(index, as_reply(item))
            self._keep = keep
