"""The official SDK through the gateway to a model server on loopback: what it gets, allowed and withheld, whole and streamed."""

from __future__ import annotations

import json
import urllib.request

import openai
import pytest
from gateway_said import completion
from gateway_upstream import answers, chunk, says, spoken, streams

from charter.core.rows import Verdict

HI = [{"role": "user", "content": "How do I prune roses?"}]
LONG = "The roses need sun and water. " * 30


@pytest.fixture(scope="module")
def bare(launch):
    """No rails at all."""
    return launch()


@pytest.fixture
def guarded(launch, fakes):
    """Rails that withhold texts with the words ``forbidden request`` and ``forbidden reply``."""
    rails = {"a": fakes.finds("forbidden")}
    return launch(fakes.guard(rails, stream={"hold_chars": 12, "window_chars": 40}))


def joined(stream):
    chunks = list(stream)
    return chunks, "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)


def test_whole_without_rails(bare):
    bare.upstream.script = says("Prune in March.")
    done = bare.client().chat.completions.create(model="m", messages=HI)
    assert done.choices[0].message.content == "Prune in March."
    asked = bare.upstream.asked[-1]
    assert asked.path == "/v1/chat/completions"
    assert asked.json == {"model": "m", "messages": HI}
    assert asked.headers["authorization"] == "Bearer upstream-key"
    assert "client-key" not in str(asked.headers)
    exchange = bare.exchange()
    assert (exchange.outcome, exchange.status, exchange.model, exchange.endpoint) == ("bypassed", 200, "m", "chat")
    assert exchange.bypass == ["unguarded"]


def test_streamed_without_rails(bare):
    bare.upstream.script = says(*LONG.split(" "))
    chunks, text = joined(bare.client().chat.completions.create(model="m", messages=HI, stream=True))
    assert text == LONG.replace(" ", "")
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_whole_and_streamed_with_rails(guarded):
    client = guarded.client()
    guarded.upstream.script = says(*[word + " " for word in LONG.split()])
    done = client.chat.completions.create(model="m", messages=HI)
    assert done.choices[0].message.content == LONG
    chunks, text = joined(client.chat.completions.create(model="m", messages=HI, stream=True))
    assert text == LONG
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert guarded.exchange().outcome == "allowed"
    assert len(guarded.told) == 2
    assert [len(exchange.outputs) for exchange in guarded.told] == [1, 1]


@pytest.mark.parametrize("stream", [False, True])
def test_a_withheld_request(guarded, stream):
    before = len(guarded.upstream.asked)
    with pytest.raises(openai.BadRequestError) as told:
        guarded.client(max_retries=2).chat.completions.create(model="m", messages=[{"role": "user", "content": "a forbidden word"}], stream=stream)
    assert told.value.code == "content_filter"
    assert told.value.param == "messages"
    assert told.value.body["innererror"]["code"] == "ResponsibleAIPolicyViolation"
    assert "forbidden" not in str(told.value.body)
    assert len(guarded.upstream.asked) == before, "the model was never asked"
    assert guarded.exchange().outcome == "blocked"
    assert told.value.body["decision_id"] == guarded.exchange().decision_id
    assert told.value.request_id == guarded.exchange().request_id


def test_a_withheld_reply(guarded):
    guarded.upstream.script = says("This is a forbidden word.", tool_calls=[])
    done = guarded.client().chat.completions.create(model="m", messages=HI)
    [choice] = done.choices
    assert choice.finish_reason == "content_filter"
    assert choice.message.content is None
    assert choice.message.refusal
    assert "forbidden" not in done.model_dump_json()
    assert done.usage.total_tokens == 2
    assert guarded.exchange().outcome == "blocked"


def test_a_withheld_stream(guarded):
    guarded.upstream.script = streams(*spoken(*[w + " " for w in (LONG + "and a forbidden word. " + LONG).split()], end=False), then="hang")
    chunks, text = joined(guarded.client().chat.completions.create(model="m", messages=HI, stream=True))
    assert LONG.startswith(text)
    assert chunks[-1].choices[0].finish_reason == "content_filter"
    refusals = [c.choices[0].delta.refusal for c in chunks if c.choices[0].delta.refusal]
    assert len(refusals) == 1
    assert guarded.exchange().outcome == "blocked"
    guarded.loop(wait_for(lambda: guarded.upstream.cancelled == 1))


async def wait_for(condition, timeout_s=2.0):
    import asyncio

    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.01)


def test_choices_are_withheld_one_by_one(guarded):
    client = guarded.client()
    guarded.upstream.script = answers(completion("Fine.", "A forbidden word.", "Fine too."))
    done = client.chat.completions.create(model="m", messages=HI, n=3)
    assert [c.finish_reason for c in done.choices] == ["stop", "content_filter", "stop"]
    pieces = [b"data: " + chunk(text, index) + b"\n\n" for text in ("Fine. ", "And so. ") for index in (0, 2)]
    pieces += [b"data: " + chunk("A forbidden word. ", 1) + b"\n\n"] * 4
    pieces += [b"data: " + chunk(index=index, finish="stop") + b"\n\n" for index in (0, 1, 2)] + [b"data: [DONE]\n\n"]
    guarded.upstream.script = streams(*pieces)
    texts, ends = ["", "", ""], [[], [], []]
    for each in client.chat.completions.create(model="m", messages=HI, n=3, stream=True):
        for choice in each.choices:
            texts[choice.index] += choice.delta.content or ""
            ends[choice.index] += [choice.finish_reason] if choice.finish_reason else []
    assert texts == ["Fine. And so. ", "", "Fine. And so. "]
    assert ends == [["stop"], ["content_filter"], ["stop"]]


def test_paths_that_are_not_served(bare):
    for path in ("/v1/images/generations", "/v1/chat/completions/", "/v1/Chat/completions", "/", "/v1/files", "/v1//chat/completions"):
        with pytest.raises(urllib.error.HTTPError) as told:
            urllib.request.urlopen(urllib.request.Request(bare.root + path, b"{}", {"content-type": "application/json"}))
        with told.value as error:
            assert error.status == 404
            assert json.loads(error.read())["error"]["code"] == "unsupported_endpoint"


def test_a_path_that_is_served_with_another_method_alone(bare):
    for path, method, allowed in (("/v1/chat/completions", "GET", "POST"), ("/v1/embeddings", "PUT", "POST"), ("/v1/models", "POST", "GET")):
        with pytest.raises(urllib.error.HTTPError) as told:
            urllib.request.urlopen(urllib.request.Request(bare.root + path, None if method == "GET" else b"{}", method=method))
        with told.value as error:
            assert error.status == 405
            assert allowed in error.headers["allow"].replace(",", " ").split()
            assert json.loads(error.read())["error"]["code"] == "method_not_allowed"


def test_models_and_health(bare):
    bare.upstream.script = answers({"object": "list", "data": [{"id": "m", "object": "model", "created": 1, "owned_by": "x"}]})
    assert [m.id for m in bare.client().models.list()] == ["m"]
    for path in ("/healthz", "/readyz"):
        with urllib.request.urlopen(bare.root + path) as answer:
            assert answer.status == 200


def test_of_the_list_of_models_names_and_numbers_leave_alone(launch):
    bare = launch()  # the list is kept for seconds
    told = "-".join(("words", "that", "no rail", "read"))
    model = {
        "id": "org/m-1:8b", "object": "model", "created": 1, "owned_by": "x", "max_model_len": 4096, "description": told, "display_name": told,
        "permission": [{"id": "modelperm-1", "allow_view": True, "note": told, told: "x"}], "parent": None, "created_at": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    bare.upstream.script = answers({"object": "list", "note": told, "data": [model, {"id": told}, {"id": 7}, {"object": "model"}, told, None]})
    with urllib.request.urlopen(bare.root + "/v1/models") as answer:
        found = json.loads(answer.read())
    assert found == {
        "object": "list",
        "data": [
            {
                "id": "org/m-1:8b", "object": "model", "created": 1, "owned_by": "x", "max_model_len": 4096, "parent": None,
                "permission": [{"id": "modelperm-1", "allow_view": True}], "created_at": "2026-01-01T00:00:00Z",
            }
        ],
    }  # fmt: skip
    bare.upstream.script = answers(model)
    assert bare.client().models.retrieve("org/m-1:8b").id == "org/m-1:8b"


def test_a_mistake_of_ours_is_an_error_without_words(bare, caplog, monkeypatch):
    """Whatever breaks inside the gateway: 500, nothing of the model's words, and a log that names the kind of error only."""
    from charter.guard.gateway.surfaces.chat import Chat

    secret = "-".join(("words", "of", "the", "model"))

    def broken(*_):
        raise KeyError(secret)

    bare.upstream.script = says(secret)
    monkeypatch.setattr(Chat, "answer", broken)
    with pytest.raises(openai.InternalServerError) as told:
        bare.client().chat.completions.create(model="m", messages=HI)
    assert told.value.code == "internal_error"
    assert secret not in told.value.response.text
    assert "KeyError" in caplog.text
    assert secret not in caplog.text
    assert bare.exchange().code == "internal_error"


def test_a_part_that_passed_only_by_the_policys_leave_is_told(launch, fakes):
    """A check in the middle of a stream fails open, the last one does not fail: what left on its word is still a bypass."""
    import time

    seen = []

    def once(conversation, stage):
        if stage == "output":
            seen.append(stage)
            if len(seen) == 1:
                raise RuntimeError
        return fakes.verdict("safe", 0.0)

    running = launch(fakes.guard({"a": once}, {"on_error": "allow"}, cache=0, stream={"hold_chars": 8, "window_chars": 20}))
    running.upstream.script = streams(*spoken(*["Some words. "] * 20), pause_s=0.01)
    assert joined(running.client().chat.completions.create(model="m", messages=HI, stream=True))[1] == "Some words. " * 20
    time.sleep(0.05)
    exchange = running.exchange()
    assert len(seen) > 1
    assert exchange.outputs[-1].bypass == ()
    assert (exchange.outcome, exchange.bypass) == ("bypassed", ["a: failed"])
    assert exchange.first_chunk_ms > 0


async def broken_off(asked, wire):
    await wire.head(200, content_length="500")
    await wire.send(b'{"object": "li')


@pytest.mark.parametrize(
    ("script", "status", "code"),
    [
        (answers({"error": {"message": "no"}}, 404), 404, "model_not_found"),
        (answers({"error": {"message": "bad key sk-hush"}}, 401), 502, "upstream_error"),
        (answers(b"<html>", 200, "text/html"), 502, "upstream_bad_answer"),
        (answers({"detail": "free words"}), 502, "upstream_bad_answer"),
        (answers([1]), 502, "upstream_bad_answer"),
        (answers({}, 302, location="http://127.0.0.1:1/"), 502, "upstream_bad_answer"),
        (broken_off, 502, "upstream_interrupted"),
    ],
    ids=["404", "401", "HTML", "no model", "a list", "redirect", "broken off"],
)
def test_faults_of_the_list_of_models(bare, script, status, code):
    bare.upstream.script = script
    with pytest.raises(openai.APIStatusError) as told:
        bare.client().models.retrieve("a-model")
    assert (told.value.status_code, told.value.code) == (status, code)
    assert "hush" not in told.value.response.text
    assert bare.upstream.asked[-1].path == "/v1/models/a-model"


@pytest.mark.parametrize("name", ["..%2f..%2fadmin", "a%0d%0ax:%20y", "%2e%2e/admin", "a%3fb=c"])
def test_a_models_name_cannot_lead_elsewhere(bare, name):
    bare.upstream.script = answers({"secret": 1})
    before = len(bare.upstream.asked)
    with pytest.raises(urllib.error.HTTPError) as told:
        urllib.request.urlopen(f"{bare.root}/v1/models/{name}")
    with told.value as error:
        assert error.status == 404
    assert len(bare.upstream.asked) == before


@pytest.fixture(scope="module")
def fails_on_nothing(launch):
    """A rail that cannot judge a text without a word, as a classifier cannot, and finds ``forbidden``."""
    from charter.guard.engine import Guard
    from charter.guard.policy import GuardPolicy, RailEntry
    from charter.guard.segments import view

    def rail(conversation, stage):
        text = view(conversation, stage).text
        verdict = {"subject": "x", "judge": "fake", "judge_version": "1"}
        if not any(letter.isalnum() for letter in text):
            return Verdict(**verdict, outcome="failed")
        bad = "forbidden" in text
        return Verdict(**verdict, outcome="unsafe" if bad else "safe", score=float(bad))

    entries = (RailEntry(rail="length", name="a", timeout_ms=10_000),)
    return launch(Guard(GuardPolicy(input=entries, output=entries), rails={"a": rail}))


def choices(*messages):
    told = [{"index": n, "message": {"role": "assistant", **message}, "finish_reason": "stop"} for n, message in enumerate(messages)]
    return answers({**completion(""), "choices": told})


@pytest.mark.parametrize("nothing", ["", "\n\n", None])
def test_a_reply_of_nothing_passes_as_it_came(fails_on_nothing, nothing):
    fails_on_nothing.upstream.script = choices({"content": nothing})
    done = fails_on_nothing.client().chat.completions.create(model="m", messages=HI)
    assert (done.choices[0].message.content, done.choices[0].finish_reason) == (nothing, "stop")
    exchange = fails_on_nothing.exchange()
    assert (exchange.outcome, exchange.bypass) == ("allowed", [])
    assert [(a.status, a.score) for a in exchange.outputs[-1].accounts] == [("skipped", None)]


@pytest.mark.parametrize("pieces", [(), ("\n", " ")])
def test_a_streamed_reply_of_nothing_ends_as_it_came(fails_on_nothing, pieces):
    fails_on_nothing.upstream.script = streams(*spoken(*pieces))
    chunks, text = joined(fails_on_nothing.client().chat.completions.create(model="m", messages=HI, stream=True))
    assert (text, chunks[-1].choices[0].finish_reason) == ("".join(pieces), "stop")
    assert fails_on_nothing.exchange().outcome == "allowed"


@pytest.mark.parametrize(("other", "finish"), [("Prune in March.", "stop"), ("a forbidden word", "content_filter")])
def test_an_empty_choice_leaves_the_other_one_alone(fails_on_nothing, other, finish):
    fails_on_nothing.upstream.script = choices({"content": ""}, {"content": other})
    done = fails_on_nothing.client().chat.completions.create(model="m", messages=HI, n=2)
    assert [choice.finish_reason for choice in done.choices] == ["stop", finish]
    assert "forbidden" not in done.model_dump_json()


def test_a_tool_call_beside_nothing_is_still_checked(fails_on_nothing):
    call = {"id": "t", "type": "function", "function": {"name": "send", "arguments": '{"to": "forbidden"}'}}
    fails_on_nothing.upstream.script = choices({"content": "", "tool_calls": [call]})
    done = fails_on_nothing.client().chat.completions.create(model="m", messages=HI)
    assert (done.choices[0].finish_reason, done.choices[0].message.tool_calls) == ("content_filter", None)
    assert fails_on_nothing.exchange().outcome == "blocked"
