"""``/v1/chat/completions``."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

from charter.guard.gateway.config import GatewayConfig
from charter.guard.gateway.surfaces import _chat_answer, _chat_request
from charter.guard.gateway.surfaces._chat_stream import ChatCodec
from charter.guard.gateway.surfaces._surface import Asked, Codec, Contract, Dialect, Ids, Notes, Said, Withheld


class Chat:
    """See ``Surface``. ``upstream_state``: let messages refer to sound that only the upstream can hear; a bypass, shown in every exchange."""

    name = "chat"
    path = "/v1/chat/completions"
    dialect: Dialect = "openai"
    texts = "messages"
    request_fields: Mapping[str, Contract] = _chat_request.FIELDS
    answer_fields: Mapping[str, Contract] = _chat_answer.FIELDS

    def __init__(self, *, upstream_state: bool = False) -> None:
        self._upstream_state = upstream_state

    def configured(self, config: GatewayConfig) -> Chat:
        return Chat(upstream_state=config.upstream_state)

    def ask(self, body: dict[str, Any]) -> Asked:
        return _chat_request.ask(body, upstream_state=self._upstream_state)

    def refuse(self, asked: Asked, withheld: Withheld, ids: Ids) -> dict[str, Any]:
        return _chat_answer.refuse(asked, withheld, ids)

    def refuse_stream(self, asked: Asked, withheld: Withheld, ids: Ids, notes: Notes | None = None) -> bytes:
        return ChatCodec(asked, notes).refusal(withheld, ids.decision_id, ids.created_unix_s)

    def replies(self, asked: Asked, answer: dict[str, Any]) -> list[Said]:
        return _chat_answer.replies(answer, asked.structured)

    def answer(self, asked: Asked, answer: dict[str, Any], withheld: Mapping[int, Withheld], changed: Set[int]) -> dict[str, Any]:
        return _chat_answer.answer(answer, withheld, changed)

    def codec(self, asked: Asked) -> Codec:
        return ChatCodec(asked)


surface = Chat()
