"""A model, or anything that answers like one, with a guard around it: request checked, reply checked, masked values put back."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from charter.core.errors import CharterError
from charter.core.rows import Conversation, Reply, Sampling
from charter.core.shapes import Model
from charter.guard.decision import Checked
from charter.guard.vault import Vault

if TYPE_CHECKING:
    from charter.guard.engine import Guard

Finish = Literal["stop", "length", "content_filter", "unavailable", "error"]


class BlockedError(CharterError):
    """A guard withheld a text. ``checked`` says why; the message never holds the text."""

    def __init__(self, message: str, hint: str = "", checked: Checked | None = None) -> None:
        super().__init__(message, hint)
        self.checked = checked


@dataclass(frozen=True, slots=True)
class Guarded:
    """A guarded reply. ``text`` is what the person may see: the reply, or the refusal when something was withheld; '' only for finish ``error``.

    ``finish``: ``content_filter`` when rails withheld it, ``unavailable`` when the rails themselves failed, ``error`` when the model did; else the
    model's own. ``reply`` is None if the model was not asked; its text is as the model gave it: not for the person.
    """

    text: str
    finish: Finish
    input: Checked
    output: Checked | None = None
    reply: Reply | None = None

    @property
    def blocked(self) -> bool:
        return self.finish in ("content_filter", "unavailable")


def reply(guard: Guard, model: Model, conversation: Conversation, sampling: Sampling) -> Guarded:
    request = guard.check(conversation, "input")
    if not request.passes:
        return _withheld(request, None, None)
    said = model.reply([request.conversation], sampling)[0]
    if said.finish == "error":
        return Guarded("", "error", request, None, said)
    return _answer(request, guard.check(request.conversation.with_reply(said.text), "output"), said)


async def areply(guard: Guard, model: Model, conversation: Conversation, sampling: Sampling) -> Guarded:
    request = await guard.acheck(conversation, "input")
    if not request.passes:
        return _withheld(request, None, None)
    said = (await asyncio.to_thread(model.reply, [request.conversation], sampling))[0]
    if said.finish == "error":
        return Guarded("", "error", request, None, said)
    return _answer(request, await guard.acheck(request.conversation.with_reply(said.text), "output"), said)


def _answer(request: Checked, output: Checked, said: Reply) -> Guarded:
    if not output.passes:
        return _withheld(request, output, said)
    finish: Finish = "length" if said.finish == "length" else "stop"
    return Guarded(restored(request.vault, output.conversation.reply or ""), finish, request, output, said)


def _withheld(request: Checked, output: Checked | None, said: Reply | None) -> Guarded:
    last = output or request
    return Guarded(last.replacement or "", "unavailable" if last.unavailable else "content_filter", request, output, said)


def restored(vault: Vault | None, text: str) -> str:
    return vault.restore(text) if vault is not None else text
