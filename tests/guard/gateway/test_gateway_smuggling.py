"""Two readers of one request must not see two different requests: what HTTP leaves open is turned away, and nothing of a client becomes a header."""

from __future__ import annotations

import json
import re
import socket

import pytest
from gateway_upstream import says

BODY = json.dumps({"model": "m", "messages": [{"role": "user", "content": "How do I prune roses?"}]}).encode()
HIDDEN = json.dumps({"model": "m", "messages": [{"role": "user", "content": "SMUGGLED"}]}).encode()
PATH = b"/v1/chat/completions"


def head(*lines: bytes, path: bytes = PATH, method: bytes = b"POST") -> bytes:
    return b"\r\n".join([method + b" " + path + b" HTTP/1.1", b"host: localhost", b"content-type: application/json", *lines, b"", b""])


SECOND = head(b"content-length: %d" % len(HIDDEN)) + HIDDEN
CHUNKED = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
SHORT = b"content-length: %d" % len(BODY)
#: Requests that two servers may read differently; each carries a second one inside, or after, what one of the readings takes for the body.
AMBIGUOUS = {
    "length and chunked": head(b"content-length: %d" % (len(CHUNKED) + len(SECOND)), b"transfer-encoding: chunked") + CHUNKED + SECOND,
    "chunked and length": head(b"transfer-encoding: chunked", b"content-length: 4") + CHUNKED + SECOND,
    "two lengths": head(b"content-length: %d" % (len(BODY) + len(SECOND)), SHORT) + BODY + SECOND,
    "a list of lengths": head(b"content-length: %d, %d" % (len(BODY), len(BODY) + 9)) + BODY + SECOND,
    "length with a sign": head(b"content-length: +%d" % len(BODY)) + BODY + SECOND,
    "hexadecimal length": head(b"content-length: 0x%x" % len(BODY)) + BODY + SECOND,
    "negative length": head(b"content-length: -1") + BODY + SECOND,
    "length beyond 64 bits": head(b"content-length: %d" % (2**64 + len(BODY))) + BODY + SECOND,
    "unknown coding": head(b"transfer-encoding: xchunked", SHORT) + BODY + SECOND,
    "chunked twice": head(b"transfer-encoding: chunked", b"transfer-encoding: identity") + CHUNKED + SECOND,
    "chunked is not last": head(b"transfer-encoding: chunked, gzip") + CHUNKED + SECOND,
    "space before the colon": head(b"transfer-encoding : chunked", SHORT) + BODY + SECOND,
    "space in the length's name": head(b"content-length : %d" % len(BODY)) + BODY + SECOND,
    "tab before the coding": head(b"transfer-encoding:\x0bchunked", SHORT) + BODY + SECOND,
    "folded line": head(b"x-note: a\r\n content-length: 0", SHORT) + BODY + SECOND,
    "folded coding": head(b"transfer-encoding:\r\n chunked", SHORT) + BODY + SECOND,
    "a zero byte": head(b"x-note: a\x00b", SHORT) + BODY + SECOND,
    "lone line feeds": (head(b"x-note: a\nx-other: b", SHORT) + BODY + SECOND).replace(b"\r\n", b"\n", 3),
    "lone carriage return": head(b"x-note: a\rtransfer-encoding: chunked", SHORT) + BODY + SECOND,
    "bad chunk size": head(b"transfer-encoding: chunked") + b"0x10\r\n" + BODY + SECOND,
    "negative chunk size": head(b"transfer-encoding: chunked") + b"-1\r\n" + BODY + SECOND,
    "chunk size beyond 64 bits": head(b"transfer-encoding: chunked") + b"f" * 17 + b"\r\n" + BODY + SECOND,
    "line feed ends a chunk size": head(b"transfer-encoding: chunked") + CHUNKED.replace(b"\r\n", b"\n", 1) + SECOND,
    "chunk longer than it says": head(b"transfer-encoding: chunked") + b"5\r\n" + BODY + b"\r\n0\r\n\r\n" + SECOND,
    "upgrade to h2c": head(b"upgrade: h2c", b"connection: upgrade, http2-settings", b"http2-settings: AAMAAABk", b"content-length: 0"),
    "version 1.0 with chunks": (head(b"transfer-encoding: chunked", b"content-length: 3") + CHUNKED + SECOND).replace(b"HTTP/1.1", b"HTTP/1.0", 1),
}


@pytest.fixture(scope="module")
def gateway(launch):
    running = launch(limits={"header_s": 2.0, "body_s": 2.0, "keepalive_s": 1.0})
    running.upstream.script = says("Prune in March.")
    return running


def sent(port: int, data: bytes, timeout_s: float = 8.0) -> bytes:
    """Everything that comes back until the gateway hangs up or is silent."""
    got = b""
    with socket.create_connection(("127.0.0.1", port), timeout_s) as wire:
        try:
            wire.sendall(data)
            while piece := wire.recv(1 << 16):
                got += piece
        except (TimeoutError, ConnectionError):
            pass
    return got


def statuses(answer: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"(?:^|\r\n|\})HTTP/1\.1 (\d{3})", answer)]


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_an_ambiguous_request_is_no_second_request(gateway, name):
    before = len(gateway.upstream.asked)
    answer = sent(gateway.port, AMBIGUOUS[name])
    asked = gateway.upstream.asked[before:]
    assert not [request for request in asked if b"SMUGGLED" in request.body], name
    assert len(asked) <= 1
    found = statuses(answer)
    assert found, "it is answered, not left hanging"
    assert all(status < 500 for status in found)
    assert len([status for status in found if status == 200]) <= 1


def test_two_requests_in_a_row_are_two_and_both_are_guarded(launch, fakes):
    """Pipelining is no smuggling: what follows a request that is whole is read by the rails too."""
    running = launch(fakes.guard({"word": fakes.finds("SMUGGLED")}))
    running.upstream.script = says("Prune in March.")
    answer = sent(running.port, head(SHORT) + BODY + SECOND.replace(b"host:", b"connection: close\r\nhost:"))
    assert statuses(answer) == [200, 400]
    assert b"content_filter" in answer
    assert [request.json["messages"][0]["content"] for request in running.upstream.asked] == ["How do I prune roses?"]


@pytest.mark.parametrize(
    "path",
    [b"//v1/chat/completions", b"/v1/../v1/chat/completions", b"/V1/chat/completions", b"/v1/chat/completions/",
     b"/v1/chat/completions;x", b"/v1/chat\\completions", b"/v1/images/generations", b"/%2e%2e/v1/chat/completions", b"*"],
)  # fmt: skip
def test_another_spelling_of_a_path_is_not_served(gateway, path):
    before = len(gateway.upstream.asked)
    (status, *_) = statuses(sent(gateway.port, head(SHORT, b"connection: close", path=path) + BODY))
    assert status in (400, 404, 405, 307)
    assert gateway.upstream.asked[before:] == []


def test_an_escaped_path_is_read_once_and_guarded(launch, fakes):
    running = launch(fakes.guard({"word": fakes.finds("SMUGGLED")}))
    answer = sent(running.port, head(b"content-length: %d" % len(HIDDEN), b"connection: close", path=b"/v1/chat%2fcompletions") + HIDDEN)
    assert statuses(answer) == [400]
    assert b"content_filter" in answer
    assert statuses(sent(running.port, head(SHORT, b"connection: close", path=b"/v1/chat%252fcompletions") + BODY)) == [404]


@pytest.mark.parametrize("method", [b"GET", b"PUT", b"DELETE", b"OPTIONS", b"TRACE", b"CONNECT", b"PATCH", b"post"])
def test_other_methods_ask_no_model(gateway, method):
    before = len(gateway.upstream.asked)
    found = statuses(sent(gateway.port, head(SHORT, b"connection: close", method=method) + BODY))
    assert found
    assert all(400 <= status < 500 for status in found)
    assert gateway.upstream.asked[before:] == []


EVIL = (
    b"cookie: session=1", b"authorization: Bearer client-key", b"x-api-key: client-key", b"x-forwarded-for: 10.0.0.1", b"forwarded: for=10.0.0.1",
    b"proxy-authorization: Basic eA==", b"te: trailers", b"x-evil: 1", b"openai-organization: org", b"connection: close, x-request-id",
)  # fmt: skip


def test_nothing_that_a_client_sends_in_its_head_reaches_the_model_server_but_what_is_meant_to(gateway):
    trace = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    assert statuses(sent(gateway.port, head(SHORT, *EVIL, b"traceparent: " + trace) + BODY)) == [200]
    headers = gateway.upstream.asked[-1].headers
    assert headers["authorization"] == "Bearer upstream-key"
    assert headers["traceparent"] == trace.decode()
    meant = {"host", "authorization", "content-type", "content-length", "accept", "accept-encoding", "user-agent", "x-request-id", "traceparent"}
    assert set(headers) <= meant


@pytest.mark.parametrize(
    "given", [b"a\x7fb", b"\xff\xfe", b"x" * 5000, b"<script>", b"a b\tc", b"${jndi:x}", b"%0d%0ax-evil: 1", b"\xc4\x8d\xc4\x8ax-evil: 1"]
)
def test_a_request_id_that_is_no_id_is_not_repeated(gateway, given):
    answer = sent(gateway.port, head(SHORT, b"connection: close", b"x-request-id: " + given) + BODY)
    assert given not in answer
    assert b"x-evil" not in answer.lower()
    assert statuses(answer) in ([200], [400], [431])


@pytest.mark.parametrize("field", ["model", "user", "metadata"])
def test_line_breaks_in_a_body_never_become_headers(gateway, field):
    evil = "a\r\nx-evil: 1\r\n\r\nHTTP/1.1 200 OK"
    body = json.dumps({**json.loads(BODY), field: {"k": evil} if field == "metadata" else evil}).encode()
    answer = sent(gateway.port, head(b"content-length: %d" % len(body), b"connection: close") + body)
    told, _, rest = answer.partition(b"\r\n\r\n")
    assert b"x-evil" not in told.lower()
    assert len(statuses(answer)) == 1
    assert b"\r\nx-evil" not in rest
    assert all("x-evil" not in request.headers for request in gateway.upstream.asked)


def test_headers_of_the_model_server_stay_there(gateway):
    from gateway_said import completion
    from gateway_upstream import answers

    gateway.upstream.script = answers(completion("Prune."), set_cookie="a=1", x_evil="1", server="secret/1.0", x_request_id="theirs")
    answer = sent(gateway.port, head(SHORT, b"connection: close") + BODY).lower()
    gateway.upstream.script = says("Prune in March.")
    assert statuses(answer.replace(b"http/1.1", b"HTTP/1.1")) == [200]
    for word in (b"set-cookie", b"x-evil", b"secret/1.0", b"theirs"):
        assert word not in answer


def test_the_gateway_serves_on_after_all_of_it(gateway):
    assert gateway.client().chat.completions.create(model="m", messages=[{"role": "user", "content": "hello"}]).choices[0].message.content
