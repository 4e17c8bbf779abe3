"""What is turned away before anybody knew whose it is: no key, an unknown one, too many connections, no HTTP. Counted one by one in metrics, and
told once a minute, by code, in the logs: whoever reaches the port can make any number of these, and a disk that strangers fill withholds everybody's
answers."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping

log = logging.getLogger("charter.gateway")


class TurnedAway:
    """Called with the code of what was turned away, on the gateway's loop. ``count`` hears each that is no request with an account of its own;
    ``write`` makes an audit row of the counts by code and of the second (since 1970) in which they began. ``every_s`` lies between two tellings."""

    def __init__(
        self, count: Callable[[str], None] | None = None, write: Callable[[float, Mapping[str, int]], None] | None = None, *, every_s: float = 60.0
    ) -> None:
        self._count, self._write, self._every_s = count, write, every_s
        self._codes: Counter[str] = Counter()
        self._began_unix_s = 0.0

    def __call__(self, code: str, *, accounted: bool = False) -> None:
        """``accounted``: a request whose account counts it in metrics."""
        if not accounted and self._count is not None:
            self._count(code)
        if not self._codes:
            self._began_unix_s = time.time()
            asyncio.get_running_loop().call_later(self._every_s, self.tell)
        self._codes[code] += 1

    def tell(self) -> None:
        """Tell what was counted since the last time; the end of the gateway calls it too, from whichever thread. Must not raise."""
        codes, self._codes = self._codes, Counter()
        if not codes:
            return
        named = dict(sorted(codes.items()))
        log.warning("turned away: %s", ", ".join(f"{code} {number}" for code, number in named.items()))
        if self._write is not None:
            self._write(self._began_unix_s, named)
