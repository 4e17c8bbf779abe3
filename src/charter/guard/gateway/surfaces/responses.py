"""``POST /v1/responses``: OpenAI's Responses API. Its state (earlier responses, conversations, stored prompts) lies upstream and is refused."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

from charter.guard.gateway.config import GatewayConfig
from charter.guard.gateway.surfaces._reading import Builder, bits_of, read_answer, unescaped
from charter.guard.gateway.surfaces._responses_answer import bare, refusal_item
from charter.guard.gateway.surfaces._responses_shape import ANSWER, AROUND, ITEM, OUTPUT, RECALLED, RECALLING, REQUEST, TEXT
from charter.guard.gateway.surfaces._responses_stream import ResponsesCodec
from charter.guard.gateway.surfaces._shape import Many, contract_of
from charter.guard.gateway.surfaces._surface import Asked, BadAnswerError, BadRequestError, Codec, Dialect, Ids, Notes, Said, Withheld
from charter.guard.gateway.surfaces._texts import Role
from charter.guard.gateway.surfaces._tidy import tokens

ROLES: Mapping[str, Role] = {"user": "user", "assistant": "assistant", "system": "system", "developer": "system"}
#: Who speaks in an item that has no role.
SPEAKERS: Mapping[str, Role] = {
    "function_call": "assistant",
    "custom_tool_call": "assistant",
    "reasoning": "assistant",
    "function_call_output": "tool",
    "custom_tool_call_output": "tool",
}


class Responses:
    """See ``Surface``. ``upstream_state``: let requests go on from state that only the upstream can read; a bypass, shown in every exchange."""

    name = "responses"
    path = "/v1/responses"
    texts = "input"
    dialect: Dialect = "openai"
    request_fields = contract_of(REQUEST)
    answer_fields = contract_of(ANSWER)

    def __init__(self, *, upstream_state: bool = False) -> None:
        self._around, self._item = (RECALLING, RECALLED) if upstream_state else (AROUND, ITEM)

    def configured(self, config: GatewayConfig) -> Responses:
        return Responses(upstream_state=config.upstream_state)

    def ask(self, body: dict[str, Any]) -> Asked:
        model = body.get("model")
        if not isinstance(model, str) or not model:
            raise BadRequestError("model is required", param="model")
        build = Builder()
        build.around(self._around, {name: value for name, value in body.items() if name not in ("input", "instructions")})
        build.add("system", bits_of(TEXT, body.get("instructions"), ("instructions",), "instructions"))
        self._input(build, body.get("input"))
        state = tuple(f"state: {name}" for name in ("previous_response_id", "conversation") if body.get(name))
        own = {name: value for name, value in body.items() if name != "moderation"}
        wanted = (body.get("text") or {}).get("format") or {}
        structured = wanted.get("type") in ("json_schema", "json_object")
        return Asked(own, model, body.get("stream") is True, (build.located(),), structured=structured, bypass=state)

    def _input(self, build: Builder, given: Any) -> None:
        if isinstance(given, str):
            build.add("user", bits_of(TEXT, given, ("input",), "input"))
            return
        if not isinstance(given, list) or not given:
            raise BadRequestError("input must be text or a list of items", param="input")
        for number, item in enumerate(given):
            build.add(_speaker(item), bits_of(self._item, item, ("input", number), "input"))

    def refuse(self, asked: Asked, withheld: Withheld, ids: Ids) -> dict[str, Any]:
        told = {"id": f"resp_{ids.decision_id}", "created_at": ids.created_unix_s, "status": "incomplete", "usage": USAGE}
        item = refusal_item(f"msg_{ids.decision_id}", withheld)
        return {**bare(asked), **told, "incomplete_details": {"reason": "content_filter"}, "output": [item]}

    def refuse_stream(self, asked: Asked, withheld: Withheld, ids: Ids, notes: Notes | None = None) -> bytes:
        codec = ResponsesCodec(asked)
        codec.notes = notes
        codec.name(f"resp_{ids.decision_id}", ids.created_unix_s)
        return codec.withhold(0, withheld) + codec.end()

    def failed(self, answer: dict[str, Any]) -> bool:
        return answer.get("status") == "failed" and isinstance(answer.get("error"), dict)

    def replies(self, asked: Asked, answer: dict[str, Any]) -> list[Said]:
        clean, _ = read_answer(ANSWER, answer)
        if not isinstance(clean.get("output"), list):
            raise BadAnswerError("the answer has no output")
        build = Builder()
        _, bits = read_answer(Many(OUTPUT), answer["output"], ("output",), "output")
        error = answer.get("error") or {}
        _, told = read_answer(TEXT, error.get("message"), ("error", "message"), "error.message")
        build.add("assistant", [*bits, *told, *(unescaped(bits) if asked.structured else [])])
        located = build.located()
        return [Said(0, 0, located)] if located.conversation.messages else []

    def answer(self, asked: Asked, answer: dict[str, Any], withheld: Mapping[int, Withheld], changed: Set[int]) -> dict[str, Any]:
        clean, _ = read_answer(ANSWER, answer)
        kept = {name: value for name, value in clean.items() if value is not None}
        held = withheld.get(0)
        if held is not None:
            kept |= {"output": [refusal_item(f"msg_{clean.get('id')}", held)], "status": "incomplete", "error": None}
            return {**bare(asked), **kept, "incomplete_details": {"reason": "content_filter"}}
        output = [_with_tokens(item, given) for item, given in zip(kept["output"], answer["output"], strict=True)]
        return {**bare(asked), **kept, "output": output}

    def codec(self, asked: Asked) -> Codec:
        return ResponsesCodec(asked)


#: Of a request that no model was asked.
USAGE: Mapping[str, Any] = {
    "input_tokens": 0,
    "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
    "output_tokens": 0,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 0,
}


def _speaker(item: Any) -> Role:
    kind = (item.get("type") or "message") if isinstance(item, dict) else None
    if kind != "message":
        return SPEAKERS.get(str(kind), "user")
    role = ROLES.get(str(item.get("role")))
    if role is None:
        raise BadRequestError("a message has a role that is not known", param="input.role")
    return role


def _with_tokens(item: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """A message with the log probabilities that spell its texts, as they are now."""
    if item.get("type") != "message":
        return item
    parts = zip(item.get("content") or [], given.get("content") or [], strict=True)
    return {
        **item,
        "content": [
            {**part, "logprobs": tokens(old.get("logprobs"), part.get("text"), ends=True) or []} if part["type"] == "output_text" else part
            for part, old in parts
        ],
    }


surface = Responses()
