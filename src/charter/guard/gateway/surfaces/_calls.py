"""Tool calls of chat completions: what of one goes on in an answer, and what of one that is sent back is read."""

from __future__ import annotations

from typing import Any

from charter.guard.gateway.surfaces._located import Path
from charter.guard.gateway.surfaces._surface import BadAnswerError
from charter.guard.gateway.surfaces._texts import Text, is_blob, named, unknown, without_texts

CALL = frozenset({"id", "type", "index", "function", "custom"})
#: Fields of a tool call that are names.
CALL_NAMES = ("id", "type")
#: Kinds of tools, and the field of their body that holds what the model asks of them.
BODIES = {"function": "arguments", "custom": "input"}
#: Gemini signs its calls here, and refuses one that comes back without it.
_SIGNED = "extra_content"


def call_kind(call: dict[str, Any]) -> str:
    """Which kind of tool a call of an answer asks for: custom or function. Raises BadAnswerError where a name of it could be a text that no rail
    reads, or where it has a body of each kind."""
    if not isinstance(named(call, CALL_NAMES).get("index"), int | None):
        raise BadAnswerError("a tool call holds a text that cannot be checked")
    if call.get("custom") is not None and call.get("function") is not None:
        raise BadAnswerError("a tool call has two bodies")
    return "custom" if call.get("custom") is not None else "function"


def cleaned(message: dict[str, Any]) -> dict[str, Any]:
    """A message of an answer, or a piece of one, whose calls are without what nobody knows and could hold a text; itself if they are. What is no call
    stays: whoever reads it refuses it."""
    found = message
    if isinstance(message.get("function_call"), dict):
        found = _put(found, "function_call", _body(message["function_call"], "arguments"))
    if isinstance(message.get("tool_calls"), list):
        calls = [_cleaned(call) if isinstance(call, dict) else call for call in message["tool_calls"]]
        if any(new is not old for new, old in zip(calls, message["tool_calls"], strict=True)):
            found = _put(found, "tool_calls", calls)
    return found


def _cleaned(call: dict[str, Any]) -> dict[str, Any]:
    found = without_texts(call, CALL)
    for kind, field in BODIES.items():
        if isinstance(call.get(kind), dict):
            found = _put(found, kind, _body(call[kind], field))
    return found if (own := signature(call)) is None else {**found, _SIGNED: own}


def _body(given: dict[str, Any], field: str) -> dict[str, Any]:
    return without_texts(given, {"name", field})


def _put(given: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    return given if given[key] is value else {**given, key: value}


def signature(call: dict[str, Any]) -> dict[str, Any] | None:
    """The signature of a call, which is base64 that only its maker can read; None if there is none."""
    found = call.get(_SIGNED)
    google = found.get("google") if isinstance(found, dict) else None
    signed = google.get("thought_signature") if isinstance(google, dict) else None
    return {"google": {"thought_signature": signed}} if isinstance(signed, str) and is_blob(signed) else None


def around_call(call: dict[str, Any], kind: str, path: Path) -> list[Text]:
    """The texts of a request's call besides its name and what it asks: what no field names. Raises BadRequestError."""
    known = set(CALL)
    if call.get("status") == "completed":  # of clients that send the last message back as they got it
        known.add("status")
    if signature(call) == call.get(_SIGNED):
        known.add(_SIGNED)
    body = call.get(kind)
    inner = unknown(body, {"name", BODIES[kind]}, (*path, kind)) if isinstance(body, dict) else []
    return unknown(call, known, path) + inner
