"""Answers of ``/v1/responses``, whole or in a stream: their parts, as they are made anew."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from charter.guard.gateway.surfaces._reading import read_answer
from charter.guard.gateway.surfaces._responses_shape import ANSWER, ECHOES
from charter.guard.gateway.surfaces._surface import Asked, BadAnswerError, Withheld


def bare(asked: Asked) -> dict[str, Any]:
    """The fields of every response that repeat the request, as the SDK's type wants them."""
    body = asked.body
    empty = {"object": "response", "error": None, "incomplete_details": None, "parallel_tool_calls": True, "model": asked.model}
    echoes: dict[str, Any] = {name: body[name] for name in ECHOES if name in body}
    return {**empty, "instructions": None, "metadata": {}, "tool_choice": "auto", "tools": [], **echoes}


def head(asked: Asked, given: Any) -> dict[str, Any]:
    """What may go on of a response in a stream, without its output. Raises BadAnswerError."""
    if not isinstance(given, dict):
        raise BadAnswerError("an event has no response")
    clean, _ = read_answer(ANSWER, {**given, "output": []})
    return {key: value for key, value in clean.items() if value is not None and key != "output"}


def refusal_item(name: str, withheld: Withheld) -> dict[str, Any]:
    """The message that declines; for clients that know no refusals its text comes as one too."""
    spoken = [part_item("output_text", withheld.text, [])] if withheld.in_content else []
    content = [*spoken, {"type": "refusal", "refusal": withheld.text}]
    return {"id": name, "type": "message", "role": "assistant", "status": "incomplete", "content": content}


def part_item(kind: str, text: str, annotations: Sequence[Any]) -> dict[str, Any]:
    if kind == "output_text":
        return {"type": kind, "text": text, "annotations": list(annotations), "logprobs": []}
    return {"type": kind, "refusal" if kind == "refusal" else "text": text}


def text_of(value: dict[str, Any], name: str) -> str:
    found = value.get(name)
    if not isinstance(found, str):
        raise BadAnswerError(f"an event has no {name}")
    return found
