"""The stream of ``/v1/messages``: every event is made anew from what was read of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from charter.guard.gateway.surfaces._messages_shape import ANSWER, CITATION, CONTENT, END, USAGE
from charter.guard.gateway.surfaces._reading import read_answer
from charter.guard.gateway.surfaces._shape import Plain
from charter.guard.gateway.surfaces._stream import Calls, Made, Told, event, index, read, said
from charter.guard.gateway.surfaces._surface import Asked, BadAnswerError, Frame, Piece, Said, UpstreamFailedError, Withheld

#: Kinds of deltas: the field that holds the text, the kind of block they belong to, and the channel of their text ('' for that of a tool).
DELTAS = {
    "text_delta": ("text", "text", "content"),
    "thinking_delta": ("thinking", "thinking", "reasoning"),
    "input_json_delta": ("partial_json", "tool_use", ""),
}


@dataclass(slots=True)
class Block:
    """One content block."""

    kind: str
    channel: str
    told: Told = field(default_factory=Told)


def refusal_end(text: str) -> dict[str, Any]:
    """How a message ends that was withheld."""
    details = {"type": "refusal", "category": None, "explanation": text}
    return {"stop_reason": "refusal", "stop_sequence": None, "stop_details": details}


class MessagesCodec:
    """See ``Codec``."""

    def __init__(self, asked: Asked) -> None:
        self.ended = False
        self._asked = asked
        self._blocks: dict[int, Block] = {}
        self._calls = Calls()
        self._head: dict[str, Any] = {"usage": {"input_tokens": 0, "output_tokens": 0}}
        self._usage: dict[str, Any] = {"output_tokens": 0}  # the last that the upstream told
        self._began = False

    @property
    def answer_id(self) -> object:
        return self._head.get("id")

    def read(self, event: str, data: bytes) -> Sequence[Frame]:
        value = read(data)
        kind = str(value.get("type"))
        if kind == "message_stop":
            self.ended = True
            return ()
        if kind == "error" or value.get("error") is not None:
            raise UpstreamFailedError
        known: dict[str, Callable[[dict[str, Any]], Frame]] = {
            "message_start": self._start,
            "content_block_start": self._block,
            "content_block_delta": self._delta,
            "content_block_stop": self._stop,
            "message_delta": self._last,
            "ping": lambda _: Made(None, (), lambda texts: _event("ping")),
        }
        if kind not in known:
            raise BadAnswerError("an event of the stream is of a kind that cannot be checked")
        return (known[kind](value),)

    def prompt(self, choice: int) -> int:
        return 0

    def whole(self, choice: int, texts: Mapping[str, str]) -> Said:
        return said(self._calls, texts, self._asked.structured)

    def withhold(self, choice: int, withheld: Withheld) -> bytes:
        """Whatever is out stays; open blocks end, then the refusal as a block of its own."""
        out = [] if self._began else [self._begin()]
        out += [_event("content_block_stop", index=at) for at, block in self._blocks.items() if block.told.shown and not block.told.closed]
        at = max((n for n, block in self._blocks.items() if block.told.shown), default=-1) + 1
        out += [
            _event("content_block_start", index=at, content_block={"type": "text", "text": ""}),
            _event("content_block_delta", index=at, delta={"type": "text_delta", "text": withheld.text}),
            _event("content_block_stop", index=at),
            _event("message_delta", delta=refusal_end(withheld.text), usage=self._usage),
        ]
        return b"".join(out)

    def fail(self, code: str, message: str) -> bytes:
        return _event("error", error={"type": "api_error", "code": code, "message": message})

    def end(self) -> bytes:
        return _event("message_stop")

    def name(self, message_id: str) -> None:
        """For a stream that no upstream began."""
        self._head["id"] = message_id

    def _begin(self) -> bytes:
        self._began = True
        empty = {"id": "msg_withheld", "type": "message", "role": "assistant", "model": self._asked.model, "stop_reason": None, "stop_sequence": None}
        return _event("message_start", message={**empty, **self._head, "content": []})

    def _start(self, value: dict[str, Any]) -> Frame:
        given = value.get("message")
        if not isinstance(given, dict) or given.get("content"):
            raise BadAnswerError("a stream begins with no message, or with one that has content")
        clean, _ = read_answer(ANSWER, {**given, "stop_details": None})
        self._head = {name: kept for name, kept in clean.items() if kept is not None}
        self._spend({"output_tokens": (clean.get("usage") or {}).get("output_tokens")})
        return Made(None, (), lambda texts: self._begin())

    def _block(self, value: dict[str, Any]) -> Frame:
        at = index(value, "index")
        given = value.get("content_block")
        if at in self._blocks or not isinstance(given, dict):
            raise BadAnswerError("a content block came twice, or is none")
        if given.get("type") == "tool_use" and given.get("input"):
            raise BadAnswerError("a tool call began with arguments")
        clean, _ = read_answer(CONTENT, {**given, "citations": None} if given.get("type") == "text" else given)
        kind = str(clean["type"])
        name = str(clean.get("name") or "")
        block = self._blocks[at] = Block(kind, self._calls.add(name) if kind == "tool_use" else "reasoning" if kind == "thinking" else "content")
        key = {"text": "text", "thinking": "thinking"}.get(kind, "")
        text = str(clean.get(key) or "") if key else ""
        pieces = [Piece((0, block.channel), text)] if text or kind == "tool_use" else []
        block.told.raw = text

        def make(texts: Sequence[str]) -> bytes:
            block.told.shown = True
            block.told.sent = "".join(texts)
            shown: dict[str, Any] = {key: block.told.sent} if key else {"input": {}} if kind == "tool_use" else {}
            return _event("content_block_start", index=at, content_block={**clean, **shown})

        return Made(0, tuple(pieces), make)

    def _delta(self, value: dict[str, Any]) -> Frame:
        at = index(value, "index")
        block, delta = self._blocks.get(at), value.get("delta")
        if block is None or not isinstance(delta, dict):
            raise BadAnswerError("a delta belongs to no content block")
        kind = str(delta.get("type"))
        if kind == "signature_delta":
            return self._signature(at, block, delta)
        if kind == "citations_delta":
            return self._citation(at, delta)
        key, owner, channel = DELTAS.get(kind, ("", "", ""))
        text = delta.get(key)
        if not key or block.kind != owner or not isinstance(text, str):
            raise BadAnswerError("a delta is of a kind that cannot be checked")
        block.told.raw += text
        pieces = (Piece((0, channel or block.channel), text),) if text else ()

        def make(texts: Sequence[str]) -> bytes:
            sent = "".join(texts)
            block.told.sent += sent
            return _event("content_block_delta", index=at, delta={"type": kind, key: sent}) if sent or not text else b""

        return Made(0, pieces, make)

    def _signature(self, at: int, block: Block, delta: dict[str, Any]) -> Frame:
        """It signs the thinking as it came, so it goes only with that."""
        clean, _ = read_answer(Plain(blob=True), delta.get("signature"))

        def make(texts: Sequence[str]) -> bytes:
            if block.told.sent != block.told.raw or not clean:
                return b""
            return _event("content_block_delta", index=at, delta={"type": "signature_delta", "signature": clean})

        return Made(0, (), make)

    def _citation(self, at: int, delta: dict[str, Any]) -> Frame:
        clean, bits = read_answer(CITATION, delta.get("citation"))
        text = "\n".join(bit.text for bit in bits)
        pieces = (Piece((0, "note"), text),) if text else ()

        def make(texts: Sequence[str]) -> bytes:
            whole = "".join(texts) == text
            return _event("content_block_delta", index=at, delta={"type": "citations_delta", "citation": clean}) if whole else b""

        return Made(0, pieces, make)

    def _stop(self, value: dict[str, Any]) -> Frame:
        at = index(value, "index")
        block = self._blocks.get(at)
        if block is None:
            raise BadAnswerError("a content block ended that had not begun")

        def make(texts: Sequence[str]) -> bytes:
            block.told.closed = True
            return _event("content_block_stop", index=at)

        return Made(0, (), make)

    def _last(self, value: dict[str, Any]) -> Frame:
        given = value.get("delta")
        if not isinstance(given, dict):
            raise BadAnswerError("a message ended without saying how")
        clean, bits = read_answer(END, given)
        usage, _ = read_answer(USAGE, value.get("usage"))
        self._spend(usage or {})
        text = bits[0].text if bits else ""
        pieces = (Piece((0, "note"), text),) if text else ()
        stop = given.get("stop_sequence")
        own = stop if stop in (self._asked.body.get("stop_sequences") or []) else None

        def make(texts: Sequence[str]) -> bytes:
            details = clean.get("stop_details")
            told = {"stop_details": {**details, "explanation": "".join(texts) or None}} if details else {}
            delta = {name: kept for name, kept in clean.items() if name not in ("container", "stop_details")}
            return _event("message_delta", delta={**delta, "stop_sequence": own, **told}, usage=usage or {"output_tokens": 0})

        return Made(0, pieces, make, ends=True)

    def _spend(self, usage: dict[str, Any]) -> None:
        self._usage |= {name: kept for name, kept in usage.items() if kept is not None}


def _event(name: str, /, **value: Any) -> bytes:
    return event(name, {"type": name, **value})
