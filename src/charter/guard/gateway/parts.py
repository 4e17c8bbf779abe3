"""What let text of a streamed reply out before the reply was whole. A stream may break off before its last check (the client hangs up, the model
server fails, time is over): then the text that is out has no other check, and this one goes on record, into the metrics and to who reviews."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple

from charter.core.rows import Conversation
from charter.guard.decision import Checked, strictest
from charter.guard.gateway.record import Exchange


class _Passed(NamedTuple):
    prompt: Conversation
    checked: Checked


class Parts:
    """The checks of parts that passed: of each choice that has no check of its own on record the strictest, the latest of those. The rails of all
    others are kept in ``Exchange.parts``, to be counted."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._passed: dict[int, _Passed] = {}

    def passed(self, choice: int, prompt: Conversation, checked: Checked) -> None:
        """``prompt`` is what the reply answers."""
        before = self._passed.get(choice)
        if before is not None and strictest((before.checked.action, checked.action)) != checked.action:
            self._exchange.parts += checked.accounts
            return
        self.settled(choice)
        self._passed[choice] = _Passed(prompt, checked)

    def settled(self, choice: int) -> None:
        """A later check of this choice stands for it."""
        before = self._passed.pop(choice, None)
        if before is not None:
            self._exchange.parts += before.checked.accounts

    def broken_off(self, out: Callable[[int], Mapping[str, str]]) -> list[Checked]:
        """The checks of choices that broke off, put into the exchange and still to be recorded. ``out``: what has left of a choice, by channel; where
        nothing has, there is nothing to tell."""
        found = []
        for choice, (prompt, checked) in list(self._passed.items()):
            told = [text for text in out(choice).values() if text]
            if not told:
                self.settled(choice)
                continue
            del self._passed[choice]
            found.append(checked)
            self._exchange.heard(checked, choice)
            self._exchange.replies[choice] = replace(checked, conversation=prompt.with_reply("\n\n".join(told)))
        return found
