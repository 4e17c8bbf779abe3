from __future__ import annotations

from typing import Any

import pytest

from charter.guard.gateway.reading import check_fields
from charter.guard.gateway.surfaces import embeddings, messages, responses
from charter.guard.gateway.surfaces._surface import BadRequestError

ITEMS = [{"type": "function_call", "id": "f", "call_id": "c", "name": "n", "arguments": "{}"}, {"role": "user", "content": "hello"}]
TOOL = {"type": "function", "name": "n", "parameters": {"anything": {"goes": "here"}}, "strict": True}
BLOCK = {"type": "text", "text": "hello", "cache_control": {"type": "ephemeral"}}


@pytest.mark.parametrize(
    ("surface", "body"),
    [
        (responses.surface, {"model": "m", "input": ITEMS, "tools": [TOOL], "metadata": {"any": "key"}, "text": {"format": {"type": "text"}}}),
        (messages.surface, {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": [BLOCK]}], "system": [BLOCK]}),
        (embeddings.surface, {"model": "m", "input": ["one"]}),
    ],
)
def test_known_fields_pass_and_unknown_ones_do_not(surface: Any, body: dict[str, Any]) -> None:
    check_fields(body, surface.request_fields)
    with pytest.raises(BadRequestError):
        check_fields({**body, "brand_new": 1}, surface.request_fields)


def test_unknown_fields_inside_are_found() -> None:
    with pytest.raises(BadRequestError) as error:
        check_fields({"model": "m", "input": [{**ITEMS[0], "brand_new": 1}]}, responses.surface.request_fields)
    assert error.value.param == "input.brand_new"
