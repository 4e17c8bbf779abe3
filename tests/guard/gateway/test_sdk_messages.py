"""The official Anthropic SDK on ``/v1/messages`` through the gateway."""

from __future__ import annotations

import itertools
import json

import anthropic
import messages_said as said
import pytest
import responses_said
from gateway_upstream import answers, streams

LONG = "The roses need sun and water. " * 30
HI = [{"role": "user", "content": "How do I prune roses?"}]


def speaks(*blocks, pieces=1, **more):
    """Answers with these blocks: whole, or in events if that is asked for."""

    async def script(asked, wire):
        if asked.json.get("stream"):
            raw = responses_said.sse(said.events(*blocks, size=20, **more))
            size = max(1, len(raw) // pieces)
            await streams(*[raw[at : at + size] for at in range(0, len(raw), size)])(asked, wire)
        else:
            await answers(said.message(*blocks, **more))(asked, wire)

    return script


@pytest.fixture
def guarded(launch, fakes):
    return launch(fakes.guard({"a": fakes.finds("forbidden")}, stream={"hold_chars": 12, "window_chars": 40}))


@pytest.fixture
def client():
    made = []

    def make(gateway, **settings):
        made.append(anthropic.Anthropic(base_url=gateway.root, api_key="client-key", **{"max_retries": 0, "timeout": 20.0, **settings}))
        return made[-1]

    yield make
    for each in made:
        each.close()


def ask(client, messages=HI, **more):
    return client.messages.create(model="m", max_tokens=100, messages=messages, **more)


BLOCKS = (said.thinking("Let me think."), said.text(LONG), said.tool_use("look_up", q="roses"))


def test_a_normal_answer_whole_and_streamed(guarded, client):
    guarded.upstream.script = speaks(*BLOCKS, pieces=37, stop="tool_use")
    whole = ask(client(guarded), system="Be brief.")
    assert [block.type for block in whole.content] == ["thinking", "text", "tool_use"]
    assert whole.content[1].text == LONG
    asked = guarded.upstream.asked[-1]
    assert asked.path == "/v1/messages"
    assert "client-key" not in str(asked.headers)
    assert asked.headers["anthropic-version"]
    with client(guarded).messages.stream(model="m", max_tokens=100, messages=HI) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text == final.content[1].text == LONG
    assert final.content[0].signature == "c2lnbmVk"
    assert final.content[2].input == {"q": "roses"}
    assert final.stop_reason == "tool_use"
    assert final.usage.output_tokens == 7
    assert [exchange.outcome for exchange in guarded.told] == ["allowed", "allowed"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "user", "content": "a forbidden word"}],
        [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "a forbidden word"}]}],
    ],
)
def test_a_withheld_request(guarded, client, messages, stream):
    with pytest.raises(anthropic.BadRequestError) as told:
        ask(client(guarded, max_retries=2), messages, stream=stream)
    assert told.value.body["error"]["code"] == "content_filter"
    assert told.value.body["error"]["type"] == "invalid_request_error"
    assert "forbidden" not in str(told.value.body)
    assert not guarded.upstream.asked


@pytest.mark.parametrize("stream", [False, True])
def test_a_withheld_request_that_declines(launch, fakes, client, stream):
    gateway = launch(fakes.guard({"a": fakes.finds("forbidden")}), on_block="refusal")
    bad = [{"role": "user", "content": "a forbidden word"}]
    if stream:
        with client(gateway).messages.stream(model="m", max_tokens=100, messages=bad) as events:
            answer = events.get_final_message()
    else:
        answer = ask(client(gateway), bad)
    assert answer.stop_reason == "refusal"
    assert answer.content[0].text == answer.stop_details.explanation


def test_a_withheld_answer(guarded, client):
    guarded.upstream.script = speaks(said.text("a forbidden word"), said.tool_use("f"))
    answer = ask(client(guarded))
    assert answer.stop_reason == "refusal"
    assert answer.stop_details.type == "refusal"
    assert answer.content[0].text
    assert answer.usage.output_tokens == 7
    assert "forbidden" not in answer.model_dump_json()
    assert guarded.exchange().outcome == "blocked"


@pytest.mark.parametrize("block", [said.text(LONG + "a forbidden word. " + LONG), said.thinking(LONG + "a forbidden word. " + LONG)])
def test_a_withheld_stream(guarded, client, block):
    guarded.upstream.script = speaks(block, pieces=50)
    with client(guarded).messages.stream(model="m", max_tokens=100, messages=HI) as stream:
        final = stream.get_final_message()
    assert final.stop_reason == "refusal"
    assert final.content[-1].text == final.stop_details.explanation
    shown = getattr(final.content[0], "text", None) or getattr(final.content[0], "thinking", "")
    assert len(final.content) == 1 or LONG.startswith(shown)
    assert "forbidden" not in final.model_dump_json()


@pytest.mark.parametrize("call", [said.tool_use("look_up", q="forbidden"), said.tool_use("forbidden_tool")])
def test_tool_calls_are_held_until_they_are_read(guarded, client, call):
    guarded.upstream.script = speaks(said.text("Fine."), call, pieces=20)
    events = list(ask(client(guarded), stream=True))
    told = "".join(event.model_dump_json() for event in events)
    assert "forbidden" not in told
    assert '"type":"tool_use"' not in told
    assert events[-1].type == "message_stop"


def test_what_was_masked_comes_back_in_tool_calls_too(launch, fakes, client):
    def names(conversation, stage):
        return fakes.finds("Bob", kind="NAME")(conversation, stage) if stage == "input" else fakes.verdict("safe", 0.0)

    gateway = launch(fakes.guard({"a": names}, entry={"action": "mask"}))
    for stream in (False, True):
        gateway.upstream.script = speaks(said.text("Hello <NAME_1>."), said.tool_use("f", name="<NAME_1>"), pieces=9)
        if stream:
            with client(gateway).messages.stream(model="m", max_tokens=100, messages=[{"role": "user", "content": "I am Bob."}]) as events:
                answer = events.get_final_message()
        else:
            answer = ask(client(gateway), [{"role": "user", "content": "I am Bob."}])
        assert "Bob" not in json.dumps(gateway.upstream.asked[-1].json)
        assert answer.content[0].text == "Hello Bob."
        assert answer.content[1].input == {"name": "Bob"}


def test_a_guard_that_fails_is_no_content_filter(launch, fakes, client):
    def breaks(conversation, stage):
        raise RuntimeError("no")

    gateway = launch(fakes.guard({"a": breaks}))
    with pytest.raises(anthropic.InternalServerError) as told:
        ask(client(gateway, max_retries=2))
    assert told.value.status_code == 503
    assert told.value.body["error"]["code"] == "guardrail_unavailable"
    assert gateway.exchange().outcome == "unavailable"
    assert len(gateway.told) == 1, "not tried again"


def test_a_guard_that_fails_in_a_stream_raises(launch, fakes, client):
    def breaks(conversation, stage):
        if stage == "output":
            raise RuntimeError("no")
        return fakes.verdict("safe", 0.0)

    gateway = launch(fakes.guard({"a": breaks}))
    gateway.upstream.script = speaks(said.text(LONG), pieces=20)
    with pytest.raises(anthropic.APIStatusError) as told:
        list(ask(client(gateway), stream=True))
    assert told.value.body["error"]["code"] == "guardrail_unavailable"


def test_an_upstream_that_dies_in_a_stream_raises(guarded, client):
    raw = responses_said.sse(said.events(said.text(LONG * 4), size=20))
    guarded.upstream.script = streams(raw[: len(raw) // 3], then="close")
    with pytest.raises(anthropic.APIStatusError) as told:
        list(ask(client(guarded), stream=True))
    assert told.value.body["error"]["code"] == "upstream_interrupted"


def test_an_upstream_that_fails_in_a_stream_raises(guarded, client):
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "a forbidden word"}}
    raw = responses_said.sse([*said.events(said.text(LONG))[:9], error])
    guarded.upstream.script = streams(raw)
    with pytest.raises(anthropic.APIStatusError) as told:
        list(ask(client(guarded), stream=True))
    assert "forbidden" not in str(told.value.body)


@pytest.mark.parametrize(("status", "error"), [(429, anthropic.RateLimitError), (529, anthropic.APIStatusError), (400, anthropic.BadRequestError)])
def test_upstream_errors_keep_their_class(guarded, client, status, error):
    guarded.upstream.script = answers({"type": "error", "error": {"type": "x", "message": "no"}}, status)
    with pytest.raises(error) as told:
        ask(client(guarded))
    assert told.value.status_code == status


def test_counting_tokens(guarded, client):
    guarded.upstream.script = answers({"input_tokens": 42})
    assert client(guarded).messages.count_tokens(model="m", messages=HI).input_tokens == 42
    assert guarded.upstream.asked[-1].path == "/v1/messages/count_tokens"
    with pytest.raises(anthropic.BadRequestError):
        client(guarded).messages.count_tokens(model="m", messages=[{"role": "user", "content": "a forbidden word"}])
    assert len(guarded.upstream.asked) == 1


def test_the_list_of_models_ends(guarded, client):
    """The SDK asks for page after page while there are more."""
    pages = {"": (["a", "b"], True), "after_id=b": (["c"], False)}

    async def script(asked, wire):
        ids, more = pages[asked.path.partition("?")[2]]
        models = [{"id": each, "type": "model", "display_name": f"Model {each}", "created_at": "2026-01-01T00:00:00Z"} for each in ids]
        await answers({"data": models, "has_more": more, "first_id": ids[0], "last_id": ids[-1]})(asked, wire)

    guarded.upstream.script = script
    assert [model.id for model in itertools.islice(client(guarded).models.list(), 10)] == ["a", "b", "c"]
    assert all(asked.headers["anthropic-version"] and asked.headers["x-api-key"] == "upstream-key" for asked in guarded.upstream.asked)
