"""``POST /v1/messages/count_tokens``: how long a message is. What is counted goes upstream like any request, so it is checked like one; where the
message itself follows, its verdicts are in the guard's cache already."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

from charter.guard.gateway.surfaces._messages_shape import REQUEST
from charter.guard.gateway.surfaces._reading import read_answer
from charter.guard.gateway.surfaces._shape import Number, Object, contract_of
from charter.guard.gateway.surfaces._surface import Asked, BadAnswerError, BadRequestError, Codec, Dialect, Ids, Notes, Said, Withheld
from charter.guard.gateway.surfaces.messages import surface as messages

ANSWER = Object(input_tokens=Number())


class CountTokens:
    """See ``Surface``. It has no replies and no streams."""

    name = "count_tokens"
    path = "/v1/messages/count_tokens"
    texts = "messages"
    dialect: Dialect = "anthropic"
    request_fields = contract_of(REQUEST)
    answer_fields = contract_of(ANSWER)

    def ask(self, body: dict[str, Any]) -> Asked:
        if body.get("stream"):
            raise BadRequestError("this endpoint has no streams", param="stream")
        return messages.ask(body)

    def refuse(self, asked: Asked, withheld: Withheld, ids: Ids) -> dict[str, Any]:
        """A count cannot decline."""
        raise BadRequestError(withheld.text, param=self.texts, code="content_filter")

    def refuse_stream(self, asked: Asked, withheld: Withheld, ids: Ids, notes: Notes | None = None) -> bytes:
        raise BadRequestError(withheld.text, param=self.texts, code="content_filter")

    def replies(self, asked: Asked, answer: dict[str, Any]) -> list[Said]:
        if isinstance(answer.get("input_tokens"), bool) or not isinstance(answer.get("input_tokens"), int):
            raise BadAnswerError("the answer has no count")
        return []

    def answer(self, asked: Asked, answer: dict[str, Any], withheld: Mapping[int, Withheld], changed: Set[int]) -> dict[str, Any]:
        clean: dict[str, Any] = read_answer(ANSWER, answer)[0]
        return clean

    def codec(self, asked: Asked) -> Codec:
        raise BadRequestError("this endpoint has no streams", param="stream")


surface = CountTokens()
