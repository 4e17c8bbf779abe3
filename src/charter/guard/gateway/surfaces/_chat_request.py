"""What a chat completion asks: every text of it, whoever it claims to be from, as one conversation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from charter.core.rows import ToolCall
from charter.guard.gateway.surfaces._located import Path
from charter.guard.gateway.surfaces._reading import hidden
from charter.guard.gateway.surfaces._surface import Asked, BadRequestError, Contract
from charter.guard.gateway.surfaces._texts import (
    CALL_NAMES,
    Gather,
    Media,
    Role,
    Text,
    as_count,
    as_flag,
    as_list,
    as_object,
    as_text,
    digest,
    leaves,
    name,
    no_template,
    tells,
    unknown,
    word,
)
from charter.guard.gateway.surfaces._unread import UNREAD
from charter.guard.messages import MEDIA, ROLES, TEXTS

#: Text that would reach the model as something no rail can read, or change what the model makes of what they read.
REFUSED = (*UNREAD, "prompt")
_GUARDED = ("messages", "tools", "functions", "response_format", "prediction", "web_search_options")
#: Numbers and flags; a text in one of them is read like that of any other field.
_OPAQUE = (
    "frequency_penalty", "logit_bias", "logprobs", "max_completion_tokens", "max_tokens", "n", "parallel_tool_calls", "presence_penalty", "seed",
    "store", "stream", "stream_options", "temperature", "top_logprobs", "top_p",
)  # fmt: skip
_BESIDE = (
    "audio", "metadata", "modalities", "moderation", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "safety_identifier",
    "stop", "user",
)  # fmt: skip
_CONSTRAINED = ("model", "reasoning_effort", "service_tier", "verbosity")
_KNOWN = frozenset((*_GUARDED, *_CONSTRAINED, "function_call", "tool_choice"))
FIELDS: Mapping[str, Contract] = {
    **dict.fromkeys(_OPAQUE, "opaque"),
    **dict.fromkeys(_CONSTRAINED, "constrained"),
    **dict.fromkeys(REFUSED, "refused"),
    **dict.fromkeys(_BESIDE, "guarded"),
    **dict.fromkeys(("tools", "functions", "response_format", "prediction", "web_search_options"), "guarded"),
    "chat_template_kwargs.chat_template": "refused",
    "function_call": "constrained",
    "tool_choice": "guarded",
    "messages.role": "constrained",
    "messages.name": "guarded",
    "messages.content": "guarded",
    "messages.content.type": "constrained",
    "messages.content.text": "guarded",
    "messages.content.refusal": "guarded",
    "messages.content.image_url": "guarded",
    "messages.content.input_audio": "guarded",
    "messages.content.video_url": "guarded",
    "messages.content.file": "refused",
    "messages.content.prompt_cache_breakpoint": "guarded",
    "messages.refusal": "guarded",
    "messages.reasoning_content": "guarded",
    "messages.reasoning": "guarded",
    "messages.audio": "guarded",
    "messages.function_call.name": "guarded",
    "messages.function_call.arguments": "guarded",
    "messages.tool_call_id": "constrained",
    "messages.tool_calls.id": "constrained",
    "messages.tool_calls.type": "constrained",
    "messages.tool_calls.index": "opaque",
    "messages.tool_calls.function.name": "guarded",
    "messages.tool_calls.function.arguments": "guarded",
    "messages.tool_calls.custom.name": "guarded",
    "messages.tool_calls.custom.input": "guarded",
}
_MESSAGE = frozenset({"role", "content", "tool_calls", "tool_call_id", "function_call"})
_CALL = frozenset({"id", "type", "index", "function", "custom"})
#: What clients that send the last message back as they got it add to its calls.
_DONE = (("status", "completed"),)
_JSON_KEYS = ("guided_json", "guided_grammar", "guided_regex", "guided_choice", "structured_outputs", "grammar", "json_schema")


def ask(body: dict[str, Any]) -> Asked:
    """Raises BadRequestError."""
    for field in REFUSED:
        if body.get(field) is not None:
            raise BadRequestError(f"{field} is not served here: no rail can read it", param=field, code="unsupported_field")
    no_template(body)
    for field in _CONSTRAINED[1:]:
        if body.get(field) is not None:
            word(body[field], field)
    model = name(body.get("model"), "model")
    messages = as_list(body.get("messages"), "messages")
    if not messages:
        raise BadRequestError("messages must not be empty", param="messages")
    gather = Gather()
    around = _around(body)
    if around:
        gather.message("system", around, around=True)
    for number, message in enumerate(messages):
        _message(gather, number, as_object(message, f"messages[{number}]"))
    return Asked(
        body=body,
        model=model,
        stream=as_flag(body.get("stream"), "stream"),
        prompts=(gather.located(),),
        choices=as_count(body.get("n"), "n"),
        structured=_structured(body),
    )


def _around(body: dict[str, Any]) -> list[Text]:
    """Texts beside the messages that reach the model: descriptions of tools and schemas, predicted text, whatever the surface does not know."""
    found: list[Text] = []
    for field in (*_GUARDED[1:], "tool_choice", "function_call"):
        if body.get(field) is not None:
            found += leaves(body[field], (field,), field)
    return found + unknown(body, _KNOWN, ())


def _structured(body: dict[str, Any]) -> bool:
    wanted = body.get("response_format")
    if wanted is not None and as_object(wanted, "response_format").get("type") not in (None, "text"):
        return True
    return any(body.get(key) is not None for key in _JSON_KEYS)


def _message(gather: Gather, number: int, given: dict[str, Any]) -> None:
    where = f"messages[{number}]"
    role: Role | None = ROLES.get(given["role"]) if isinstance(given.get("role"), str) else None
    if role is None:
        raise BadRequestError(f"{where}.role must be one of {', '.join(ROLES)}", param=f"{where}.role")
    path: Path = ("messages", number)
    texts, media = _content(given.get("content"), where, (*path, "content"))
    if given.get("tool_call_id") is not None:
        name(given["tool_call_id"], f"{where}.tool_call_id")
    texts += unknown(given, _MESSAGE, path)
    calls = _calls(given, where, path)
    texts += hidden(calls)
    gather.message(role, texts, calls, media)


def _content(content: Any, where: str, path: Path) -> tuple[list[Text], list[tuple[Media, str]]]:
    if content is None:
        return [], []
    if isinstance(content, str):
        return [(path, content)], []
    texts: list[Text] = []
    media: list[tuple[Media, str]] = []
    for index, given in enumerate(as_list(content, f"{where}.content")):
        part = as_object(given, f"{where}.content[{index}]")
        kind = part.get("type")
        if isinstance(kind, str) and kind in TEXTS:
            texts.append(((*path, index, TEXTS[kind]), as_text(part.get(TEXTS[kind]), f"{where}.content[{index}].{TEXTS[kind]}")))
            texts += unknown(part, {"type", TEXTS[kind]}, (*path, index))
        elif isinstance(kind, str) and kind in MEDIA and part.get(MEDIA[kind][1]) is not None:
            media.append((MEDIA[kind][0], digest(part[MEDIA[kind][1]])))
            texts += unknown(part, {"type", MEDIA[kind][1]}, (*path, index))
        else:
            raise BadRequestError(
                f"{where}.content[{index}] is of a type that cannot be checked", param=f"{where}.content", code="unsupported_content"
            )
    return texts, media


def _calls(given: dict[str, Any], where: str, path: Path) -> Sequence[tuple[Path | None, ToolCall]]:
    found: list[tuple[Path | None, ToolCall]] = []
    if given.get("function_call") is not None:
        call = as_object(given["function_call"], f"{where}.function_call")
        found.append(_call(call, "arguments", f"{where}.function_call", (*path, "function_call")))
    for index, each in enumerate(as_list(given.get("tool_calls") or [], f"{where}.tool_calls")):
        at = f"{where}.tool_calls[{index}]"
        call = as_object(each, at)
        if any(tells({key: value}) for key, value in call.items() if key not in _CALL and (key, value) not in _DONE):
            raise BadRequestError(f"{at} holds a field that cannot be checked", param=f"{where}.tool_calls")
        for field in CALL_NAMES:
            if call.get(field) is not None:
                name(call[field], f"{at}.{field}")
        if not isinstance(call.get("index"), int | None):
            raise BadRequestError(f"{at}.index must be a number", param=f"{at}.index")
        if call.get("custom") is not None and call.get("function") is not None:  # one of the two would be read, and both sent on
            raise BadRequestError(f"{at} must have a function or a custom tool, not both", param=f"{where}.tool_calls")
        kind = "custom" if call.get("custom") is not None else "function"
        inner = as_object(call.get(kind), f"{at}.{kind}")
        found.append(_call(inner, "input" if kind == "custom" else "arguments", f"{at}.{kind}", (*path, "tool_calls", index, kind)))
    return found


def _call(given: dict[str, Any], field: str, where: str, path: Path) -> tuple[Path | None, ToolCall]:
    if any(tells({key: value}) for key, value in given.items() if key not in ("name", field)):
        raise BadRequestError(f"{where} holds a field that cannot be checked", param=where)
    arguments = as_text(given.get(field) if given.get(field) is not None else "", f"{where}.{field}")
    return (*path, field), ToolCall(name=as_text(given.get("name"), f"{where}.name"), arguments=arguments)
