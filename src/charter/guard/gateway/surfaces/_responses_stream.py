"""The stream of ``/v1/responses``: every event is made anew from what was read of it, so that nothing unread can stand in one.

Texts come in deltas, and again in ``.done`` events, in whole parts, in whole items and in the last event. Those repeat what went to the client, not
what came: a text that was masked or held back stays so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from charter.guard.gateway.surfaces._reading import read_answer
from charter.guard.gateway.surfaces._responses_answer import bare, head, part_item, refusal_item, text_of
from charter.guard.gateway.surfaces._responses_shape import ANNOTATION, OUTPUT
from charter.guard.gateway.surfaces._stream import Calls, Made, Told, event, index, read, said
from charter.guard.gateway.surfaces._surface import Asked, BadAnswerError, Frame, Notes, Piece, Said, UpstreamFailedError, Withheld
from charter.guard.gateway.surfaces._tidy import tokens

#: Field of each kind of part that holds its text, and the channel that it is checked in.
PARTS: dict[str, tuple[str, str]] = {
    "output_text": ("text", "content"),
    "refusal": ("refusal", "refusal"),
    "reasoning_text": ("text", "reasoning"),
    "summary_text": ("text", "reasoning"),
}
#: Events that bring text, and those that tell it again: the kind of part.
DELTAS = {
    "response.output_text.delta": "output_text",
    "response.refusal.delta": "refusal",
    "response.reasoning_text.delta": "reasoning_text",
    "response.reasoning_summary_text.delta": "summary_text",
}
DONES = {name.replace(".delta", ".done"): kind for name, kind in DELTAS.items()}
CALL_DELTAS = {"response.function_call_arguments.delta": "arguments", "response.custom_tool_call_input.delta": "input"}
CALL_DONES = {name.replace(".delta", ".done"): key for name, key in CALL_DELTAS.items()}
BEGIN = ("response.created", "response.queued", "response.in_progress")
END = ("response.completed", "response.incomplete", "response.failed")
#: vLLM's own names of events that the official SDKs know by others.
ALIASES = {"response.reasoning_part.added": "response.content_part.added", "response.reasoning_part.done": "response.content_part.done"}
#: A piece, and the text that it is a part of (None: it is checked, and told in one event or not at all).
Slot = tuple[Piece, Told | None]


@dataclass(slots=True)
class Item:
    """One output item. ``base``: its fields without texts. ``parts``: by (is summary, index)."""

    kind: str
    base: dict[str, Any]
    parts: dict[tuple[bool, int], tuple[str, Told]] = field(default_factory=dict)
    channel: str = ""
    told: Told = field(default_factory=Told)  # of a tool call: its arguments
    shown: bool = False
    done: bool = False

    @property
    def id(self) -> str:
        return str(self.base.get("id") or "")

    @property
    def is_call(self) -> bool:
        return self.kind.endswith("_call")

    @property
    def ready(self) -> bool:
        """Whether it may stand in a whole response: half a tool call may not."""
        return self.done or not self.is_call

    def finish(self) -> None:
        self.done = True
        for _, told in self.parts.values():
            told.shown = True

    def made(self, status: str = "") -> dict[str, Any]:
        """The item as the client knows it."""
        shown = [(summary, kind, told) for (summary, _), (kind, told) in sorted(self.parts.items()) if told.shown]
        made = dict(self.base)
        if self.kind != "reasoning" or self.base.get("status"):
            made["status"] = "completed" if self.done else status or self.base.get("status") or "completed"
        if self.kind == "message":
            made["content"] = [part_item(kind, told.sent, told.extra) for _, kind, told in shown]
        elif self.kind == "reasoning":
            made["summary"] = [part_item(kind, told.sent, []) for summary, kind, told in shown if summary]
            if content := [part_item(kind, told.sent, []) for summary, kind, told in shown if not summary]:
                made["content"] = content
        else:
            made["arguments" if self.kind == "function_call" else "input"] = self.told.sent
        return made


class ResponsesCodec:
    """See ``Codec``."""

    def __init__(self, asked: Asked) -> None:
        self.ended = False
        self.notes: Notes | None = None
        self._asked = asked
        self._items: dict[int, Item] = {}
        self._calls = Calls()
        self._head: dict[str, Any] = {}
        self._began = False
        self._number = -1

    @property
    def answer_id(self) -> object:
        return self._head.get("id")

    def read(self, event: str, data: bytes) -> Sequence[Frame]:
        value = read(data) if data != b"[DONE]" else {"type": "keepalive"}
        kind = str(value.get("type"))
        value["type"] = kind = ALIASES.get(kind, kind)
        if kind == "error" or value.get("error") is not None:
            raise UpstreamFailedError
        if kind == "keepalive":  # OpenAI's heartbeat; the gateway has its own
            return ()
        if kind in BEGIN:
            return (self._begin(kind, value),)
        if kind in END:
            self.ended = True
            return (self._last(kind, value),)
        if kind in DELTAS:
            return (self._delta(kind, value),)
        if kind in DONES:
            return (self._done(kind, value),)
        if kind in CALL_DELTAS or kind in CALL_DONES:
            return (self._argued(kind, value),)
        found = self._rare().get(kind)
        if found is None:
            raise BadAnswerError("an event of the stream is of a kind that cannot be checked")
        return (found(value),)

    def _rare(self) -> dict[str, Callable[[dict[str, Any]], Frame]]:
        return {
            "response.output_item.added": self._item,
            "response.output_item.done": self._item_done,
            "response.content_part.added": self._part,
            "response.content_part.done": self._part_done,
            "response.reasoning_summary_part.added": self._part,
            "response.reasoning_summary_part.done": self._part_done,
            "response.output_text.annotation.added": self._annotation,
        }

    def prompt(self, choice: int) -> int:
        return 0

    def whole(self, choice: int, texts: Mapping[str, str]) -> Said:
        return said(self._calls, texts, self._asked.structured)

    def withhold(self, choice: int, withheld: Withheld) -> bytes:
        """Whatever is out stays, marked incomplete; then the refusal as a message of its own."""
        out = [] if self._began else [self._event("response.created", response=self._response("in_progress"))]
        self._began = True
        at = max((n for n, item in self._items.items() if item.shown), default=-1) + 1
        item = refusal_item(f"msg_{self._head.get('id', 'withheld')}", withheld)
        out.append(self._event("response.output_item.added", output_index=at, item={**item, "status": "in_progress", "content": []}))
        for nth, part in enumerate(item["content"]):
            where: dict[str, Any] = {"item_id": item["id"], "output_index": at, "content_index": nth}
            key, kind = PARTS[part["type"]][0], part["type"]
            logs: dict[str, Any] = {"logprobs": []} if kind == "output_text" else {}
            out += [
                self._event("response.content_part.added", **where, part={**part, key: ""}),
                self._event(f"response.{kind}.delta", **where, delta=withheld.text, **logs),
                self._event(f"response.{kind}.done", **where, **{key: withheld.text}, **logs),
                self._event("response.content_part.done", **where, part=part),
            ]
        out += [
            self._event("response.output_item.done", output_index=at, item=item),
            self._event("response.incomplete", response=self._response("incomplete", "content_filter", [item])),
        ]
        return b"".join(out)

    def name(self, response_id: str, created_unix_s: int) -> None:
        """For a stream that no upstream began."""
        self._head = {"id": response_id, "created_at": created_unix_s}

    def fail(self, code: str, message: str) -> bytes:
        """The official SDK raises on what has an ``error``; others know the event by its type."""
        told = {"code": code, "message": message, "param": None}
        return self._event("error", **told, error={**told, "type": "server_error"})

    def end(self) -> bytes:
        return b""

    # what comes

    def _begin(self, kind: str, value: dict[str, Any]) -> Frame:
        self._head = head(self._asked, value.get("response"))
        self._head.pop("error", None)  # nothing that begins has failed

        def make(texts: Sequence[str]) -> bytes:
            self._began = True
            return self._event(kind, response=self._response("queued" if kind.endswith("queued") else "in_progress"))

        return Made(None, (), make)

    def _item(self, value: dict[str, Any]) -> Frame:
        at = index(value, "output_index")
        slots = self._open(at, value.get("item"))
        item = self._items[at]

        def make(texts: Sequence[str]) -> bytes:
            item.shown = True
            return self._event("response.output_item.added", output_index=at, item=item.made("in_progress"))

        return self._frame(slots, make)

    def _item_done(self, value: dict[str, Any]) -> Frame:
        at = index(value, "output_index")
        if at not in self._items:
            raise BadAnswerError("an output item ended that had not begun")
        item = self._items[at]
        slots = self._rest(item, value.get("item"))

        def make(texts: Sequence[str]) -> bytes:
            item.finish()
            return self._event("response.output_item.done", output_index=at, item=item.made())

        return self._frame(slots, make)

    def _part(self, value: dict[str, Any]) -> Frame:
        where, kind, told, part = self._where(value)
        slots = self._more(kind, told, str(part.get(PARTS[kind][0]) or ""))

        def make(texts: Sequence[str]) -> bytes:
            told.shown = True
            return self._event(str(value["type"]), **where, part=part_item(kind, told.sent, []))

        return self._frame(slots, make)

    def _part_done(self, value: dict[str, Any]) -> Frame:
        where, kind, told, part = self._where(value)
        slots = self._more(kind, told, told.rest(part.get(PARTS[kind][0])))
        return self._frame(slots, lambda texts: self._event(str(value["type"]), **where, part=part_item(kind, told.sent, told.extra)))

    def _delta(self, name: str, value: dict[str, Any]) -> Frame:
        where, kind, told, _ = self._where(value, DELTAS[name])
        text = text_of(value, "delta")
        slots = self._more(kind, told, text)

        def make(texts: Sequence[str]) -> bytes:
            sent = "".join(texts)
            if text and not sent:
                return b""
            kept = {"logprobs": (tokens(value.get("logprobs"), text, ends=False) or []) if sent == text else []} if kind == "output_text" else {}
            return self._event(name, **where, delta=sent, **kept)

        return self._frame(slots, make)

    def _done(self, name: str, value: dict[str, Any]) -> Frame:
        where, kind, told, _ = self._where(value, DONES[name])
        key = PARTS[kind][0]
        slots = self._more(kind, told, told.rest(value.get(key)))

        def make(texts: Sequence[str]) -> bytes:
            kept = {"logprobs": tokens(value.get("logprobs"), told.sent, ends=True) or []} if kind == "output_text" else {}
            return self._event(name, **where, **{key: told.sent}, **kept)

        return self._frame(slots, make)

    def _argued(self, name: str, value: dict[str, Any]) -> Frame:
        item = self._items.get(at := index(value, "output_index"))
        if item is None or not item.channel:
            raise BadAnswerError("arguments came for no tool call")
        key = CALL_DELTAS.get(name) or CALL_DONES[name]
        told, ends = item.told, name in CALL_DONES
        rest = told.rest(value.get(key)) if ends else text_of(value, "delta")
        told.raw += rest
        slots: list[Slot] = [(Piece((0, item.channel), rest), told)] if rest else []

        def make(texts: Sequence[str]) -> bytes:
            where = {"item_id": item.id, "output_index": at}
            if ends:
                return self._event(name, **where, **({"name": item.base.get("name")} if key == "arguments" else {}), **{key: told.sent})
            return self._event(name, **where, delta="".join(texts)) if "".join(texts) or not rest else b""

        return self._frame(slots, make)

    def _annotation(self, value: dict[str, Any]) -> Frame:
        where, _, told, _ = self._where(value, "output_text")
        clean, bits = read_answer(ANNOTATION, value.get("annotation"))
        text = "\n".join(bit.text for bit in bits)
        piece = Piece((0, "note"), text)

        def make(texts: Sequence[str]) -> bytes:
            if "".join(texts) != text:
                return b""
            told.extra.append(clean)
            return self._event("response.output_text.annotation.added", **where, annotation_index=len(told.extra) - 1, annotation=clean)

        return self._frame([(piece, None)], make)

    def _last(self, kind: str, value: dict[str, Any]) -> Frame:
        given = value.get("response")
        self._head = head(self._asked, given)
        slots: list[Slot] = []
        items = (given or {}).get("output") or []
        if not isinstance(items, list):
            raise BadAnswerError("a response's output is no list")
        for at, item in enumerate(items):  # an upstream that tells an item only here has it checked here
            slots += self._open(at, item) if at not in self._items else []
        error = self._head.pop("error", None)
        if error and error.get("message"):
            slots.append((Piece((0, "content"), str(error["message"])), None))

        def make(texts: Sequence[str]) -> bytes:
            for item in self._items.values():
                item.shown = True
                item.finish()
            told = {**error, "message": texts[-1]} if error and error.get("message") else error
            reason = (self._head.get("incomplete_details") or {}).get("reason")
            response = self._response(kind.removeprefix("response."), reason)
            return self._event(kind, response={**response, "error": told})

        return self._frame(slots, make, ends=True)

    # helpers

    def _frame(self, slots: Sequence[Slot], make: Callable[[Sequence[str]], bytes], ends: bool = False) -> Frame:
        def emit(texts: Sequence[str]) -> bytes:
            for (_, told), text in zip(slots, texts, strict=True):
                if told is not None:
                    told.sent += text
            return make(texts)

        return Made(0, tuple(piece for piece, _ in slots), emit, ends)

    def _open(self, at: int, given: Any) -> list[Slot]:
        """Take in an item that was not known before, with whatever text it has already."""
        if at in self._items:
            raise BadAnswerError("an output item came twice")
        clean = _item_of(given)
        item = self._items[at] = Item(str(clean["type"]), {k: v for k, v in clean.items() if k not in ("content", "summary", "arguments", "input")})
        if not item.is_call:
            return self._rest(item, clean)
        name = str(clean.get("name") or "")
        item.channel = self._calls.add(name, plain=item.kind != "function_call")
        return [(Piece((0, item.channel), ""), None), *self._rest(item, clean)]

    def _rest(self, item: Item, given: Any) -> list[Slot]:
        """What a whole item has beyond what its pieces told."""
        clean = _item_of(given)
        item.base["status"] = clean.get("status") or item.base.get("status")
        if "encrypted_content" in clean:
            item.base["encrypted_content"] = clean["encrypted_content"]
        if item.is_call:
            rest = item.told.rest(clean.get("arguments" if item.kind == "function_call" else "input"))
            item.told.raw += rest
            return [(Piece((0, item.channel), rest), item.told)] if rest else []
        parts = [((False, n), part) for n, part in enumerate(clean.get("content") or [])]
        parts += [((True, n), part) for n, part in enumerate(clean.get("summary") or [])]
        slots: list[Slot] = []
        for key, part in parts:
            kind, told = item.parts.setdefault(key, (str(part.get("type")), Told()))
            slots += self._more(kind, told, told.rest(part.get(PARTS[kind][0])))
        return slots

    def _more(self, kind: str, told: Told, text: str) -> list[Slot]:
        told.raw += text
        return [(Piece((0, PARTS[kind][1]), text), told)] if text else []

    def _where(self, value: dict[str, Any], kind: str = "") -> tuple[dict[str, Any], str, Told, dict[str, Any]]:
        """Which part of which item an event is about; a part that was not announced begins here."""
        at = index(value, "output_index")
        part = value.get("part")
        given: dict[str, Any] = part if isinstance(part, dict) else {}
        kind = kind or str(given.get("type"))
        item = self._items.get(at)
        if item is None or item.is_call or kind not in PARTS or (item.kind == "reasoning") != (PARTS[kind][1] == "reasoning"):
            raise BadAnswerError("a text came for no item that holds such text")
        summary = kind == "summary_text"
        nth = index(value, "summary_index" if summary else "content_index")
        known, told = item.parts.setdefault((summary, nth), (kind, Told()))
        if known != kind:
            raise BadAnswerError("a part changed its kind")
        return {"item_id": item.id, "output_index": at, ("summary_index" if summary else "content_index"): nth}, kind, told, given

    def _response(self, status: str, reason: str | None = None, more: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
        items = [item.made("" if status == "completed" else "incomplete") for _, item in sorted(self._items.items()) if item.shown and item.ready]
        details = {"reason": reason} if reason else None
        if status in ("in_progress", "queued"):
            return {**bare(self._asked), **self._head, "status": status, "output": []}
        report = self.notes.report() if self.notes is not None else None
        notes = {"moderation": report} if report is not None else {}
        return {**bare(self._asked), **self._head, **notes, "status": status, "incomplete_details": details, "output": [*items, *more]}

    def _event(self, name: str, /, **value: Any) -> bytes:
        self._number += 1
        return event(name, {"type": name, **value, "sequence_number": self._number})


def _item_of(given: Any) -> dict[str, Any]:
    """What of an output item may go on. Raises BadAnswerError."""
    if not isinstance(given, dict):
        raise BadAnswerError("an output item is none")
    clean: dict[str, Any] = read_answer(OUTPUT, given)[0]
    return clean
