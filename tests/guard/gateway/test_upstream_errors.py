"""What clients hear of the model server's own errors: its code and parameter by name, its words once rails have read them, its status; and where it
is sent its key."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from charter.guard.gateway import config
from charter.guard.gateway.upstream import Upstream
from charter.guard.gateway.upstream_errors import Told, told, upstream_error
from charter.guard.gateway.wire import errors


class Answer:
    def __init__(self, status: int, body: Any, **headers: str) -> None:
        self.status, self.headers = status, headers
        self._body = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def read(self) -> bytes:
        return self._body


def error_of(status: int, body: Any, **headers: str) -> errors.GatewayError:
    async def passed(message: str) -> str:
        return "" if "forbidden" in message else message

    return asyncio.run(upstream_error(Answer(status, body, **headers), "/v1/messages", passed))  # type: ignore[arg-type]


def test_programs_can_tell_errors_apart() -> None:
    """As OpenAI's SDK does by ``error.code``; what the gateway counts stays one code."""
    error = error_of(400, {"error": {"message": "too long", "type": "x", "param": "messages[0].content", "code": "context_length_exceeded"}})
    assert (error.status, error.code, error.message) == (400, "upstream_error", "too long")
    body = errors.body(error, "openai", "r")["error"]
    assert (body["code"], body["param"]) == ("context_length_exceeded", "messages[0].content")
    assert errors.body(error, "anthropic", "r")["error"]["code"] == "context_length_exceeded"


@pytest.mark.parametrize("given", ["a code of several words", "c" * 65, 400, None, ["x"], {"a": 1}], ids=str)
def test_what_is_no_name_is_no_code_and_no_parameter(given: Any) -> None:
    error = error_of(400, {"error": {"message": "m", "code": given, "param": given}})
    body = errors.body(error, "openai", "r")["error"]
    assert (body["code"], body["param"]) == ("upstream_error", None)


def test_words_that_rails_withhold_are_not_told() -> None:
    error = error_of(400, {"error": {"message": "a forbidden word", "code": "invalid_value"}})
    assert error.message == "the model server answered with status 400"
    assert error.told_code == "invalid_value"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"error": "no such model"}, "no such model"),
        ({"object": "error", "message": "too long"}, "too long"),
        ({"type": "error", "error": {"type": "x", "message": "overloaded"}}, "overloaded"),
        ({"detail": "no such adapter"}, "no such adapter"),
        ({"detail": [{"loc": ["body", "messages", 0], "msg": "Field required"}, {"msg": "x"}, 3]}, "body.messages.0: Field required; x"),
        ({"error": {"message": "x" * 2001}}, ""),
        ([], ""),
        (b"<h1>no</h1>", ""),
        (b"", ""),
    ],
    ids=str,
)
def test_the_usual_shapes_of_errors_are_read(body: Any, message: str) -> None:
    assert told(body if isinstance(body, bytes) else json.dumps(body).encode()) == Told(message)


def test_a_path_that_the_model_server_does_not_serve_is_named() -> None:
    for body in ({"detail": "Not Found"}, b"<h1>nothing</h1>"):
        assert error_of(404, body).message == "the model server answered with status 404; it may not serve /v1/messages"
    assert error_of(404, {"error": {"message": "no such model"}}).message == "no such model"


def test_an_answer_that_is_no_error_and_no_answer_is_told_by_its_own_status() -> None:
    error = error_of(204, b"")
    assert (error.status, error.message) == (502, "the model server answered with status 204")


@pytest.mark.parametrize(("given", "seconds"), [("7", 7), ("1.5", 2), ("0.001", 1), ("a, b", None), ("-1", None), ("9" * 6, None)])
def test_how_long_to_wait_is_whole_seconds(given: str, seconds: int | None) -> None:
    assert error_of(429, {}, **{"retry-after": given}).retry_after_s == seconds


@pytest.mark.parametrize(
    ("url", "native", "sent"),
    [
        ("http://127.0.0.1:8000/v1", False, {"authorization"}),
        ("http://127.0.0.1:8000/v1", True, {"authorization", "x-api-key"}),
        ("https://api.anthropic.com/v1", False, {"authorization"}),
        ("https://api.anthropic.com/v1", True, {"x-api-key"}),
        ("https://API.Anthropic.com/v1", True, {"x-api-key"}),
        ("https://notanthropic.com/v1", True, {"authorization", "x-api-key"}),
    ],
)
def test_the_key_stands_where_the_server_looks_for_it(url: str, native: bool, sent: set[str]) -> None:
    """Anthropic's own server refuses a key that comes as a bearer token, whatever else comes with it."""
    signed = Upstream(config.Upstream(url=url), "secret")._signed(native)
    assert (signed.keys(), {value.removeprefix("Bearer ") for value in signed.values()}) == (sent, {"secret"})
    own = config.Upstream(url=url, headers={"Authorization": "Basic abc"})
    assert Upstream(own, "secret")._signed(native).keys() == sent - {"authorization"}
    assert not Upstream(config.Upstream(url=url))._signed(native)
