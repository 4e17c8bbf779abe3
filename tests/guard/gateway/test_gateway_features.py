"""What people use beside plain text: tool calls, JSON mode, log probabilities, usage, several choices, pictures, masked values that come back."""

from __future__ import annotations

import itertools
import json
import random

import openai
import pydantic
import pytest
from gateway_said import completion, events
from gateway_upstream import answers, chunk, says, spoken, streams

from charter.guard.engine import Guard
from charter.guard.policy import GuardPolicy, RailEntry

HI = [{"role": "user", "content": "How do I prune roses?"}]


@pytest.fixture(scope="module")
def finds():
    """The same rails as ``fakes.finds``, for a module's fixture."""
    from charter.core.rows import Verdict
    from charter.guard.segments import view

    def made(word, kind="TERM"):
        def rail(conversation, stage):
            text = view(conversation, stage).text
            starts = [n for n in range(len(text)) if text.startswith(word, n)]
            spans = tuple((n, n + len(word)) for n in starts)
            outcome, score = ("unsafe", 1.0) if starts else ("safe", 0.0)
            label = " ".join([kind] * len(starts))
            return Verdict(subject="x", outcome=outcome, score=score, judge="fake", judge_version="1", spans=spans, label=label)

        return rail

    return made


def guard(finds, **policy):
    """``forbidden`` is withheld both ways; ``jane@ex.org`` is masked in requests, ``4111`` in replies."""
    block, mask = (RailEntry(rail="length", name=name, action=name, timeout_ms=10_000) for name in ("block", "mask"))
    settings = {"stream": {"hold_chars": 16, "window_chars": 20, "masked": "window"}, **policy}
    rules = GuardPolicy(input=(block, mask.model_copy(update={"name": "in"})), output=(block, mask.model_copy(update={"name": "out"})), **settings)
    return Guard(rules, rails={"block": finds("forbidden"), "in": finds("jane@ex.org", "EMAIL"), "out": finds("4111", "CARD")})


@pytest.fixture(scope="module")
def running(launch, finds):
    return launch(guard(finds))


@pytest.fixture(params=[False, True], ids=["whole", "streamed"])
def stream(request):
    return request.param


def call(name, arguments, index=0, **more):
    return {"index": index, "id": f"c{index}", "type": "function", "function": {"name": name, "arguments": arguments}, **more}


class Got:
    """A reply, whole or streamed, put together as a client does."""

    def __init__(self, done, stream):
        self.content, self.refusal, self.reasoning, self.calls, self.finish, self.logprobs = "", "", "", {}, "", []
        self.usage, self.chunks = None, 0
        for part in done if stream else [done]:
            self.chunks += 1
            self.usage = part.usage or self.usage
            for choice in part.choices:
                said = choice.delta if stream else choice.message
                self.content += said.content or ""
                self.refusal += said.refusal or ""
                self.reasoning += getattr(said, "reasoning_content", None) or ""
                self.finish = choice.finish_reason or self.finish
                self.logprobs += choice.logprobs.content if choice.logprobs and choice.logprobs.content else []
                for nth, each in enumerate(said.tool_calls or ()):
                    number = each.index if stream else nth
                    before = self.calls.get(number, ("", ""))
                    self.calls[number] = (before[0] + (each.function.name or ""), before[1] + (each.function.arguments or ""))


def ask(running, stream, messages=HI, **request):
    return Got(running.client().chat.completions.create(model="m", messages=messages, stream=stream, **request), stream)


def tool_script(*arguments, stream):
    """One tool call whose arguments come in these pieces."""
    if not stream:
        told = call("lookup", "".join(arguments))
        return answers(completion(None, finish="tool_calls", tool_calls=[{k: v for k, v in told.items() if k != "index"}]))
    data = [chunk(role="assistant", content=None, tool_calls=[call("lookup", "")])]
    data += [chunk(tool_calls=[{"index": 0, "function": {"arguments": piece}}]) for piece in arguments]
    return streams(*(events(each, done=False) for each in [*data, chunk(finish="tool_calls")]), b"data: [DONE]\n\n")


def test_tool_calls_pass(running, stream):
    running.upstream.script = tool_script('{"ci', 'ty": "Ber', 'lin"}', stream=stream)
    tools = [{"type": "function", "function": {"name": "lookup", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}]
    got = ask(running, stream, tools=tools)
    assert got.calls == {0: ("lookup", '{"city": "Berlin"}')}
    assert got.finish == "tool_calls"


@pytest.mark.parametrize("arguments", [['{"q": "forb', 'idden"}'], ['{"q": "forb\\u0069', 'dden"}']], ids=["plain", "escaped"])
def test_a_tool_call_is_withheld_as_a_whole(running, stream, arguments):
    """Not one character of its arguments is out, however they were cut or escaped."""
    running.upstream.script = tool_script(*arguments, stream=stream)
    got = ask(running, stream)
    assert got.calls == {}
    assert got.finish == "content_filter"
    assert got.refusal


def test_values_masked_in_the_request_come_back(running, stream):
    """The model sees a placeholder; the client sees its own value, in text and, escaped, in the arguments of a tool."""
    running.upstream.script = says("I wrote to ", "<EMA", "IL_", "1> as you ", "asked. ", "<EMAIL_2> I do not know. ", "Bye.")
    got = ask(running, stream, [{"role": "user", "content": "Write to jane@ex.org please."}])
    assert got.content == "I wrote to jane@ex.org as you asked. <EMAIL_2> I do not know. Bye."
    assert "jane" not in json.dumps(running.upstream.asked[-1].json)
    assert running.exchange().outcome == "masked"
    running.upstream.script = tool_script('{"to": "<EM', 'AIL_1>"}', stream=stream)
    got = ask(running, stream, [{"role": "user", "content": "Write to jane@ex.org please."}])
    assert json.loads(got.calls[0][1]) == {"to": "jane@ex.org"}


def test_a_value_with_quotes_comes_back_escaped_in_arguments_and_json(launch, finds, stream):
    block = RailEntry(rail="length", name="in", action="mask", timeout_ms=10_000)
    rules = GuardPolicy(input=(block,), unguarded=("output",))
    running = launch(Guard(rules, rails={"in": finds('Jo "J" \n Doe', "NAME")}))
    messages = [{"role": "user", "content": 'I am Jo "J" \n Doe.'}]
    running.upstream.script = tool_script('{"name": "<NA', 'ME_1>"}', stream=stream)
    assert json.loads(ask(running, stream, messages).calls[0][1]) == {"name": 'Jo "J" \n Doe'}
    running.upstream.script = says('{"name": ', '"<NAME', '_1>"}')
    got = ask(running, stream, messages, response_format={"type": "json_object"})
    assert json.loads(got.content) == {"name": 'Jo "J" \n Doe'}
    running.upstream.script = says("Hello <NAME", "_1>!")
    assert ask(running, stream, messages).content == 'Hello Jo "J" \n Doe!'


def test_replies_are_masked(running, stream):
    running.upstream.script = says("Your card is 41", "11", " and no more of it. ", "It goes on for a while here. ", "4", "111 again.")
    got = ask(running, stream)
    assert got.content == "Your card is <CARD> and no more of it. It goes on for a while here. <CARD> again."
    assert running.exchange().outcome == "masked"


def test_log_probabilities_leave_with_their_text_and_only_unchanged(running, stream):
    def told(token):
        return {"content": [{"token": token, "logprob": -0.1, "bytes": None, "top_logprobs": []}], "refusal": None}

    tokens = ["Your ", "card ", "is ", "4111 ", "I ", "think. "]
    if stream:
        data = [{"choices": [{"index": 0, "delta": {"content": token}, "logprobs": told(token), "finish_reason": None}]} for token in tokens]
        script = streams(*(events(json.dumps({"id": "x", "created": 1, "model": "m", **each}).encode(), done=False) for each in data), *spoken()[1:])
    else:
        body = completion("".join(tokens))
        body["choices"][0]["logprobs"] = {"content": [told(token)["content"][0] for token in tokens], "refusal": None}
        script = answers(body)
    running.upstream.script = script
    got = ask(running, stream, logprobs=True)
    assert got.content == "Your card is <CARD> I think. "
    kept = [each.token for each in got.logprobs]
    assert kept == (["Your ", "card ", "is ", "I ", "think. "] if stream else [])


def test_json_mode_is_held_in_full(running):
    """No half of a JSON text leaves: its end may take back what its beginning said."""
    text = json.dumps({"steps": ["a sentence. "] * 30})
    running.upstream.script = streams(*spoken(*[text[at : at + 7] for at in range(0, len(text), 7)]), pause_s=0.002)
    got = running.client().chat.completions.create(model="m", messages=HI, stream=True, response_format={"type": "json_object"})
    assert Got(got, True).content == text
    running.upstream.script = says(*[text[:100], "forbidden", text[100:]])
    got = ask(running, True, response_format={"type": "json_object"})
    assert (got.content, got.finish) == ("", "content_filter")


class Answer(pydantic.BaseModel):
    city: str


def test_structured_output_is_parsed_and_a_withheld_one_raises(running):
    running.upstream.script = says('{"city": "Berlin"}')
    parsed = running.client().chat.completions.parse(model="m", messages=HI, response_format=Answer)
    assert parsed.choices[0].message.parsed == Answer(city="Berlin")
    running.upstream.script = says('{"city": "forbidden"}')
    with pytest.raises(openai.ContentFilterFinishReasonError):
        running.client().chat.completions.parse(model="m", messages=HI, response_format=Answer)


def test_usage_is_told_last(running):
    usage = json.dumps(
        {"id": "x", "created": 1, "model": "m", "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}}
    )
    running.upstream.script = streams(*spoken("Hello there. ", end=False), events(usage.encode()))
    parts = list(running.client().chat.completions.create(model="m", messages=HI, stream=True, stream_options={"include_usage": True}))
    assert parts[-1].usage.total_tokens == 3
    assert parts[-2].choices[0].finish_reason == "stop"
    assert running.upstream.asked[-1].json["stream_options"] == {"include_usage": True}


def test_reasoning_is_checked_and_told(running, stream):
    if stream:
        thoughts = [chunk(reasoning_content=f"Thought {n}. ") for n in range(9)]
        running.upstream.script = streams(*(events(each, done=False) for each in thoughts), *spoken("So it is."))
    else:
        running.upstream.script = answers(completion("So it is.", reasoning_content="".join(f"Thought {n}. " for n in range(9))))
    got = ask(running, stream)
    assert (got.reasoning, got.content) == ("".join(f"Thought {n}. " for n in range(9)), "So it is.")
    running.upstream.script = (
        streams(*(events(chunk(reasoning_content=text), done=False) for text in ("It is for", "bidden.")), *spoken("So it is."))
        if stream
        else answers(completion("So it is.", reasoning_content="It is forbidden."))
    )
    got = ask(running, stream)
    assert (got.content, got.finish) == ("", "content_filter")
    assert "forbidden" not in got.reasoning


IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
PICTURE = [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, IMAGE]}]


def test_pictures_by_policy(running, launch, finds, stream):
    with pytest.raises(openai.BadRequestError) as error:
        ask(running, stream, PICTURE)
    assert error.value.code == "unsupported_content"
    assert running.exchange().outcome == "blocked"
    lets = launch(guard(finds, media="allow"))
    lets.upstream.script = says("A rose.")
    assert ask(lets, stream, PICTURE).content == "A rose."
    assert lets.upstream.asked[-1].json["messages"] == PICTURE
    assert lets.exchange().outcome == "bypassed"
    assert "media" in lets.exchange().bypass


def test_sound_in_a_reply_is_withheld(running, stream):
    audio = {"id": "a1", "data": "AAAA", "transcript": "Hello there.", "expires_at": 1}
    if stream:
        running.upstream.script = streams(*(events(each, done=False) for each in (chunk(audio=audio), chunk(finish="stop"))), b"data: [DONE]\n\n")
    else:
        running.upstream.script = answers(completion(None, audio=audio))
    got = ask(running, stream, modalities=["text", "audio"], audio={"voice": "alloy", "format": "wav"})
    assert (got.finish, got.content) == ("content_filter", "")


def test_a_blocked_request_as_a_refusal(launch, finds, stream):
    running = launch(guard(finds), on_block="refusal", refusal_in_content=True)
    before = len(running.upstream.asked)
    got = ask(running, stream, [{"role": "user", "content": "a forbidden word"}])
    assert got.finish == "content_filter"
    assert got.refusal == got.content != ""
    assert len(running.upstream.asked) == before
    assert running.exchange().outcome == "blocked"
    got = running.client().completions.create(model="m", prompt=["a forbidden word", "x"], n=2, stream=stream)
    ends = [choice.finish_reason for part in (got if stream else [got]) for choice in part.choices]
    assert ends == ["content_filter"] * 4


def test_fields_that_nobody_knows(launch, finds, running):
    running.upstream.script = says("Hello.")
    client = running.client()
    client.chat.completions.create(model="m", messages=HI, extra_body={"top_k": 5, "mirostat": {"tau": 1.5}})
    assert running.upstream.asked[-1].json["mirostat"] == {"tau": 1.5}
    with pytest.raises(openai.BadRequestError) as error:
        client.chat.completions.create(model="m", messages=HI, extra_body={"hints": ["a forbidden word"]})
    assert error.value.code == "content_filter"
    strict = launch(guard(finds), strict_fields=True)
    strict.upstream.script = says("Hello.")
    strict.client().chat.completions.create(model="m", messages=[*HI, {"role": "user", "content": [{"type": "text", "text": "x"}]}], temperature=0.5)
    with pytest.raises(openai.BadRequestError) as error:
        strict.client().chat.completions.create(model="m", messages=HI, extra_body={"top_k": 5})
    assert (error.value.code, error.value.param) == ("unknown_field", "top_k")


def test_completions(running, stream):
    def script(*texts):
        head = {"id": "c", "object": "text_completion", "created": 1, "model": "m"}
        if not stream:
            whole = [{"index": n, "text": text, "finish_reason": "stop", "logprobs": None} for n, text in enumerate(texts)]
            return answers({**head, "choices": whole})
        data = [{"index": n, "text": piece, "finish_reason": None} for n, text in enumerate(texts) for piece in (text[:5], text[5:])]
        data += [{"index": n, "text": "", "finish_reason": "stop"} for n in range(len(texts))]
        return streams(*(events(json.dumps({**head, "choices": [each]}).encode(), done=False) for each in data), b"data: [DONE]\n\n")

    def ask_(prompts, n=1):
        done = running.client().completions.create(model="m", prompt=prompts, n=n, stream=stream)
        texts, ends = {}, {}
        for part in done if stream else [done]:
            for choice in part.choices:
                texts[choice.index] = texts.get(choice.index, "") + choice.text
                ends[choice.index] = choice.finish_reason or ends.get(choice.index)
        return texts, ends

    running.upstream.script = script("Once upon a time.", "A forbidden word.", "To <EMAIL_1> it went.", "The end.")
    texts, ends = ask_(["Tell me.", "Write to jane@ex.org."], n=2)
    assert ends == {0: "stop", 1: "content_filter", 2: "stop", 3: "stop"}
    assert (texts[0], texts[2], texts[3]) == ("Once upon a time.", "To jane@ex.org it went.", "The end.")
    assert "forbidden" not in texts[1]
    assert running.upstream.asked[-1].json["prompt"] == ["Tell me.", "Write to <EMAIL_1>."]
    with pytest.raises(openai.BadRequestError) as error:
        ask_(["fine", "a forbidden word"])
    assert error.value.code == "content_filter"
    with pytest.raises(openai.BadRequestError) as error:
        ask_([[1, 2, 3]])
    assert error.value.code == "unsupported_content"


def test_what_upstream_errors_say_is_checked_too(running):
    running.upstream.script = answers({"error": {"message": "It failed: a forbidden word.", "failed_generation": "a forbidden word"}}, 400)
    with pytest.raises(openai.BadRequestError) as error:
        ask(running, False)
    assert "forbidden" not in str(error.value.body)
    running.upstream.script = answers({"error": {"message": "The context is 4096 tokens long."}}, 400)
    with pytest.raises(openai.BadRequestError) as error:
        ask(running, False)
    assert "4096" in error.value.message


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_stream_may_be_cut_anywhere(running, end):
    """In the middle of a letter, of a line's end, of a field's name; with comments, ids and events of several lines."""
    texts = ["état ", "日本語。 ", "👩‍👩‍👧 ", "a\u2028b ", "and so on. "] * 4
    raw = b"".join(b": ping\nid: 1\n" + event for event in spoken(*texts)).decode().replace("\n", end).encode()
    rng = random.Random(end)
    for _ in range(4):
        cuts = sorted({0, len(raw), *(rng.randrange(len(raw)) for _ in range(60))})
        running.upstream.script = streams(*(raw[a:b] for a, b in itertools.pairwise(cuts)), pause_s=0.001)
        got = ask(running, True)
        assert (got.content, got.finish) == ("".join(texts), "stop")
