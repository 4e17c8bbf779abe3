"""The gate that asks for keys. They are in memory and read again every few seconds, in a thread: no request waits for the database while it answers,
and a revoked key is out within seconds in every gateway. When the database cannot be asked for longer than ``stale_s``, nobody comes in."""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from charter.core.errors import StoreError
from charter.guard._workers import ExhaustedError, Workers, away
from charter.guard.gateway.limits import Limiter
from charter.guard.gateway.record import Exchange
from charter.guard.gateway.wire.errors import GatewayError
from charter.store.keys import Key, digest_of

log = logging.getLogger("charter.gateway")
#: ``api`` is every surface and the list of models. A surface's name stands for itself.
SCOPES = ("api", "reports")
#: An unknown key may be a new one: the table is read again for it, but not more often than this. Seconds.
_FOR_UNKNOWN_S = 1.0
#: How long a request waits for the table; then the keys that are known hold, until they are stale. A reading that takes ``_HUNG_S`` is given up.
_WAIT_S, _HUNG_S = 2.0, 30.0


@dataclass(slots=True)
class KeyTicket:
    name: str
    guard: str
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    limiter: Limiter | None = None

    def asked(self, model: str, body_bytes: int, choices: int) -> None:
        return

    def leave(self, exchange: Exchange) -> None:
        if self.limiter is not None:
            self.limiter.leave(self.name)


class KeyGate:
    """``load`` reads every key, revoked ones too, and may block; ``guards`` are the names that keys may ask for. ``optional``: everybody comes in as
    long as there has never been a key; from the first reading that finds one on, whoever has none stays out."""

    bypass = ""

    def __init__(
        self,
        load: Callable[[], Sequence[Key]],
        pepper: bytes,
        *,
        guards: frozenset[str] = frozenset(),
        refresh_s: float = 2.0,
        stale_s: float = 60.0,
        optional: bool = False,
        limiter: Limiter | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._load, self._pepper, self._guards, self._clock = load, pepper, guards, clock
        self._refresh_s, self._stale_s = refresh_s, stale_s
        self.optional = optional
        self._limiter = limiter or Limiter(clock=clock)
        self._keys: Mapping[str, Key] = {}
        self._read_s = float("-inf")
        self._reading: asyncio.Task[None] | None = None
        self._threads = Workers("keys", 1)

    async def admit(self, credential: str, endpoint: str) -> KeyTicket:
        """See ``gate.Gate``."""
        if self.optional:
            await self._fresh()
        if self.optional:
            return KeyTicket("", "")
        if not credential:
            raise GatewayError(401, "missing_api_key", "a key is needed: Authorization: Bearer KEY, or x-api-key: KEY", retry=False)
        await self._fresh()
        digest = digest_of(credential, self._pepper)
        key = self._keys.get(digest)
        if key is None and self._clock() - self._read_s > _FOR_UNKNOWN_S:
            await self._read_again()
            key = self._keys.get(digest)
        if key is None or not hmac.compare_digest(key.digest, digest):
            raise GatewayError(401, "invalid_api_key", "this key is not known here", retry=False)
        if not allows(key.scopes, endpoint):
            raise GatewayError(403, "insufficient_scope", f"this key may not use {endpoint}", retry=False, key=key.name)
        if key.guard not in self._guards and key.guard:
            log.error("the key %s asks for the guard %s, which this gateway does not have", key.name, key.guard)
            raise GatewayError(503, "guardrail_unavailable", "the guard of this key is not set up here", retry=False, key=key.name)
        if endpoint == "reports":  # they have bounds of their own
            return KeyTicket(key.name, key.guard)
        try:
            headers = self._limiter.enter(key.name, key.requests_per_minute, key.concurrency)
        except GatewayError as error:
            error.key = key.name
            raise
        return KeyTicket(key.name, key.guard, headers, self._limiter)

    async def _fresh(self) -> None:
        """Read again when it is time: beside the request if that is just due, before it if it is overdue."""
        age_s = self._clock() - self._read_s
        if age_s <= self._refresh_s:
            return
        if age_s <= 2 * self._refresh_s:
            self._start()
            return
        before_s = self._read_s
        await self._read_again()
        if (
            self._read_s != before_s and self._clock() - self._read_s > 2 * self._refresh_s
        ):  # a slow reading that began long ago: it may miss a revocation
            await self._read_again()
        if self._clock() - self._read_s > self._stale_s:
            raise GatewayError(503, "keys_unavailable", "keys cannot be looked up", retry=False, retry_after_s=5)

    async def _read_again(self) -> None:
        read, _ = await asyncio.wait([self._start()], timeout=_WAIT_S)
        for task in read:
            task.result()

    def _start(self) -> asyncio.Task[None]:
        if self._reading is None or self._reading.done():
            self._reading = asyncio.get_running_loop().create_task(self._read())
        return self._reading

    async def _read(self) -> None:
        asked_s = self._clock()
        try:
            async with asyncio.timeout(_HUNG_S):
                found = await away(self._threads, self._load, _HUNG_S)
        except (StoreError, TimeoutError, ExhaustedError) as error:
            log.error("keys cannot be read: %s", error.message if isinstance(error, StoreError) else "the database does not answer")
            return
        self._keys = {key.digest: key for key in found if key.revoked_unix_s is None}
        self.optional = self.optional and not found
        self._read_s = asked_s


def allows(scopes: frozenset[str], endpoint: str) -> bool:
    """Whether a key with these scopes may use an endpoint (a surface's name, ``models`` or ``reports``)."""
    if endpoint == "reports":
        return endpoint in scopes
    # old keys may hold the scope admin, which opens nothing
    return "api" in scopes or endpoint in scopes or (endpoint == "models" and bool(scopes - {"reports", "admin"}))
