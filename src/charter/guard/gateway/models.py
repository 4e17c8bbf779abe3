"""The list of models as it leaves: names, numbers and dates. What an upstream writes beside them is text that no rail read, and stays here.

Whoever asks while the upstream is being asked hears the same, and so does whoever asks within seconds: the list takes no connections from requests.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from charter.guard.gateway.upstream import Answer, Upstream, UpstreamLostError, interrupted
from charter.guard.gateway.wire import strict
from charter.guard.gateway.wire.errors import GatewayError

#: A model's name, an owner's, a date: no spaces, so that a description cannot pass for one.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}", re.ASCII)
_DEEPEST = 4
#: By what Anthropic's list is turned over, page by page: a client that was told that there are more, and got the first page again, would never end.
_PAGING = ("after_id", "before_id", "limit")
_VERSION = re.compile(r"[0-9-]{1,16}", re.ASCII)
#: How long an answer is kept, and how long one may take. Seconds.
KEPT_S, WAIT_S = 5.0, 10.0
#: Questions to the upstream at once, and answers that are kept.
_AT_ONCE, _MOST = 4, 64


class Page(NamedTuple):
    """Which part of the list is asked for (``query``, as it stands in a path), and in whose dialect: Anthropic's if there is a ``version``."""

    query: str = ""
    version: str = ""

    @classmethod
    def asked(cls, query: Mapping[str, str], headers: Mapping[bytes, bytes]) -> Page:
        """What a request says of it; all that is no plain name is left out."""
        given = {name: query.get(name, "") for name in _PAGING}
        plain = [f"{name}={value.replace('+', '%2B')}" for name, value in given.items() if _NAME.fullmatch(value)]  # a plus would be a space
        version = headers.get(b"anthropic-version", b"").decode("latin-1")
        return cls("&".join(plain), version if _VERSION.fullmatch(version) else "")


_Asked = tuple[str, Page]
_FIRST = Page()


class _Kept(NamedTuple):
    found: dict[str, Any]
    until_s: float


class Models:
    """The models of one upstream: the list, or one by its name. ``upstream`` gives the one that is asked now."""

    def __init__(self, upstream: Callable[[], Upstream], clock: Callable[[], float] = time.monotonic) -> None:
        self._upstream, self._clock = upstream, clock
        self._kept: dict[_Asked, _Kept] = {}
        self._asking: dict[_Asked, asyncio.Task[dict[str, Any] | GatewayError]] = {}
        self._free: asyncio.Semaphore | None = None

    async def __call__(self, name: str = "", page: Page = _FIRST) -> dict[str, Any]:
        """As ``listed`` has it. ``name`` must be one that can stand in a path. Raises GatewayError; failures are not kept."""
        asked = name, page
        kept = self._kept.get(asked)
        if kept is not None and kept.until_s > self._clock():
            return kept.found
        if asked not in self._asking:
            self._asking[asked] = asyncio.get_running_loop().create_task(self._ask(asked))
        told = await asyncio.shield(self._asking[asked])  # others may wait for it too
        if isinstance(told, GatewayError):
            raise told
        return told

    async def _ask(self, asked: _Asked) -> dict[str, Any] | GatewayError:
        self._free = self._free or asyncio.Semaphore(_AT_ONCE)
        try:
            async with asyncio.timeout(WAIT_S), self._free:
                found = await self._heard(*asked)
        except TimeoutError:
            return GatewayError(504, "upstream_timeout", "the model server did not answer in time")
        except GatewayError as error:
            return error
        finally:
            del self._asking[asked]
        self._keep(asked, found)
        return found

    async def _heard(self, name: str, page: Page) -> dict[str, Any]:
        path = (f"/models/{name}" if name else "/models") + (f"?{page.query}" if page.query else "")
        answer = await self._upstream().send("GET", path, None, {"anthropic-version": page.version} if page.version else {})
        try:
            return await _read(answer)
        finally:
            answer.close()

    def _keep(self, asked: _Asked, found: dict[str, Any]) -> None:
        now = self._clock()
        self._kept = {other: kept for other, kept in self._kept.items() if kept.until_s > now}
        if len(self._kept) < _MOST:
            self._kept[asked] = _Kept(found, now + KEPT_S)


async def _read(answer: Answer) -> dict[str, Any]:
    if answer.status == 404:
        raise GatewayError(404, "model_not_found", "there is no such model", param="model")
    if answer.status != 200:
        raise GatewayError(502, "upstream_error", f"the model server answered with status {answer.status}")
    try:
        return listed(strict.read(await answer.read()))
    except UpstreamLostError as error:
        raise interrupted(error.late) from None
    except strict.NotJsonError:
        raise GatewayError(502, "upstream_bad_answer", "the model server's answer cannot be read") from None


def listed(found: object) -> dict[str, Any]:
    """An upstream's answer to ``GET /models`` or ``/models/NAME`` with plain names, numbers and truth values alone; models without a plain
    ``id`` are left out. Raises GatewayError (502) where it is neither one model nor a list of them."""
    if isinstance(found, Mapping) and isinstance(found.get("data"), list):
        models = [plain for model in found["data"] if (plain := _plain(model, 0)) and "id" in plain]
        return {**_plain({name: value for name, value in found.items() if name != "data"}, 0), "data": models}
    if isinstance(found, Mapping) and "id" in (plain := _plain(found, 0)):
        return plain
    raise GatewayError(502, "upstream_bad_answer", "the model server's answer is no list of models")


def _plain(found: object, depth: int) -> dict[str, Any]:
    if not isinstance(found, Mapping):
        return {}
    kept = {name: _value(value, depth) for name, value in found.items() if isinstance(name, str) and _NAME.fullmatch(name)}
    return {name: value for name, value in kept.items() if value is not ... and (name != "id" or isinstance(value, str))}


def _value(value: object, depth: int) -> Any:
    """The value as it may leave, or ``...``."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return value if _NAME.fullmatch(value) else ...
    if depth >= _DEEPEST:
        return ...
    if isinstance(value, list):
        return [kept for one in value if (kept := _value(one, depth + 1)) is not ...]
    return _plain(value, depth + 1)
