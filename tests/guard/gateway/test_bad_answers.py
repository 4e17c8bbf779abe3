"""Answers that nobody meant: at each place of a good one, whole or streamed, something of another kind. Each is told, or refused as bad; none
is a failure of the gateway."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import gateway_said
import messages_said
import pytest
import responses_said

from charter.guard.gateway.moderating import Moderating
from charter.guard.gateway.surfaces import chat, completions, count_tokens, embeddings, messages, responses
from charter.guard.gateway.surfaces._surface import BadAnswerError, UpstreamFailedError, Withheld
from charter.guard.gateway.wire import strict

TALK = [{"role": "user", "content": "hi"}]
CALLS = [
    {"id": "c", "type": "function", "index": 0, "function": {"name": "f", "arguments": "{}"}},
    {"id": "d", "type": "custom", "index": 1, "custom": {"name": "g", "input": "x"}},
]
LOGS = {"content": [{"token": "hello", "logprob": -0.1, "bytes": [104], "top_logprobs": [{"token": "hallo", "logprob": -1.0}]}], "refusal": None}
OLD_LOGS = {"tokens": ["hello"], "token_logprobs": [-0.1], "text_offset": [0], "top_logprobs": [{"hello": -0.1}]}
OLD = {"index": 0, "text": "hello", "finish_reason": "stop", "logprobs": OLD_LOGS}
NOTE = {"type": "url_citation", "title": "t", "url": "u", "start_index": 0, "end_index": 1}
MESSAGE = {
    **{
        "reasoning_content": "why",
        "refusal": "no",
        "function_call": {"name": "f", "arguments": "{}"},
        "annotations": [{"url_citation": {"url": "u"}}],
    },
    **{"tool_calls": CALLS, "audio": {"id": "a", "data": "AA==", "transcript": "t", "expires_at": 1}},
}
CHAT = gateway_said.completion("hello", **MESSAGE)
CHAT["choices"][0]["logprobs"] = LOGS
PART = {"type": "output_text", "text": "hello", "annotations": [NOTE], "logprobs": LOGS["content"]}
SPOKEN = {"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": [PART, {"type": "refusal", "refusal": "no"}]}
ITEMS = (responses_said.reasoning("why", summary=["so"]), SPOKEN, responses_said.call("f", "{}"))
BLOCKS = (messages_said.thinking("why"), messages_said.text("hello"), messages_said.tool_use("f", a="b"))
END = {"stop_details": {"type": "refusal", "category": None, "explanation": "because"}}
CASES: dict[str, tuple[Any, dict[str, Any], dict[str, Any]]] = {
    "chat": (chat.surface, {"model": "m", "messages": TALK}, CHAT),
    "completions": (
        completions.surface,
        {"model": "m", "prompt": "hi"},
        {"id": "c", "created": 1, "model": "m", "choices": [OLD], "usage": {"n": 1}},
    ),
    "responses": (responses.surface, {"model": "m", "input": "hi"}, responses_said.response(*ITEMS, incomplete_details={"reason": "x"})),
    "messages": (messages.surface, {"model": "m", "messages": TALK}, messages_said.message(*BLOCKS, **END)),
    "count_tokens": (count_tokens.surface, {"model": "m", "messages": TALK}, {"input_tokens": 3}),
    "embeddings": (embeddings.surface, {"model": "m", "input": "hi"}, {"model": "m", "data": [{"index": 0, "embedding": [0.5]}], "usage": {"n": 1}}),
}
DELTA = {"role": "assistant", "content": "hello", **{name: value for name, value in MESSAGE.items() if name != "annotations"}}
STREAMS: dict[str, list[dict[str, Any]]] = {
    "chat": [json.loads(gateway_said.chunk(DELTA, logprobs=LOGS)), json.loads(gateway_said.chunk({}, finish_reason="stop"))],
    "completions": [{"id": "c", "created": 1, "model": "m", "choices": [OLD]}],
    "responses": responses_said.events(*ITEMS, size=99),
    "messages": messages_said.events(*BLOCKS, size=99, **END),
}
STREAMS["responses"].insert(
    -2, {"type": "response.output_text.annotation.added", "output_index": 1, "content_index": 0, "annotation_index": 0, "annotation": NOTE}
)
STREAMS["messages"].insert(
    -2, {"type": "content_block_delta", "index": 1, "delta": {"type": "citations_delta", "citation": {"type": "char_location", "cited_text": "t"}}}
)
ODD = (None, True, -1, 10**30, 0.5, "", "word", "two words", [], [None], ["x"], [[]], {}, {"x": None}, {"type": "x"}, {"type": None})
#: Enough for an event, of which a stream has many.
FEW = (None, True, "two words", [None], {"x": None})
MISSING = object()


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place of a JSON value."""
    yield at
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(inner, (*at, key))


def changed(value: Any, at: tuple[Any, ...], new: Any) -> Any:
    """``value`` with something else at a place, or nothing."""
    if not at:
        return {} if new is MISSING else new
    whole = copy.deepcopy(value)
    inner = whole
    for step in at[:-1]:
        inner = inner[step]
    if new is MISSING:
        del inner[at[-1]]
    else:
        inner[at[-1]] = new
    return whole


def odd_ones(value: Any, others: tuple[Any, ...] = ODD) -> Iterator[Any]:
    for at in places(value):
        yield from (changed(value, at, new) for new in (*others, MISSING))


def annotated(surface: Any, told: dict[str, Any]) -> dict[str, Any]:
    return Moderating(lambda: None, None, True, True).annotate(told, set()) if surface is chat.surface else told  # type: ignore[arg-type, return-value]


@pytest.mark.parametrize("name", CASES)
def test_anything_at_any_place_of_an_answer_is_told_or_refused(name: str) -> None:
    surface, request, answer = CASES[name]
    asked = surface.ask(request)
    strict.write(annotated(surface, surface.answer(asked, answer, {}, frozenset())))
    refused = 0
    for odd in odd_ones(answer):
        if not isinstance(odd, dict):
            continue  # refused by the pipeline
        try:
            said = surface.replies(asked, odd)
            held = {each.choice: Withheld("No.") for each in said}
            for withheld, other in (({}, frozenset()), *((held, frozenset()), ({}, frozenset(held)))) if said else (({}, frozenset()),):
                strict.write(annotated(surface, surface.answer(asked, odd, withheld, other)))
        except BadAnswerError:
            refused += 1
    assert refused


@pytest.mark.parametrize("name", STREAMS)
def test_anything_at_any_place_of_an_event_is_told_or_refused(name: str) -> None:
    surface, request, _ = CASES[name]
    asked = surface.ask({**request, "stream": True})
    raw = [json.dumps(event).encode() for event in STREAMS[name]]
    read(surface, asked, raw)
    refused = 0
    for number, event in first_of_each_kind(STREAMS[name]):
        for odd in odd_ones(event, FEW):
            try:
                read(surface, asked, [*raw[:number], json.dumps(odd).encode(), *raw[number + 1 :]])
            except (BadAnswerError, UpstreamFailedError):
                refused += 1
    assert refused


@pytest.mark.parametrize("name", CASES)
def test_a_deep_field_is_left_out(name: str) -> None:
    surface, request, answer = CASES[name]
    asked = surface.ask(request)
    deep = json.loads('{"x":' * 900 + "1" + "}" * 900)
    odd = {**answer, "new": deep, "usage": {"n": 1, "new": deep}}
    surface.replies(asked, odd)
    out = surface.answer(asked, odd, {}, frozenset())
    assert "new" not in json.dumps(out)


def first_of_each_kind(events: list[dict[str, Any]]) -> list[tuple[int, dict[str, Any]]]:
    found: dict[str, tuple[int, dict[str, Any]]] = {}
    for number, event in enumerate(events):
        told = event.get("item") or event.get("content_block") or event.get("delta") or {}
        kind = str(event.get("type", number)) + str(told.get("type") if isinstance(told, dict) else "")
        found.setdefault(kind.replace("in_progress", "created"), (number, event))
    return list(found.values())


def read(surface: Any, asked: Any, events: list[bytes]) -> None:
    """A stream as the pump reads it, with everything let through; then its end as a refusal."""
    codec = surface.codec(asked)
    texts: dict[str, str] = {}
    for event in events:
        for frame in codec.read("", event):
            for piece in frame.pieces:
                texts[piece.channel[1]] = texts.get(piece.channel[1], "") + piece.text
            frame.emit([piece.text for piece in frame.pieces])
    codec.whole(0, texts)
    codec.withhold(0, Withheld("No."))
