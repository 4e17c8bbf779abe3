"""What a model server says on /v1/messages, whole and in events."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from responses_said import cut

USAGE = {"input_tokens": 5, "output_tokens": 7}


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said, "citations": None}


def thinking(said: str) -> dict[str, Any]:
    return {"type": "thinking", "thinking": said, "signature": "c2lnbmVk"}


def tool_use(name: str, /, **arguments: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": "toolu_1", "name": name, "input": arguments}


def message(*blocks: dict[str, Any], stop: str = "end_turn", **more: Any) -> dict[str, Any]:
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": list(blocks)}
    return {**head, "stop_reason": stop, "stop_sequence": None, "usage": USAGE, **more}


def events(*blocks: dict[str, Any], size: int | list[str] = 4, stop: str = "end_turn", **delta: Any) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = [{"type": "message_start", "message": message(stop_reason=None)}, {"type": "ping"}]
    for at, block in enumerate(blocks):
        told += _block(at, block, size)
    told.append({"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": None, **delta}, "usage": USAGE})
    return [*told, {"type": "message_stop"}]


def _block(at: int, block: dict[str, Any], size: int | list[str]) -> Iterator[dict[str, Any]]:
    if block["type"] == "tool_use":
        source = block["input"] if isinstance(block["input"], str) else json.dumps(block["input"])
        empty, deltas = {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": piece} for piece in cut(source, size)]
    elif block["type"] == "thinking":
        empty = {"type": "thinking", "thinking": "", "signature": ""}
        deltas = [{"type": "thinking_delta", "thinking": piece} for piece in cut(block["thinking"], size)]
        deltas.append({"type": "signature_delta", "signature": block["signature"]})
    else:
        empty, deltas = {**block, "text": ""}, [{"type": "text_delta", "text": piece} for piece in cut(block["text"], size)]
    yield {"type": "content_block_start", "index": at, "content_block": empty}
    for delta in deltas:
        yield {"type": "content_block_delta", "index": at, "delta": delta}
    yield {"type": "content_block_stop", "index": at}
