"""Bytes as model servers write them."""

from __future__ import annotations

import json
from typing import Any


def chunk(delta: Any, index: int = 0, **choice: Any) -> bytes:
    """The data of one chunk of a streamed chat completion."""
    choices = [{"index": index, "delta": delta, "finish_reason": None, **choice}]
    return json.dumps({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices}).encode()


def completion(*texts: str, finish: str = "stop", **message: Any) -> dict[str, Any]:
    """A whole chat completion with a choice for each text."""
    choices = [
        {"index": n, "message": {"role": "assistant", "content": text, **message}, "finish_reason": finish, "logprobs": None}
        for n, text in enumerate(texts)
    ]
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    return {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m", "choices": choices, "usage": usage}


def events(*data: bytes, done: bool = True) -> bytes:
    """A stream's bytes."""
    return b"".join(b"data: " + each + b"\n\n" for each in data) + (b"data: [DONE]\n\n" if done else b"")
