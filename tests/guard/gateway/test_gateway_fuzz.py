"""Bodies and streams that nobody meant: the gateway answers each with an error or an answer, never 500, and shows nothing that no rail has read."""

from __future__ import annotations

import http.client
import itertools
import json
import random
from typing import Any

import pytest
from gateway_upstream import answers, chunk, spoken, streams
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {
        "model": "m",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "content": [{"type": "text", "text": "hello"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}],
            },
            {"role": "assistant", "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "1", "content": "done"},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}],
        "stream": False,
        "n": 1,
        "max_tokens": 5,
        "stop": ["x"],
        "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {"title": "t"}}},
    },
    "/v1/completions": {"model": "m", "prompt": ["hello", "there"], "suffix": "x", "stream": False, "echo": True},
    "/v1/responses": {
        "model": "m",
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "hello"}]},
            {"type": "function_call_output", "call_id": "c", "output": "o"},
        ],
        "instructions": "Be brief.",
        "tools": [{"type": "function", "name": "f", "parameters": {}}],
    },
    "/v1/messages": {
        "model": "m",
        "max_tokens": 5,
        "system": [{"type": "text", "text": "Be brief."}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "hello"}, {"type": "tool_result", "tool_use_id": "t", "content": "done"}]}
        ],
    },
    "/v1/messages/count_tokens": {"model": "m", "messages": [{"role": "user", "content": "hello"}]},
    "/v1/embeddings": {"model": "m", "input": ["hello", "there"], "dimensions": 3},
    "/v1/moderations": {"model": "m", "input": [{"type": "text", "text": "hello"}]},
}
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False), st.text(max_size=8), st.just("forbidden"))
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3), max_leaves=6)
FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


@pytest.fixture(scope="module")
def gateway(launch):
    """Rails that withhold ``forbidden``, on both stages."""
    from charter.core.rows import Verdict
    from charter.guard.engine import Guard
    from charter.guard.policy import GuardPolicy, RailEntry
    from charter.guard.segments import view

    def word(conversation, stage):
        bad = "forbidden" in view(conversation, stage).text
        return Verdict(subject="x", outcome="unsafe" if bad else "safe", score=float(bad), judge="word", judge_version="1")

    entries = (RailEntry(rail="length", name="word"),)
    policy = GuardPolicy(input=entries, output=entries, media="allow", stream={"hold_chars": 12, "window_chars": 30})
    running = launch(Guard(policy, rails={"word": word}))
    running.upstream.script = answers({"object": "nothing"})
    return running


def places(value: Any, where: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place of a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [where, *(found for key, held in inner for found in places(held, (*where, key)))]


def put(value: Any, where: tuple[Any, ...], new: Any) -> Any:
    """A copy of ``value`` with ``new`` at a place."""
    if not where:
        return new
    copy = value.copy()
    copy[where[0]] = put(copy[where[0]], where[1:], new)
    return copy


def posted(port: int, path: str, body: bytes) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
    try:
        connection.request("POST", path, body, {"content-type": "application/json", "host": "localhost"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def well_answered(status: int, body: bytes) -> None:
    """An error of the client's or of the model server's, told as JSON; or an answer."""
    assert status < 500 or status == 502, body
    if status != 200:
        told = json.loads(body)
        assert (told.get("error") or {}).get("message")
    assert b"forbidden" not in body
    assert b"Traceback" not in body


@pytest.mark.parametrize("path", BODIES)
@FUZZ
@given(data=st.data())
def test_any_value_in_any_place_of_a_request(gateway, path, data):
    body = BODIES[path]
    for _ in range(data.draw(st.integers(1, 2))):
        body = put(body, data.draw(st.sampled_from(places(body))), data.draw(VALUES))
    well_answered(*posted(gateway.port, path, json.dumps(body).encode()))


@pytest.mark.parametrize("path", BODIES)
@FUZZ
@given(data=st.data())
def test_a_request_with_bytes_gone_wrong(gateway, path, data):
    raw = bytearray(json.dumps(BODIES[path]).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    well_answered(*posted(gateway.port, path, bytes(raw)))


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"null", b"[]", b'"x"', b"{", b"\xff\xfe{}", b"\xef\xbb\xbf{}", b"{}" * 2, b"[" * 100_000, b'{"a":' * 50_000),
        *(b'{"model":"m","model":"n"}', b'{"messages":NaN}', b'{"model":"\\ud800","messages":[]}'),
        b'{"messages":[{"role":"user","content":"' + b"x" * 1_000_000,
    ],
    ids=range(14),
)  # fmt: skip
@pytest.mark.parametrize("path", BODIES)
def test_bodies_that_are_no_request(gateway, path, body):
    status, told = posted(gateway.port, path, body)
    assert 400 <= status < 500
    well_answered(status, told)


def broken_stream(rng: random.Random) -> list[bytes]:
    """Events of a good stream with the forbidden word in it or not, with events doubled, dropped, mixed up, cut anywhere and bytes changed."""
    words = [rng.choice(["roses ", "need ", "sun. ", "for", "bidden", "forbidden ", "\u00e9\U0001f339 "]) for _ in range(rng.randint(1, 30))]
    told = spoken(*words)
    for _ in range(rng.randint(0, 3)):
        n, kind = rng.randrange(len(told)), rng.randrange(4)
        if kind == 3:
            rng.shuffle(told)
        else:
            told[n : n + (kind != 1)] = ([told[n]] * 2, [rng.choice(ODD)], [])[kind]
        told = told or [b"data: [DONE]\n\n"]
    raw = bytearray(b"".join(told))
    for _ in range(rng.choice([0, 0, 1, 4])):
        raw[rng.randrange(len(raw))] = rng.randrange(256)
    cuts = sorted({0, len(raw), *(rng.randrange(len(raw)) for _ in range(rng.randint(0, 8)))})
    return [bytes(raw[a:b]) for a, b in itertools.pairwise(cuts)]


def odd(**choice: Any) -> bytes:
    return b"data: %b\n\n" % json.dumps({"choices": [{"index": 0, **choice}]}).encode()


BAD = "a forbidden text"
ODD = (
    *(b": %b\n\n" % BAD.encode(), b"data:\n\n", b"data: null\n\n", b"data: []\n\n", b"data: {}\n\n", b"\xff\xfe\xfd\n\n", b"\r\r\n\n\r"),
    *(b'data: {"choices":null}\n\n', b'data: {"choices":[null]}\n\n', b"data: " + b"9" * 400 + b"\n\n", b"data: [DONE]\n\ndata: [DONE]\n\n"),
    *(b"event: %b\ndata: {}\n\n" % BAD.encode(), b"id: %b\nretry: 1\n\n" % BAD.encode(), chunk("x") + b"\n\n"),
    *(b'data: {"%b":"%b","choices":[]}\n\n' % (name, BAD.encode()) for name in (b"id", b"model", b"object", b"note")),
    b'data: {"error":{"message":"%b"}}\n\n' % BAD.encode(),
    *(odd(index=index, delta={"content": BAD}) for index in (-1, 0, 7, None, "0")),
    *(odd(delta={"content": held}) for held in ([BAD], {"a": BAD}, 5, True)),
    *(odd(delta={name: BAD}) for name in ("role", "refusal", "reasoning_content", "name", "note", "audio", "tool_calls")),
    odd(delta={"tool_calls": [{"index": 0, "function": {"name": "forbidden", "arguments": BAD}}]}),
    odd(delta={"content": "x"}, finish_reason=BAD),
    odd(delta={"content": "x"}, logprobs={"content": [{"token": BAD}]}),
    *(odd(message={"content": BAD}), odd(text=BAD), odd(delta=None, note=BAD)),
)


@pytest.mark.parametrize("seed", range(12))
def test_streams_gone_wrong_show_nothing_unread_and_end(gateway, seed):
    """Thirty broken streams a seed. Where a stream ends well, it ends in the end mark; else in an error frame that SDKs raise on."""
    rng = random.Random(seed)
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hello"}], "stream": True}).encode()
    ends = {"done": 0, "error": 0, "refused": 0}
    for _ in range(30):
        gateway.upstream.script = streams(*broken_stream(rng))
        status, told = posted(gateway.port, "/v1/chat/completions", body)
        assert status in (200, 502), told
        assert b"forbidden" not in told, told
        assert "forbidden" not in said(told)
        if status == 502:
            ends["refused"] += 1
            continue
        last = [line for line in told.split(b"\n") if line.startswith(b"data: ")][-1]
        assert last == b"data: [DONE]" or b'"error"' in last, told[-300:]
        ends["done" if last == b"data: [DONE]" else "error"] += 1
    assert ends["done"], "some are whole"
    assert ends["error"] + ends["refused"], "and some are not"


def said(told: bytes) -> str:
    """The text that a client would join."""
    found = []
    for line in told.split(b"\n"):
        if line.startswith(b"data: {"):
            found += [choice["delta"].get("content") or "" for choice in json.loads(line[6:]).get("choices", ()) if "delta" in choice]
    return "".join(found)
