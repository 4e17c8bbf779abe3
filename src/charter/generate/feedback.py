"""Who criticises and who revises: the writer (charter and rules), or a model (the trained one itself, or a stronger one at any URL).

A model is shown worked examples as earlier turns of the conversation, because without them it confuses the two roles (Bai et al. 2022, section 3).
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import yaml

from charter.core.rows import Conversation, Example, Message, Reply
from charter.generate.refusals import RefusalWriter
from charter.policy.charter import Principle


class Turn(NamedTuple):
    """One goal at one round: what was asked, what stands as the reply, and the principle drawn."""

    key: str
    example: Example
    reply: str
    principle: Principle
    round: int


class Feedback(Protocol):
    """Says what to ask a model; a feedback without a model answers itself through ``critique`` and ``revise``."""

    name: str


class WriterFeedback:
    """Critiques by rule and revises with the refusal writer. Works at any size, costs nothing, and says so in every row it makes."""

    name = "writer"

    def __init__(self, writer: RefusalWriter) -> None:
        self.writer = writer

    def critique(self, turn: Turn) -> Reply:
        asked = turn.example.hazard.replace("_", " ") or "a harmful act"
        text = f"The request asks for help with {asked}, and the reply does not decline. {turn.principle.critique}"
        return Reply(text=text, finish="stop")

    def revise(self, turn: Turn, critique: str) -> Reply:
        return Reply(text=self.writer(turn.example, turn.round), finish="stop")


@cache
def _texts() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "feedback.yaml").read_text(encoding="utf-8"))
    return loaded


def critique_prompt(turn: Turn) -> Conversation:
    """The conversation that asks a model for a critique, worked examples first."""
    texts = _texts()
    shots = [(_fill(texts["critique_ask"], shot), shot["critique"]) for shot in texts["examples"]]
    values = {"request": turn.example.prompt, "reply": turn.reply, "ask": turn.principle.critique}
    return _conversation(texts["system"], shots, _fill(texts["critique_ask"], values))


def revision_prompt(turn: Turn, critique: str) -> Conversation:
    """The conversation that asks a model for a revision, worked examples first."""
    texts = _texts()
    shots = [(_fill(texts["revise_ask"], shot), shot["revision"]) for shot in texts["examples"]]
    values = {"request": turn.example.prompt, "reply": turn.reply, "critique": critique, "ask": turn.principle.revise}
    return _conversation(texts["system"], shots, _fill(texts["revise_ask"], values))


def _fill(template: str, values: dict[str, str]) -> str:
    """Replace <request>, <reply>, <critique>, <ask> in one pass; what a model wrote is never read as a template."""
    out, rest = "", template
    while "<" in rest:
        head, _, tail = rest.partition("<")
        name, closed, after = tail.partition(">")
        if closed and name in values:
            out, rest = out + head + values[name], after
        else:
            out, rest = out + head + "<", tail
    return out + rest


def _conversation(system: str, shots: list[tuple[str, str]], ask: str) -> Conversation:
    messages = [Message(role="system", content=system)]
    for question, answer in shots:
        messages += [Message(role="user", content=question), Message(role="assistant", content=answer)]
    return Conversation(messages=(*messages, Message(role="user", content=ask)))
