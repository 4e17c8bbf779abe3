"""Harm of the request (stage ``input``) and of the reply given the request (stage ``output``), by the shipped judges.

A rail only observes; what is done about it is the engine's decision.
"""

from __future__ import annotations

from typing import Literal

from charter.core.config import Config as BaseConfig
from charter.core.rows import Conversation, Verdict
from charter.judges import harm, request

NOT_COVERED = "What the shipped judges miss: disguised or encoded text, other languages, harm spread over several turns. Each stage is judged alone."


class Config(BaseConfig):
    """The rail has no settings; thresholds are the engine's."""


class HarmRail:
    """``rail(conversation, stage)``; ``input`` reads the last user message, ``output`` the reply that ends the conversation."""

    name = "harm"

    def __init__(self) -> None:
        self._request = request.build(request.Config())
        self._reply = harm.build(harm.Config())

    def __call__(self, conversation: Conversation, stage: Literal["input", "output"]) -> Verdict:
        return self._request(conversation) if stage == "input" else self._reply(conversation)


def build(config: Config) -> HarmRail:
    return HarmRail()
