"""One mistake has one code on every surface: a body of the wrong form is a bad request, and only content that is refused counts as blocked."""

from __future__ import annotations

from typing import Any

import pytest

from charter.guard.gateway.pipeline import _OUTCOMES
from charter.guard.gateway.surfaces import chat, completions, count_tokens, embeddings, messages, responses
from charter.guard.gateway.surfaces._surface import BadRequestError

HI = [{"role": "user", "content": "hi"}]
ASKS: dict[str, tuple[Any, dict[str, Any]]] = {
    "chat": (chat.surface, {"messages": HI}),
    "completions": (completions.surface, {"prompt": "hi"}),
    "responses": (responses.surface, {"input": "hi"}),
    "messages": (messages.surface, {"messages": HI}),
    "count_tokens": (count_tokens.surface, {"messages": HI}),
    "embeddings": (embeddings.surface, {"input": "hi"}),
}
HOLOGRAM = [{"role": "user", "content": [{"type": "hologram", "text": "hi"}]}]
CASES = [
    *((name, {"chat_template_kwargs": "x"}, "invalid_request") for name in ASKS),
    *((name, {"new_field": {"ids": [1, 2]}}, "unsupported_field") for name in ASKS),
    ("chat", {"tools": {"a": 1}}, "invalid_request"),
    ("responses", {"tools": {"a": 1}}, "invalid_request"),
    ("messages", {"tools": {"a": 1}}, "invalid_request"),
    ("messages", {"stop_sequences": "x"}, "invalid_request"),
    ("messages", {"messages": [{"role": "user", "content": 7}]}, "invalid_request"),
    ("responses", {"reasoning": {"effort": "two words"}}, "invalid_request"),
    ("responses", {"input": [{"type": "function_call_output", "call_id": "two words", "output": "x"}]}, "invalid_request"),
    ("chat", {"messages": HOLOGRAM}, "unsupported_content"),
    ("responses", {"input": HOLOGRAM}, "unsupported_content"),
    ("messages", {"messages": HOLOGRAM}, "unsupported_content"),
    ("responses", {"previous_response_id": "r"}, "unsupported_content"),
    ("messages", {"mcp_servers": [{"url": "x"}]}, "unsupported_content"),
]


@pytest.mark.parametrize(("name", "more", "code"), CASES, ids=str)
def test_one_mistake_has_one_code(name: str, more: dict[str, Any], code: str) -> None:
    surface, body = ASKS[name]
    with pytest.raises(BadRequestError) as told:
        surface.ask({"model": "m", **body, **more})
    assert told.value.code == code
    assert (_OUTCOMES.get(code) == "blocked") == (code == "unsupported_content")
