"""Completions: what of an answer is no text leaves only where it tells nothing that the rails have not read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from charter.guard.gateway.surfaces._surface import BadAnswerError
from charter.guard.gateway.surfaces.completions import surface
from charter.guard.segments import view


def asked(**more: Any) -> Any:
    return surface.ask({"model": "m", "prompt": "hi", **more})


def said(text: str, **choice: Any) -> dict[str, Any]:
    return {
        "id": "c",
        "object": "text_completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "text": text, "finish_reason": "stop", **choice}],
    }


def out(body: dict[str, Any], *, stream: bool) -> dict[str, Any]:
    """The choice that leaves if the rails let its text pass."""
    if not stream:
        found: dict[str, Any] = surface.answer(asked(), body, {}, frozenset())["choices"][0]
        return found
    [frame] = surface.codec(asked(stream=True)).read("", json.dumps(body).encode())
    told: dict[str, Any] = json.loads(frame.emit([piece.text for piece in frame.pieces])[6:])["choices"][0]
    return told


STREAM = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


@STREAM
@pytest.mark.parametrize(
    ("text", "tokens", "kept"),
    [
        ("hello", ["he", "llo"], True),
        ("hello", ["he", "llo", "<|endoftext|>"], True),
        ("hello", ["he", "llo", "AKIAIOSFODNN7EXAMPLE"], False),
        ("hello", ["he", "", "llo"], True),
        ("", ["AKIAIOSFODNN7EXAMPLE"], False),
        ("", ["</s>"], False),
    ],
)
def test_log_probabilities_spell_their_text(text: str, tokens: list[str], kept: bool, stream: bool) -> None:
    told = {"tokens": tokens, "token_logprobs": [-0.1] * len(tokens), "text_offset": [0] * len(tokens), "top_logprobs": [{"a": -1.0}] * len(tokens)}
    assert out(said(text, logprobs=told), stream=stream)["logprobs"] == (told if kept else None)


@STREAM
@pytest.mark.parametrize("told", [{"top_logprobs": 5}, {"top_logprobs": [{"more": 1}] * 9}, {"text_offset": 7}, {"token_logprobs": ["how", "to"]}])
def test_numbers_beside_tokens_are_numbers_and_as_many(told: dict[str, Any], stream: bool) -> None:
    left = out(said("hello", logprobs={"tokens": ["hello"], **told}), stream=stream)["logprobs"]
    assert left["top_logprobs"] is None
    assert set(left["token_logprobs"] + left["text_offset"]) <= {None}


@STREAM
@pytest.mark.parametrize("wanted", [{"guided_json": {"type": "object"}}, {"response_format": {"type": "json_object"}}])
def test_a_structured_reply_is_read_without_its_escapes(wanted: dict[str, Any], stream: bool) -> None:
    text = '{"a": "\\u006bill"}'
    given = asked(**wanted)
    replied = surface.codec(given).whole(0, {"content": text}) if stream else surface.replies(given, said(text))[0]
    read = [segment.text for segment in view(replied.located.conversation, "output").segments]
    assert read == [text, '{"a": "kill"}']


@STREAM
def test_token_ids_stay_here_and_a_time_is_a_number(stream: bool) -> None:
    assert "token_ids" not in out(said("hello", token_ids=[1, 2]), stream=stream)
    assert "token_ids" not in out(said("hello", token_ids="a text"), stream=stream)
    with pytest.raises(BadAnswerError):
        out({**said("hello"), "created": "a text"}, stream=stream)
