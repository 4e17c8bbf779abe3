"""Chat completions on the wire: conversations to request messages, answers to replies. Answers are hostile: every field may be missing or absurd."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from charter.core.errors import InputError
from charter.core.rows import Conversation, Message, Part, Reply

ENDED = frozenset({"", "stop", "eos", "eos_token", "stop_sequence", "tool_calls", "function_call"})
BYTES_PER_TOKEN = 3
#: How servers name the tokens they read, and those they wrote.
COUNTED = (("prompt_tokens", "input_tokens"), ("completion_tokens", "output_tokens"))
#: The fields of a message that hold what the model wrote, seen or not.
WRITTEN = ("content", "reasoning_content", "reasoning", "refusal", "tool_calls", "function_call")
AMBIGUOUS_SHARE = 0.01


class Usage(NamedTuple):
    """Tokens an answer took; ``reported`` is False where the server was silent and they are a guess from the bytes."""

    tokens_in: int
    tokens_out: int
    reported: bool


class Answer(NamedTuple):
    """The JSON object that a server sent, not yet looked into, and what it took."""

    body: dict[str, Any]
    usage: Usage


def wire_messages(conversation: Conversation) -> list[dict[str, Any]]:
    """Messages as the API wants them. Raises InputError for what cannot be sent."""
    if not conversation.messages:
        raise InputError("the conversation has no messages")
    if conversation.is_plain:
        raise InputError("a chat server cannot go on with plain text, or weigh it; use hf:MODEL, or the chat form of the benchmark")
    return [_wire_message(message) for message in conversation.messages]


def _wire_message(message: Message) -> dict[str, Any]:
    content: Any = _encodable(message.content) if isinstance(message.content, str) else [_wire_part(part) for part in message.content]
    wire: dict[str, Any] = {"role": message.role, "content": content}
    calls = message.tool_calls
    if message.role == "tool":
        return {**wire, "tool_call_id": calls[0].call_id if calls else ""}
    if calls:
        wire["tool_calls"] = [{"id": c.call_id, "type": "function", "function": {"name": c.name, "arguments": c.arguments}} for c in calls]
    return wire


def _wire_part(part: Part) -> dict[str, Any]:
    if part.type == "text":
        return {"type": "text", "text": _encodable(part.text)}
    if part.type == "image" and part.data.startswith(("https://", "http://", "data:image/")):
        return {"type": "image_url", "image_url": {"url": part.data}}
    raise InputError(f"this backend cannot send {part.type} parts" + (" that are no URL" if part.type == "image" else ""))


def read_usage(body: Mapping[str, Any], bytes_in: int) -> Usage:
    """Tokens as the server counted them, else guessed at one per 3 bytes, reasoning and tool calls included, so that a budget still ends. An answer
    that holds only an error took none."""
    usage = body.get("usage")
    if isinstance(usage, dict):
        tokens_in, tokens_out = (next((n for name in names if (n := _count(usage.get(name))) is not None), None) for names in COUNTED)
        if tokens_in is not None and tokens_out is not None:
            return Usage(tokens_in, tokens_out, True)
    if body.get("error") and not body.get("choices"):
        return Usage(0, 0, False)
    return Usage(math.ceil(bytes_in / BYTES_PER_TOKEN), math.ceil(_bytes_out(_message(body)) / BYTES_PER_TOKEN), False)


def _bytes_out(message: Mapping[str, Any]) -> int:
    """Bytes of all that a model wrote. Servers that send one text under two names wrote it once."""
    waiting: list[Any] = [message.get(name) for name in WRITTEN]
    texts: set[str] = set()
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            texts.add(item)
        elif isinstance(item, (dict, list)):
            waiting += item.values() if isinstance(item, dict) else item
    return sum(len(text.encode("utf-8", "replace")) for text in texts)


def error_inside(body: Mapping[str, Any]) -> dict[str, Any] | None:
    """The error that an answer holds where a reply should be, {} where it ended with one and tells nothing; None for a reply."""
    choice = _choice(body)
    error = choice.get("error") if choice else body.get("error")
    if not error and choice.get("finish_reason") != "error":
        return None
    return error if isinstance(error, dict) else {"message": error} if isinstance(error, str) else {}


def read_reply(answer: Answer, max_tokens: int) -> Reply:
    """The reply in an answer. No visible text, a tool call, a content filter or an unknown ending is finish 'error', with the reason.
    A ``refusal`` field is what the model said, also behind a filter: that is what the person sees. Unreported token counts are 0."""
    body, usage = answer
    tokens_in, tokens_out = (usage.tokens_in, usage.tokens_out) if usage.reported else (0, 0)
    message = _message(body)
    refusal = _text(message.get("refusal"))
    text = _text(message.get("content")) or refusal
    finish = str(_choice(body).get("finish_reason") or "")
    if finish == "content_filter" and refusal:
        text, finish = refusal, "stop"
    error = _no_reply(body, message, text, finish, max_tokens)
    if error:
        return Reply(text="", finish="error", tokens_in=tokens_in, tokens_out=tokens_out, error=error)
    return Reply(text=text, finish="length" if finish == "length" else "stop", tokens_in=tokens_in, tokens_out=tokens_out)


def _no_reply(body: Mapping[str, Any], message: Mapping[str, Any], text: str, finish: str, max_tokens: int) -> str:
    if not _choice(body):
        return "the answer holds no choices"
    if finish == "content_filter":
        return "the server's content filter withheld the reply"
    if message.get("tool_calls") or message.get("function_call"):
        return "the reply holds tool calls, and what they would do cannot be judged" if text.strip() else "the reply holds tool calls and no text"
    if not text.strip():
        return f"no visible text within {max_tokens} tokens; raise max_tokens" if finish == "length" else "the reply is empty"
    return "" if finish == "length" or finish in ENDED else f"the reply ended with {finish[:40]!r}"


def first_tokens(body: Mapping[str, Any]) -> dict[str, float] | None:
    """Log-probability of each likely first token, None where the answer has none that can be read."""
    logprobs = _choice(body).get("logprobs")
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    first = content[0] if isinstance(content, list) and content else None
    if not isinstance(first, dict):
        return None
    top = first.get("top_logprobs")
    found: dict[str, float] = {}
    for item in [first, *(top if isinstance(top, list) else [])]:
        value = item.get("logprob") if isinstance(item, dict) else None
        if not isinstance(value, (int, float)) or math.isnan(value) or not isinstance(item.get("token"), str):
            return None
        found[item["token"]] = min(0.0, float(value))
    return found


def option_logprobs(tokens: Mapping[str, float], options: Sequence[str]) -> list[float]:
    """Log-probability (nats) of each option by its first token, -inf where none of the tokens begins it. Leading blanks do not count.

    It is that of the first token only, so an upper bound for longer options. Raises InputError where a likely token begins two options.
    """
    texts = [option.strip() for option in options]
    mass: list[list[float]] = [[] for _ in texts]
    shared: list[float] = []
    for token, value in tokens.items():
        start = token.strip()
        fits = [index for index, text in enumerate(texts) if start and text.startswith(start)]
        if len(fits) > 1:
            shared.append(value)
        elif fits:
            mass[fits[0]].append(value)
    sums = [_log_sum(values) for values in mass]
    if shared and math.exp(_log_sum(shared)) > AMBIGUOUS_SHARE * sum(map(math.exp, sums)):
        raise InputError(f"the options {texts!r} begin with the same token; give options that differ at once, such as 'A' and 'B'")
    return sums


def _log_sum(values: Iterable[float]) -> float:
    total = sum(math.exp(value) for value in values)
    return math.log(total) if total > 0 else -math.inf


def _choice(body: Mapping[str, Any]) -> dict[str, Any]:
    choices = body.get("choices")
    return choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}


def _message(body: Mapping[str, Any]) -> dict[str, Any]:
    message = _choice(body).get("message")
    return message if isinstance(message, dict) else {}


def _text(content: Any) -> str:
    if isinstance(content, list):
        content = "".join(part["text"] for part in content if isinstance(part, dict) and isinstance(part.get("text"), str))
    return _encodable(content) if isinstance(content, str) else ""


def _encodable(text: str) -> str:
    """Half a surrogate pair is legal in a JSON string and in no encoding; it becomes the replacement character."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _count(value: Any) -> int | None:
    whole = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 2**53 and value == int(value)
    return int(value) if whole else None
