"""How long work tells how it is going. Rooms report to a ``Reporter``; who draws (a terminal, a log, nobody) is the door's business."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class Reporter:
    """Says nothing. Subclasses draw; rooms only call these three."""

    def say(self, text: str) -> None:
        """One line that a person should read."""

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """A stage of a recipe."""
        yield

    @contextmanager
    def track(self, what: str, total: int, done: int = 0) -> Iterator[Advance]:
        """A counted piece of work; ``done`` were finished by an earlier run."""
        yield Advance()


class Advance:
    """Handed out by ``track``; call it with the number of items just finished."""

    def __call__(self, n: int = 1) -> None:
        return None


SILENT = Reporter()
