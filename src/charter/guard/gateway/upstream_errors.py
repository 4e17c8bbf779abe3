"""The model server's own errors, as clients may hear of them: nothing that no rail has read, since servers put what a model said into errors."""

from __future__ import annotations

import math
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from charter.guard.gateway.upstream import Answer
from charter.guard.gateway.wire import strict
from charter.guard.gateway.wire.errors import GatewayError

_LONGEST = 2000
#: What SDKs and programs tell errors apart by, such as ``context_length_exceeded``: a name, and no sentence.
_CODE = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)
_PARAM = re.compile(r"[A-Za-z0-9_.\[\]-]{1,64}", re.ASCII)
_SECONDS = re.compile(r"[0-9]{1,5}(\.[0-9]{1,9})?", re.ASCII)
#: What FastAPI and its like say of a path that they do not serve.
_NO_PATH = ("", "Not Found", "Method Not Allowed")


class Told(NamedTuple):
    """What an error's body says: its message, which no rail has read yet, and names that need none."""

    message: str = ""
    code: str = ""
    param: str | None = None


async def upstream_error(answer: Answer, path: str, passed: Callable[[str], Awaitable[str]]) -> GatewayError:
    """The error for an answer that is none. ``passed``: what of a message the rails let through. Raises what ``passed`` and reading do."""
    status = answer.status if 400 <= answer.status < 600 else 502
    after = answer.headers.get("retry-after", "")
    wait_s = math.ceil(float(after)) if _SECONDS.fullmatch(after) else None
    if status in (401, 403, 407):
        return GatewayError(502, "upstream_refused", "the model server refused the gateway's key", retry=False)
    found = told(await answer.read())
    message = f"the model server answered with status {answer.status}"
    if status in (404, 405) and found.message in _NO_PATH:
        message += f"; it may not serve {path}"
    elif found.message:
        message = await passed(found.message) or message
    return GatewayError(status, "upstream_error", message, param=found.param, retry_after_s=wait_s, told_code=found.code)


def told(raw: bytes) -> Told:
    """What an error's body says, in the shapes of OpenAI, Anthropic, vLLM, Ollama and FastAPI."""
    try:
        given = strict.read(raw)
    except strict.NotJsonError:
        return Told()
    if not isinstance(given, dict):
        return Told()
    error = given.get("error", given)
    if not isinstance(error, dict):
        return Told(_text(error))
    code, param = error.get("code"), error.get("param")
    return Told(
        _text(error.get("message")) or _text(_details(error.get("detail"))),
        code if isinstance(code, str) and _CODE.fullmatch(code) else "",
        param if isinstance(param, str) and _PARAM.fullmatch(param) else None,
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) and len(value) <= _LONGEST else ""


def _details(given: Any) -> Any:
    """FastAPI's list of what is wrong with which field, as one text."""
    if not isinstance(given, list):
        return given
    return "; ".join(_detail(each) for each in given if isinstance(each, Mapping))


def _detail(given: Mapping[str, Any]) -> str:
    where = given.get("loc")
    place = ".".join(str(step) for step in where) if isinstance(where, list) else ""
    return f"{place}: {given.get('msg')}" if place else str(given.get("msg"))
