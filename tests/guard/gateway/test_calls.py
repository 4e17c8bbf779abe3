"""Tool calls of chat completions with fields that nobody knows: an answer is not lost for them, and a request's are read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from gateway_said import chunk, completion

from charter.guard.gateway.surfaces._surface import BadRequestError
from charter.guard.gateway.surfaces.chat import surface
from charter.guard.segments import view

HI = {"role": "user", "content": "hi"}
SIGNED = {"google": {"thought_signature": "CtcBAR/+9aQ="}}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
HIDDEN = "a text that nobody reads"
#: What is added to a call, and what of it goes on to the client.
ADDED: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"extra_content": SIGNED}, {"extra_content": SIGNED}),
    ({"extra_content": {"google": {"thought_signature": HIDDEN}}}, {}),
    ({"extra_content": {"google": {**SIGNED["google"], "note": HIDDEN}, "note": HIDDEN}}, {"extra_content": SIGNED}),
    ({"extra_content": HIDDEN}, {}),
    ({"note": HIDDEN, "count": 1}, {"count": 1}),
    ({"function": {"name": "f", "arguments": "{}", "note": HIDDEN}}, {}),
]
EACH = pytest.mark.parametrize(("added", "kept"), ADDED, ids=str)


@EACH
def test_a_whole_answer_keeps_its_calls(added: dict[str, Any], kept: dict[str, Any]) -> None:
    asked = surface.ask({"model": "m", "messages": [HI]})
    answer = completion("", tool_calls=[{**CALL, **added}])
    (said,) = surface.replies(asked, answer)
    assert [(call.name, call.arguments) for call in said.located.conversation.messages[-1].tool_calls] == [("f", "{}")]
    told = surface.answer(asked, answer, {}, set())["choices"][0]["message"]["tool_calls"]
    assert told == [{**CALL, **kept}]


@EACH
def test_a_stream_keeps_its_calls(added: dict[str, Any], kept: dict[str, Any]) -> None:
    codec = surface.codec(surface.ask({"model": "m", "messages": [HI], "stream": True}))
    (frame,) = codec.read("", chunk({"tool_calls": [{**CALL, "index": 0, **added}]}))
    assert [(piece.channel, piece.text) for piece in frame.pieces] == [((0, "tool:0"), "{}")]
    told = json.loads(frame.emit(["{}"])[6:])["choices"][0]["delta"]["tool_calls"]
    assert told == [{**CALL, "index": 0, **kept}]


def test_the_old_kind_of_call_is_not_lost_either() -> None:
    asked = surface.ask({"model": "m", "messages": [HI]})
    answer = completion("", function_call={"name": "f", "arguments": "{}", "note": HIDDEN})
    assert surface.replies(asked, answer)
    assert surface.answer(asked, answer, {}, set())["choices"][0]["message"]["function_call"] == {"name": "f", "arguments": "{}"}


def texts(call: dict[str, Any]) -> list[str]:
    asked = surface.ask({"model": "m", "messages": [HI, {"role": "assistant", "content": "", "tool_calls": [call]}]})
    return [segment.text for segment in view(asked.prompts[0].conversation, "input").segments]


@EACH
def test_what_a_request_says_beside_a_call_is_read(added: dict[str, Any], kept: dict[str, Any]) -> None:
    assert (HIDDEN in texts({**CALL, **added})) is (HIDDEN in json.dumps(added))


def test_a_call_comes_back_as_the_client_got_it() -> None:
    """Gemini refuses a call without its signature, which is no text: only Gemini can read it."""
    assert texts({**CALL, "index": 0, "status": "completed", "extra_content": SIGNED}) == ["hi", "f", "{}"]
    parsed = {"name": "f", "arguments": "{}", "parsed_arguments": {"sizes": [1, 2]}}
    assert "sizes" in texts({**CALL, "function": parsed})


@pytest.mark.parametrize("more", [{"ids": [1, 2]}, {"index": HIDDEN}, {"type": HIDDEN}, {"custom": {"name": "g", "input": ""}}], ids=str)
def test_a_call_that_cannot_be_read_is_refused(more: dict[str, Any]) -> None:
    with pytest.raises(BadRequestError):
        texts({**CALL, **more})
