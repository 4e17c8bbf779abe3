"""How much one key may take: requests a minute (a token bucket that holds one minute's worth) and requests at once. Counted in this process:
behind a load balancer with N gateways a key has N times as much."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from charter.guard.gateway.wire.errors import GatewayError

Headers = list[tuple[bytes, bytes]]
#: Who waited as long as told is let in, although sums of fractions fall short of 1 by a hair.
_ROUNDING = 1e-6


@dataclass(slots=True)
class _Use:
    tokens: float
    at_s: float
    inside: int = 0


class Limiter:
    """Accounts by name; at most ``most`` are kept, those unused for longest are forgotten first (and begin anew), never one with requests inside."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic, most: int = 10_000) -> None:
        self._clock, self._most = clock, most
        self._uses: OrderedDict[str, _Use] = OrderedDict()

    def __len__(self) -> int:
        return len(self._uses)

    def enter(self, name: str, per_minute: int | None, at_once: int | None) -> Headers:
        """Count a request in; the answer's ``x-ratelimit-*``. Raises GatewayError (429) with Retry-After, and then nothing is counted."""
        now = self._clock()
        use = self._use(name, per_minute, now)
        if at_once is not None and use.inside >= at_once:
            message = f"this key may have {at_once} requests in work at once"
            raise GatewayError(429, "concurrency_limit_exceeded", message, retry_after_s=1, headers=told(per_minute, use.tokens))
        if per_minute is not None:
            if use.tokens < 1 - _ROUNDING:
                wait_s = (1 - use.tokens) * 60 / per_minute
                message = f"this key may make {per_minute} requests a minute"
                raise GatewayError(429, "rate_limit_exceeded", message, retry_after_s=math.ceil(wait_s), headers=told(per_minute, use.tokens))
            use.tokens -= 1
        use.inside += 1
        return told(per_minute, use.tokens)

    def leave(self, name: str) -> None:
        """Count a request out."""
        use = self._uses.get(name)
        if use is not None and use.inside:
            use.inside -= 1

    def _use(self, name: str, per_minute: int | None, now: float) -> _Use:
        use = self._uses.get(name)
        if use is None:
            use = self._uses[name] = _Use(float(per_minute or 0), now)
            self._forget()
        self._uses.move_to_end(name)
        if per_minute is not None:
            use.tokens = min(float(per_minute), use.tokens + max(0.0, now - use.at_s) * per_minute / 60)
        use.at_s = now
        return use

    def _forget(self) -> None:
        excess = len(self._uses) - self._most
        if excess > 0:
            for name in [name for name, use in self._uses.items() if not use.inside][:excess]:
                del self._uses[name]


def told(per_minute: int | None, tokens: float) -> Headers:
    """The headers that OpenAI's SDKs know."""
    if per_minute is None:
        return []
    reset_s = (per_minute - tokens) * 60 / per_minute
    return [
        (b"x-ratelimit-limit-requests", str(per_minute).encode()),
        (b"x-ratelimit-remaining-requests", str(max(0, int(tokens + _ROUNDING))).encode()),
        (b"x-ratelimit-reset-requests", f"{reset_s:.0f}s".encode()),
    ]
