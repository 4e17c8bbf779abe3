"""Who criticises and who revises: the writer (charter and rules), or a model (the trained one itself, or a stronger one at any URL).

A model is shown worked examples as earlier turns of the conversation, because without them it confuses the two roles (Bai et al. 2022, section 3).
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import yaml

from charter.core.rows import Conversation, Example, Message, Reply
from charter.generate.refusals import RefusalWriter
from charter.judges._quoting import defang, mark_for, quoted
from charter.policy.charter import Principle

#: Lines in which the plain prompt, or a chat as text, speaks.
_FIELD = re.compile(
    r"\W*(?:(?:request|reply|question|problem|critique|task|system|user|human|assistant)\b[^:]{0,20}:|write (?:one sentence|a better reply)\b)",
    re.IGNORECASE,
)


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
    return _asked("critique", turn, {}, turn.principle.critique)


def revision_prompt(turn: Turn, critique: str) -> Conversation:
    """The conversation that asks a model for a revision, worked examples first."""
    return _asked("revise", turn, {"critique": critique}, turn.principle.revise)


def _asked(what: Literal["critique", "revise"], turn: Turn, more: dict[str, str], ask: str) -> Conversation:
    """The plain form, which a small model follows best; for a row of an attack, and for texts that could pose as the prompt, the quoted one."""
    texts = _texts()
    strange = {"request": turn.example.prompt, "reply": turn.reply, **more}
    answer, form, system, mark = {"critique": "critique", "revise": "revision"}[what], f"{what}_ask", texts["system"], ""
    must_quote = "finding" in turn.example.tags or len(strange["request"].splitlines()) > 1 or any(map(_poses, strange.values()))
    if must_quote:
        form, mark = f"{form}_quoted", mark_for(ask, *strange.values())
        system = f"{system}\n{_fill(texts['strangers'], {'mark': mark})}"

    def filled(values: dict[str, str]) -> str:
        laid = {key: quoted(values[key]) if must_quote else values[key] for key in strange}
        return _fill(texts[form], {**laid, "ask": values["ask"], "mark": mark})

    return _conversation(system, [(filled(shot), shot[answer]) for shot in texts["examples"]], filled({**strange, "ask": ask}))


def _poses(text: str) -> bool:
    """Whether ``text`` holds a control token, or behind its first line one that reads like a field of the prompt."""
    return defang(text) != text or any(_FIELD.match(line) for line in text.splitlines()[1:])


def _fill(template: str, values: dict[str, str]) -> str:
    """Replace each <name> that has a value, in one pass; what a model wrote is never read as a template."""
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
