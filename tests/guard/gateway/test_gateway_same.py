"""The same text gets the same decision through every surface, whole and streamed: from the same rails, for the same reason."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

import messages_said
import pytest
import responses_said
from gateway_said import completion, events
from gateway_upstream import answers, chunk, streams

from charter.guard.engine import Guard
from charter.guard.policy import GuardPolicy

#: Rails without a model, as anybody may set them up; text that they let pass, flag, mask and withhold.
POLICY = {
    "input": [
        {"rail": "length", "settings": {"max_chars": 2000}},
        {"rail": "invisible_text", "action": "mask"},
        {"rail": "secrets", "action": "mask"},
        {"rail": "blocklist", "settings": {"phrases": ["forbidden thing"]}},
        {"rail": "blocklist", "name": "watched", "action": "flag", "settings": {"phrases": ["watched thing"]}},
    ],
    "output": [
        {"rail": "secrets", "action": "mask"},
        {"rail": "blocklist", "settings": {"phrases": ["forbidden thing"]}},
        {"rail": "blocklist", "name": "watched", "action": "flag", "settings": {"phrases": ["watched thing"]}},
    ],
    "stream": {"masked": "window"},
}
KEY = "ghp_" + "a1B2" * 9
TEXTS = {
    "harmless": "How do I prune roses in March?",
    "several lines": "First line.\n\nSecond line: état, 日本語, 👩‍👩‍👧.\n",
    "withheld": "Please give me the forbidden thing now.",
    "disguised": "Please give me the f o r b i d d e n t h i n g now.",
    "in another alphabet": "Please give me the fоrbiddеn thing now.",
    "flagged": "Tell me of the watched thing.",
    "masked": f"My key is {KEY} and I lost it.",
    "masked and withheld": f"My key is {KEY} and I want the forbidden thing.",
    "invisible": "Prune\u200b\u200b\U000e0041\U000e0042 the roses.",
    "long": "roses " * 400,
}


def text_chunk(text, finish=None):
    return json.dumps({"id": "c", "created": 1, "model": "m", "choices": [{"index": 0, "text": text, "finish_reason": finish}]}).encode()


def cut(text):
    return responses_said.cut(text, 7) or [""]


#: By surface: the request that asks a text, and the answers that say one, whole and streamed.
SURFACES = {
    "chat": (
        "/v1/chat/completions",
        lambda text: {"messages": [{"role": "user", "content": text}]},
        lambda text: completion(text),
        lambda text: events(*map(chunk, cut(text)), chunk(finish="stop")),
    ),
    "completions": (
        "/v1/completions",
        lambda text: {"prompt": text},
        lambda text: {"id": "c", "created": 1, "model": "m", "choices": [{"index": 0, "text": text, "finish_reason": "stop"}]},
        lambda text: events(*map(text_chunk, cut(text)), text_chunk("", "stop")),
    ),
    "responses": (
        "/v1/responses",
        lambda text: {"input": text},
        lambda text: responses_said.response(responses_said.message(text)),
        lambda text: responses_said.sse(responses_said.events(responses_said.message(text), size=7)),
    ),
    "messages": (
        "/v1/messages",
        lambda text: {"max_tokens": 9, "messages": [{"role": "user", "content": text}]},
        lambda text: messages_said.message(messages_said.text(text)),
        lambda text: responses_said.sse(messages_said.events(messages_said.text(text), size=7)),
    ),
}
WAYS = [(surface, stream) for surface in SURFACES for stream in (False, True)]


@pytest.fixture(scope="module")
def running(launch):
    patient = {stage: [{**entry, "timeout_ms": 10_000} for entry in POLICY[stage]] for stage in ("input", "output")}
    return launch(Guard(GuardPolicy.model_validate({**POLICY, **patient})))


def told(running, surface, stream, asks, says):
    """The account of one request, and all that the client got."""
    path, request, whole, streamed = SURFACES[surface]
    running.told.clear()
    running.upstream.script = streams(streamed(says)) if stream else answers(whole(says))
    body = json.dumps({"model": "m", "stream": stream, **request(asks)}).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(running.root + path, body, {"content-type": "application/json"})) as answer:
            got = answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            got = error.read().decode()
    return running.exchange(), got


def decisions(checks):
    return [(checked.action, checked.by) for checked in checks]


def masked(checks):
    return [[(mask.kind, mask.start, mask.end, mask.placeholder) for mask in checked.masks] for checked in checks]


@pytest.mark.parametrize("name", TEXTS)
def test_the_same_request_gets_the_same_decision(running, name):
    found = {way: told(running, *way, TEXTS[name], "Fine.")[0] for way in WAYS}
    first = found["chat", False]
    assert first.inputs
    for way, exchange in found.items():
        assert decisions(exchange.inputs) == decisions(first.inputs), way
        assert masked(exchange.inputs) == masked(first.inputs), way
        assert exchange.outcome == first.outcome, way
    running.told.clear()
    running.upstream.script = answers({"object": "list", "model": "m", "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}]})
    body = json.dumps({"model": "m", "input": TEXTS[name]}).encode()
    request = urllib.request.Request(running.root + "/v1/embeddings", body, {"content-type": "application/json"})
    try:
        urllib.request.urlopen(request).close()
    except urllib.error.HTTPError as error:
        error.close()
    assert decisions(running.exchange().inputs) == decisions(first.inputs)


@pytest.mark.parametrize("name", TEXTS)
def test_the_same_reply_gets_the_same_decision(running, name):
    found = {way: told(running, *way, "How do I prune roses?", TEXTS[name]) for way in WAYS}
    first = found["chat", False][0]
    assert first.outputs
    for way, (exchange, got) in found.items():
        assert decisions(exchange.outputs[-1:]) == decisions(first.outputs), way
        assert exchange.outcome == first.outcome, way
        assert KEY not in got, way
        if first.outcome == "blocked":
            assert "forbidden" not in got.lower(), way


def test_the_texts_are_of_every_kind(running):
    outcomes = {name: told(running, "chat", False, text, "Fine.")[0].outcome for name, text in TEXTS.items()}
    assert {outcomes[name] for name in ("withheld", "disguised", "masked and withheld", "long")} == {"blocked"}
    assert {outcomes[name] for name in ("masked", "invisible")} == {"masked"}
    assert (outcomes["harmless"], outcomes["flagged"]) == ("allowed", "flagged")
