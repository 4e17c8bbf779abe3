from __future__ import annotations

from typing import Any

import pytest

from charter.guard.gateway.surfaces._located import rewritten
from charter.guard.gateway.surfaces._surface import BadAnswerError, BadRequestError, Ids, Withheld
from charter.guard.gateway.surfaces.embeddings import surface
from charter.guard.segments import Mask


def answer(embedding: Any) -> dict[str, Any]:
    return {"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": embedding}], "model": "m", "usage": {"prompt_tokens": 1}}


def test_every_text_of_a_batch_is_a_prompt_of_its_own() -> None:
    asked = surface.ask({"model": "m", "input": ["one", "two"], "user": "a person"})
    assert [prompt.conversation.prompt for prompt in asked.prompts] == ["one", "two"]
    assert {prompt.conversation.messages[0].text for prompt in asked.prompts} == {"a person"}
    body = rewritten(asked.body, asked.prompts[1], [Mask(1, "content", 0, 0, 3, "NAME", "<NAME_1>")])
    assert body["input"] == ["one", "<NAME_1>"]


@pytest.mark.parametrize("given", [[1, 2], [[1, 2], [3]], [], None, 7, ["one", 2], {"text": "x"}])
def test_what_is_no_text_is_refused(given: Any) -> None:
    with pytest.raises(BadRequestError):
        surface.ask({"model": "m", "input": given})


@pytest.mark.parametrize("field", ["messages", "prompt_token_ids", "stream"])
def test_other_ways_in_are_refused(field: str) -> None:
    with pytest.raises(BadRequestError):
        surface.ask({"model": "m", "input": "one", field: [1]})


def test_vectors_go_on_and_nothing_beside_them() -> None:
    asked = surface.ask({"model": "m", "input": "one"})
    for vector in ([0.5, -1, 2.5e-9], "AAAAPw=="):
        given = answer(vector)
        assert surface.replies(asked, given) == []
        assert surface.answer(asked, {**given, "note": "unread text"}, {}, frozenset()) == given
    for vector in (["unread text"], [True], {"a": 1}):
        with pytest.raises(BadAnswerError):
            surface.replies(asked, answer(vector))
    assert surface.answer(asked, answer("unread text"), {}, frozenset())["data"][0]["embedding"] is None


def test_a_vector_cannot_decline() -> None:
    asked = surface.ask({"model": "m", "input": "one"})
    with pytest.raises(BadRequestError) as error:
        surface.refuse(asked, Withheld("no"), Ids("d", 1))
    assert error.value.code == "content_filter"
