"""Who may come in, as the pipeline sees it: one question before the body is read, one word when the request is over."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from charter.guard.gateway.record import Exchange


class Ticket(Protocol):
    """A request that was let in."""

    #: The key's public name, '' for none; never the key.
    name: str
    #: Name of the guard that the key asks for (``guards`` of the configuration), '' for the gateway's.
    guard: str
    #: For the answer: ``x-ratelimit-*``.
    headers: list[tuple[bytes, bytes]]

    def asked(self, model: str, body_bytes: int, choices: int) -> None:
        """The request is read: budgets that depend on its size are taken. Raises GatewayError (429)."""
        ...

    def leave(self, exchange: Exchange) -> None:
        """Called once, whatever happened. Must not raise."""
        ...


class Gate(Protocol):
    """Keys and limits together."""

    #: What the gate does not do though a gateway on an open port should; '' where it is whole. Shown at the start and in every exchange.
    bypass: str

    async def admit(self, credential: str, endpoint: str) -> Ticket:
        """``credential``: what stood behind Bearer or in x-api-key, '' for none. Raises GatewayError: 401, 403, or 429 with Retry-After."""
        ...


@dataclass(slots=True)
class OpenTicket:
    name: str = ""
    guard: str = ""
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)

    def asked(self, model: str, body_bytes: int, choices: int) -> None:
        return

    def leave(self, exchange: Exchange) -> None:
        return


class OpenGate:
    """Lets everybody in. For loopback; elsewhere it is a bypass."""

    def __init__(self, bypass: str = "") -> None:
        self.bypass = bypass

    async def admit(self, credential: str, endpoint: str) -> OpenTicket:
        return OpenTicket()
