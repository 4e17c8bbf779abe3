"""``test_gateway_leaks`` for the streams of ``/v1/responses`` and ``/v1/messages``, which tell texts more than once and in blocks."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from collections import defaultdict

import messages_said
import pytest
import responses_said
from test_gateway_leaks import Checks, generated

from charter.guard.gateway.streaming import Pump
from charter.guard.gateway.surfaces import messages, responses
from charter.guard.gateway.wire import sse
from charter.guard.vault import Vault

ASKED = {
    "responses": responses.surface.ask({"model": "m", "stream": True, "input": "hi"}),
    "messages": messages.surface.ask({"model": "m", "stream": True, "messages": [{"role": "user", "content": "hi"}]}),
}
SURFACES = {"responses": responses.surface, "messages": messages.surface}


def told(name, channel, text, pieces):
    """The events of a reply that is ``text`` on a channel."""
    if name == "responses":
        item = {"content": responses_said.message, "reasoning": responses_said.reasoning}.get(channel, lambda text: responses_said.call("f", text))(
            text
        )
        return responses_said.events(item, size=pieces)
    call = {"type": "tool_use", "id": "t", "name": "f", "input": text}
    block = call if channel == "tool:0" else messages_said.text(text) if channel == "content" else messages_said.thinking(text)
    return messages_said.events(block, size=pieces)


DELTAS = {
    "response.output_text.delta": "content",
    "response.reasoning_text.delta": "reasoning",
    "response.function_call_arguments.delta": "tool:0",
    "text_delta": "content",
    "thinking_delta": "reasoning",
    "input_json_delta": "tool:0",
}


class Client:
    """What has left: deltas by channel, and every text that an event told again."""

    def __init__(self, checks, start, thing):
        self.checks, self.start, self.thing = checks, start, thing
        self.texts = defaultdict(str)
        self.raw, self.repeats, self.ends, self.errors = b"", [], [], []
        self._reader = sse.Reader()

    def put(self, data):
        self.raw += data
        for event in self._reader.feed(data):
            value = json.loads(event.data)
            delta = value.get("delta")
            kind = delta["type"] if isinstance(delta, dict) and "type" in delta else value["type"]
            if kind in DELTAS and not (isinstance(delta, dict) and value.get("index")):
                self.texts[DELTAS[kind]] += (
                    delta if isinstance(delta, str) else next(delta[k] for k in ("text", "thinking", "partial_json") if k in delta)
                )
            if value["type"].endswith((".done", "response.completed")):
                self.repeats.append((value["type"], value))
            if value["type"] in ("response.completed", "response.incomplete", "message_delta"):
                self.ends.append(value)
            if value["type"] == "error":
                self.errors.append(value)
        if self.checks.kind == "forbidden":
            for channel, out in self.texts.items():
                assert len(out) <= self.start or out == "No.", (channel, out)
            assert self.thing not in self.raw.decode()
        if not self.checks.whole_approved:
            assert not self.texts["tool:0"]


async def run(name, case, pieces, *, eager):
    kind, channel, text, start, thing, wanted = case
    vault = None
    if kind == "restored":
        vault = Vault()
        vault.hide("EMAIL", 'o"x')
    checks = Checks(kind, thing, vault)
    client = Client(checks, start, thing)

    async def wake():
        return

    pump = Pump(SURFACES[name].codec(ASKED[name]), ASKED[name], checks, client.put, wake, lambda: None, lambda: 0.0)
    for event in told(name, channel, text, pieces):
        pump.feed([sse.Event(event["type"], json.dumps(event).encode())])
        if eager:
            await pump.wait()
    await pump.finish()
    assert client.errors == []
    return client, wanted


def judge(name, case, client, wanted):
    kind, channel = case[:2]
    [end] = client.ends
    if kind == "forbidden":
        assert wanted.startswith(client.texts[channel].removesuffix("No."))
        assert "content_filter" in json.dumps(end) or end["delta"]["stop_reason"] == "refusal"
        return
    assert client.texts[channel] == wanted
    key = "arguments" if channel == "tool:0" else "text"
    for kind_, value in client.repeats:  # whatever tells the text again tells what the client has
        if kind_.endswith(("text.done", "arguments.done")):
            assert value[key] == wanted
        if kind_ == "response.completed":
            [item] = value["response"]["output"]
            assert (item["arguments"] if channel == "tool:0" else item["content"][0]["text"]) == wanted


async def many(name, seed, count):
    for case in generated(seed, count):
        text = case[2]
        for cut in range(0, len(text) + 1):
            judge(name, case, *await run(name, case, [text[:cut], text[cut:]], eager=True))
        rng = random.Random(text)
        for eager in (True, False):
            cuts = sorted({0, len(text), *(rng.randrange(len(text) + 1) for _ in range(12))})
            judge(name, case, *await run(name, case, [text[a:b] for a, b in itertools.pairwise(cuts)], eager=eager))
        judge(name, case, *await run(name, case, list(text), eager=False))


@pytest.mark.parametrize("name", SURFACES)
def test_nothing_unapproved_leaves_however_a_reply_is_cut(name):
    asyncio.run(many(name, 1, 32))


@pytest.mark.slow
@pytest.mark.parametrize("name", SURFACES)
def test_nothing_unapproved_leaves_in_many_replies(name):
    asyncio.run(many(name, 2, 400))
