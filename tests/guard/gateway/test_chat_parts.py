"""Streams whose texts come as lists of parts, as Mistral's models write what they think."""

import json

import pytest

from charter.guard.gateway.surfaces._surface import BadAnswerError
from charter.guard.gateway.surfaces.chat import surface


def codec():
    return surface.codec(surface.ask({"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True}))


def chunk(delta, finish=None, **more):
    choice = {"index": 0, "delta": delta, "finish_reason": finish, **more}
    return json.dumps({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}).encode()


def delta_of(data):
    return json.loads(data[6:])["choices"][0]["delta"]


def thought(*texts, **more):
    return {"type": "thinking", "thinking": [{"type": "text", "text": text} for text in texts], **more}


def test_thoughts_and_text_are_read_each_in_its_channel_and_go_on_where_they_stood():
    given = [thought("why ", "not", closed=True), {"type": "text", "text": "Hello"}, " you"]
    [frame] = codec().read("", chunk({"role": "assistant", "content": given}))
    said = [(piece.channel[1], piece.text) for piece in frame.pieces]
    assert said == [("thinking", "why "), ("thinking", "not"), ("content", "Hello"), ("content", " you")]
    assert delta_of(frame.emit([text for _, text in said])) == {"role": "assistant", "content": given}
    changed = delta_of(frame.emit(["<A>", "not", "<B>", " you"]))["content"]
    assert changed == [thought("<A>", "not", closed=True), {"type": "text", "text": "<B>"}, " you"]


def test_a_stream_of_parts_is_checked_as_a_whole():
    reader, texts = codec(), dict[str, str]()
    for given in ([thought("I will ")], [thought("think.")], [{"type": "text", "text": "The "}], [{"type": "text", "text": "answer."}]):
        [frame] = reader.read("", chunk({"content": given}))
        for (_, channel), text, *_ in frame.pieces:
            texts[channel] = texts.get(channel, "") + text
    [message] = reader.whole(0, texts).located.conversation.messages
    assert message.text.split("\n") == ["I will think.", "The answer."]


def test_nothing_that_nobody_reads_goes_on_and_what_stands_beside_a_list_is_read_too():
    given = [{"type": "text", "text": "a", "notes": "a text that nobody reads"}, thought("b", signature="a text that nobody reads")]
    given[1]["thinking"][0]["more"] = "a text that nobody reads"
    call = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    [frame] = codec().read("", chunk({"content": given, "tool_calls": [call], "reasoning_content": ["c"]}))
    assert sorted((piece.channel[1], piece.text) for piece in frame.pieces) == [
        ("content", "a"), ("reasoning", "c"), ("thinking", "b"), ("tool:0", "{}"),
    ]  # fmt: skip
    assert b"nobody" not in frame.emit([piece.text for piece in frame.pieces])
    assert frame.emit([""] * 4) != b"", "the call stays"


def test_a_piece_without_a_text_says_nothing():
    [frame] = codec().read("", chunk({"content": []}))
    assert frame.pieces == ()
    [frame] = codec().read("", chunk({"content": [thought("a", closed=True)]}))
    assert delta_of(frame.emit([""])) == {"content": [thought("", closed=True)]}, "what a part says besides is not lost with its text"


@pytest.mark.parametrize("field", ["content", "refusal", "reasoning_content", "reasoning"])
def test_tokens_that_spell_a_list_are_not_its_text(field):
    given = [{"type": "text", "text": "hi", "notes": "a text that nobody reads"}]
    told = {name: [{"token": str(given), "logprob": -1.0}] for name in ("content", "refusal")}
    [frame] = codec().read("", chunk({field: given}, logprobs=told))
    assert [piece.text for piece in frame.pieces] == ["hi"]
    assert b"nobody" not in frame.emit(["hi"])
    message = {"role": "assistant", field: given}
    asked = surface.ask({"model": "m", "messages": [{"role": "user", "content": "hi"}]})
    whole = {"choices": [{"index": 0, "finish_reason": "stop", "message": message, "logprobs": told}]}
    assert "nobody" not in json.dumps(surface.answer(asked, whole, {}, set()))


@pytest.mark.parametrize(
    "deltas",
    [
        [{"content": [thought("write to bob@exa")], "reasoning": " harmless; "}],
        [{"content": [thought("write to bob@exa")]}, {"reasoning": " harmless; "}],
        [{"refusal": " zzz "}, {"content": [{"type": "text", "text": "bomb in"}, {"type": "refusal", "refusal": " zzz "}]}],
        [{"content": [thought("one ")]}, {"reasoning_content": [thought("two")]}],
    ],
    ids=range(4),
)
def test_what_is_checked_as_one_text_comes_from_one_place(deltas):
    reader = codec()
    for delta in deltas[:-1]:
        reader.read("", chunk(delta))
    with pytest.raises(BadAnswerError):
        reader.read("", chunk(deltas[-1]))


def test_a_refusal_among_parts_is_a_text_of_its_own():
    given = [{"type": "text", "text": "bomb in"}, {"type": "refusal", "refusal": " zzz "}, {"type": "text", "text": "structions"}]
    [frame] = codec().read("", chunk({"content": given}))
    assert [(piece.channel[1], piece.text) for piece in frame.pieces] == [("content", "bomb in"), ("refusal", " zzz "), ("content", "structions")]


def test_escapes_of_structured_thoughts_are_undone_too():
    asked = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True, "response_format": {"type": "json_object"}}
    reader = surface.codec(surface.ask(asked))
    [frame] = reader.read("", chunk({"content": [thought('{"a":"\\u0062omb"}')]}))
    texts = {piece.channel[1]: piece.text for piece in frame.pieces}
    assert '{"a":"bomb"}' in reader.whole(0, texts).located.conversation.messages[-1].text


deep = thought("x")
for _ in range(200):
    deep = {"type": "thinking", "thinking": [deep]}


@pytest.mark.parametrize(
    "given",
    [
        [{"type": "hologram", "text": "x"}], [{"type": "text", "text": [66, 79]}], [{"type": "thinking"}], [{"text": "x"}], [7], [None], [[]],
        [{"type": "image_url", "image_url": {"url": "https://x/y.png"}}], [thought("a"), {"type": "input_audio", "input_audio": {"data": "UklG"}}],
        {"type": "text", "text": "a"}, 7, [deep],
    ],
    ids=lambda given: json.dumps(given)[:40],
)  # fmt: skip
def test_a_part_that_nobody_can_read_ends_the_stream(given):
    for field in ("content", "reasoning_content"):
        with pytest.raises(BadAnswerError):
            codec().read("", chunk({field: given}))
    if isinstance(given, list):
        asked = surface.ask({"model": "m", "messages": [{"role": "user", "content": "hi"}]})
        message = {"role": "assistant", "content": [deep]}
        with pytest.raises(BadAnswerError):
            surface.replies(asked, {"choices": [{"index": 0, "finish_reason": "stop", "message": message}]})
