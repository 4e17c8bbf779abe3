"""The contract of every surface against the official SDKs' own types: a field that nobody classified, or whose text nobody reads, fails here.

An SDK that learns a new field, a new kind of item or a new event breaks these tests until the surface says what becomes of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import gateway_said
import messages_said
import pytest
import responses_said
from anthropic.types import Message, MessageCountTokensParams, MessageTokensCount, RawMessageStreamEvent
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming, MessageCreateParamsStreaming
from openai.types import Completion, CreateEmbeddingResponse, EmbeddingCreateParams, ModerationCreateParams
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming, CompletionCreateParamsStreaming
from openai.types.completion_create_params import CompletionCreateParamsNonStreaming as LegacyNonStreaming
from openai.types.completion_create_params import CompletionCreateParamsStreaming as LegacyStreaming
from openai.types.responses import Response, ResponseStreamEvent
from openai.types.responses.response_create_params import ResponseCreateParamsNonStreaming, ResponseCreateParamsStreaming
from sdk_types import MARK, Leaf, leaves

from charter.guard.engine import Guard
from charter.guard.gateway.surfaces import chat, completions, count_tokens, embeddings, messages, moderations, responses
from charter.guard.gateway.surfaces._surface import BadAnswerError, BadRequestError, Codec, UpstreamFailedError
from charter.guard.segments import has_media, view


@pytest.fixture
def guard(fakes: Any) -> Guard:
    """Withholds what holds the mark; pictures and sound by policy."""
    found: Guard = fakes.guard({"a": fakes.finds(MARK)})
    return found


class Case(NamedTuple):
    surface: Any
    requests: tuple[Any, ...]
    answer: Any
    base: dict[str, Any]


ASKED = {"model": "m", "input": "hello"}
SPOKEN = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]}
TALKED = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
CONTINUED = {"model": "m", "prompt": "hello"}
CASES = {
    "responses": Case(responses.surface, (ResponseCreateParamsNonStreaming, ResponseCreateParamsStreaming), Response, ASKED),
    "messages": Case(messages.surface, (MessageCreateParamsNonStreaming, MessageCreateParamsStreaming), Message, SPOKEN),
    "count_tokens": Case(count_tokens.surface, (MessageCountTokensParams,), MessageTokensCount, SPOKEN),
    "chat": Case(chat.surface, (CompletionCreateParamsNonStreaming, CompletionCreateParamsStreaming), ChatCompletion, TALKED),
    "completions": Case(completions.surface, (LegacyNonStreaming, LegacyStreaming), Completion, CONTINUED),
    "embeddings": Case(embeddings.surface, (EmbeddingCreateParams,), CreateEmbeddingResponse, ASKED),
}
EVERY = pytest.mark.parametrize("name", CASES)


def segments(path: str) -> list[tuple[str, str]]:
    """``a.b[c].d`` as (name, tag) pairs."""
    return [(part.partition("[")[0], part.partition("[")[2].rstrip("]")) for part in path.split(".")]


@dataclass
class Node:
    """The entries of a contract as a tree."""

    kind: str = ""
    inner: dict[tuple[str, str], Node] = field(default_factory=dict)

    def covering(self, leaf: list[tuple[str, str]]) -> Iterator[str]:
        """The classes of entries that cover a leaf: its own, or one of a field that is read (or refused) as a whole. The SDKs leave the tag out where
        a list takes only texts."""
        (name, tag), *rest = leaf
        has_members = any(other == name and own for other, own in self.inner)
        for key in dict.fromkeys([(name, tag), (name, ""), (name, tag or "text")]):
            node = self.inner.get(key, Node())
            if node.kind and (not rest or not node.inner) and (key[1] or not has_members or (not rest and not tag)):
                yield node.kind
            if rest:
                yield from node.covering(rest)


def unclassified(contract: Mapping[str, str], found: Iterator[Leaf]) -> list[str]:
    """Leaves that no entry covers. ``opaque`` covers no text; null needs no cover."""
    tree = Node()
    for name, kind in contract.items():
        node = tree
        for key in segments(name):
            node = node.inner.setdefault(key, Node())
        node.kind = kind
    paths = {(leaf.path, leaf.kind in ("text", "any")) for leaf in found if leaf.kind != "null"}
    return sorted(path for path, is_text in paths if not any(kind != "opaque" or not is_text for kind in tree.covering(segments(path))))


@EVERY
def test_every_field_of_a_request_is_classified(name: str) -> None:
    case = CASES[name]
    for hint in case.requests:
        assert unclassified(case.surface.request_fields, leaves(hint)) == []


@EVERY
def test_every_field_of_an_answer_is_classified(name: str) -> None:
    assert unclassified(CASES[name].surface.answer_fields, leaves(CASES[name].answer)) == []


def test_every_field_of_a_moderation_request_is_classified() -> None:
    assert unclassified(moderations.surface.request_fields, leaves(ModerationCreateParams)) == []


def test_an_unknown_field_would_be_found() -> None:
    contract = {"input": "guarded", "input[message].text": "guarded", "tools": "guarded", "n": "opaque"}
    new = [Leaf("input[message].text", "text", None), Leaf("tools[f].description", "text", None), Leaf("n", "number", None)]
    assert unclassified(contract, iter(new)) == []
    bad = [Leaf("input[message].note", "text", None), Leaf("input[new].text", "text", None), Leaf("n", "text", None), Leaf("new", "flag", None)]
    assert len(unclassified(contract, iter(bad))) == 4


@EVERY
def test_no_text_of_a_request_goes_unread(name: str, guard: Guard) -> None:
    """A mark in any one field is withheld by a rail that looks for it, or the request is refused."""
    case = CASES[name]
    outcomes, told = {"read": 0, "media": 0}, list[str]()
    for hint in case.requests[:1]:
        for leaf in leaves(hint):
            if leaf.value is None:
                continue
            try:
                asked = case.surface.ask({**case.base, **leaf.value})
            except BadRequestError as error:
                told.append(error.message + str(error.param))
                continue
            if not all(guard.check(prompt.conversation, "input").passes for prompt in asked.prompts):
                outcomes["media" if any(has_media(prompt.conversation, "input") for prompt in asked.prompts) else "read"] += 1
            else:
                assert MARK not in json.dumps(asked.body), f"{leaf.path} goes upstream unread"
    assert outcomes["read"] >= {"responses": 40, "messages": 60, "count_tokens": 60, "embeddings": 2, "chat": 20, "completions": 4}[name]
    assert told
    assert MARK not in "".join(told)


@EVERY
def test_no_text_of_an_answer_goes_unread(name: str, guard: Guard) -> None:
    """A mark in any one field is withheld by a rail that looks for it, or does not reach the client, or the answer is not passed on."""
    case = CASES[name]
    asked = case.surface.ask(case.base)
    read, told = 0, list[str]()
    for leaf in leaves(case.answer):
        if leaf.value is None:
            continue
        try:
            said = case.surface.replies(asked, leaf.value)
        except BadAnswerError as error:
            told.append(str(error))
            continue
        if not all(guard.check(each.located.conversation, "output").passes for each in said):
            read += 1
        else:
            assert MARK not in json.dumps(case.surface.answer(asked, leaf.value, {}, frozenset())), f"{leaf.path} reaches the client unread"
    assert MARK not in "".join(told)
    assert read >= {"responses": 12, "messages": 12, "count_tokens": 0, "embeddings": 0, "chat": 12, "completions": 1}[name]


RICH: dict[str, dict[str, Any]] = {
    "responses": {
        "model": "m",
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "hello"}]},
            {"type": "function_call", "id": "f", "call_id": "c", "name": "n", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "hello"}]},
            {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "hello"}]},
        ],
        "tools": [{"type": "function", "name": "n", "parameters": {"type": "object"}}],
        "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}},
        "reasoning": {"effort": "low"},
        "metadata": {"a": "b"},
    },
    "messages": {
        "model": "m",
        "max_tokens": 9,
        "system": [{"type": "text", "text": "hello", "cache_control": {"type": "ephemeral"}}],
        "messages": [
            {"role": "user", "content": "hello"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "n", "input": {"a": {"b": "c"}}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "hello"}]}]},
        ],
        "tools": [{"name": "n", "input_schema": {"type": "object"}}],
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "context_management": {"edits": [{"type": "clear"}]},
    },
    "chat": {
        "model": "m",
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "hello"}]},
            {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": {"name": "n", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c", "content": "hello"},
        ],
        "tools": [{"type": "function", "function": {"name": "n", "parameters": {"type": "object"}}}],
        "stream_options": {"include_usage": True},
    },
    "completions": {"model": "m", "prompt": ["hello"], "stream_options": {"include_usage": True}},
    "embeddings": {"model": "m", "input": ["hello"]},
}


@EVERY
@pytest.mark.parametrize("given", [{"chat_template": MARK}, {"chat_template_kwargs": {"chat_template": MARK}}, {"chat_template_kwargs": MARK}])
def test_no_request_brings_a_template(name: str, given: dict[str, Any]) -> None:
    """It could turn what the rails read into something else."""
    with pytest.raises(BadRequestError):
        CASES[name].surface.ask({**CASES[name].base, **given})


TOKENS = [9906, 1917]
NUMBERS: list[dict[str, Any]] = [
    *({name: TOKENS} for name in ("input_ids", "token_ids", "prompt_token_ids", "input_embeds", "brand_new", "seed_words")),
    *({name: "AAAA"} for name in ("input_ids", "prompt_embeds", "input_embeds", "image_data")),
    {"brand_new": [TOKENS]},
    {"brand_new": [9906.0, 1917.0]},
    {"brand_new": ["9906", " 1917"]},
    {"brand_new": {"deep": [{"list": TOKENS}]}},
    {"extra_body": {"prompt_embeds": "AAAA"}},
    {"vllm_xargs": {"stop_token_ids": [1], "more": TOKENS}},
    {"chat_template_kwargs": {"more": TOKENS}},
    {"kv_transfer_params": {"remote_host": "10.0.0.1"}},
    {"session_params": {"id": "s"}},
    {MARK: TOKENS},
]


@EVERY
@pytest.mark.parametrize("given", NUMBERS, ids=str)
def test_no_request_brings_what_no_rail_can_read_as_numbers(name: str, given: dict[str, Any]) -> None:
    """Servers take a prompt as tokens, tensors or a cache that lies elsewhere, and then leave the messages that the rails read aside."""
    with pytest.raises(BadRequestError) as told:
        CASES[name].surface.ask({**CASES[name].base, **given})
    assert MARK not in told.value.message + str(told.value.param)


@pytest.mark.parametrize("name", RICH)
def test_no_part_of_a_request_brings_what_no_rail_can_read_as_numbers(name: str) -> None:
    refused = 0
    plain = json.loads(json.dumps(RICH[name]).replace('"input": {"a": {"b": "c"}}', '"input": null'))  # arguments of a tool are text
    for body in with_new_fields(plain, ({"deep": [[9906], [1917]]},)):
        if "brand_new" in body or "brand_new" in json.dumps([body.get(key) for key in ("messages", "input", "prompt")]):
            refused += 1
            with pytest.raises(BadRequestError):
                CASES[name].surface.ask(body)
    assert refused >= {"completions": 1, "embeddings": 1}.get(name, 6)


@EVERY
def test_numbers_that_steer_sampling_or_stand_in_a_schema_pass(name: str) -> None:
    """Of vLLM, SGLang and llama.cpp: none of them becomes a prompt."""
    schema = {"type": "object", "properties": {"size": {"enum": [1, 2]}}}
    steering = {"stop_token_ids": [1, 2], "allowed_token_ids": [3], "logprob_token_ids": [4], "bad_words": ["7"], "top_k": 5}
    shaped = {"guided_json": schema, "guided_choice": ["1", "2"], "structured_outputs": {"json": schema}}
    given = {**steering, **shaped, "input_ids": None, "return_token_ids": True}
    assert CASES[name].surface.ask({**CASES[name].base, **given}).body["stop_token_ids"] == [1, 2]


@EVERY
def test_arguments_of_a_template_are_read(name: str, guard: Guard) -> None:
    surface, base = CASES[name].surface, CASES[name].base
    for given, passes in (({"enable_thinking": False}, True), ({"note": MARK}, False)):
        asked = surface.ask({**base, "chat_template_kwargs": given})
        assert all(guard.check(prompt.conversation, "input").passes for prompt in asked.prompts) is passes


def with_new_fields(value: Any, new: tuple[Any, ...] = ({"deep": [MARK]}, MARK)) -> Iterator[Any]:
    """``value`` with a field that nobody knows in one of its objects, once for each of them and for each of ``new``."""
    if isinstance(value, dict):
        yield from ({**value, "brand_new": each} for each in new)
        for key, inner in value.items():
            yield from ({**value, key: changed} for changed in with_new_fields(inner, new))
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from ([*value[:at], changed, *value[at + 1 :]] for changed in with_new_fields(inner, new))


@pytest.mark.parametrize("name", RICH)
def test_fields_that_no_schema_has_are_read_too(name: str, guard: Guard) -> None:
    surface = CASES[name].surface
    assert all(guard.check(prompt.conversation, "input").passes for prompt in surface.ask(RICH[name]).prompts)
    for body in with_new_fields(RICH[name]):
        try:
            asked = surface.ask(body)
        except BadRequestError:
            continue
        assert not all(guard.check(prompt.conversation, "input").passes for prompt in asked.prompts), body


SAID: dict[str, dict[str, Any]] = {
    "responses": responses_said.response(responses_said.reasoning("why"), responses_said.message("hello"), responses_said.call("f", "{}")),
    "messages": messages_said.message(messages_said.thinking("why"), messages_said.text("hello"), messages_said.tool_use("f", a="b")),
    "chat": gateway_said.completion("hello", tool_calls=[{"id": "c", "type": "function", "function": {"name": "n", "arguments": "{}"}}]),
}
TOLD: dict[str, list[dict[str, Any]]] = {
    "responses": responses_said.events(responses_said.reasoning("why"), responses_said.message("hello"), responses_said.call("f", "{}")),
    "messages": messages_said.events(messages_said.thinking("why"), messages_said.text("hello"), messages_said.tool_use("f", a="b")),
    "chat": [json.loads(gateway_said.chunk({"role": "assistant", "content": "hello"})), json.loads(gateway_said.chunk({}, finish_reason="stop"))],
}


@pytest.mark.parametrize("name", SAID)
def test_fields_that_no_answer_has_do_not_pass_unread(name: str, guard: Guard) -> None:
    surface = CASES[name].surface
    asked = surface.ask(CASES[name].base)
    for answer in with_new_fields(SAID[name]):
        try:
            said = surface.replies(asked, answer)
        except BadAnswerError:
            continue
        if all(guard.check(each.located.conversation, "output").passes for each in said):
            assert MARK not in json.dumps(surface.answer(asked, answer, {}, frozenset())), answer


@pytest.mark.parametrize("name", TOLD)
def test_fields_that_no_event_has_do_not_pass_unread(name: str) -> None:
    surface = CASES[name].surface
    asked = surface.ask(CASES[name].base)
    for at, event in enumerate(TOLD[name]):
        for changed in with_new_fields(event):
            try:
                held, out = streamed(surface.codec(asked), [*TOLD[name][:at], changed, *TOLD[name][at + 1 :]])
            except (BadAnswerError, UpstreamFailedError):
                continue
            assert MARK in held or MARK not in out.decode(), changed


RESPONSE_ITEMS: dict[str, dict[str, Any]] = {
    "message": {"type": "message", "id": "i", "role": "assistant", "status": "in_progress", "content": []},
    "reasoning": {"type": "reasoning", "id": "i", "summary": []},
    "function_call": {"type": "function_call", "id": "i", "call_id": "c", "name": "f", "arguments": ""},
    "custom_tool_call": {"type": "custom_tool_call", "id": "i", "call_id": "c", "name": "f", "input": ""},
}


def response_opening(event: str) -> list[dict[str, Any]]:
    """What comes before an event of its kind."""
    if "output_item.added" in event or event.split(".")[-1] in ("created", "queued", "in_progress"):
        return []
    kind = "reasoning" if "reasoning" in event else "function_call" if "function" in event else "custom_tool_call" if "custom" in event else "message"
    opening = [{"type": "response.output_item.added", "output_index": 0, "item": RESPONSE_ITEMS[kind]}]
    if "annotation" in event:
        opening.append({"type": "response.content_part.added", "output_index": 0, "content_index": 0, "part": {"type": "output_text", "text": ""}})
    return opening if event not in ("response.completed", "response.failed", "response.incomplete") else []


def message_opening(event: dict[str, Any]) -> list[dict[str, Any]]:
    kind = str(event.get("delta", {}).get("type")) if event["type"] == "content_block_delta" else ""
    blocks: dict[str, dict[str, Any]] = {
        "thinking_delta": {"type": "thinking", "thinking": "", "signature": ""},
        "signature_delta": {"type": "thinking", "thinking": "", "signature": ""},
        "input_json_delta": {"type": "tool_use", "id": "t", "name": "f", "input": {}},
    }
    return [{"type": "content_block_start", "index": 0, "content_block": blocks.get(kind, {"type": "text", "text": ""})}] if kind else []


EVENTS = [
    ("responses", ResponseStreamEvent, 30),
    ("messages", RawMessageStreamEvent, 12),
    ("chat", ChatCompletionChunk, 8),
    ("completions", Completion, 1),
]


def streamed(codec: Codec, events: list[dict[str, Any]]) -> tuple[str, bytes]:
    """The texts that are held for the rails, and what leaves if they let all pass."""
    held, out = "", b""
    for event in events:
        for frame in codec.read(event.get("type", ""), json.dumps(event).encode()):
            held += "".join(MARK if piece.channel[1] == "audio" else piece.text for piece in frame.pieces)
            out += frame.emit([piece.text for piece in frame.pieces])
    return held, out


@pytest.mark.parametrize(("name", "hint", "least"), EVENTS)
def test_no_text_of_an_event_goes_unread(name: str, hint: Any, least: int) -> None:
    """As for whole answers: held for the rails, or left out, or the end of the stream."""
    case = CASES[name]
    asked = case.surface.ask(case.base)
    read, told = 0, list[str]()
    for leaf in leaves(hint):
        if leaf.value is None or ("queued]" in leaf.path or "in_progress]" in leaf.path or "incomplete]" in leaf.path):
            continue  # read as created and completed are
        event = leaf.value
        opening = response_opening(event["type"]) if name == "responses" else message_opening(event) if name == "messages" else []
        try:
            held, out = streamed(case.surface.codec(asked), [*opening, event])
        except (BadAnswerError, UpstreamFailedError) as error:
            told.append(str(error))
            continue
        if MARK in held:
            read += 1
        elif MARK in out.decode():
            # names of tools wait for the check of the whole reply, which reads them
            codec = case.surface.codec(asked)
            streamed(codec, [*opening, event])
            said = codec.whole(0, {})
            assert MARK in view(said.located.conversation, "output").text, f"{leaf.path} reaches the client unread"
            read += 1
    assert MARK not in "".join(told)
    assert read >= least
