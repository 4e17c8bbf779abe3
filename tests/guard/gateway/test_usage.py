"""What a stream that was withheld tells beside the refusal: the usage, as far as it is known, and the notes that a whole answer would have."""

from __future__ import annotations

import json
from typing import Any

import messages_said
import pytest
from streamed import through, told

from charter.guard.gateway.surfaces import chat, completions, messages, responses
from charter.guard.gateway.surfaces._surface import Ids, Withheld
from charter.guard.gateway.wire import sse

IDS, NO = Ids("d1", 1), Withheld("no")
USAGE = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
ZERO = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
TALK: dict[str, Any] = {"messages": [{"role": "user", "content": "hi"}]}
CASES: dict[str, tuple[Any, dict[str, Any]]] = {"chat": (chat.surface, TALK), "completions": (completions.surface, {"prompt": "hi"})}
EVERY = pytest.mark.parametrize("name", CASES)


def ask(name: str, **more: Any) -> tuple[Any, Any]:
    surface, body = CASES[name]
    return surface, surface.ask({"model": "m", "stream": True, **body, **more})


def chunks(raw: bytes) -> list[dict[str, Any]]:
    found = sse.Reader().feed(raw)
    assert found[-1].data == b"[DONE]"
    return [json.loads(event.data) for event in found[:-1]]


def said(name: str, **more: Any) -> bytes:
    choice = {"index": 0, "finish_reason": None, **({"delta": {"content": "x"}} if name == "chat" else {"text": "x"})}
    return json.dumps({"id": "c", "created": 1, "model": "m", "choices": [choice], **more}).encode()


@EVERY
@pytest.mark.parametrize("wanted", [True, False])
def test_a_request_that_was_refused_used_nothing_and_says_so_if_asked(name: str, wanted: bool) -> None:
    surface, asked = ask(name, stream_options={"include_usage": wanted})
    found = chunks(surface.refuse_stream(asked, NO, IDS))
    last = found[-1]
    assert sum(choice["finish_reason"] == "content_filter" for chunk in found for choice in chunk["choices"]) == 1
    assert ((last["choices"], last.get("usage")) == ([], ZERO)) is wanted
    assert last["id"].endswith("d1")


@EVERY
def test_a_stream_that_was_stopped_tells_the_last_usage_that_was_seen(name: str) -> None:
    surface, asked = ask(name, stream_options={"include_usage": True})
    codec = surface.codec(asked)
    codec.read("", said(name, usage=USAGE))
    *_, last = chunks(codec.withhold(0, NO) + codec.end())
    assert (last["choices"], last["usage"], last["id"]) == ([], USAGE, "c")


@EVERY
def test_no_usage_is_made_up_and_none_is_told_twice(name: str) -> None:
    surface, asked = ask(name, stream_options={"include_usage": True})
    codec = surface.codec(asked)
    codec.read("", said(name))
    assert not any("usage" in chunk for chunk in chunks(codec.withhold(0, NO) + codec.end())), "nobody has told it"
    codec = surface.codec(asked)
    (own,) = codec.read("", json.dumps({"id": "c", "choices": [], "usage": USAGE}).encode())
    assert sum("usage" in chunk for chunk in chunks(codec.withhold(0, NO) + own.emit([]) + codec.end())) == 1
    codec = surface.codec(asked)
    codec.read("", said(name, usage=USAGE))
    assert codec.end() == sse.DONE, "a stream that nobody stopped is as the model server told it"


def test_a_message_that_was_stopped_keeps_the_tokens_that_were_told() -> None:
    asked = messages.surface.ask({"model": "m", "max_tokens": 9, **TALK})
    events = messages_said.events(messages_said.text("hello"))
    events[0]["message"] = {**events[0]["message"], "usage": {"input_tokens": 5, "output_tokens": 2}}
    for upto, tokens in ((0, 0), (1, 2), (-1, 7)):
        codec = messages.surface.codec(asked)
        through(codec, events[:upto])
        last = told(codec.withhold(0, NO))[-1]
        assert (last["type"], last["usage"]["output_tokens"]) == ("message_delta", tokens)


class Noted:
    """Notes that a client asked for."""

    def report(self) -> dict[str, Any]:
        return {"input": "scored"}

    def on_chunk(self, chunk: dict[str, Any], choice: int, *, ends: bool, filtered: bool) -> dict[str, Any]:
        return {**chunk, "noted": (choice, ends, filtered)}


def test_a_stream_that_declines_has_the_notes_of_a_whole_answer() -> None:
    asked = chat.surface.ask({"model": "m", "stream": True, "n": 2, **TALK})
    found = chunks(chat.surface.refuse_stream(asked, NO, IDS, Noted()))
    assert [chunk.get("noted") for chunk in found] == [[0, False, True], [0, True, True], [1, False, True], [1, True, True], None]
    assert found[-1]["moderation"] == {"input": "scored"}
    events = told(responses.surface.refuse_stream(responses.surface.ask({"model": "m", "input": "hi"}), NO, IDS, Noted()))
    assert events[-1]["response"]["moderation"] == {"input": "scored"}
