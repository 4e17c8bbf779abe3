"""Specs, keys, options and waits of the OpenAI-compatible backend: what needs no server."""

from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charter.core.errors import InputError, ModelError
from charter.core.rows import Reply
from charter.models import load_model
from charter.models._completion import Answer, first_tokens, read_reply, read_usage
from charter.models._endpoint import OFFICIAL, endpoint
from charter.models._trouble import connection_trouble, retry_after_s, status_trouble, timeout_trouble

HERE = endpoint("m@http://h")
PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
JSON = st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3), max_leaves=6)


@pytest.mark.parametrize(
    ("argument", "name", "url"),
    [
        ("gpt-x", "gpt-x", OFFICIAL),
        ("m@http://localhost:8000/v1/", "m", "http://localhost:8000/v1"),
        ("org/name:free@https://host/api/v1", "org/name:free", "https://host/api/v1"),
        ("claude@20241022@https://host", "claude@20241022", "https://host"),
        ("m@http://[::1]:80/v1", "m", "http://[::1]:80/v1"),
    ],
)
def test_model_and_url_are_taken_apart(argument: str, name: str, url: str) -> None:
    assert endpoint(argument) == (name, url)


@pytest.mark.parametrize(
    "argument", ["", "@http://h/v1", "http://h/v1", "m@localhost", "m@localhost:8000", "m@host/v1", "m@ftp://h", "m@http://", "m@http://h:99999/v1"]
)
def test_what_is_no_model_at_a_url_is_refused(argument: str) -> None:
    with pytest.raises(InputError) as caught:
        endpoint(argument)
    assert caught.value.hint == "openai:MODEL@http://localhost:8000/v1"


@pytest.mark.parametrize(
    "argument", ["m@http://me:hunter2@h/v1", "m@http://h/v1?key=hunter2", "m@http://me:hun/ter2@h/v1?key=hunter2", "m@http://h/#x"]
)
def test_a_url_with_a_secret_is_refused_and_not_repeated(argument: str) -> None:
    with pytest.raises(InputError) as caught:
        endpoint(argument)
    assert "hun" not in str(caught.value)


def test_the_url_may_come_from_the_environment_and_is_in_the_spec(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    assert load_model("openai:m").spec == "openai:m@http://127.0.0.1:9/v1"
    assert load_model("openai:m@http://127.0.0.1:8/v1").spec == "openai:m@http://127.0.0.1:8/v1"


@pytest.mark.parametrize(("value", "what"), [("", "OPENAI_API_KEY is empty"), ("  ", "is empty"), ("sk-é", "no key has"), ("sk a", "no key has")])
def test_the_official_url_needs_a_key(monkeypatch: pytest.MonkeyPatch, value: str, what: str) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", value)
    with pytest.raises(ModelError, match=what) as caught:
        load_model("openai:m")
    assert caught.value.hint == "export OPENAI_API_KEY=..."
    assert "sk" not in caught.value.message
    monkeypatch.setenv("OPENAI_API_KEY", "sk-good\n")
    assert load_model("openai:m").spec == "openai:m"


@pytest.mark.parametrize(
    ("argument", "variable"),
    [
        ("m", "OPENAI_API_KEY"),
        ("m@https://api.openai.com/v1/", "OPENAI_API_KEY"),
        ("m@https://eu.api.openai.com/v1", "OPENAI_API_KEY"),
        ("m@http://api.openai.com/v1", ""),
        ("m@https://api.openai.com.example.org/v1", ""),
        ("m@https://myapi.openai.com/v1", ""),
        ("m@https://example.org/api.openai.com/v1", ""),
        ("m@http://127.0.0.1:8000/v1", ""),
    ],
)
def test_only_openai_is_sent_its_key_unasked(argument: str, variable: str) -> None:
    assert endpoint(argument).key_variable == variable


def test_the_server_that_the_environment_names_is_sent_the_key_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "https://gateway.example.org/v1/")
    assert endpoint("m@https://gateway.example.org/v1").key_variable == "OPENAI_API_KEY"
    assert endpoint("m@https://other.example.org/v1").key_variable == ""


def test_a_named_key_must_be_there() -> None:
    with pytest.raises(ModelError, match="MY_KEY is empty"):
        load_model("openai:m@http://127.0.0.1:9/v1", api_key_env="MY_KEY")


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"budget_cost": 1.0, "price_in": 1.0}, "needs price_in and price_out"),
        ({"concurrency": 0}, "concurrency"),
        ({"timeout_s": 0}, "timeout_s"),
        ({"max_request": 3}, "unknown option 'max_request'"),
        ({"api_key": "sk-secret"}, "did you mean 'api_key_env'"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], what: str) -> None:
    with pytest.raises(InputError, match=what) as caught:
        load_model("openai:m@http://127.0.0.1:9/v1", **options)
    assert "sk-secret" not in str(caught.value)


NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after-ms": "250", "retry-after": "3"}, 0.25),
        ({"retry-after": format_datetime(NOW + timedelta(seconds=90), usegmt=True)}, 90.0),
        ({"retry-after": format_datetime(NOW - timedelta(seconds=90), usegmt=True)}, 0.0),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "soon"}, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers, NOW.timestamp()) == seconds


def test_network_errors_are_told_apart() -> None:
    wrapped = RuntimeError("Connection error.")
    wrapped.__cause__ = ExceptionGroup("both addresses failed", [OSError(101, "unreachable"), OSError(101, "unreachable")])
    assert "no network" in connection_trouble(wrapped, "http://h").text
    wrapped.__cause__ = socket.gaierror(-2, "Name or service not known")
    unknown = connection_trouble(wrapped, "http://h")
    assert "the host is not known" in unknown.text
    assert unknown.fatal
    wrapped.__cause__ = ValueError("Illegal header value b'Bearer sk-secret'")
    broken = connection_trouble(wrapped, "http://h")
    assert (broken.fatal, broken.retry) == (False, True)
    assert "sk-secret" not in broken.text


def test_only_a_connection_that_never_came_makes_a_timeout_fatal() -> None:
    class ConnectTimeout(Exception):
        pass

    late = TimeoutError()
    assert not timeout_trouble(late, "http://h", 60.0).fatal
    assert "openai: {model: ..., timeout_s: 300}" in timeout_trouble(late, "http://h", 60.0).hint
    late.__cause__ = ConnectTimeout()
    assert timeout_trouble(late, "http://h", 60.0).fatal


@pytest.mark.parametrize(("status", "retry", "fatal"), [(400, False, False), (401, False, True), (403, False, False), (404, False, True)])
@pytest.mark.parametrize("body", [None, "text", {"message": 5}, []])
def test_client_errors_are_not_retried(status: int, retry: bool, fatal: bool, body: Any) -> None:
    trouble = status_trouble(status, {}, body, HERE, "KEY", "")
    assert (trouble.retry, trouble.fatal) == (retry, fatal)


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504, 529])
def test_errors_that_pass_are_retried(status: int) -> None:
    assert status_trouble(status, {}, None, HERE, "KEY", "").retry


@settings(deadline=None)
@given(JSON, JSON, JSON)
def test_no_answer_breaks_the_reader(content: Any, finish: Any, rest: Any) -> None:
    choice = {"message": {"content": content, "refusal": rest}, "finish_reason": finish, "logprobs": {"content": [rest, content]}}
    counts = {"prompt_tokens": content, "completion_tokens": finish}
    for body in ({"choices": [choice], "usage": rest}, {"choices": rest}, {"choices": [rest], "usage": counts}):
        usage = read_usage(body, 10)
        reply = read_reply(Answer(body, usage), 64)
        assert isinstance(reply, Reply)
        assert (reply.finish == "error") == (not reply.text.strip()) == bool(reply.error)
        assert usage.tokens_in >= 0
        assert usage.tokens_out >= 0
        first_tokens(body)
