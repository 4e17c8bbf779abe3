from __future__ import annotations

import json
from typing import Any

import messages_said as upstream
import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamed import through, told

from charter.guard.gateway.surfaces._located import rewritten
from charter.guard.gateway.surfaces._surface import BadAnswerError, BadRequestError, Ids, UpstreamFailedError, Withheld
from charter.guard.gateway.surfaces.count_tokens import surface as count_tokens
from charter.guard.gateway.surfaces.messages import surface
from charter.guard.segments import Mask, view

IDS = Ids("d1", 1)


def ask(content: Any = "hello", **body: Any) -> Any:
    return surface.ask({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": content}], **body})


def texts(asked: Any) -> list[tuple[str, str]]:
    return [(segment.role, segment.text) for segment in view(asked.prompts[0].conversation, "input").segments]


def test_every_kind_of_block_is_read_with_its_speaker() -> None:
    document = {"type": "document", "title": "two", "context": "three", "source": {"type": "text", "media_type": "text/plain", "data": "four"}}
    nested = {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "five"}]}}
    found = {"type": "search_result", "title": "six", "source": "a site far off", "content": [{"type": "text", "text": "seven"}]}
    result = {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "eight"}]}
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "one"}, document, nested, found]},
        {"role": "assistant", "content": [upstream.thinking("nine"), upstream.text("ten"), upstream.tool_use("look_up", q="where is it")]},
        {"role": "user", "content": [result, {"type": "tool_result", "tool_use_id": "t", "content": "eleven"}, {"type": "text", "text": "twelve"}]},
    ]
    asked = surface.ask({"model": "m", "max_tokens": 9, "system": [{"type": "text", "text": "zero"}], "messages": messages})
    assert texts(asked) == [
        ("system", "zero"), ("user", "one"), ("user", "two"), ("user", "three"), ("user", "four"), ("user", "five"), ("user", "six"),
        ("user", "a site far off"), ("user", "seven"), ("assistant", "nine"), ("assistant", "ten"), ("assistant", "look_up"),
        ("assistant", '{"q": "where is it"}'), ("tool", "eight"), ("tool", "eleven"), ("user", "twelve"),
    ]  # fmt: skip


def test_tools_settings_and_what_nobody_knows_are_read_too() -> None:
    tool = {"name": "f", "description": "says a thing", "input_schema": {"type": "object", "properties": {"x": {"description": "of that kind"}}}}
    asked = ask(tools=[tool], metadata={"user_id": "some person"}, stop_sequences=["stop here"], later_field=["not known yet"])
    assert [text for role, text in texts(asked) if role == "system"] == [
        "f",
        "says a thing",
        "x",
        "of that kind",
        "some person",
        "stop here",
        "later_field",
        "not known yet",
    ]


@pytest.mark.parametrize(
    "body",
    [
        {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
        {"tools": [{"type": "brand_new", "name": "x"}]},
        {"mcp_servers": [{"url": "https://x"}]},
        {"container": "c_0"},
        {"messages": []},
        {"messages": "hidden words"},
        {"messages": [{"role": "oracle", "content": "hidden words"}]},
        {"messages": [{"role": "user", "content": [{"type": "server_tool_use", "id": "x", "name": "y", "input": {}}]}]},
        {"messages": [{"role": "user", "content": [{"type": "brand_new", "text": "hidden words"}]}]},
        {"messages": [{"role": "user", "content": 7}]},
        {"messages": ["hidden words"]},
        {"system": [{"type": "image", "source": {}}]},
        {"model": "hidden words of a model"},
        {"service_tier": "hidden words"},
        {"context_management": {"edits": [{"type": "hidden words"}]}},
    ],
)
def test_what_cannot_be_checked_is_refused_and_never_repeated(body: dict[str, Any]) -> None:
    with pytest.raises(BadRequestError) as error:
        ask(**body)
    assert "hidden" not in error.value.message + str(error.value.param)


def test_what_agents_send_is_served() -> None:
    tools = [{"type": "bash_20250124", "name": "bash"}, {"name": "f", "input_schema": {"type": "object"}, "cache_control": {"type": "ephemeral"}}]
    edits = {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}
    asked = ask(tools=tools, context_management=edits, thinking={"type": "enabled", "budget_tokens": 1024}, cache_control={"type": "ephemeral"})
    assert asked.body["tools"] == tools


def test_masks_go_into_texts_and_arguments() -> None:
    messages = [{"role": "user", "content": "I am Bob"}, {"role": "assistant", "content": [upstream.tool_use("f", name="Bob", n=3)]}]
    asked = surface.ask({"model": "m", "messages": messages})
    masks = [Mask(0, "content", 0, 5, 8, "NAME", "<NAME_1>"), Mask(1, "arguments", 0, 10, 13, "NAME", "<NAME_1>")]
    body = rewritten(asked.body, asked.prompts[0], masks)
    assert body["messages"][0]["content"] == "I am <NAME_1>"
    assert body["messages"][1]["content"][0]["input"] == {"name": "<NAME_1>", "n": 3}


def test_a_mask_that_would_break_an_object_is_refused() -> None:
    asked = surface.ask({"model": "m", "messages": [{"role": "assistant", "content": [upstream.tool_use("f", n=12345)]}]})
    with pytest.raises(KeyError):
        rewritten(asked.body, asked.prompts[0], [Mask(0, "arguments", 0, 6, 11, "CARD", "<CARD_1>")])


def test_media_is_left_to_the_policy() -> None:
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}
    paper = {"type": "document", "source": {"type": "url", "url": "https://x/y.pdf"}}
    content = ask([picture, paper]).prompts[0].conversation.messages[0].content
    assert [part.type for part in content] == ["image", "file"]


def test_an_answer_is_read_whole_and_goes_on_without_what_nobody_read() -> None:
    answer = upstream.message(upstream.thinking("why"), upstream.text("what"), upstream.tool_use("f", a="b"), secret="unread text here")
    asked = ask()
    (said,) = surface.replies(asked, answer)
    (message,) = said.located.conversation.messages
    assert message.text == "why\nwhat"
    assert [(call.name, call.arguments) for call in message.tool_calls] == [("f", '{"a": "b"}')]
    out = surface.answer(asked, answer, {}, frozenset())
    assert "secret" not in out
    assert out["content"] == answer["content"]
    assert out["usage"] == upstream.USAGE


def test_a_withheld_answer_keeps_nothing_but_its_usage() -> None:
    answer = upstream.message(upstream.thinking("bad thought"), upstream.text("bad"), upstream.tool_use("bad_tool"), stop="tool_use")
    out = surface.answer(ask(), answer, {0: Withheld("no")}, frozenset({0}))
    assert "bad" not in json.dumps(out)
    assert out["content"] == [{"type": "text", "text": "no"}]
    assert (out["stop_reason"], out["stop_details"]["explanation"]) == ("refusal", "no")
    assert out["usage"] == upstream.USAGE


def test_an_upstreams_own_refusal_is_read() -> None:
    details = {"type": "refusal", "category": "cyber", "explanation": "because of this"}
    (said,) = surface.replies(ask(), upstream.message(stop="refusal", stop_details=details))
    assert said.located.conversation.messages[0].text == "because of this"


def test_a_stop_sequence_is_the_requests_own_or_none() -> None:
    asked = ask(stop_sequences=["END"])
    assert surface.answer(asked, upstream.message(upstream.text("x"), stop_sequence="END"), {}, frozenset())["stop_sequence"] == "END"
    assert surface.answer(asked, upstream.message(upstream.text("x"), stop_sequence="else"), {}, frozenset())["stop_sequence"] is None


@pytest.mark.parametrize(
    "answer", [{}, {"content": "text"}, upstream.message({"type": "server_tool_use"}), upstream.message({"type": "new", "text": "x"})]
)
def test_an_answer_that_cannot_be_read_is_not_passed_on(answer: dict[str, Any]) -> None:
    with pytest.raises(BadAnswerError):
        surface.replies(ask(), answer)


BLOCKS = (upstream.thinking("I think"), upstream.text("Hello, world"), upstream.tool_use("look_up", q="now"))


def test_a_stream_that_nothing_touches_tells_what_it_told() -> None:
    events = upstream.events(*BLOCKS)
    out, texts = through(surface.codec(ask()), events)
    assert [event["type"] for event in out] == [event["type"] for event in events]
    assert [event.get("delta") for event in out] == [event.get("delta") for event in events]
    assert out[-2]["usage"] == upstream.USAGE
    assert texts == {"reasoning": "I think", "content": "Hello, world", "tool:0": '{"q": "now"}'}


def test_changed_thinking_loses_its_signature() -> None:
    out, _ = through(surface.codec(ask()), upstream.events(upstream.thinking("I think")), lambda channel, text: text.upper())
    assert "signature_delta" not in json.dumps(out)
    assert "c2lnbmVk" not in json.dumps(out)


def test_whole_has_every_channel_and_call() -> None:
    codec = surface.codec(ask())
    _, texts = through(codec, upstream.events(*BLOCKS))
    (message,) = codec.whole(0, texts).located.conversation.messages
    assert message.text == "I think\nHello, world"
    assert [(call.name, call.arguments) for call in message.tool_calls] == [("look_up", '{"q": "now"}')]


@given(st.integers(0, 30))
def test_a_stream_can_be_withheld_at_any_event(at: int) -> None:
    events = upstream.events(*BLOCKS)
    codec = surface.codec(ask())
    out, _ = through(codec, events[: min(at, len(events) - 2)])
    whole = [*out, *told(codec.withhold(0, Withheld("no")) + codec.end())]
    assert [event["type"] for event in whole].count("message_start") == 1
    assert whole[-1]["type"] == "message_stop"
    assert whole[-2]["delta"]["stop_reason"] == "refusal"
    opened = [event["index"] for event in whole if event["type"] == "content_block_start"]
    closed = [event["index"] for event in whole if event["type"] == "content_block_stop"]
    assert opened == closed == list(range(len(opened)))


def test_a_whole_stream_can_decline() -> None:
    events = told(surface.refuse_stream(ask(stream=True), Withheld("no"), IDS))
    assert [event["type"] for event in events] == [
        "message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta", "message_stop",
    ]  # fmt: skip
    assert events[0]["message"]["id"] == "msg_d1"


@pytest.mark.parametrize(
    "event",
    [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "to no block"}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "server_tool_use", "id": "x", "name": "y", "input": {}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "x", "name": "y", "input": {"a": "unread"}}},
        {"type": "message_start", "message": upstream.message(upstream.text("already said"))},
        {"type": "brand_new"},
        {},
    ],
)
def test_events_that_cannot_be_checked_end_the_stream(event: dict[str, Any]) -> None:
    with pytest.raises(BadAnswerError):
        surface.codec(ask()).read("", json.dumps(event).encode())


def test_an_upstream_that_failed_says_so() -> None:
    with pytest.raises(UpstreamFailedError):
        surface.codec(ask()).read("error", b'{"type": "error", "error": {"type": "overloaded_error", "message": "unread text"}}')


def test_counting_is_checked_like_asking() -> None:
    asked = count_tokens.ask({"model": "m", "messages": [{"role": "user", "content": "hello"}], "system": "zero"})
    assert texts(asked) == [("system", "zero"), ("user", "hello")]
    assert count_tokens.replies(asked, {"input_tokens": 3}) == []
    assert count_tokens.answer(asked, {"input_tokens": 3, "note": "unread text"}, {}, frozenset()) == {"input_tokens": 3}
    with pytest.raises(BadAnswerError):
        count_tokens.replies(asked, {"input_tokens": "three"})
    with pytest.raises(BadRequestError):
        count_tokens.refuse(asked, Withheld("no"), IDS)


def test_what_an_answer_tells_of_its_context_is_counts() -> None:
    edits = [{"type": word, "cleared_input_tokens": 7} for word in ("tell", "clear_tool_uses_20250919", "how")]
    body = upstream.message(upstream.text("hello"), context_management={"applied_edits": edits, "more": ["words"]})
    out = surface.answer(ask(), body, {}, frozenset())
    told = [{"type": None, "cleared_input_tokens": 7} for _ in edits]
    told[1]["type"] = "clear_tool_uses_20250919"
    assert out["context_management"] == {"applied_edits": told}
