"""Put strangers' text into a prompt so that it cannot pose as the prompt."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

_PLACE = re.compile(r"\{(\w+)\}")
#: Texts that chat formats read as control tokens: <|im_end|>, <end_of_turn>, [INST], <<SYS>>, </s>, [|assistant|], <seed:bos>, <reserved_106>,
#: <|turn>, <turn|>, <BOS_TOKEN>, [gMASK] and their kin, in ASCII or full-width bars.
_CONTROL = re.compile(
    r"<(?=[|｜]/?\w{1,40}>|/?\w{1,40}[|｜]>|/?\w{1,30}_(?:token|user|assistant|system)>|/?role>|[|｜][^<>\s]{1,60}[|｜]>|/?(?:s|bos|eos|eoh|eoa|sop|eop|pad|unk|mask|cls|sep|think|guardian|no-think|score|confidence|tool_call|"
    r"tool_response|tools|answer)>|(?:start|end)_of_\w{1,30}>|<?/?SYS>|/?(?:BEGIN|END)\b|\w{1,20}:\w{1,20}>|(?:reserved|extra_id|unused|special)"
    r"[_a-z]{0,20}\d{1,4}>|[\[\]]?\w{0,12}unused\d)|"
    r"\[(?=/?(?:INST|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT|SYSTEM_PROMPT|ARGS|CALL_ID|THINK|IMG|BOS|EOS|CLS|SEP|UNK|PAD|MASK|gMASK|UNUSED_TOKEN_\d{1,4}|"
    r"sMASK)\]|[|｜][^\[\]\s]{1,60}[|｜]\])|\](?=~!?b[\[\]])|\[(?=e~\[)",
    re.IGNORECASE,
)


def fill(template: str, values: Mapping[str, str]) -> str:
    """Replace each ``{name}`` of ``template`` by its value in a single pass: braces inside a value are text, never a placeholder.

    Raises KeyError for a placeholder without a value.
    """
    return _PLACE.sub(lambda match: values[match[1]], template)


def mark_for(*texts: str) -> str:
    """A code that occurs in none of ``texts``, so that none of them can close its own quotation. Same texts, same code."""
    for attempt in range(1000):
        content = "\x1f".join([str(attempt), *texts]).encode("utf-8", "surrogatepass")
        mark = hashlib.sha256(content).hexdigest()[:12]
        if not any(mark in text for text in texts):
            return mark
    raise ValueError("no code is free of the judged texts")


def transcript(roles_and_texts: list[tuple[str, str]]) -> str:
    """A conversation as plain text, one turn a paragraph, each line indented: no line of a turn can look like a role or a marker."""
    turns = []
    for role, text in roles_and_texts:
        turns.append(f"{role}:\n{quoted(text)}")
    return "\n".join(turns)


def quoted(text: str) -> str:
    """Every line indented by ``| ``; all line breaks, also the exotic ones, count. Control tokens are broken."""
    return "\n".join(f"| {line}" for line in defang(text).splitlines()) or "| "


def defang(text: str) -> str:
    """``text`` in which no chat format finds a control token: a blank follows the first character of each. A tokenizer would otherwise read
    ``<|im_end|>`` in a judged reply as the end of the whole question, and what follows as somebody else's words."""
    return _CONTROL.sub(lambda match: match[0] + " ", text)


def version_of(*texts: str) -> str:
    """Eight digits that change with any of the texts a judge asks with."""
    return hashlib.sha256("\x1f".join(texts).encode("utf-8", "surrogatepass")).hexdigest()[:8]
