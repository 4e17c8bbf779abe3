"""Requests that are answered here: let in, read and told of like every other, but no upstream is asked and no rail decides."""

from __future__ import annotations

from typing import cast

from charter.guard.gateway.pipeline import Call
from charter.guard.gateway.surfaces._surface import Local
from charter.guard.gateway.wire import strict


class LocalCall(Call):
    """See ``Call``."""

    async def _serve(self, body: bytes) -> None:
        surface = cast(Local, self.surface)
        given = self._read(body)
        self.ticket.asked(surface.name, len(body), 1)
        answer = await surface.respond(given)
        self.exchange.outcome = "allowed"
        await self._answer(200, strict.write(answer), list(surface.headers))
