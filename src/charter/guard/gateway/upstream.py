"""The model server, over pooled connections. Its key comes from the environment; the client's is never sent on. Encoded answers are refused: nothing
that a compressed answer could blow up to is ever read."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import aiohttp
from yarl import URL

from charter.guard.gateway.config import Upstream as UpstreamConfig
from charter.guard.gateway.wire.errors import GatewayError

#: A little under what servers close idle connections after (uvicorn: 5 s), so that no request meets a connection that is just being closed.
_KEEPALIVE_S = 4.0
#: Whose own servers know a key from a bearer token.
ANTHROPIC = "anthropic.com"


class UpstreamLostError(Exception):
    """The upstream broke off in the middle of an answer, or said nothing for too long. ``late`` tells which."""

    def __init__(self, late: bool = False) -> None:
        super().__init__()
        self.late = late


class Answer:
    """An answer whose head is here and whose body is not. ``close`` it in any case: what was not read is cancelled."""

    def __init__(self, response: aiohttp.ClientResponse, config: UpstreamConfig) -> None:
        self._response, self._config = response, config
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers

    @property
    def is_stream(self) -> bool:
        return self._response.content_type == "text/event-stream"

    async def read(self) -> bytes:
        """The whole body. Raises GatewayError (too long) and UpstreamLostError."""
        pieces: list[bytes] = []
        size = 0
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._config.idle_s) as idle:
                while piece := await self.piece():
                    idle.reschedule(loop.time() + self._config.idle_s)
                    size += len(piece)
                    if size > self._config.max_answer_bytes:
                        raise bad_answer()
                    pieces.append(piece)
        except TimeoutError:
            raise UpstreamLostError(late=True) from None
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def piece(self) -> bytes:
        """The next piece of the body, b'' at its end. Raises UpstreamLostError."""
        try:
            return await self._response.content.readany()
        except TimeoutError:
            raise UpstreamLostError(late=True) from None
        except (aiohttp.ClientError, OSError):
            raise UpstreamLostError from None

    def close(self) -> None:
        self._response.close()


class Upstream:
    """Open it in the event loop that uses it."""

    def __init__(self, config: UpstreamConfig, key: str = "") -> None:
        self._config = config
        self._key = key
        host = (URL(config.url).host or "").lower()
        self._of_anthropic = host == ANTHROPIC or host.endswith(f".{ANTHROPIC}")
        self._signs_itself = any(name.lower() == "authorization" for name in config.headers)
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        connector = aiohttp.TCPConnector(limit=self._config.connections, keepalive_timeout=_KEEPALIVE_S)
        timeout = aiohttp.ClientTimeout(total=None, connect=None, sock_connect=self._config.connect_s, sock_read=None)
        headers = {"accept-encoding": "identity", "user-agent": "charter", **self._config.headers}
        self._session = aiohttp.ClientSession(
            connector=connector, timeout=timeout, headers=headers, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
        )

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def send(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        """``path`` stands behind the base URL. Raises GatewayError: 502 unreachable, 504 late, 502 for an answer that must not be read."""
        if self._session is None:
            raise RuntimeError("the upstream is not open")
        headers = {**headers, **self._signed("anthropic-version" in headers)}
        try:
            async with asyncio.timeout(self._config.first_byte_s):
                response = await self._session.request(method, self._config.url + path, data=body, headers=headers, allow_redirects=False)
        except TimeoutError as error:
            connecting = isinstance(error, aiohttp.ServerTimeoutError)
            raise unreachable() if connecting else GatewayError(504, "upstream_timeout", "the model server did not answer in time") from None
        except (aiohttp.ClientError, OSError, ValueError):
            raise unreachable() from None
        if response.headers.get("content-encoding", "identity").lower() != "identity" or 300 <= response.status < 400:
            response.close()
            raise bad_answer()
        return Answer(response, self._config)

    def _signed(self, native: bool) -> dict[str, str]:
        """The key as the server looks for it. ``native``: the request is in Anthropic's dialect. Servers that speak it take the key in either place;
        Anthropic's own takes a bearer token for something else than a key, and refuses it."""
        if not self._key:
            return {}
        own = {"x-api-key": self._key} if native else {}
        return own if (native and self._of_anthropic) or self._signs_itself else {**own, "authorization": f"Bearer {self._key}"}


def unreachable() -> GatewayError:
    return GatewayError(502, "upstream_unavailable", "the model server cannot be reached", retry_after_s=1)


def bad_answer() -> GatewayError:
    return GatewayError(502, "upstream_bad_answer", "the model server's answer cannot be checked, so it is withheld", retry=False)


def interrupted(late: bool) -> GatewayError:
    if late:
        return GatewayError(504, "upstream_timeout", "the model server stopped answering")
    return GatewayError(502, "upstream_interrupted", "the model server broke off its answer")
