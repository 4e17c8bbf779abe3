"""Errors as clients expect them, in both dialects. A message never holds text of a request, of a reply or of a rail's find."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Dialect = Literal["openai", "anthropic"]
#: Where a request's scope holds the error that the protocol gave its client, so that the request's own account tells it.
REJECTED = "charter.rejected"
#: Error types of the Anthropic dialect by status; others are ``api_error``.
_ANTHROPIC: Mapping[int, str] = {
    400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error", 413: "request_too_large",
    429: "rate_limit_error", 529: "overloaded_error", 503: "overloaded_error",
}  # fmt: skip
_OPENAI: Mapping[int, str] = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}


@dataclass(slots=True, eq=False)
class GatewayError(Exception):
    """A request that ends in an error. ``retry`` False tells SDKs not to try again; ``retry_after_s`` when it may be worth it."""

    status: int
    code: str
    message: str
    param: str | None = None
    retry: bool | None = None
    retry_after_s: int | None = None
    inner: dict[str, Any] | None = None
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    #: Name of the key that was turned away, where it is known by then; no part of what is told.
    key: str = ""
    #: The code that the client is told, where that is the model server's own; ``code`` is what accounts know it by.
    told_code: str = ""

    def all_headers(self) -> list[tuple[bytes, bytes]]:
        found = list(self.headers)
        if self.retry is not None:
            found.append((b"x-should-retry", b"true" if self.retry else b"false"))
        if self.retry_after_s is not None:
            found.append((b"retry-after", str(self.retry_after_s).encode()))
        return found


def body(error: GatewayError, dialect: Dialect, request_id: str, decision_id: str = "") -> dict[str, Any]:
    """The error's JSON. The ids are in it, so that a person who was refused can ask about it."""
    ids = {"request_id": request_id} | ({"decision_id": decision_id} if decision_id else {})
    code = error.told_code or error.code
    if dialect == "anthropic":
        told = {"type": _ANTHROPIC.get(error.status, "invalid_request_error" if error.status < 500 else "api_error"), "message": error.message}
        return {"type": "error", "error": {**told, "code": code, **ids}, "request_id": request_id}
    kind = _OPENAI.get(error.status, "invalid_request_error" if error.status < 500 else "server_error")
    told_ = {"message": error.message, "type": kind, "param": error.param, "code": code}
    return {"error": {**told_, **({"innererror": error.inner} if error.inner else {}), **ids}}


def content_filter(message: str, param: str, categories: Mapping[str, bool] | None = None) -> GatewayError:
    """A request that rails withheld, told as Azure tells it: SDKs know it and do not try again."""
    result = {name: {"filtered": filtered, "severity": "high" if filtered else "safe"} for name, filtered in (categories or {}).items()}
    inner = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": result}
    return GatewayError(400, "content_filter", message, param=param, retry=False, inner=inner)


def unavailable(message: str = "a safety check did not finish, so the text is withheld") -> GatewayError:
    """The guard itself failed. Not to be tried again by the SDK on its own: what failed is not the network."""
    return GatewayError(503, "guardrail_unavailable", message, retry=False, retry_after_s=5)
