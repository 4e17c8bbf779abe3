"""The official OpenAI SDK on ``/v1/responses``, ``/v1/embeddings`` and ``/v1/moderations`` through the gateway."""

from __future__ import annotations

import json

import openai
import pytest
import responses_said as said
from gateway_upstream import answers, streams

LONG = "The roses need sun and water. " * 30


def speaks(*items, pieces=1, end="completed", **more):
    """Answers with these items: whole, or in events if that is asked for."""

    async def script(asked, wire):
        if asked.json.get("stream"):
            raw = said.sse(said.events(*items, size=20, end=end, **more))
            size = max(1, len(raw) // pieces)
            await streams(*[raw[at : at + size] for at in range(0, len(raw), size)])(asked, wire)
        else:
            await answers(said.response(*items, status=end, **more))(asked, wire)

    return script


@pytest.fixture
def guarded(launch, fakes):
    return launch(fakes.guard({"a": fakes.finds("forbidden")}, stream={"hold_chars": 12, "window_chars": 40}))


ITEMS = (said.reasoning("Let me think.", summary=["Thinking."]), said.message(LONG), said.call("look_up", '{"q": "roses"}'))


def test_a_normal_answer_whole_and_streamed(guarded):
    client = guarded.client()
    guarded.upstream.script = speaks(*ITEMS, pieces=37)
    whole = client.responses.create(model="m", input="How do I prune roses?", instructions="Be brief.")
    assert whole.output_text == LONG
    assert [item.type for item in whole.output] == ["reasoning", "message", "function_call"]
    assert whole.instructions == "Be brief."
    assert guarded.upstream.asked[-1].path == "/v1/responses"
    with client.responses.stream(model="m", input="How do I prune roses?") as stream:
        text = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        final = stream.get_final_response()
    assert text == final.output_text == LONG
    assert final.output[2].arguments == '{"q": "roses"}'
    assert final.usage.total_tokens == 12
    assert [exchange.outcome for exchange in guarded.told] == ["allowed", "allowed"]
    assert [exchange.endpoint for exchange in guarded.told] == ["responses", "responses"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_withheld_request(guarded, stream):
    with pytest.raises(openai.BadRequestError) as told:
        guarded.client(max_retries=2).responses.create(model="m", input="a forbidden word", stream=stream)
    assert (told.value.code, told.value.param) == ("content_filter", "input")
    assert "forbidden" not in str(told.value.body)
    assert not guarded.upstream.asked


@pytest.mark.parametrize("stream", [False, True])
def test_a_withheld_request_that_declines(launch, fakes, stream):
    gateway = launch(fakes.guard({"a": fakes.finds("forbidden")}), on_block="refusal")
    answer = gateway.client().responses.create(model="m", input="a forbidden word", stream=stream)
    if stream:
        *_, last = answer
        assert last.type == "response.incomplete"
        answer = last.response
    assert answer.status == "incomplete"
    assert answer.incomplete_details.reason == "content_filter"
    assert answer.output[0].content[0].refusal


def test_a_withheld_answer(guarded):
    guarded.upstream.script = speaks(said.message("a forbidden word"), said.call("f", "{}"))
    answer = guarded.client().responses.create(model="m", input="Hi.")
    assert answer.status == "incomplete"
    assert answer.incomplete_details.reason == "content_filter"
    assert [part.type for part in answer.output[0].content] == ["refusal"]
    assert answer.usage.total_tokens == 12
    assert "forbidden" not in answer.model_dump_json()
    assert guarded.exchange().outcome == "blocked"


@pytest.mark.parametrize("item", [said.message(LONG + "a forbidden word. " + LONG), said.reasoning(LONG + "a forbidden word. " + LONG)])
def test_a_withheld_stream(guarded, item):
    guarded.upstream.script = speaks(item, pieces=50)
    events = list(guarded.client().responses.create(model="m", input="Hi.", stream=True))
    text = "".join(event.delta for event in events if event.type.endswith("text.delta"))
    assert LONG.startswith(text)
    assert events[-1].type == "response.incomplete"
    assert events[-1].response.incomplete_details.reason == "content_filter"
    assert "".join(event.delta for event in events if event.type == "response.refusal.delta")
    assert "forbidden" not in "".join(event.model_dump_json() for event in events)
    assert [event.sequence_number for event in events] == list(range(len(events)))


@pytest.mark.parametrize("call", [said.call("look_up", '{"q": "forbidden"}'), said.call("forbidden_tool", "{}")])
def test_tool_calls_are_held_until_they_are_read(guarded, call):
    guarded.upstream.script = speaks(said.message("Fine."), call, pieces=20)
    events = list(guarded.client().responses.create(model="m", input="Hi.", stream=True))
    assert events[-1].type == "response.incomplete"
    assert not [event for event in events if "function_call" in event.type]
    assert "forbidden" not in "".join(event.model_dump_json() for event in events)


def test_masked_text_is_masked_in_every_repeat(launch, fakes):
    gateway = launch(fakes.guard({"a": fakes.finds("Bob", kind="NAME")}, entry={"action": "mask"}))
    gateway.upstream.script = speaks(said.message("My name is Bob, yes Bob."), said.call("f", '{"name": "Bob"}'), pieces=9)
    events = list(gateway.client().responses.create(model="m", input="I am Bob.", stream=True))
    assert "Bob" not in gateway.upstream.asked[-1].json["input"]
    final = events[-1].response
    assert final.output_text == "My name is <NAME>, yes <NAME>."
    assert json.loads(final.output[1].arguments) == {"name": "<NAME>"}
    assert "Bob" not in "".join(event.model_dump_json() for event in events)
    [done] = [event.text for event in events if event.type == "response.output_text.done"]
    assert done == final.output_text


def test_a_guard_that_fails_is_no_content_filter(launch, fakes):
    def broken(conversation, stage):
        raise RuntimeError("no")

    gateway = launch(fakes.guard({"a": broken}))
    with pytest.raises(openai.InternalServerError) as told:
        gateway.client(max_retries=2).responses.create(model="m", input="Hi.")
    assert told.value.code == "guardrail_unavailable"


def test_a_guard_that_fails_in_a_stream_raises(launch, fakes):
    def breaks(conversation, stage):
        if stage == "output":
            raise RuntimeError("no")
        return fakes.verdict("safe", 0.0)

    gateway = launch(fakes.guard({"a": breaks}))
    gateway.upstream.script = speaks(said.message(LONG), pieces=20)
    with pytest.raises(openai.APIError) as told:
        list(gateway.client().responses.create(model="m", input="Hi.", stream=True))
    assert told.value.code == "guardrail_unavailable"


def test_an_upstream_that_dies_in_a_stream_raises(guarded):
    raw = said.sse(said.events(said.message(LONG * 4), size=20))
    guarded.upstream.script = streams(raw[: len(raw) // 3], then="close")
    events = []
    with pytest.raises(openai.APIError) as told:
        events.extend(guarded.client().responses.create(model="m", input="Hi.", stream=True))
    assert told.value.code == "upstream_interrupted"
    assert guarded.exchange().outcome == "upstream_error"


@pytest.mark.parametrize(("status", "error"), [(429, openai.RateLimitError), (500, openai.InternalServerError), (400, openai.BadRequestError)])
def test_upstream_errors_keep_their_class(guarded, status, error):
    guarded.upstream.script = answers({"error": {"message": "no", "type": "x", "code": "y"}}, status)
    with pytest.raises(error):
        guarded.client().responses.create(model="m", input="Hi.")


def test_an_upstream_that_says_failed(guarded):
    guarded.upstream.script = speaks(end="failed", error={"code": "server_error", "message": "it broke"})
    answer = guarded.client().responses.create(model="m", input="Hi.", stream=True)
    *_, last = answer
    assert last.type == "response.failed"
    assert last.response.error.code == "server_error"


def test_state_is_refused(guarded):
    with pytest.raises(openai.BadRequestError) as told:
        guarded.client().responses.create(model="m", input="Hi.", previous_response_id="resp_1")
    assert told.value.param == "previous_response_id"


def test_embeddings(guarded):
    vectors = [{"object": "embedding", "index": n, "embedding": [0.5, 1.0]} for n in range(2)]
    guarded.upstream.script = answers({"object": "list", "data": vectors, "model": "m", "usage": {"prompt_tokens": 1, "total_tokens": 1}})
    client = guarded.client()
    found = client.embeddings.create(model="m", input=["one", "two"], encoding_format="float")
    assert [each.embedding for each in found.data] == [[0.5, 1.0]] * 2
    for given in (["one", "a forbidden word"], "a forbidden word"):
        with pytest.raises(openai.BadRequestError) as told:
            client.embeddings.create(model="m", input=given)
        assert told.value.code == "content_filter"
    with pytest.raises(openai.BadRequestError):
        client.embeddings.create(model="m", input=[[1, 2, 3]])
    assert len(guarded.upstream.asked) == 1


def test_embeddings_cannot_decline_in_words(launch, fakes):
    gateway = launch(fakes.guard({"a": fakes.finds("forbidden")}), on_block="refusal")
    with pytest.raises(openai.BadRequestError) as told:
        gateway.client().embeddings.create(model="m", input="a forbidden word")
    assert told.value.code == "content_filter"


def test_moderations_are_answered_here(guarded):
    client = guarded.client()
    found = client.moderations.create(input=["You are a worthless idiot and everybody hates you.", "Fold in the flour."])
    assert [result.flagged for result in found.results] == [True, False]
    assert found.results[0].categories.harassment
    assert not guarded.upstream.asked
    assert guarded.exchange().endpoint == "moderations"
    with pytest.raises(openai.BadRequestError):
        client.moderations.create(input=[{"type": "image_url", "image_url": {"url": "https://x/y.png"}}])
