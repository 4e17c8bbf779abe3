"""``POST /v1/messages``: Anthropic's Messages API."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from typing import Any

from charter.guard.gateway.surfaces._messages_shape import ANSWER, AROUND, BESIDE, BLOCK, CONTENT, REQUEST, SYSTEM, TEXT
from charter.guard.gateway.surfaces._messages_stream import MessagesCodec, refusal_end
from charter.guard.gateway.surfaces._reading import Builder, bits_of, read_answer, unescaped
from charter.guard.gateway.surfaces._shape import Many, contract_of
from charter.guard.gateway.surfaces._surface import Asked, BadAnswerError, BadRequestError, Codec, Dialect, Ids, Notes, Said, Withheld
from charter.guard.gateway.surfaces._texts import Role

ROLES: Mapping[str, Role] = {"user": "user", "assistant": "assistant", "system": "system"}


class Messages:
    """See ``Surface``."""

    name = "messages"
    path = "/v1/messages"
    texts = "messages"
    dialect: Dialect = "anthropic"
    request_fields = contract_of(REQUEST)
    answer_fields = contract_of(ANSWER)

    def ask(self, body: dict[str, Any]) -> Asked:
        model = body.get("model")
        if not isinstance(model, str) or not model:
            raise BadRequestError("model is required", param="model")
        build = Builder()
        build.around(AROUND, {name: value for name, value in body.items() if name not in ("system", "messages")})
        build.add("system", bits_of(SYSTEM, body.get("system"), ("system",), "system"))
        given = body.get("messages")
        if not isinstance(given, list) or not given:
            raise BadRequestError("messages must be a list of messages", param="messages")
        for number, message in enumerate(given):
            self._message(build, number, message)
        structured = (body.get("output_config") or {}).get("format") is not None
        return Asked(body, model, body.get("stream") is True, (build.located(),), structured=structured)

    def _message(self, build: Builder, number: int, message: Any) -> None:
        """Tool results stand in user messages, and speak for the tool."""
        if not isinstance(message, dict):
            raise BadRequestError("each message must be an object", param="messages")
        at = ("messages", number, "content")
        role, content = ROLES.get(str(message.get("role"))), message.get("content")
        if role is None:
            raise BadRequestError("a message has a role that is not known", param="messages.role")
        beside = {name: value for name, value in message.items() if name != "content"}
        build.add(role, bits_of(BESIDE, beside, ("messages", number), "messages"))
        if not isinstance(content, list):
            build.add(role, bits_of(TEXT, content, at, "messages.content"))
            return
        for speaker, blocks in _turns(role, content):
            build.add(speaker, [bit for nth, block in blocks for bit in bits_of(BLOCK, block, (*at, nth), "messages.content")])

    def refuse(self, asked: Asked, withheld: Withheld, ids: Ids) -> dict[str, Any]:
        head = {"id": f"msg_{ids.decision_id}", "type": "message", "role": "assistant", "model": asked.model}
        return {
            **head,
            "content": [{"type": "text", "text": withheld.text}],
            **refusal_end(withheld.text),
            "usage": {"input_tokens": 0, "output_tokens": 0},
        }

    def refuse_stream(self, asked: Asked, withheld: Withheld, ids: Ids, notes: Notes | None = None) -> bytes:
        codec = MessagesCodec(asked)
        codec.name(f"msg_{ids.decision_id}")
        return codec.withhold(0, withheld) + codec.end()

    def replies(self, asked: Asked, answer: dict[str, Any]) -> list[Said]:
        if not isinstance(answer.get("content"), list):
            raise BadAnswerError("the answer has no content")
        _, bits = read_answer(Many(CONTENT), answer["content"], ("content",), "content")
        details = answer.get("stop_details")
        if isinstance(details, dict):
            bits += read_answer(TEXT, details.get("explanation"), ("stop_details", "explanation"), "stop_details.explanation")[1]
        build = Builder()
        build.add("assistant", [*bits, *(unescaped(bits) if asked.structured else [])])
        located = build.located()
        return [Said(0, 0, located)] if located.conversation.messages else []

    def answer(self, asked: Asked, answer: dict[str, Any], withheld: Mapping[int, Withheld], changed: Set[int]) -> dict[str, Any]:
        clean, _ = read_answer(ANSWER, answer)
        held = withheld.get(0)
        if held is not None:
            return {**clean, "content": [{"type": "text", "text": held.text}], **refusal_end(held.text)}
        return {**clean, "stop_sequence": stopped_by(asked, answer)}

    def codec(self, asked: Asked) -> Codec:
        return MessagesCodec(asked)


def stopped_by(asked: Asked, answer: dict[str, Any]) -> str | None:
    """The stop sequence that ended an answer: one of the request's own, or none."""
    found = answer.get("stop_sequence")
    return found if isinstance(found, str) and found in (asked.body.get("stop_sequences") or []) else None


def _turns(role: Role, content: list[Any]) -> Iterator[tuple[Role, list[tuple[int, Any]]]]:
    """Neighbouring blocks of one speaker, with their numbers."""
    speaker: Role = role
    group: list[tuple[int, Any]] = []
    for nth, block in enumerate(content):
        own: Role = "tool" if isinstance(block, dict) and block.get("type") == "tool_result" else role
        if group and own != speaker:
            yield speaker, group
            group = []
        speaker = own
        group.append((nth, block))
    if group:
        yield speaker, group


surface = Messages()
