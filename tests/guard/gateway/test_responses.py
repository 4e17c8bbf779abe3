from __future__ import annotations

import json
from typing import Any

import pytest
import responses_said as upstream
from hypothesis import given
from hypothesis import strategies as st
from streamed import through, told

from charter.guard.gateway.surfaces._located import rewritten
from charter.guard.gateway.surfaces._surface import BadAnswerError, BadRequestError, Ids, UpstreamFailedError, Withheld
from charter.guard.gateway.surfaces.responses import Responses, surface
from charter.guard.segments import Mask, view

IDS = Ids("d1", 1)
CALL = {"type": "function_call", "id": "fc_0", "call_id": "c1", "name": "look_up", "arguments": '{"q": "where"}'}


def ask(**body: Any) -> Any:
    return surface.ask({"model": "m", "input": "hello", **body})


def texts(asked: Any) -> list[tuple[str, str]]:
    return [(segment.role, segment.text) for segment in view(asked.prompts[0].conversation, "input").segments]


def test_every_kind_of_item_is_read_with_its_speaker() -> None:
    items = [
        {"role": "user", "content": "one"},
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "two"}]},
        {
            "type": "reasoning",
            "id": "rs",
            "summary": [{"type": "summary_text", "text": "three"}],
            "content": [{"type": "reasoning_text", "text": "four"}],
        },
        CALL,
        {"type": "function_call_output", "call_id": "c1", "output": "five"},
        {"type": "function_call_output", "call_id": "c1", "output": [{"type": "input_text", "text": "six"}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "seven", "annotations": []}]},
        {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "eight"}]},
    ]
    found = texts(ask(input=items, instructions="zero"))
    assert found == [
        ("system", "zero"), ("user", "one"), ("system", "two"), ("assistant", "three"), ("assistant", "four"), ("assistant", "look_up"),
        ("assistant", '{"q": "where"}'), ("tool", "five"), ("tool", "six"), ("assistant", "seven"), ("assistant", "eight"),
    ]  # fmt: skip


def test_tools_schemas_and_what_nobody_knows_are_read_too() -> None:
    tool = {"type": "function", "name": "f", "description": "says a thing", "parameters": {"properties": {"x": {"description": "of that kind"}}}}
    format_ = {"type": "json_schema", "name": "n", "schema": {"title": "a long title"}}
    asked = ask(tools=[tool], text={"format": format_}, metadata={"k": "some note"}, later_field={"deep": ["not known yet"]})
    found = [text for role, text in texts(asked) if role == "system"]
    assert found == [
        *("f", "says a thing", "x", "of that kind", "n", "a long title"),
        *("k", "some note", "later_field", "deep", "not known yet"),
    ]


@pytest.mark.parametrize(
    "body",
    [
        {"previous_response_id": "resp_0"},
        {"conversation": "conv_0"},
        {"prompt": {"id": "pmpt_0"}},
        {"background": True},
        {"tools": [{"type": "web_search"}]},
        {"tools": [{"type": "mcp", "server_label": "x", "server_url": "https://x"}]},
        {"tools": [{"type": "a_new_one"}]},
        {"tool_choice": {"type": "file_search"}},
        {"input": [{"type": "item_reference", "id": "msg_0"}]},
        {"input": [{"type": "web_search_call", "id": "ws_0"}]},
        {"input": [{"type": "a_new_one", "text": "hidden words"}]},
        {"input": [{"role": "user", "content": [{"type": "a_new_part", "text": "hidden words"}]}]},
        {"input": [{"role": "oracle", "content": "hidden words"}]},
        {"input": 7},
        {"input": None},
        {"input": []},
        {"instructions": ["hidden words"]},
        {"model": "hidden words of a model"},
        {"model": None},
        {"truncation": "hidden words"},
        {"chat_template": "{{ hidden words }}"},
    ],
)
def test_what_cannot_be_checked_is_refused_and_never_repeated(body: dict[str, Any]) -> None:
    with pytest.raises(BadRequestError) as error:
        ask(**body)
    assert "hidden" not in error.value.message + str(error.value.param)


def test_an_operator_may_let_upstream_state_be_and_it_shows() -> None:
    lax = Responses(upstream_state=True)
    asked = lax.ask({"model": "m", "input": "hello", "previous_response_id": "resp_0"})
    assert asked.bypass == ("state: previous_response_id",)
    assert surface.ask({"model": "m", "input": "hello"}).bypass == ()


def test_masks_go_into_texts_lists_and_arguments() -> None:
    items = [{"role": "user", "content": [{"type": "input_text", "text": "I am Bob"}]}, {**CALL, "arguments": '{"q": "B\\u006fb"}'}]
    asked = ask(input=items, instructions="for Bob")
    masks = [
        Mask(0, "content", 0, 4, 7, "NAME", "<NAME_1>"),
        Mask(1, "content", 0, 5, 8, "NAME", "<NAME_1>"),
        Mask(2, "arguments", 0, 7, 10, "NAME", "<NAME_1>"),
    ]
    body = rewritten(asked.body, asked.prompts[0], masks)
    assert body["instructions"] == "for <NAME_1>"
    assert body["input"][0]["content"][0]["text"] == "I am <NAME_1>"
    assert json.loads(body["input"][1]["arguments"]) == {"q": "<NAME_1>"}
    assert asked.body["instructions"] == "for Bob"


def test_escapes_in_arguments_hide_nothing() -> None:
    asked = ask(input=[{**CALL, "arguments": '{"q": "\\u0062\\u006f\\u006db"}'}, {**CALL, "arguments": '{"q": "\\u0062omb", "q": "rose"}'}])
    assert sum("bomb" in text for _, text in texts(asked)) == 2


def test_media_is_left_to_the_policy() -> None:
    asked = ask(
        input=[{"role": "user", "content": [{"type": "input_image", "image_url": "https://x/y.png"}, {"type": "input_file", "file_id": "f"}]}]
    )
    content = asked.prompts[0].conversation.messages[0].content
    assert [part.type for part in content] == ["image", "file"]


def test_the_moderation_parameter_stays_here() -> None:
    assert "moderation" not in ask(moderation={"model": "omni-moderation-latest"}).body


def test_an_answer_is_read_whole_and_goes_on_without_what_nobody_read() -> None:
    answer = upstream.response(upstream.reasoning("why"), upstream.message("what"), upstream.call("f", '{"a": "b"}'), secret="unread text here")
    asked = ask(instructions="mine")
    (said,) = surface.replies(asked, answer)
    (message,) = said.located.conversation.messages
    assert message.text == "why\nwhat"
    assert [(call.name, call.arguments) for call in message.tool_calls] == [("f", '{"a": "b"}')]
    out = surface.answer(asked, answer, {}, frozenset())
    assert "secret" not in out
    assert out["instructions"] == "mine"  # not the upstream's words
    assert out["output"] == answer["output"]
    assert out["usage"] == upstream.USAGE


def test_a_withheld_answer_keeps_nothing_but_its_usage() -> None:
    answer = upstream.response(upstream.reasoning("bad thought"), upstream.message("bad"), upstream.call("bad_tool", "{}"))
    out = surface.answer(ask(), answer, {0: Withheld("no")}, frozenset({0}))
    assert "bad" not in json.dumps(out)
    assert out["status"] == "incomplete"
    assert out["incomplete_details"] == {"reason": "content_filter"}
    assert out["output"][0]["content"] == [{"type": "refusal", "refusal": "no"}]
    assert out["usage"] == upstream.USAGE


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"output": "text"},
        upstream.response({"type": "web_search_call", "id": "x"}),
        upstream.response({"type": "message", "role": "assistant", "id": "x", "content": [{"type": "new", "text": "unread"}]}),
        upstream.response({"type": "message", "role": "assistant", "id": "x", "content": "no list"}),
    ],
)
def test_an_answer_that_cannot_be_read_is_not_passed_on(answer: dict[str, Any]) -> None:
    with pytest.raises(BadAnswerError):
        surface.replies(ask(), answer)


def test_log_probabilities_stay_while_they_spell_the_text() -> None:
    def said(text: str, *tokens: str) -> dict[str, Any]:
        item = upstream.message(text)
        item["content"][0]["logprobs"] = [{"token": t, "logprob": -0.1, "bytes": list(t.encode()), "top_logprobs": []} for t in tokens]
        return upstream.response(item)

    kept = surface.answer(ask(), said("hello", "hel", "lo"), {}, frozenset())["output"][0]["content"][0]["logprobs"]
    gone = surface.answer(ask(), said("hello", "hidden", "lo"), {}, frozenset())["output"][0]["content"][0]["logprobs"]
    assert [token["token"] for token in kept] == ["hel", "lo"]
    assert gone == []


def test_tokens_without_a_text_leave_with_no_delta() -> None:
    opening = upstream.events(upstream.message("hello"))[:4]
    where = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    told = {"type": "response.output_text.delta", **where, "delta": "", "logprobs": [{"token": "AKIAIOSFODNN7EXAMPLE", "logprob": 0}]}
    out, _ = through(surface.codec(ask()), [*opening, told])
    assert "AKIA" not in json.dumps(out)


ITEMS = (upstream.reasoning("I think", summary=["thought"]), upstream.message("Hello, ", "world"), upstream.call("look_up", '{"q": "now"}'))


def test_a_stream_that_nothing_touches_tells_what_it_told() -> None:
    given_ = upstream.events(*ITEMS)
    out, texts = through(surface.codec(ask()), given_)
    assert [event["type"] for event in out] == [event["type"] for event in given_]
    assert [event.get("delta") for event in out] == [event.get("delta") for event in given_]
    assert [event["sequence_number"] for event in out] == list(range(len(out)))
    final = out[-1]["response"]
    assert [item["type"] for item in final["output"]] == ["reasoning", "message", "function_call"]
    assert final["output"][1:] == list(ITEMS[1:])
    assert final["usage"] == upstream.USAGE
    assert texts == {"reasoning": "thoughtI think", "content": "Hello, world", "tool:0": '{"q": "now"}'}


def test_repeats_tell_what_the_client_has_and_not_what_came() -> None:
    events = upstream.events(upstream.message("my name is Bob"), size=100)
    out, _ = through(surface.codec(ask()), events, lambda channel, text: text.replace("Bob", "<NAME>"))
    assert "Bob" not in json.dumps(out)
    done = [event for event in out if event["type"].endswith(".done")]
    assert done[0]["text"] == done[1]["part"]["text"] == done[2]["item"]["content"][0]["text"] == "my name is <NAME>"
    assert out[-1]["response"]["output"][0]["content"][0]["text"] == "my name is <NAME>"


def test_text_that_only_a_repeat_tells_is_a_piece_and_another_text_is_refused() -> None:
    events = [event for event in upstream.events(upstream.message("hello")) if not event["type"].endswith(".delta")]
    out, texts = through(surface.codec(ask()), events)
    assert texts == {"content": "hello"}
    assert out[-1]["response"]["output"][0]["content"][0]["text"] == "hello"
    for number, event in enumerate(upstream.events(upstream.message("hello"))):
        if event["type"].endswith("_text.done"):
            changed = upstream.events(upstream.message("hello"))
            changed[number]["text"] = "howdy"
            with pytest.raises(BadAnswerError):
                through(surface.codec(ask()), changed)


def test_items_that_only_the_last_event_tells_are_pieces() -> None:
    events = [event for event in upstream.events(*ITEMS) if event["type"] in ("response.created", "response.completed")]
    out, texts = through(surface.codec(ask()), events)
    assert texts == {"reasoning": "I thinkthought", "content": "Hello, world", "tool:0": '{"q": "now"}'}
    assert [item["type"] for item in out[-1]["response"]["output"]] == ["reasoning", "message", "function_call"]


def test_whole_has_every_channel_and_call() -> None:
    codec = surface.codec(ask())
    _, texts = through(codec, upstream.events(*ITEMS))
    (message,) = codec.whole(0, texts).located.conversation.messages
    assert message.text == "thoughtI think\nHello, world"
    assert [(call.name, call.arguments) for call in message.tool_calls] == [("look_up", '{"q": "now"}')]


@given(st.integers(0, 40), st.booleans())
def test_a_stream_can_be_withheld_at_any_event(at: int, in_content: bool) -> None:
    events = upstream.events(*ITEMS)
    codec = surface.codec(ask())
    out, _ = through(codec, events[: min(at, len(events) - 1)])
    ending = told(codec.withhold(0, Withheld("no", in_content)))
    last = ending[-1]
    assert last["type"] == "response.incomplete"
    assert last["response"]["incomplete_details"] == {"reason": "content_filter"}
    assert last["response"]["output"][-1]["content"][-1] == {"type": "refusal", "refusal": "no"}
    assert all(item["type"] != "function_call" or item["arguments"] for item in last["response"]["output"])
    numbers = [event["sequence_number"] for event in [*out, *ending]]
    assert numbers == list(range(len(numbers)))


def test_a_whole_stream_can_decline() -> None:
    events = told(surface.refuse_stream(ask(stream=True), Withheld("no"), IDS))
    assert [event["type"] for event in events] == [
        "response.created", "response.output_item.added", "response.content_part.added", "response.refusal.delta", "response.refusal.done",
        "response.content_part.done", "response.output_item.done", "response.incomplete",
    ]  # fmt: skip
    assert {event["response"]["id"] for event in events if "response" in event} == {"resp_d1"}


@pytest.mark.parametrize(
    "event",
    [
        {"type": "response.web_search_call.searching", "item_id": "x", "output_index": 0},
        {"type": "response.audio.delta", "delta": "YWJj"},
        {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "to no item"},
        {"type": "response.output_text.delta", "output_index": "0", "content_index": 0, "delta": "x"},
        {"type": "response.output_item.added", "output_index": 0, "item": {"type": "mcp_call", "id": "x"}},
        {"type": "brand.new"},
        {},
    ],
)
def test_events_that_cannot_be_checked_end_the_stream(event: dict[str, Any]) -> None:
    with pytest.raises(BadAnswerError):
        surface.codec(ask()).read("", json.dumps(event).encode())


def test_reasoning_as_vllm_names_its_parts_and_heartbeats_end_no_stream() -> None:
    """The official SDKs know these parts by the names that they have elsewhere."""
    plain = upstream.events(upstream.reasoning("I think"), upstream.message("Hello"))
    named = [
        {**event, "type": event["type"].replace("content_part", "reasoning_part")} if event.get("part", {}).get("type") == "reasoning_text" else event
        for event in plain
    ]
    assert sum("reasoning_part" in event["type"] for event in named) == 2
    beating = [each for event in named for each in (event, {"type": "keepalive", "sequence_number": 7, "note": "unread text"})]
    assert through(surface.codec(ask()), beating[:-1]) == through(surface.codec(ask()), plain)


def test_an_upstream_that_failed_says_so() -> None:
    with pytest.raises(UpstreamFailedError):
        surface.codec(ask()).read("error", b'{"type": "error", "code": "server_error", "message": "unread text"}')
