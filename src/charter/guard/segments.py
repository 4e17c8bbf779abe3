"""The texts of a conversation that a stage checks, laid out as one text, with the way back to where each piece came from.

Spans in a rail's verdict are offsets into ``View.text``. ``input`` covers every message that is sent to the model, whoever it claims to be from:
system, earlier turns, tool results, arguments of earlier tool calls. ``output`` covers the reply: its text and its tool calls.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

from charter.core.rows import Conversation, Message
from charter.guard._shared import alike
from charter.guard.policy import Stage

SEPARATOR = "\n"
Field = Literal["content", "part", "tool_name", "arguments"]


class Segment(NamedTuple):
    """One text: of message number ``message``, in ``field`` (``nth`` counts parts or tool calls), beginning at ``start`` in the view."""

    message: int
    role: str
    field: Field
    nth: int
    start: int
    text: str

    @property
    def end(self) -> int:
        return self.start + len(self.text)


class Mask(NamedTuple):
    """A piece of a segment (offsets inside its own text) and what stands there instead."""

    message: int
    field: Field
    nth: int
    start: int
    end: int
    kind: str
    placeholder: str


class View(NamedTuple):
    """All segments of a stage and their texts joined by line breaks."""

    text: str
    segments: tuple[Segment, ...]

    def roles(self, *roles: str) -> list[Segment]:
        return [segment for segment in self.segments if segment.role in roles]

    def locate(self, start: int, end: int) -> list[tuple[Segment, int, int]]:
        """The segments that a span of the view touches, with the span's offsets inside each."""
        found = [(s, max(start, s.start) - s.start, min(end, s.end) - s.start) for s in self.segments]
        return [(segment, a, b) for segment, a, b in found if a < b]


def view(conversation: Conversation, stage: Stage) -> View:
    """The texts that ``stage`` checks. An output stage without a reply is an empty view. Laid out once for all rails of a check."""
    _, laid = alike(("view", id(conversation), stage), lambda: (conversation, _view(conversation, stage)))  # held, so that its id stays its own
    return laid


def _view(conversation: Conversation, stage: Stage) -> View:
    messages = list(enumerate(conversation.messages))
    if stage == "output":
        messages = messages[-1:] if conversation.reply is not None else []
    segments: list[Segment] = []
    at = 0
    for number, message in messages:
        for field, index, text in _texts(message):
            segments.append(Segment(number, message.role, field, index, at, text))
            at += len(text) + len(SEPARATOR)
    return View(SEPARATOR.join(segment.text for segment in segments), tuple(segments))


def _texts(message: Message) -> Iterable[tuple[Field, int, str]]:
    if isinstance(message.content, str):
        if message.content or not message.tool_calls:
            yield "content", 0, message.content
    else:
        for index, part in enumerate(message.content):
            if part.text:
                yield "part", index, part.text
    for index, call in enumerate(message.tool_calls):
        yield "tool_name", index, call.name
        yield "arguments", index, call.arguments


def has_media(conversation: Conversation, stage: Stage) -> bool:
    """Whether the stage holds parts that no text rail reads."""
    messages = conversation.messages if stage == "input" else conversation.messages[-1:]
    return any(part.type != "text" for m in messages if not isinstance(m.content, str) for part in m.content)


def apply_masks(conversation: Conversation, masks: Iterable[Mask]) -> Conversation:
    """The same conversation with every mask's placeholder in place of its span. Masks of one text must not overlap."""
    by_message: dict[int, list[Mask]] = {}
    for mask in masks:
        by_message.setdefault(mask.message, []).append(mask)
    messages = [_masked(message, by_message.get(number, [])) for number, message in enumerate(conversation.messages)]
    return Conversation(messages=tuple(messages)) if by_message else conversation


def _masked(message: Message, masks: list[Mask]) -> Message:
    if not masks:
        return message
    texts: Mapping[tuple[Field, int], str] = {(field, index): text for field, index, text in _texts(message)}
    done = {place: substitute(text, [m for m in masks if (m.field, m.nth) == place]) for place, text in texts.items()}
    content = message.content
    if isinstance(content, str):
        content = done.get(("content", 0), content)
    else:
        content = tuple(p.model_copy(update={"text": done.get(("part", i), p.text)}) for i, p in enumerate(content))
    calls = tuple(c.model_copy(update={"arguments": done[("arguments", i)]}) for i, c in enumerate(message.tool_calls))
    return message.model_copy(update={"content": content, "tool_calls": calls})


def substitute(text: str, masks: Iterable[Mask]) -> str:
    """``text`` with every mask put in place."""
    out, at = [], 0
    for mask in sorted(masks, key=lambda m: m.start):
        if mask.start < at:
            raise ValueError("masks overlap")
        out += [text[at : mask.start], mask.placeholder]
        at = mask.end
    return "".join([*out, text[at:]])
