"""The ``moderation`` parameter and Azure's annotations, answered by local models, through the official SDK."""

from __future__ import annotations

import openai
import pytest
import responses_said as said
from gateway_said import completion
from gateway_upstream import answers, says, streams
from openai.types.chat import ChatCompletion

from charter.guard.gateway.moderating import annotation
from charter.guard.gateway.moderation import NEEDED, ModerationError, Moderator

POINTS = dict.fromkeys((*NEEDED, "moderation", "hazard"), 0.5)
HI = [{"role": "user", "content": "How do I prune roses?"}]
SCORE = {"model": "omni-moderation-latest"}


def asks(**modes):
    return {**SCORE, "policy": {side: {"mode": mode} for side, mode in modes.items()}}


def fake():
    """Hateful is what says ``nasty``; ``broken`` breaks it."""

    def read(texts):
        if any("broken" in text for text in texts):
            raise RuntimeError
        return [dict.fromkeys(NEEDED, 0.0) | {"hate": 0.8 if "nasty" in text else 0.01} for text in texts]

    return Moderator(read, POINTS, "fake-moderation")


@pytest.fixture
def gateway(launch, fakes):
    found = launch(fakes.guard({"a": fakes.finds("forbidden")}, stream={"hold_chars": 12, "window_chars": 40}))
    found.built.gateway.services.moderator = fake
    return found


def chat(gateway, messages=HI, **more):
    return gateway.client().chat.completions.create(model="m", messages=messages, **more)


def streamed(gateway, *texts):
    async def script(asked, wire):
        await streams(said.sse(said.events(*[said.message(text) for text in texts], size=20)))(asked, wire)

    gateway.upstream.script = script


def test_scores_stand_in_a_whole_answer(gateway):
    gateway.upstream.script = answers(completion("Fine.", "A nasty word."))
    done = chat(gateway, moderation=SCORE, n=2)
    assert (done.moderation.input.type, done.moderation.output.type) == ("moderation_results", "moderation_results")
    assert [result.flagged for result in done.moderation.input.results] == [False]
    assert [result.flagged for result in done.moderation.output.results] == [False, True]
    assert done.moderation.output.results[1].categories["hate"]
    assert [choice.message.content for choice in done.choices] == ["Fine.", "A nasty word."]
    assert "moderation" not in gateway.upstream.asked[-1].json
    ChatCompletion.model_validate(done.model_dump(), strict=True)


def test_scores_come_as_the_last_chunk_of_a_stream(gateway):
    gateway.upstream.script = says("A ", "nasty ", "word.")
    chunks = list(chat(gateway, moderation=SCORE, stream=True))
    told = [chunk for chunk in chunks if chunk.moderation is not None]
    assert told == chunks[-1:]
    assert told[0].choices == []
    assert told[0].moderation.output.results[0].flagged
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "A nasty word."


@pytest.mark.parametrize("stream", [False, True])
def test_scores_stand_in_responses(gateway, stream):
    if stream:
        streamed(gateway, "A nasty word.")
    else:
        gateway.upstream.script = answers(said.response(said.message("A nasty word.")))
    answer = gateway.client().responses.create(model="m", input="Hi.", moderation=SCORE, stream=stream)
    if stream:
        *_, last = answer
        answer = last.response
    assert answer.status == "completed"
    assert (answer.moderation.input.flagged, answer.moderation.output.flagged) == (False, True)


@pytest.mark.parametrize("stream", [False, True])
def test_a_request_can_be_blocked(gateway, stream):
    for call in (
        lambda: chat(gateway, [{"role": "user", "content": "nasty"}], moderation=asks(input="block"), stream=stream),
        lambda: gateway.client().responses.create(model="m", input="nasty", moderation=asks(input="block"), stream=stream),
    ):
        with pytest.raises(openai.BadRequestError) as told:
            call()
        assert told.value.code == "content_filter"
        assert told.value.body["innererror"]["content_filter_result"]["hate"]["filtered"]
        assert "nasty" not in str(told.value.body)
    assert not gateway.upstream.asked
    assert gateway.exchange().outcome == "blocked"


def test_a_reply_can_be_blocked(gateway):
    gateway.upstream.script = answers(completion("Fine.", "A nasty word."))
    done = chat(gateway, moderation=asks(output="block"), n=2)
    assert [choice.finish_reason for choice in done.choices] == ["stop", "content_filter"]
    assert done.choices[1].message.refusal
    assert "nasty" not in done.model_dump_json()
    assert done.moderation.output.results[1].flagged
    assert gateway.exchange().blocked_by == ["moderation"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_reply_of_nothing_is_not_scored_and_not_withheld(gateway, stream):
    gateway.upstream.script = says("")
    told = chat(gateway, moderation=asks(output="block"), stream=stream)
    last = list(told)[-1] if stream else told
    assert last.moderation.output.type == "error"
    assert gateway.exchange().outcome in ("allowed", "bypassed")
    assert gateway.exchange().status == 200


def test_a_stream_that_may_be_blocked_is_held_whole(gateway):
    gateway.upstream.script = says(*["Many good words before. "] * 40, "Then a nasty one.")
    chunks = list(chat(gateway, moderation=asks(output="block"), stream=True))
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == ""
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "content_filter"
    streamed(gateway, "Many good words before. " * 40 + "Then a nasty one.")
    events = list(gateway.client().responses.create(model="m", input="Hi.", moderation=asks(output="block"), stream=True))
    assert events[-1].type == "response.incomplete"
    assert "Many" not in "".join(event.model_dump_json() for event in events)
    assert events[-1].response.moderation.output.flagged


@pytest.mark.parametrize("stream", [False, True])
def test_a_moderation_that_fails_says_so_and_the_reply_goes_on(gateway, stream):
    gateway.upstream.script = says("A broken word.")
    done = chat(gateway, moderation=SCORE, stream=stream)
    moderation = list(done)[-1].moderation if stream else done.moderation
    assert moderation.input.type == "moderation_results"
    assert (moderation.output.type, moderation.output.code) == ("error", "moderation_failed")


@pytest.mark.parametrize("stream", [False, True])
def test_a_moderation_that_was_to_block_fails_closed(gateway, stream):
    with pytest.raises(openai.InternalServerError) as told:
        chat(gateway, [{"role": "user", "content": "broken"}], moderation=asks(input="block"), stream=stream)
    assert told.value.code == "guardrail_unavailable"
    gateway.upstream.script = says("A broken word.")
    with pytest.raises(openai.APIError) as told:
        list(chat(gateway, moderation=asks(output="block"), stream=stream))
    assert told.value.code == "guardrail_unavailable"


@pytest.mark.parametrize(
    "given",
    ["yes", {}, {"model": 7}, {**SCORE, "policy": {"input": {"mode": "maybe"}}}, {**SCORE, "policy": {"else": {}}}, {**SCORE, "more": "text"}],
)
def test_a_malformed_parameter_is_refused(gateway, given):
    with pytest.raises(openai.BadRequestError) as told:
        chat(gateway, extra_body={"moderation": given})
    assert told.value.param.startswith("moderation")


@pytest.mark.parametrize("stream", [False, True])
def test_azures_annotations_on_request(gateway, stream):
    gateway.upstream.script = says("A nasty word.")
    done = chat(gateway, stream=stream, extra_headers={"x-guard-annotations": "azure"})
    chunks = list(done) if stream else [done]
    [prompt] = [chunk.prompt_filter_results for chunk in chunks if getattr(chunk, "prompt_filter_results", None)]
    assert prompt[0]["content_filter_results"]["hate"] == {"filtered": False, "severity": "safe"}
    [reply] = [c.content_filter_results for chunk in chunks for c in chunk.choices if getattr(c, "content_filter_results", None)]
    assert reply["hate"] == {"filtered": False, "severity": "medium"}
    assert not stream or all(chunk.choices for chunk in chunks), "they stand on chunks that every client reads"
    assert all(chunk.moderation is None for chunk in chunks)


def test_no_annotations_without_asking(gateway):
    gateway.upstream.script = says("A nasty word.")
    assert not {"prompt_filter_results", "moderation"} & chat(gateway).model_dump(exclude_none=True).keys()


def test_severities():
    assert annotation(ModerationError("no"), filtered=False)["error"]["code"] == "content_filter_error"
    assert annotation(None, filtered=True)["error"]["code"] == "content_filter_error"


def test_state_upstream_by_configuration(launch, fakes):
    lax = launch(fakes.guard({"a": fakes.finds("forbidden")}), upstream_state=True)
    lax.upstream.script = answers(said.response(said.message("Fine.")))
    answer = lax.client().responses.create(model="m", input="Hi.", previous_response_id="resp_0")
    assert answer.output_text == "Fine."
    assert lax.upstream.asked[-1].json["previous_response_id"] == "resp_0"
    assert "state: previous_response_id" in lax.exchange().bypass
    assert "upstream state" in lax.built.bypass
