"""The OpenAI-compatible backend against a real server on the loopback, well-behaved and not."""

from __future__ import annotations

import asyncio
import logging
import math
import socket
import time
from typing import Any

import pytest

from charter.core.errors import InputError, ModelError, NoModelError
from charter.core.rows import Conversation, Message, Part, Reply, Sampling, ToolCall
from charter.models import load_model
from charter.models._embeddings import UrlEmbedder
from charter.models._raw import load_raw

ASK = Conversation.ask
FAST = {"backoff_s": 0.01}


def one(server: Any, prompt: str = "hi", **options: Any) -> Reply:
    return load_model(server.spec, **{**FAST, **options}).reply([ASK(prompt)], Sampling())[0]


def test_the_request_carries_conversation_and_sampling(server: Any) -> None:
    conversation = ASK("hi", system="be brief").with_reply("ok").with_user("go on")
    model = load_model(server.spec, extra_body={"top_k": 5})
    reply = model.reply([conversation], Sampling(max_tokens=9, temperature=0.5, top_p=0.9, seed=3))[0]
    assert (reply.text, reply.finish, reply.tokens_in, reply.tokens_out, reply.error) == ("hello", "stop", 7, 5, "")
    sent = server.requests[0]
    assert sent["path"] == "/v1/chat/completions"
    assert [(m["role"], m["content"]) for m in sent["messages"]] == [("system", "be brief"), ("user", "hi"), ("assistant", "ok"), ("user", "go on")]
    wanted = {"model": "tiny", "max_tokens": 9, "temperature": 0.5, "top_p": 0.9, "seed": 3, "top_k": 5}
    assert {name: sent[name] for name in wanted} == wanted


def test_fields_a_server_refuses_can_be_left_out_or_renamed(server: Any) -> None:
    one(server, leave_out=("temperature", "seed"), token_field="max_completion_tokens")
    assert not {"temperature", "seed", "max_tokens", "top_p"} & set(server.requests[0])
    assert server.requests[0]["max_completion_tokens"] == 64


def test_images_and_tool_calls_are_sent_and_other_parts_are_not(server: Any) -> None:
    picture = Message(role="user", content=(Part(type="text", text="what?"), Part(type="image", data="data:image/png;base64,AA==")))
    called = Message(role="assistant", content="", tool_calls=(ToolCall(name="f", arguments="{}", call_id="c1"),))
    result = Message(role="tool", content="4", tool_calls=(ToolCall(name="f", arguments="", call_id="c1"),))
    sound = Conversation(messages=(Message(role="user", content=(Part(type="audio", data="AA=="),)),))
    replies = load_model(server.spec).reply([Conversation(messages=(picture, called, result)), sound, Conversation(messages=())], Sampling())
    assert [r.finish for r in replies] == ["stop", "error", "error"]
    assert "audio" in replies[1].error
    assert "no messages" in replies[2].error
    first, second, third = server.requests[0]["messages"]
    assert first["content"][1] == {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    assert second["tool_calls"][0]["function"]["name"] == "f"
    assert third["tool_call_id"] == "c1"


def test_replies_come_back_in_order(server: Any) -> None:
    server.behave = lambda number, request: server.say(request["messages"][0]["content"].upper(), delay_s=0.05 if number % 3 == 0 else 0.0)
    replies = load_model(server.spec).reply([ASK(f"p{n}") for n in range(20)], Sampling())
    assert [r.text for r in replies] == [f"P{n}" for n in range(20)]


@pytest.mark.parametrize("concurrency", [1, 3])
def test_no_more_requests_are_under_way_than_allowed(server: Any, concurrency: int) -> None:
    server.behave = lambda number, request: server.say("x", delay_s=0.3)
    load_model(server.spec, concurrency=concurrency).reply([ASK(str(n)) for n in range(9)], Sampling())
    assert server.most_busy <= concurrency
    assert (server.most_busy > 1) == (concurrency > 1)


def test_it_works_inside_a_running_loop(server: Any) -> None:
    async def notebook() -> Reply:
        return one(server)

    assert asyncio.run(notebook()).text == "hello"


def test_429_waits_as_long_as_it_is_told(server: Any) -> None:
    server.behave = lambda number, request: server.fail(429, Retry_After="0.3") if number == 0 else server.say("later")
    assert one(server).text == "later"
    assert server.at[1] - server.at[0] >= 0.3
    assert len(server.requests) == 2


def test_too_long_a_wait_is_not_waited_for(server: Any) -> None:
    server.behave = lambda number, request: server.fail(429, "busy", Retry_After="900")
    started = time.monotonic()
    reply = one(server)
    assert time.monotonic() - started < 5
    assert (reply.finish, reply.text) == ("error", "")
    assert "429" in reply.error
    assert "900 s" in reply.error
    assert len(server.requests) == 1


def test_a_wait_of_no_time_is_at_least_the_own_backoff(server: Any) -> None:
    server.behave = lambda number, request: server.fail(429, Retry_After="0") if number < 2 else server.say("later")
    assert one(server, backoff_s=0.2).text == "later"
    assert server.at[1] - server.at[0] >= 0.15
    assert server.at[2] - server.at[1] >= 0.3


def test_a_server_that_asks_for_a_long_wait_is_asked_nothing_more_until_then(server: Any) -> None:
    server.behave = lambda number, request: server.say("ok") if number < 2 else server.fail(429, "daily", Retry_After="1.5")
    model = load_model(server.spec, concurrency=1, retry_after_max_s=0.5, **FAST)
    replies = model.reply([ASK(str(n)) for n in range(9)], Sampling())
    assert [r.finish for r in replies] == ["stop"] * 2 + ["error"] * 7
    assert replies[2].error == "the server answered HTTP 429: daily; it asks for a wait of 2 s"
    assert {r.error for r in replies[3:]} == {f"not sent: {replies[2].error}"}
    assert model.reply([ASK("the next group")], Sampling())[0].error.startswith("not sent: ")
    assert len(server.requests) == 3
    server.behave = lambda number, request: server.say("tomorrow")
    time.sleep(1.6)
    assert model.reply([ASK("later")], Sampling())[0].text == "tomorrow"


@pytest.mark.parametrize(
    ("body", "error", "tries"),
    [
        ({"error": {"code": 429, "message": "upstream is busy"}}, "the server answered error 429 inside an HTTP 200: upstream is busy (2 tries)", 2),
        ({"error": {"status": "503"}}, "the server answered error 503 inside an HTTP 200 (2 tries)", 2),
        ({"error": {"code": 400, "message": "too long"}}, "the server answered error 400 inside an HTTP 200: too long", 1),
        ({"error": {"code": 403, "message": "flagged"}}, "the server refused this request (error 403 inside an HTTP 200): flagged", 1),
        ({"error": "broken"}, "the answer holds an error instead of a reply: broken", 1),
        ({"error": {"code": "9" * 5000}, "choices": []}, "the answer holds an error instead of a reply", 1),
        ({"choices": [{"finish_reason": "error", "message": {"content": "ha"}}]}, "the reply ended with an error (2 tries)", 2),
        ({"choices": [{"error": {"code": 502}}]}, "the server answered error 502 inside an HTTP 200 (2 tries)", 2),
    ],
)
def test_an_error_inside_an_answer_is_what_its_code_says(server: Any, body: Any, error: str, tries: int) -> None:
    server.behave = lambda number, request: server.answer(body)
    model = load_model(server.spec, retries=1, **FAST)
    reply = model.reply([ASK("x")], Sampling())[0]
    assert (reply.finish, reply.text, reply.error) == ("error", "", error)
    assert len(server.requests) == tries
    assert body.get("choices") or model.budget.tokens_in == 0, "an answer without usage and reply took no tokens"  # type: ignore[attr-defined]
    server.behave = lambda number, request: server.answer(body) if len(server.requests) == tries + 1 else server.say("whole")
    assert (one(server).text == "whole") == (tries > 1)


def test_server_errors_are_retried_with_growing_waits_then_given_up(server: Any) -> None:
    server.behave = lambda number, request: server.fail(500, "oops") if number < 2 else server.say("back")
    assert one(server, backoff_s=0.1).text == "back"
    assert server.at[1] - server.at[0] >= 0.075
    assert server.at[2] - server.at[1] >= 0.15
    server.behave = lambda number, request: server.fail(503, "oops")
    reply = one(server, retries=2)
    assert (reply.text, reply.finish) == ("", "error")
    assert reply.error == "the server answered HTTP 503: oops (3 tries)"


def test_a_bad_request_is_not_retried(server: Any) -> None:
    server.behave = lambda number, request: server.fail(400, "maximum context length\x1b[31m " + "x" * 500)
    reply = one(server)
    assert len(server.requests) == 1
    assert "maximum context length" in reply.error
    assert "\x1b" not in reply.error
    assert len(reply.error) < 250


def test_a_slow_reply_times_out_while_the_others_are_kept(server: Any) -> None:
    server.behave = lambda number, request: server.say("ok", delay_s=1.5 if "slow" in str(request["messages"]) else 0.0)
    started = time.monotonic()
    replies = load_model(server.spec, timeout_s=0.6, retries=1, **FAST).reply([ASK("slow"), ASK("quick")], Sampling())
    assert time.monotonic() - started < 5
    assert [r.finish for r in replies] == ["error", "stop"]
    assert replies[0].error == "no answer within 0.6 s (2 tries)"


@pytest.mark.parametrize("body", [b"{not json", b"<html>gateway</html>", b"[]", b"", b"null", b"[" * 100_000])
def test_malformed_json_is_retried_then_an_error(server: Any, body: bytes) -> None:
    server.behave = lambda number, request: server.answer(body)
    reply = one(server, retries=1)
    assert (reply.finish, reply.error) == ("error", "the answer is not a JSON object (2 tries)")
    server.behave = lambda number, request: server.answer(body) if number == 2 else server.say("whole")
    assert one(server).text == "whole"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"choices": []},
        {"choices": None},
        {"choices": ["x"]},
        {"choices": [{"message": None}]},
        {"choices": [{"message": {"content": 5}}]},
        {"choices": [{"message": {"content": [3]}}], "usage": {"prompt_tokens": "x", "completion_tokens": -1}},
        {"error": {"message": "no"}},
    ],
)
def test_an_absurd_answer_is_an_error_reply(server: Any, body: Any) -> None:
    server.behave = lambda number, request: server.answer(body)
    reply = one(server)
    assert (reply.text, reply.finish) == ("", "error")
    assert reply.error


@pytest.mark.parametrize("text", [None, "", "half of", "I can't help with this."])
def test_a_refusal_in_place_of_a_filtered_reply_is_the_reply(server: Any, text: Any) -> None:
    """A gateway that withholds a reply says so in words: that is what the person sees, and no failure."""
    server.behave = lambda number, request: server.say(text, finish="content_filter", refusal="I can't help with this.")
    reply = one(server)
    assert (reply.text, reply.finish) == ("I can't help with this.", "stop")


@pytest.mark.parametrize(
    ("text", "finish", "message", "error"),
    [
        ("", "stop", {}, "the reply is empty"),
        (None, "stop", {}, "the reply is empty"),
        (" \n", "stop", {}, "the reply is empty"),
        ("", "length", {"reasoning_content": "hmm"}, "no visible text within 64 tokens; raise max_tokens"),
        (None, "tool_calls", {"tool_calls": [{"id": "1"}]}, "the reply holds tool calls and no text"),
        ("Sure.", "tool_calls", {"tool_calls": [{"id": "1"}]}, "the reply holds tool calls, and what they would do cannot be judged"),
        ("Sure.", "stop", {"function_call": {"name": "send"}}, "the reply holds tool calls, and what they would do cannot be judged"),
        ("half of", "content_filter", {}, "the server's content filter withheld the reply"),
        ("half of", "abort", {}, "the reply ended with 'abort'"),
    ],
)
def test_what_is_no_reply_is_an_error_with_its_reason(server: Any, text: Any, finish: str, message: Any, error: str) -> None:
    server.behave = lambda number, request: server.say(text, finish=finish, **message)
    reply = one(server)
    assert (reply.text, reply.finish, reply.error, reply.tokens_out) == ("", "error", error, 5)


def test_a_refusal_field_is_what_the_model_said(server: Any) -> None:
    server.behave = lambda number, request: server.say(None, refusal="I can't help with that.")
    reply = one(server)
    assert (reply.text, reply.finish) == ("I can't help with that.", "stop")


def test_length_parts_and_broken_unicode_are_read(server: Any) -> None:
    server.behave = lambda number, request: server.say([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], finish="length", tokens=None)
    reply = one(server, prompt="half \ud83d pair")
    assert (reply.text, reply.finish, reply.tokens_in, reply.tokens_out) == ("ab", "length", 0, 0)
    assert server.requests[0]["messages"][0]["content"] == "half \ufffd pair"
    server.behave = lambda number, request: server.answer(b'{"choices": [{"message": {"content": "half \\ud83d pair"}, "finish_reason": null}]}')
    assert one(server).text == "half \ufffd pair"


def test_nothing_is_sent_beyond_the_request_budget(server: Any) -> None:
    model = load_model(server.spec, budget_requests=3)
    replies = model.reply([ASK(str(n)) for n in range(5)], Sampling())
    assert sorted(r.finish for r in replies) == ["error", "error", "stop", "stop", "stop"]
    assert {r.error for r in replies} == {"", "budget used up: 3 of 3 requests sent (budget_requests)"}
    assert [r.finish for r in model.reply([ASK("later")], Sampling())] == ["error"]
    with pytest.raises(NoModelError, match="budget used up"):
        model.score(ASK("x"), ["A", "B"])
    assert len(server.requests) == 3


def test_retries_count_as_requests(server: Any) -> None:
    server.behave = lambda number, request: server.fail(500)
    assert "budget used up: 2 of 2" in one(server, budget_requests=2).error
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("options", "sent", "error"),
    [
        ({"budget_tokens": 24}, 2, "24 of 24 tokens spent"),
        ({"budget_cost": 0.05, "price_in": 1000.0, "price_out": 2000.0}, 3, "0.051 of 0.05 spent"),
        ({"budget_tokens": 0}, 0, "0 of 0 tokens"),
    ],
)
def test_tokens_and_money_run_out(server: Any, options: Any, sent: int, error: str) -> None:
    # 7 tokens in and 5 out a reply: 12 tokens, 0.017 at these prices
    replies = load_model(server.spec, concurrency=1, **options).reply([ASK(str(n)) for n in range(5)], Sampling())
    assert [r.finish for r in replies] == ["stop"] * sent + ["error"] * (5 - sent)
    assert error in replies[-1].error
    assert len(server.requests) == sent


def test_a_budget_ends_although_the_server_reports_no_usage(server: Any) -> None:
    server.behave = lambda number, request: server.say("x" * 30, tokens=None)
    replies = load_model(server.spec, concurrency=1, budget_tokens=60).reply([ASK("hi")] * 8, Sampling())
    assert 1 <= sum(r.finish == "stop" for r in replies) <= 4
    assert "budget used up" in replies[-1].error


def test_reasoning_and_tool_calls_count_where_the_server_reports_no_usage(server: Any) -> None:
    calls = [{"id": "1", "function": {"name": "f", "arguments": "y" * 300}}]
    server.behave = lambda number, request: server.say("ok", tokens=None, reasoning_content="t" * 3000, reasoning="t" * 3000, tool_calls=calls)
    model: Any = load_model(server.spec)
    model.reply([ASK("x")], Sampling())
    assert 1100 <= model.budget.tokens_out <= 1110, "3,300 bytes; the text that stands under two names was written once"


@pytest.mark.parametrize("usage", [{"prompt_tokens": 7.0, "completion_tokens": 5.0}, {"input_tokens": 7, "output_tokens": 5}])
def test_tokens_are_read_as_servers_write_them(server: Any, usage: Any) -> None:
    server.behave = lambda number, request: server.answer({**server.say("x" * 100).body, "usage": usage})
    reply = one(server)
    assert (reply.tokens_in, reply.tokens_out) == (7, 5)


def test_scores_are_the_logprobs_of_the_first_tokens(server: Any) -> None:
    server.behave = lambda number, request: server.logprobs({"A": math.log(0.5), " A": math.log(0.1), "B": math.log(0.2), "The": math.log(0.1)})
    found = load_model(server.spec).score(ASK("A or B?"), ["A", " B", "C"])
    assert found[:2] == pytest.approx([math.log(0.6), math.log(0.2)])
    assert found[2] == -math.inf
    sent = server.requests[0]
    assert (sent["logprobs"], sent["top_logprobs"], sent["max_tokens"], sent["temperature"]) == (True, 20, 1, 0.0)


def test_options_that_begin_with_one_token_are_refused(server: Any) -> None:
    server.behave = lambda number, request: server.logprobs({"(": -0.1, "(A": -3.0})
    with pytest.raises(InputError, match="begin with the same token"):
        load_model(server.spec).score(ASK("x"), ["(A)", "(B)"])
    with pytest.raises(InputError, match="cannot be told apart"):
        load_model(server.spec).score(ASK("x"), ["No", "Not sure"])
    assert len(server.requests) == 1
    server.behave = lambda number, request: server.logprobs({"Yes": -0.1, "Yep": -2.5, "Y": -12.0})
    assert load_model(server.spec).score(ASK("x"), ["Yes", "Yep"]) == pytest.approx([-0.1, -2.5])


@pytest.mark.parametrize("value", [None, "low", math.nan, [1]])
def test_unreadable_logprobs_are_no_scores(server: Any, value: Any) -> None:
    server.behave = lambda number, request: server.logprobs({"A": value})
    with pytest.raises(ModelError, match="no log-probabilities") as caught:
        load_model(server.spec).score(ASK("x"), ["A", "B"])
    assert "hf:MODEL" in caught.value.hint


def test_a_server_without_logprobs_says_so(server: Any) -> None:
    with pytest.raises(ModelError, match="no log-probabilities"):
        load_model(server.spec).score(ASK("x"), ["A", "B"])
    server.behave = lambda number, request: server.fail(400, "logprobs are not supported")
    with pytest.raises(ModelError, match="not supported") as caught:
        load_model(server.spec).score(ASK("x"), ["A", "B"])
    assert "openai: {model: ..., top_logprobs: 5}" in caught.value.hint
    assert not isinstance(caught.value, NoModelError), "another question may be answered: a content filter also says 400"


def test_no_server_is_one_clear_error_at_once(server: Any) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    model = load_model(f"openai:tiny@{url}")
    started = time.monotonic()
    with pytest.raises(NoModelError, match="connection refused") as caught:
        model.reply([ASK(str(n)) for n in range(30)], Sampling())
    assert time.monotonic() - started < 5
    assert url in caught.value.message
    assert f"curl {url}/models" in caught.value.hint
    with pytest.raises(NoModelError, match="connection refused"):
        model.score(ASK("x"), ["A", "B"])


def test_a_connection_that_breaks_is_tried_again(server: Any) -> None:
    server.behave = lambda number, request: server.answer(None) if number == 0 else server.say("again")
    assert one(server).text == "again"
    server.behave = lambda number, request: server.answer(None)
    assert one(server, retries=1).error == "the connection broke before the answer was there (2 tries)"


def test_a_server_that_dies_midway_costs_no_reply_that_was_had(server: Any) -> None:
    def die(number: int, request: Any) -> Any:
        if number == 2:
            server.shutdown()
            server.socket.close()
        return server.answer(None) if number >= 2 else server.say("ok")

    server.behave = die
    replies = load_model(server.spec, concurrency=1, retries=2, timeout_s=1, **FAST).reply([ASK(str(n)) for n in range(5)], Sampling())
    assert [r.finish for r in replies] == ["stop", "stop", "error", "error", "error"]
    assert all(r.error and not r.text for r in replies[2:])


def test_a_refused_key_stops_at_once_and_is_shown_nowhere(server: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("MY_KEY", "sk-secret-1234")
    server.behave = lambda number, request: server.fail(401, "Incorrect API key provided: sk-secret-1234")
    model = load_model(server.spec, api_key_env="MY_KEY", concurrency=2)
    with pytest.raises(ModelError, match="refused the key") as caught:
        model.reply([ASK(str(n)) for n in range(10)], Sampling())
    assert "export MY_KEY" in caught.value.hint
    assert len(server.requests) <= 2
    assert server.keys[0] == "Bearer sk-secret-1234"
    server.behave = lambda number, request: server.fail(422, "you sent sk-secret-1234")
    reply = model.reply([ASK("x")], Sampling())[0]
    assert "you sent ***" in reply.error
    assert "sk-secret" not in "".join([str(caught.value), caplog.text, repr(vars(model)), reply.error])


def test_what_names_an_account_of_openai_goes_where_its_key_goes(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    named = {"OPENAI_API_KEY": "sk-of-openai", "OPENAI_ORG_ID": "org-mine", "OPENAI_PROJECT_ID": "proj_mine"}
    for name, value in (named | {"OPENAI_CUSTOM_HEADERS": "X-Secret: hidden\nAuthorization: Bearer other"}).items():
        monkeypatch.setenv(name, value)
    for load in (load_model, load_raw):
        load(server.spec).reply([ASK("x")], Sampling())
    server.behave = lambda number, request: server.answer({"data": [{"index": 0, "embedding": [1.0, 0.0]}], "model": "tiny", "object": "list"})
    UrlEmbedder(server.spec.removeprefix("openai:")).embed(["x"])
    assert len(server.headers) == 3
    for headers in server.headers:
        assert headers["authorization"] == "Bearer none"
        assert not {"openai-organization", "openai-project", "x-secret"} & headers.keys()
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    server.behave = lambda number, request: server.say("hello")
    load_model("openai:tiny").reply([ASK("x")], Sampling())
    sent = server.headers[-1]
    assert (sent["openai-organization"], sent["openai-project"], sent["x-secret"]) == ("org-mine", "proj_mine", "hidden")


def test_the_key_of_openai_is_sent_to_no_other_server(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-openai")
    for load in (load_model, load_raw):
        load(server.spec).reply([ASK("x")], Sampling())
    assert set(server.keys) == {"Bearer none"}
    load_model(server.spec, api_key_env="OPENAI_API_KEY").reply([ASK("x")], Sampling())
    assert server.keys[-1] == "Bearer sk-of-openai", "named, it is sent"
    server.behave = lambda number, request: server.fail(401, "no key")
    with pytest.raises(ModelError, match=r"wants a key \(HTTP 401\), and none is sent to a server unless it is named") as caught:
        load_model(server.spec).reply([ASK("x")], Sampling())
    assert "api_key_env: MY_KEY" in caught.value.hint


def test_a_prompt_that_is_refused_with_403_costs_no_other_its_reply(server: Any) -> None:
    """Moderation at a gateway, or a firewall before a server: the first prompts of a group are as likely to meet it as any."""

    def moderate(number: int, request: Any) -> Any:
        prompt = request["messages"][0]["content"]
        return server.fail(403, "Your input was flagged") if prompt in {f"q{n}" for n in range(8)} else server.say("ok")

    server.behave = moderate
    replies = load_model(server.spec, **FAST).reply([ASK(f"q{n}") for n in range(64)], Sampling())
    assert [r.finish for r in replies] == ["error"] * 8 + ["stop"] * 56
    assert {r.error for r in replies[:8]} == {"the server refused this request (HTTP 403): Your input was flagged"}
    assert len(server.requests) == 64
    alone = load_model(server.spec, **FAST).reply([ASK("q0"), ASK("q1")], Sampling())
    assert [r.finish for r in alone] == ["error", "error"], "asked again in a later run, where nothing else is left to ask"


def test_a_server_that_refuses_its_list_of_models_too_is_shut(server: Any) -> None:
    server.behave = lambda number, request: server.fail(403, "your country is not served")
    server.models = server.fail(403)
    with pytest.raises(NoModelError, match=r"list of models is refused as well; .* \(HTTP 403\): your country is not served") as caught:
        load_model(server.spec, concurrency=2).reply([ASK(str(n)) for n in range(10)], Sampling())
    assert "api_key_env" in caught.value.hint
    assert len(server.requests) <= 2
    with pytest.raises(NoModelError, match="list of models is refused"):
        load_model(server.spec).score(ASK("x"), ["A", "B"])
    server.models = server.answer(b"<html>")
    with pytest.raises(ModelError, match="refused this request") as refused:
        load_model(server.spec).score(ASK("x"), ["A", "B"])
    assert not isinstance(refused.value, NoModelError)


def test_a_used_up_quota_is_not_retried(server: Any) -> None:
    server.behave = lambda number, request: server.fail(429, "quota", code="insufficient_quota")
    with pytest.raises(ModelError, match="quota is used up"):
        one(server)
    assert len(server.requests) == 1


def test_an_unknown_model_is_told_which_there_are(server: Any) -> None:
    server.behave = lambda number, request: server.fail(404, "no such model")
    with pytest.raises(ModelError, match="has no model 'huge'; it has: 'tiny', 'large'"):
        load_model(f"openai:huge@{server.url}").reply([ASK("x")], Sampling())
    with pytest.raises(ModelError, match="has no model 'huge'"):
        load_model(f"openai:huge@{server.url}").score(ASK("x"), ["A", "B"])
    with pytest.raises(ModelError, match="has no chat completions for it"):
        one(server)


def test_a_url_without_its_path_gets_the_right_one(server: Any) -> None:
    server.behave = lambda number, request: server.fail(404)
    server.models = server.fail(404)
    with pytest.raises(ModelError, match="no chat completions at this URL") as caught:
        load_model(server.spec.removesuffix("/v1")).reply([ASK("x")], Sampling())
    assert caught.value.hint == server.spec


def test_nothing_to_ask_asks_nothing(server: Any) -> None:
    model = load_model(server.spec)
    assert model.reply([], Sampling()) == []
    assert model.batches([ASK("x")] * 130, Sampling()) == [list(range(64)), list(range(64, 128)), [128, 129]]
    assert server.requests == []


class _Full(Exception):
    pass


def test_replies_are_handed_on_one_by_one_in_order_so_that_a_kill_loses_what_is_under_way(server: Any) -> None:
    """The disk is full after the 12th: it was handed on long before all 40 had been asked."""
    server.behave = lambda number, request: server.say(request["messages"][0]["content"].upper(), delay_s=0.03 if number % 3 == 0 else 0.0)
    kept: list[tuple[int, str]] = []

    def keep(index: int, reply: Reply) -> None:
        kept.append((index, reply.text))
        if len(kept) == 12:
            raise _Full

    with pytest.raises(_Full):
        load_model(server.spec, concurrency=4, **FAST).reply_each([ASK(f"q{n}") for n in range(40)], Sampling(), keep)  # type: ignore[attr-defined]
    assert kept == [(n, f"Q{n}") for n in range(12)]
    assert len(server.requests) <= 12 + 8


def test_troubles_are_handed_on_after_a_first_reply_and_raised_without_one(server: Any) -> None:
    model = load_model(server.spec, retries=0, concurrency=1, **FAST)
    kept: list[str] = []
    server.behave = lambda number, request: server.fail(400) if number < 2 else server.say("x")
    model.reply_each([ASK(f"q{n}") for n in range(3)], Sampling(), lambda index, reply: kept.append(reply.finish))  # type: ignore[attr-defined]
    assert kept == ["error", "error", "stop"]
    server.behave = lambda number, request: server.fail(404)
    with pytest.raises(ModelError):
        model.reply_each([ASK("q")], Sampling(), lambda index, reply: kept.append(reply.finish))  # type: ignore[attr-defined]
    assert len(kept) == 3
