"""What a chat completion asks: every text of it, whoever it claims to be from, as one conversation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from charter.core.rows import ToolCall
from charter.guard.gateway.surfaces._calls import BODIES, CALL_NAMES, around_call
from charter.guard.gateway.surfaces._documents import apart
from charter.guard.gateway.surfaces._located import Path
from charter.guard.gateway.surfaces._reading import hidden
from charter.guard.gateway.surfaces._surface import Asked, BadRequestError, Contract
from charter.guard.gateway.surfaces._texts import (
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
    unknown,
    word,
)
from charter.guard.gateway.surfaces._unread import HOSTED, UNREAD, is_set
from charter.guard.messages import MEDIA, ROLES, TEXTS

#: Text that would reach the model as something no rail can read, or change what the model makes of what they read.
REFUSED = (*UNREAD, "prompt")
_GUARDED = ("messages", "tools", "functions", "response_format", "prediction")
#: Kinds of tools that the client runs; others run upstream, and feed the model what no rail reads.
_TOOLS = ("function", "custom")
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
    **dict.fromkeys((*REFUSED, *HOSTED), "refused"),
    **dict.fromkeys(_BESIDE, "guarded"),
    **dict.fromkeys(_GUARDED[1:], "guarded"),
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
    "messages.audio.id": "refused",
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
    "messages.tool_calls.extra_content.google.thought_signature": "constrained",
}
_MESSAGE = frozenset({"role", "content", "tool_calls", "tool_call_id", "function_call"})
_JSON_KEYS = ("guided_json", "guided_grammar", "guided_regex", "guided_choice", "structured_outputs", "grammar", "json_schema")


def ask(body: dict[str, Any], *, upstream_state: bool = False) -> Asked:
    """``upstream_state``: let messages refer to sound that lies upstream, a bypass. Raises BadRequestError."""
    for field in REFUSED:
        if body.get(field) is not None:
            raise BadRequestError(f"{field} is not served here: no rail can read it", param=field, code="unsupported_field")
    for field in HOSTED:
        if is_set(body.get(field)):
            raise BadRequestError(f"{field} is not served here: what it makes run upstream no rail reads", param=field, code="unsupported_field")
    no_template(body)
    _client_tools(body)
    for field in _CONSTRAINED[1:]:
        if body.get(field) is not None:
            word(body[field], field)
    model = name(body.get("model"), "model")
    messages = as_list(body.get("messages"), "messages")
    if not messages:
        raise BadRequestError("messages must not be empty", param="messages")
    gather = Gather()
    recalled = _recalled(messages)
    if recalled and not upstream_state:
        why = "refers to sound that lies upstream, so it could not be checked"
        raise BadRequestError(f"{recalled} {why}", param=recalled, code="unsupported_content")
    rest, documents = apart(body)
    around = _around(rest)
    if around:
        gather.message("system", around, around=True)
    for document in documents:
        gather.message("tool", document, around=True)
    for number, message in enumerate(messages):
        _message(gather, number, as_object(message, f"messages[{number}]"))
    return Asked(
        body=body,
        model=model,
        stream=as_flag(body.get("stream"), "stream"),
        prompts=(gather.located(),),
        choices=as_count(body.get("n"), "n"),
        structured=_structured(body),
        bypass=("state: audio",) if recalled else (),
    )


def _client_tools(body: dict[str, Any]) -> None:
    """Only tools that the client runs are served. Raises BadRequestError."""
    for at, tool in enumerate(as_list(body.get("tools") or [], "tools")):
        _client_tool(tool, f"tools[{at}]")
    choice = body.get("tool_choice")
    if not isinstance(choice, dict):
        return
    if choice.get("type") != "allowed_tools":
        _client_tool(choice, "tool_choice")
        return
    allowed = as_object(choice.get("allowed_tools") or {}, "tool_choice.allowed_tools")
    for at, tool in enumerate(as_list(allowed.get("tools") or [], "tool_choice.allowed_tools.tools")):
        _client_tool(tool, f"tool_choice.allowed_tools.tools[{at}]")


def _client_tool(given: Any, where: str) -> None:
    tool = as_object(given, where)
    kind = tool.get("type")
    if kind not in _TOOLS and not (kind is None and any(isinstance(tool.get(name), dict) for name in _TOOLS)):
        why = "is a tool that runs upstream; only function and custom tools are served"
        raise BadRequestError(f"{where} {why}", param=where, code="unsupported_content")


def _recalled(messages: Sequence[Any]) -> str:
    """Where a message refers to sound that the model server keeps; '' if none does. Raises BadRequestError."""
    found = ""
    for number, message in enumerate(messages):
        audio = message.get("audio") if isinstance(message, dict) else None
        if isinstance(audio, dict) and audio.get("id") is not None:
            found = f"messages[{number}].audio.id"
            name(audio["id"], found)
    return found


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
    calls, beside = _calls(given, where, path)
    texts += beside + hidden(calls)
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


def _calls(given: dict[str, Any], where: str, path: Path) -> tuple[Sequence[tuple[Path | None, ToolCall]], list[Text]]:
    """The tool calls of a message, and the texts that stand beside them in fields that nobody knows."""
    found: list[tuple[Path | None, ToolCall]] = []
    beside: list[Text] = []
    if given.get("function_call") is not None:
        call = as_object(given["function_call"], f"{where}.function_call")
        found.append(_call(call, "arguments", f"{where}.function_call", (*path, "function_call")))
        beside += unknown(call, {"name", "arguments"}, (*path, "function_call"))
    for index, each in enumerate(as_list(given.get("tool_calls") or [], f"{where}.tool_calls")):
        at = f"{where}.tool_calls[{index}]"
        call = as_object(each, at)
        for field in CALL_NAMES:
            if call.get(field) is not None:
                name(call[field], f"{at}.{field}")
        if not isinstance(call.get("index"), int | None):
            raise BadRequestError(f"{at}.index must be a number", param=f"{at}.index")
        if call.get("custom") is not None and call.get("function") is not None:  # one of the two would be read, and both sent on
            raise BadRequestError(f"{at} must have a function or a custom tool, not both", param=f"{where}.tool_calls")
        kind = "custom" if call.get("custom") is not None else "function"
        inner = as_object(call.get(kind), f"{at}.{kind}")
        found.append(_call(inner, BODIES[kind], f"{at}.{kind}", (*path, "tool_calls", index, kind)))
        beside += around_call(call, kind, (*path, "tool_calls", index))
    return found, beside


def _call(given: dict[str, Any], field: str, where: str, path: Path) -> tuple[Path | None, ToolCall]:
    arguments = as_text(given.get(field) if given.get(field) is not None else "", f"{where}.{field}")
    return (*path, field), ToolCall(name=as_text(given.get("name"), f"{where}.name"), arguments=arguments)
