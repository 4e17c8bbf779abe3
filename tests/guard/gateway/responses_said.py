"""What a model server says on /v1/responses, whole and in events."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

USAGE = {
    "input_tokens": 5,
    "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
    "output_tokens": 7,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 12,
}


def message(*texts: str, refusal: str = "") -> dict[str, Any]:
    content: list[dict[str, Any]] = [{"type": "output_text", "text": text, "annotations": [], "logprobs": []} for text in texts]
    content += [{"type": "refusal", "refusal": refusal}] if refusal else []
    return {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": content}


def call(name: str, arguments: str) -> dict[str, Any]:
    return {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": name, "arguments": arguments, "status": "completed"}


def reasoning(*texts: str, summary: Sequence[str] = ()) -> dict[str, Any]:
    content = [{"type": "reasoning_text", "text": text} for text in texts]
    return {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": text} for text in summary], "content": content}


def response(*items: dict[str, Any], status: str = "completed", **more: Any) -> dict[str, Any]:
    head = {"id": "resp_1", "object": "response", "created_at": 1, "status": status, "model": "m", "error": None, "incomplete_details": None}
    rest = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "instructions": "an echo", "metadata": {}, "usage": USAGE}
    return {**head, **rest, "output": list(items), **more}


def events(*items: dict[str, Any], size: int | list[str] = 4, end: str = "completed", **more: Any) -> list[dict[str, Any]]:
    """The events of a stream that tells ``items``, texts in pieces of ``size`` characters."""
    empty = response(status="in_progress", usage=None)
    told = [{"type": "response.created", "response": empty}, {"type": "response.in_progress", "response": empty}]
    for at, item in enumerate(items):
        told += _item(at, item, size)
    told.append({"type": f"response.{end}", "response": response(*items, status=end, **more)})
    return [{**event, "sequence_number": number} for number, event in enumerate(told)]


def _item(at: int, item: dict[str, Any], size: int | list[str]) -> Iterator[dict[str, Any]]:
    where = {"item_id": item["id"], "output_index": at}
    blank = {**item, **{key: empty for key, empty in (("content", []), ("summary", []), ("arguments", "")) if key in item}}
    yield {"type": "response.output_item.added", "output_index": at, "item": {**blank, "status": "in_progress"}}
    if item["type"] == "function_call":
        for piece in cut(item["arguments"], size):
            yield {"type": "response.function_call_arguments.delta", **where, "delta": piece}
        yield {"type": "response.function_call_arguments.done", **where, "name": item["name"], "arguments": item["arguments"]}
    for nth, part in enumerate(item.get("summary", [])):
        yield from _part({**where, "summary_index": nth}, part, "reasoning_summary_text", "reasoning_summary_part", size)
    for nth, part in enumerate(item.get("content", [])):
        yield from _part({**where, "content_index": nth}, part, part["type"], "content_part", size)
    yield {"type": "response.output_item.done", "output_index": at, "item": item}


def _part(where: dict[str, Any], part: dict[str, Any], kind: str, wrap: str, size: int | list[str]) -> Iterator[dict[str, Any]]:
    key = "refusal" if kind == "refusal" else "text"
    yield {"type": f"response.{wrap}.added", **where, "part": {**part, key: ""}}
    for piece in cut(part[key], size):
        yield {"type": f"response.{kind}.delta", **where, "delta": piece, **({"logprobs": []} if kind == "output_text" else {})}
    yield {"type": f"response.{kind}.done", **where, key: part[key], **({"logprobs": []} if kind == "output_text" else {})}
    yield {"type": f"response.{wrap}.done", **where, "part": part}


def cut(text: str, size: int | list[str]) -> list[str]:
    """``size``: of each piece, or the pieces themselves."""
    if isinstance(size, list):
        assert "".join(size) == text
        return size
    return [text[at : at + size] for at in range(0, len(text), size)]


def sse(events: Iterable[dict[str, Any]]) -> bytes:
    """A stream's bytes, as both these APIs write them."""
    return b"".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events)
