"""Clients that are slow, large, broken, many or gone, over real sockets: each has its deadline or bound, and none keeps the gateway from others."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import signal
import socket
import threading
import time
import urllib.request

import openai
import pytest
from gateway_upstream import answers, chunk, says, spoken, streams

HI = [{"role": "user", "content": "How do I prune roses?"}]
BODY = json.dumps({"model": "m", "messages": HI}).encode()
PATH = b"/v1/chat/completions"


WHOLE = len(BODY)


def head(length=WHOLE, *more, path=PATH, host=b"localhost"):
    lines = [b"POST " + path + b" HTTP/1.1", b"host: " + host, b"content-type: application/json", b"content-length: %d" % length, *more]
    return b"\r\n".join([*lines, b"", b""])


@pytest.fixture(scope="module")
def strict_times(launch):
    limits = {"header_s": 0.5, "body_s": 0.7, "keepalive_s": 1.0, "stalled_s": 0.8, "total_s": 3.0, "body_bytes": 50_000, "header_bytes": 8_000}
    return launch(limits=limits)


@pytest.fixture
def told(strict_times):
    strict_times.told.clear()
    strict_times.upstream.script = says("Hello.")
    return strict_times


@contextlib.contextmanager
def connection(running):
    with socket.create_connection(("127.0.0.1", running.port), timeout=5) as client:
        yield client


def answer(client):
    """(status, body) until the gateway closes or the answer is whole."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = client.recv(65536)
        if not piece:
            break
        data += piece
    start, _, body = data.partition(b"\r\n\r\n")
    if not start:
        return 0, b""
    length = next((int(line.split(b":")[1]) for line in start.split(b"\r\n") if line.lower().startswith(b"content-length:")), None)
    while length is None or len(body) < length:
        piece = client.recv(65536)
        if not piece:
            break
        body += piece
    return int(start.split(b" ")[1]), body


def code(body):
    return json.loads(body)["error"]["code"]


def send_slowly(client, data, pause_s=0.1):
    """Byte by byte until the gateway has had enough."""
    for at in range(len(data)):
        try:
            client.sendall(data[at : at + 1])
        except OSError:
            return at
        time.sleep(pause_s)
    return len(data)


def test_a_head_that_trickles_in(told):
    before = turned_away(told, "request_timeout")
    with connection(told) as client:
        began = time.monotonic()
        sender = threading.Thread(target=send_slowly, args=(client, head()))
        sender.start()
        status, body = answer(client)
        assert (status, code(body)) == (408, "request_timeout")
        assert time.monotonic() - began < 2
        client.close()
        sender.join()
    assert told.told == [], "it never became a request"
    assert turned_away(told, "request_timeout") == before + 1


def turned_away(running, code):
    """How often that was counted without a request."""
    return running.built.metrics.registry.get_sample_value("charter_errors_total", {"endpoint": "none", "code": code}) or 0.0


def test_a_body_that_trickles_in(told):
    before = turned_away(told, "request_timeout")
    with connection(told) as client:
        client.sendall(head())
        sender = threading.Thread(target=send_slowly, args=(client, BODY))
        sender.start()
        status, body = answer(client)
        assert (status, code(body)) == (408, "request_timeout")
        client.close()
        sender.join()
    exchange = told.exchange()
    assert (exchange.outcome, exchange.status, exchange.code) == ("rejected", 408, "request_timeout")
    assert told.upstream.asked == []
    assert turned_away(told, "request_timeout") == before, "the request's own account counts it"


def test_a_body_that_never_comes_after_its_answer(told):
    """Turned away by its head: the answer comes at once, and the connection is closed without another word."""
    with connection(told) as client:
        client.sendall(head(60_000) + b"{")
        assert answer(client)[0] == 413
        assert client.recv(1000) == b""


def test_a_connection_that_says_nothing(told):
    with connection(told) as client:
        assert answer(client) == (0, b"")


def test_a_second_request_that_trickles_in(told):
    """A connection that has served a request has the same deadlines for the next."""
    with connection(told) as client:
        client.sendall(head() + BODY)
        assert answer(client)[0] == 200
        client.sendall(b"POST /v1/chat")
        status, body = answer(client)
        assert (status, code(body)) == (408, "request_timeout")


def test_an_idle_connection_is_closed(told):
    with connection(told) as client:
        client.sendall(head() + BODY)
        assert answer(client)[0] == 200
        assert client.recv(1) == b""


def test_slow_clients_do_not_keep_others_out(told):
    with contextlib.ExitStack() as stack:
        for _ in range(50):
            stack.enter_context(connection(told)).sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x")
        assert told.client().chat.completions.create(model="m", messages=HI).choices[0].message.content == "Hello."


@pytest.mark.parametrize(
    ("request_", "status", "wanted"),
    [
        (head(60_000), 413, "request_too_large"),
        (head(len(BODY), b"content-encoding: gzip") + gzip.compress(b" " * 1_000_000, mtime=0)[: len(BODY)], 415, "unsupported_encoding"),
        (b"\r\n".join([b"POST " + PATH + b" HTTP/1.1", b"host: localhost", b"content-type: text/plain", b"content-length: 2", b"", b"{}"]), 415,
         "unsupported_media_type"),
        (head(len(BODY), b"x-large: " + b"y" * 9_000) + BODY, 431, "head_too_large"),
        (head(len(BODY), *[b"x-%d: y" % n for n in range(200)]) + BODY, 431, "head_too_large"),
        (b"GET /" + b"x" * 20_000, 431, "head_too_large"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 TLS to a plain port", 400, "invalid_http"),
        (head(len(BODY), b"transfer-encoding: chunked") + BODY, 400, "invalid_http"),
        (b"POST " + PATH + b" HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n{}", 400, "invalid_http"),
        (b"POST " + PATH + b" HTTP/1.1\r\nhost: localhost\r\nbad header\r\n\r\n", 400, "invalid_http"),
        (head(WHOLE, host=b"evil.example") + BODY, 403, "host_not_allowed"),
        (head(WHOLE, host=b"localhost.evil.example:80") + BODY, 403, "host_not_allowed"),
    ],
    ids=str,
)  # fmt: skip
def test_requests_that_are_turned_away(told, request_, status, wanted):
    before = turned_away(told, wanted)
    with connection(told) as client:
        client.sendall(request_)
        got, body = answer(client)
        assert (got, code(body)) == (status, wanted)
    assert told.upstream.asked == []
    assert turned_away(told, wanted) - before + len(told.told) == 1, "counted once, by its own account or without one"


def test_a_body_without_length_is_bounded(told):
    with connection(told) as client:
        client.sendall(head().replace(b"content-length: %d" % len(BODY), b"transfer-encoding: chunked"))
        with contextlib.suppress(OSError):
            for _ in range(20):
                client.sendall(b"2000\r\n" + b"x" * 0x2000 + b"\r\n")
        status, body = answer(client)
        assert (status, code(body)) == (413, "request_too_large")


@pytest.mark.parametrize(
    ("body", "wanted"),
    [(b"{", "invalid_json"), (b"[]", "invalid_json"), (b'{"model": "a", "model": "b"}', "invalid_json"), (b'{"model": "\xff"}', "invalid_json"),
     (b'{"a": ' + b"[" * 1000 + b"]" * 1000 + b"}", "invalid_json"), (b"{}", "invalid_request")],
    ids=str,
)  # fmt: skip
def test_bodies_that_are_turned_away(told, body, wanted):
    with connection(told) as client:
        client.sendall(head(len(body)) + body)
        status, got = answer(client)
        assert (status, code(got)) == (400, wanted)
    assert told.exchange().outcome == "rejected"
    assert told.upstream.asked == []


def test_request_ids(told):
    with connection(told) as client:
        client.sendall(head(len(BODY), b"x-request-id: mine-1.2_3") + BODY)
        answer(client)
        assert told.exchange(0).request_id == "mine-1.2_3"
        client.sendall(head(len(BODY), b"x-request-id: a b<script>") + BODY)
        answer(client)
    made = told.exchange(1).request_id
    assert "script" not in made
    assert made[14] == "7", "a UUID of version 7"
    assert told.upstream.asked[-1].headers["x-request-id"] == made


async def until(condition, timeout_s=2.0):
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_client_that_leaves_cancels_the_upstream(told, stream):
    async def script(asked, wire):
        if stream:
            await wire.head(200, "text/event-stream")
            await wire.send(spoken("Hello")[0])
        await wire.gone()
        raise ConnectionResetError

    told.upstream.script = script
    before = told.upstream.cancelled
    body = json.dumps({"model": "m", "messages": HI, "stream": stream}).encode()
    with connection(told) as client:
        client.sendall(head(len(body)) + body)
        if stream:
            client.recv(10)
        told.loop(until(lambda: told.upstream.asked))
    left = time.monotonic()
    told.loop(until(lambda: told.upstream.cancelled == before + 1, 1.0))
    assert time.monotonic() - left < 1
    assert told.exchange().outcome == "disconnected"


@pytest.fixture(autouse=True)
def forget(strict_times):
    strict_times.upstream.asked.clear()


def test_a_client_that_does_not_read_is_cut_off(told):
    """It fills its buffers and stops reading; after its time the gateway hangs up, also on the upstream."""

    async def script(asked, wire):
        await wire.head(200, "text/event-stream")
        while True:
            await wire.send(b"data: " + chunk("x" * 5000) + b"\n\n")

    told.upstream.script = script
    body = json.dumps({"model": "m", "messages": HI, "stream": True}).encode()
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", told.port))
        client.sendall(head(len(body)) + body)
        assert told.exchange().outcome == "disconnected"


def test_the_whole_time_of_a_request(told):
    async def script(asked, wire):
        await wire.head(200, "text/event-stream")
        for n in range(100):
            await wire.send(b"data: " + chunk(f"{n} ") + b"\n\n")
            await asyncio.sleep(0.1)

    told.upstream.script = script
    stream = told.client().chat.completions.create(model="m", messages=HI, stream=True)
    with pytest.raises(openai.APIError) as error:
        list(stream)
    assert error.value.code == "deadline_exceeded"
    assert told.exchange().outcome == "unavailable"


def test_too_many_at_once(launch):
    running = launch(limits={"requests": 2})
    free = threading.Event()

    async def script(asked, wire):
        await asyncio.to_thread(free.wait, 10)
        await says("Hello.")(asked, wire)

    running.upstream.script = script
    client = running.client()
    threads = [threading.Thread(target=lambda: client.chat.completions.create(model="m", messages=HI)) for _ in range(2)]
    for thread in threads:
        thread.start()
    running.loop(until(lambda: len(running.upstream.asked) == 2))
    with pytest.raises(openai.InternalServerError) as error:
        client.chat.completions.create(model="m", messages=HI)
    assert error.value.code == "overloaded"
    assert error.value.response.headers["retry-after"] == "1"
    assert len(running.upstream.asked) == 2
    free.set()
    for thread in threads:
        thread.join()
    running.loop(until(lambda: len(running.told_so_far) == 3))
    assert sorted(exchange.outcome for exchange in running.told) == ["bypassed", "bypassed", "rejected"]


def test_too_many_connections(launch):
    running = launch(limits={"connections": 2})
    with connection(running) as one, connection(running) as two:
        for client in (one, two):
            client.sendall(head() + BODY)
            assert answer(client)[0] == 200
        with connection(running) as three:
            status, body = answer(three)
            assert (status, code(body)) == (503, "overloaded")
    assert turned_away(running, "overloaded") == 1, "a gateway that refuses connections does not look idle"


def test_heartbeats_while_text_is_held(launch, fakes):
    """A guard that reads replies whole holds everything; comments keep the connection alive, and SDKs ignore them."""
    running = launch(fakes.guard({"a": fakes.finds("forbidden")}, stream={"mode": "full"}), heartbeat_s=0.1)
    running.upstream.script = streams(*spoken(*["word "] * 10), pause_s=0.05)
    body = json.dumps({"model": "m", "messages": HI, "stream": True}).encode()
    request = urllib.request.Request(running.root + PATH.decode(), body, {"content-type": "application/json"})
    with urllib.request.urlopen(request) as got:
        data = got.read()
    assert data.count(b": keepalive\n\n") >= 2
    assert data.index(b": keepalive") < data.index(b"word")
    stream = running.client().chat.completions.create(model="m", messages=HI, stream=True)
    assert "".join(c.choices[0].delta.content or "" for c in stream) == "word " * 10
    assert running.exchange().held_ms > 100


def test_sigterm_lets_requests_in_work_finish(launch):
    """readyz says 503 first while the port is still open; then the port closes; a stream in work ends well."""
    running = launch(shutdown={"announce_s": 0.5, "drain_s": 5.0})
    running.upstream.script = streams(*spoken(*["word "] * 30), pause_s=0.05)
    got = []
    stream = running.client().chat.completions.create(model="m", messages=HI, stream=True)
    reader = threading.Thread(target=lambda: got.extend(c.choices[0].delta.content or "" for c in stream))
    reader.start()
    running.loop.loop.call_soon_threadsafe(running.server.handle_exit, signal.SIGTERM, None)
    time.sleep(0.1)
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(running.root + "/readyz")
    with error.value as told:
        assert told.code == 503
        assert json.loads(told.read())["reasons"] == ["shutting down"]
    time.sleep(0.8)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", running.port), timeout=1)
    reader.join(10)
    assert "".join(got) == "word " * 30
    assert running.exchange().outcome == "bypassed"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_what_is_still_in_work_after_the_drain_ends_with_an_error(launch, stream):
    running = launch(shutdown={"announce_s": 0.0, "drain_s": 0.5})

    async def script(asked, wire):
        if stream:
            await wire.head(200, "text/event-stream")
            await wire.send(b"data: " + chunk("Hello ") + b"\n\n")
        await wire.gone()

    running.upstream.script = script
    errors = []

    def ask():
        try:
            done = running.client().chat.completions.create(model="m", messages=HI, stream=stream)
            list(done)
        except openai.APIError as error:
            errors.append(error.code)

    asker = threading.Thread(target=ask)
    asker.start()
    running.loop(until(lambda: running.upstream.asked))
    running.loop.loop.call_soon_threadsafe(running.server.handle_exit, signal.SIGTERM, None)
    asker.join(10)
    assert errors == ["shutting_down"]
    assert running.exchange().outcome == "unavailable"


def test_upstream_rate_limits_pass_through(told):
    told.upstream.script = answers({"error": {"message": "slow down", "code": "x"}}, 429, retry_after="7")
    with pytest.raises(openai.RateLimitError) as error:
        told.client().chat.completions.create(model="m", messages=HI)
    assert error.value.response.headers["retry-after"] == "7"
    assert "slow down" in error.value.message


def test_a_client_that_hangs_up_on_an_error_did_not_leave(launch, fakes):
    """The stream broke off, and its client was told, while a check was still at work: that is what the accounts say."""
    release = threading.Event()

    def slow(conversation, stage):
        if stage == "output":
            release.wait(10)
        return fakes.verdict("safe", 0.0)

    running = launch(fakes.guard({"a": slow}, cache=0, stream={"hold_chars": 4, "window_chars": 8}))
    running.upstream.script = streams(*spoken("Prune in March, or so. " * 4, end=False)[:-1])
    with pytest.raises(openai.APIError, match="broke off"):
        list(running.client().chat.completions.create(model="m", messages=HI, stream=True))
    exchange = running.exchange()
    release.set()
    assert (exchange.outcome, exchange.code) == ("upstream_error", "upstream_interrupted")
