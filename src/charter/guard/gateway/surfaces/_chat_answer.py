"""What a chat completion answers, whole: every text of every choice, and how a choice looks that was withheld."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

from charter.core.rows import ToolCall
from charter.guard.gateway.surfaces._calls import BODIES, call_kind, cleaned
from charter.guard.gateway.surfaces._chat_parts import object_of, parts, plain_parts
from charter.guard.gateway.surfaces._located import Path
from charter.guard.gateway.surfaces._reading import hidden, undone
from charter.guard.gateway.surfaces._surface import Asked, BadAnswerError, Contract, Ids, Said, Withheld
from charter.guard.gateway.surfaces._texts import Gather, Media, Text, is_name, leaves, named, top, without_texts
from charter.guard.gateway.surfaces._tidy import tokens

#: ``usage`` and all that is not here may stay as long as it holds no text.
TOP = frozenset({"id", "object", "created", "model", "choices", "system_fingerprint", "service_tier"})
NAMES = ("id", "object", "model", "system_fingerprint", "service_tier")
CHOICE = frozenset({"index", "finish_reason", "message", "logprobs"})
#: Text fields of a message, in the order in which a person sees them; the channel of a stream that each of them is.
TEXTS: Mapping[str, str] = {"reasoning_content": "reasoning", "reasoning": "thinking", "content": "content", "refusal": "refusal"}
MESSAGE = frozenset((*TEXTS, "role", "tool_calls", "function_call", "audio", "annotations"))
FIELDS: Mapping[str, Contract] = {
    **dict.fromkeys(NAMES, "constrained"),
    "created": "opaque",
    "usage": "opaque",
    "metadata": "constrained",  # left out, as what an upstream may say there is read by nobody
    "moderation": "constrained",  # the gateway's own, if it was asked for
    "choices.index": "opaque",
    "choices.finish_reason": "constrained",
    "choices.logprobs": "guarded",  # goes out with its text, and only unchanged
    "choices.message.role": "constrained",
    "choices.message.content": "guarded",
    "choices.message.refusal": "guarded",
    "choices.message.reasoning_content": "guarded",
    "choices.message.reasoning": "guarded",
    "choices.message.annotations": "guarded",
    "choices.message.audio.id": "constrained",
    "choices.message.audio.expires_at": "opaque",
    "choices.message.audio.data": "guarded",
    "choices.message.audio.transcript": "guarded",
    "choices.message.function_call.name": "guarded",
    "choices.message.function_call.arguments": "guarded",
    "choices.message.tool_calls.id": "constrained",
    "choices.message.tool_calls.type": "constrained",
    "choices.message.tool_calls.function.name": "guarded",
    "choices.message.tool_calls.function.arguments": "guarded",
    "choices.message.tool_calls.custom.name": "guarded",
    "choices.message.tool_calls.custom.input": "guarded",
    "choices.message.tool_calls.extra_content.google.thought_signature": "constrained",
}


def replies(answer: dict[str, Any], structured: bool) -> list[Said]:
    choices = named(answer, ("id", "object", "system_fingerprint", "service_tier")).get("choices")
    if not isinstance(choices, list) or not choices:
        raise BadAnswerError("no choices")
    found = [_said(position, choice, structured) for position, choice in enumerate(choices)]
    if len({said.choice for said in found}) != len(found):
        raise BadAnswerError("two choices have one index")
    return found


def _said(position: int, choice: Any, structured: bool) -> Said:
    index = choice.get("index", position) if isinstance(choice, dict) else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(message, dict) or not isinstance(index, int) or index < 0:
        raise BadAnswerError("a choice without a message")
    named(choice, ("finish_reason",))
    named(message, ("role",))
    path: Path = ("choices", position, "message")
    texts, media = _spoken(message, path, structured)
    audio = message.get("audio")
    if audio is not None:
        texts += leaves({key: value for key, value in named(object_of(audio), ("id",)).items() if key not in ("data", "id")}, (*path, "audio"))
        media.append(("audio", ""))
    texts += leaves(message.get("annotations"), (*path, "annotations"))
    calls = _calls(message, path)
    texts += hidden(calls)
    gather = Gather()
    gather.message("assistant", texts, calls, media)
    return Said(index, 0, gather.located())


def _spoken(message: dict[str, Any], path: Path, structured: bool) -> tuple[list[Text], list[tuple[Media, str]]]:
    """What a message says, and the pictures and sounds in it; a ``structured`` content without its escapes too. Raises BadAnswerError."""
    texts: list[Text] = []
    media: list[tuple[Media, str]] = []
    for field in TEXTS:
        value = message.get(field)
        if isinstance(value, str):
            found: list[Text] = [((*path, field), value)] if value or field == "content" else []
        elif isinstance(value, list):
            found = parts(value, (*path, field), media)
        elif value is not None:
            raise BadAnswerError(f"{field} is no text")
        else:
            continue
        texts += found
        if structured and field == "content":
            texts += [(None, plain) for _, text in found for plain in [undone(text)] if plain]
    return texts, media


def _calls(message: dict[str, Any], path: Path) -> list[tuple[Path | None, ToolCall]]:
    found: list[tuple[Path | None, ToolCall]] = []
    if message.get("function_call") is not None:
        found.append(_call(object_of(message["function_call"]), "arguments", (*path, "function_call")))
    calls = message.get("tool_calls") or []
    if not isinstance(calls, list):
        raise BadAnswerError("tool calls are no list")
    for number, each in enumerate(calls):
        call = object_of(each)
        kind = call_kind(call)
        found.append(_call(object_of(call.get(kind)), BODIES[kind], (*path, "tool_calls", number, kind)))
    return found


def _call(given: dict[str, Any], field: str, path: Path) -> tuple[Path | None, ToolCall]:
    name, arguments = given.get("name"), given.get(field)
    if not isinstance(name, str) or not isinstance(arguments, str | None):
        raise BadAnswerError("a tool call cannot be read")
    return (*path, field), ToolCall(name=name, arguments=arguments or "")


def answer(given: dict[str, Any], withheld: Mapping[int, Withheld], changed: Set[int]) -> dict[str, Any]:
    """See ``Surface.answer``."""
    choices = [_choice(position, choice, withheld, changed) for position, choice in enumerate(given["choices"])]
    kept = {**top(given, TOP), "choices": choices}
    return kept if is_name(kept.get("model")) else {**kept, "model": "model"}  # the path of a file, say


def tidied(choice: dict[str, Any], texts: Mapping[str, Any], *, ends: bool) -> dict[str, Any]:
    """A choice whose log probabilities are those of ``texts`` (its message, or its piece of one), or gone. ``ends``: nothing comes after it."""
    given = choice.get("logprobs")
    if given is None:
        return choice
    found: dict[str, Any] = {}
    plain = {name: text for name, text in texts.items() if isinstance(text, str)}  # of a list of parts no tokens are known
    thought = next((plain[name] for name in ("reasoning_content", "reasoning") if plain.get(name)), "")  # its tokens stand at the content's
    for name, said in (("content", plain.get("content") or thought), ("refusal", plain.get("refusal", ""))):
        if isinstance(given, dict) and name in given:
            found[name] = None if given[name] is None else tokens(given[name], said, ends=ends)
    return {**choice, "logprobs": found if any(value is not None for value in found.values()) else None}


def _choice(position: int, choice: dict[str, Any], withheld: Mapping[int, Withheld], changed: Set[int]) -> dict[str, Any]:
    index = choice.get("index", position)
    if index in withheld:
        return refused_choice(index, withheld[index])
    message = cleaned(without_texts(choice["message"], MESSAGE))
    listed = {field: plain_parts(message[field]) for field in TEXTS if isinstance(message.get(field), list)}
    message = {**message, **listed} if listed else message
    kept = tidied({"index": index, **without_texts(choice, CHOICE), "message": message}, message, ends=True)
    return {key: None if key == "logprobs" else value for key, value in kept.items()} if index in changed else kept


def refused_choice(index: int, withheld: Withheld) -> dict[str, Any]:
    message = {"role": "assistant", "content": withheld.text if withheld.in_content else None, "refusal": withheld.text}
    return {"index": index, "finish_reason": "content_filter", "logprobs": None, "message": message}


def refuse(asked: Asked, withheld: Withheld, ids: Ids) -> dict[str, Any]:
    """See ``Surface.refuse``."""
    head = {"id": f"chatcmpl-{ids.decision_id}", "object": "chat.completion", "created": ids.created_unix_s, "model": asked.model}
    usage = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    return {**head, "choices": [refused_choice(index, withheld) for index in range(asked.choices)], "usage": usage}
