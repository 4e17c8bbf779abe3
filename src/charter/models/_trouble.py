"""What can go wrong between Charter and a model server, in words: whether to try again, how long to wait, what the person should do."""

from __future__ import annotations

import email.utils
import errno
import math
import re
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from charter.models._endpoint import Endpoint, with_key

RETRIED = frozenset({408, 409, 425, 429})
MESSAGE_LENGTH = 160


class Trouble(NamedTuple):
    """A request that brought no answer. ``fatal``: every other request would fail the same way. ``wait_s``: what the server asked for."""

    text: str
    hint: str = ""
    retry: bool = False
    fatal: bool = False
    wait_s: float | None = None
    status: int = 0


def connection_trouble(error: BaseException, url: str) -> Trouble:
    """A connection that could not be made (fatal) or that broke (worth a retry). ``error``'s text is not shown: it may hold request headers."""
    curl = f"curl {url}/models"
    for cause in _causes(error):
        if isinstance(cause, ConnectionRefusedError):
            return Trouble(f"{url}: connection refused: no server listens there", f"start the server, then check it: {curl}", True, True)
        if isinstance(cause, socket.gaierror):
            return Trouble(f"{url}: the host is not known: a typing mistake, or no network", curl, True, True)
        if isinstance(cause, ssl.SSLError):
            return Trouble(f"{url}: no secure connection: {cause.reason or 'TLS failed'}", curl, False, True)
        if isinstance(cause, OSError) and cause.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN):
            return Trouble(f"{url}: cannot be reached: no network", curl, True, True)
    return Trouble("the connection broke before the answer was there", retry=True)


def timeout_trouble(error: BaseException, url: str, timeout_s: float) -> Trouble:
    """No answer in time; no connection in time is fatal."""
    if any(type(cause).__name__ == "ConnectTimeout" for cause in _causes(error)):
        return Trouble(f"{url}: nothing answers at this address", f"curl {url}/models", True, True)
    hint = "try again when the server is less busy; or wait longer: openai: {model: ..., timeout_s: 300}"
    return Trouble(f"no answer within {timeout_s:g} s", hint, retry=True)


def status_trouble(status: int, headers: Mapping[str, str], body: Any, where: Endpoint, key_env: str, secret: str, *, called: str = "") -> Trouble:
    """An HTTP error. The server's own words are shown in part, without the key, and not at all where it speaks of the key. 403 is of the one request:
    gateways and firewalls answer so to a prompt that they do not like."""
    url, called = where.url, called or f"HTTP {status}"
    code = str(body.get("code") or body.get("type") or "") if isinstance(body, dict) else ""
    said = _said(body, secret)
    if status == 401 and not key_env:
        text = f"{url}: the server wants a key ({called}), and none is sent to a server unless it is named"
        return Trouble(text, with_key(where.name, url), fatal=True, status=status)
    if status == 401:
        return Trouble(f"{url}: the server refused the key ({called})", f"export {key_env}=... with a key for {url}", fatal=True, status=status)
    if status == 404:
        return Trouble(f"{url}: not found ({called})", f"curl {url}/models", fatal=True, status=status)
    if "insufficient_quota" in code:
        return Trouble(f"{url}: the account's quota is used up ({called})", "check the plan and billing of this key", fatal=True, status=status)
    if status == 403:
        return Trouble(f"the server refused this request ({called}){said}", status=status)
    retry = status in RETRIED or status >= 500
    return Trouble(f"the server answered {called}{said}", retry=retry, wait_s=retry_after_s(headers, time.time()), status=status)


def inside_trouble(error: Mapping[str, Any], begun: bool, headers: Mapping[str, str], where: Endpoint, key_env: str, secret: str) -> Trouble:
    """An error inside an HTTP 200, as gateways forward an upstream's: by its own code where it has one. ``begun``: the reply had begun."""
    status = next((int(str(code)) for code in (error.get("code"), error.get("status")) if re.fullmatch("[45][0-9][0-9]", str(code))), 0)
    if status:
        return status_trouble(status, headers, error, where, key_env, secret, called=f"error {status} inside an HTTP 200")
    what = "the reply ended with an error" if begun else "the answer holds an error instead of a reply"
    return Trouble(what + _said(error, secret), retry=begun)


def shut_trouble(refused: Trouble, where: Endpoint, key_env: str) -> Trouble:
    """``refused`` (a 403) where the server shows not even its list of models: no request will be let in."""
    hint = f"check what the key in {key_env} may be used for: curl {where.url}/models" if key_env else with_key(where.name, where.url)
    return refused._replace(text=f"{where.url}: its list of models is refused as well; {refused.text}", hint=hint, fatal=True)


def retry_after_s(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds to wait by ``Retry-After-Ms`` or ``Retry-After`` (seconds or an HTTP date, RFC 9110 10.2.3); None if absent or unreadable."""
    for name, divisor in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        value = headers.get(name)
        if value is None:
            continue
        try:
            seconds = float(value) / divisor
        except ValueError:
            seconds = _until(value, now)
        if math.isfinite(seconds) and seconds >= 0:
            return seconds
    return None


def _until(date: str, now: float) -> float:
    try:
        return max(0.0, email.utils.parsedate_to_datetime(date).timestamp() - now)
    except ValueError:
        return math.nan


def _said(body: Any, secret: str) -> str:
    message = body.get("message") if isinstance(body, dict) else None
    if not isinstance(message, str):
        return ""
    clean = "".join(c if c.isprintable() else " " for c in (message.replace(secret, "***") if secret else message))
    return ": " + (clean if len(clean) <= MESSAGE_LENGTH else clean[: MESSAGE_LENGTH - 3] + "...")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """``error`` and everything behind it, members of groups included."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        current = waiting.pop(0)
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        waiting += [current.__cause__, current.__context__]
        if isinstance(current, BaseExceptionGroup):
            waiting += current.exceptions
