"""One request through the pipeline, with a model server that is no server: what of an answer's head and errors goes on."""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast

import messages_said
import pytest
import responses_said

from charter.guard.gateway.app import Gateway
from charter.guard.gateway.config import GatewayConfig
from charter.guard.gateway.gate import OpenGate
from charter.guard.gateway.pipeline import Call, Services
from charter.guard.gateway.surfaces import chat, messages, responses
from charter.guard.gateway.upstream import Upstream

TALK: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


class Says:
    """A model server that says one thing, with status 200."""

    status, is_stream = 200, False

    def __init__(self, answer: dict[str, Any]) -> None:
        self.headers: dict[str, str] = {}
        self._answer = answer

    async def send(self, *asked: object) -> Says:
        return self

    async def read(self) -> bytes:
        return json.dumps(self._answer).encode()

    def close(self) -> None:
        return


@pytest.fixture
def ask(fakes: Any) -> Any:
    """Status, headers and body of what a client gets."""

    def asked(surface: Any, body: dict[str, Any], answer: dict[str, Any], **config: Any) -> tuple[int, dict[bytes, bytes], Any]:
        guard = fakes.guard({"a": fakes.finds("forbidden")})
        services = Services(GatewayConfig(**config), {"": guard}, cast(Upstream, Says(answer)), OpenGate())
        out: list[Any] = []
        came = [{"type": "http.request", "body": json.dumps(body).encode()}]

        async def receive() -> Any:
            return came.pop() if came else await asyncio.Event().wait()

        async def send(message: Any) -> None:
            out.append(message)

        scope = {"headers": [(b"content-type", b"application/json"), (b"x-request-id", b"asked-1")]}
        asyncio.run(Call(services, surface, scope, receive, send).run())
        return out[0]["status"], dict(out[0]["headers"]), json.loads(b"".join(each["body"] for each in out[1:]))

    return asked


def failed(message: str) -> dict[str, Any]:
    return responses_said.response(status="failed", error={"code": "server_error", "message": message})


def test_a_response_that_failed_says_so_itself(ask: Any) -> None:
    status, _, told = ask(responses.surface, {"model": "m", "input": "hi"}, failed("The model fell over."))
    assert (status, told["status"]) == (200, "failed")
    assert told["error"] == {"code": "server_error", "message": "The model fell over."}


def test_what_a_failed_response_says_is_checked(ask: Any) -> None:
    status, _, told = ask(responses.surface, {"model": "m", "input": "hi"}, failed("It said forbidden things."))
    assert (status, told["status"], told["error"]) == (200, "incomplete", None)
    assert "forbidden" not in json.dumps(told)


@pytest.mark.parametrize(
    ("surface", "body", "answer"),
    [
        (responses.surface, {"model": "m", "input": "hi"}, responses_said.response(error={"code": "server_error", "message": "x"})),
        (responses.surface, {"model": "m", "input": "hi"}, responses_said.response(status="failed", error="x")),
        (chat.surface, TALK, {"error": {"message": "x"}, "status": "failed", "choices": [{"message": {"content": "hello"}}]}),
        (messages.surface, {**TALK, "max_tokens": 1}, messages_said.message(messages_said.text("hello"), error={"message": "x"}, status="failed")),
    ],
)
def test_an_error_that_is_no_part_of_an_answer_is_a_bad_answer(ask: Any, surface: Any, body: dict[str, Any], answer: dict[str, Any]) -> None:
    status, _, told = ask(surface, body, answer)
    assert (status, told["error"]["code"]) == (502, "upstream_bad_answer")


def test_each_sdk_finds_the_request_where_it_looks(ask: Any) -> None:
    answer = messages_said.message(messages_said.text("hello"))
    for body, wanted in (({**TALK, "max_tokens": 1}, 200), (TALK | {"messages": "forbidden"}, 400)):
        status, headers, _ = ask(messages.surface, body, answer)
        assert (status, headers[b"request-id"], headers[b"x-request-id"]) == (wanted, b"asked-1", b"asked-1")
    _, headers, _ = ask(chat.surface, TALK, {"choices": [{"message": {"content": "hello"}}]})
    assert b"request-id" not in headers


@pytest.mark.parametrize(
    ("host", "served"),
    [
        *((host, True) for host in ("127.0.0.1", "127.0.0.1:8700", "127.0.0.2:8700", "localhost", "LOCALHOST:8700", "[::1]:8700")),
        *((host, False) for host in ("", "10.0.0.1:8700", "gateway.example", "localhost.example:8700", "127.0.0.1.example", "[::2]:8700")),
    ],
)
def test_every_name_of_this_machine_is_served_without_keys(host: str, served: bool) -> None:
    services = Services(GatewayConfig(), {}, cast(Upstream, Says({})), OpenGate())
    gateway = Gateway(services, local_only=True)
    assert (gateway.refusal({"headers": [(b"host", host.encode())]}) is None) is served
