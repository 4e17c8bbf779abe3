"""What would reach a model past every rail, because it is no text: tokens as numbers, tensors, caches and chats that lie elsewhere. In fields that
a surface does not know it is refused at any depth; lists of numbers too, as the next server's name for tokens is not known yet."""

from __future__ import annotations

import re
from collections.abc import Iterator, Set
from typing import Any, Final

#: Fields of vLLM, SGLang, llama.cpp, LMDeploy and TensorRT-LLM that carry a prompt, pictures, or the state of one, as something no rail can read.
UNREAD: Final = (
    "chat_template", "prompt_token_ids", "prompt_embeds", "input_ids", "input_embeds", "inputs_embeds", "token_ids", "prompt_ids", "image_data",
    "video_data", "audio_data", "multi_modal_data", "kv_transfer_params", "ec_transfer_params", "disaggregated_params", "migration_request",
    "session_params", "bootstrap_host", "cached_content",
)  # fmt: skip
#: Fields by which a model server or a router is told to search, or to run tools, by itself: what that finds never passes here.
HOSTED: Final = (
    "compound_custom", "connectors", "data_sources", "enable_search", "plugins", "search_options", "search_parameters", "search_settings",
    "web_search_options",
)  # fmt: skip
#: Fields whose numbers never become a prompt: they steer sampling, stand in a schema, or are what the SDK parsed of a message.
_NUMBERS: Final = frozenset(
    (
        "allowed_token_ids", "bad_words", "guided_choice", "guided_json", "json_schema", "logit_bias", "logprob_token_ids", "parsed",
        "parsed_arguments", "response_format", "stop", "stop_token_ids", "structured_outputs", "tools",
    )
)  # fmt: skip
#: Servers read a number from such a string as well.
_DIGITS = re.compile(r"\s*[+-]?[0-9][0-9_]*(?:\.0*)?\s*")
_NAME = re.compile(r"[A-Za-z0-9_]{1,40}")


def is_set(value: Any) -> bool:
    """Whether a field that is not served asks for anything."""
    return value is not None and value is not False and value != []


def unread(given: dict[str, Any], known: Set[str]) -> tuple[str, str] | None:
    """The first field that ``known`` does not name, or that lies in one of those, with something that no rail can read: its name ('' if that could
    be a text) and why it is refused. None if there is none."""
    found = next((found for key, value in given.items() if key not in known for found in _in(key, value)), None)
    return None if found is None else (found[0] if _NAME.fullmatch(found[0]) else "", found[1])


def _in(key: str, value: Any) -> Iterator[tuple[str, str]]:
    if key in _NUMBERS:
        return
    if key in UNREAD and is_set(value):
        yield key, "is not served here: no rail can read it"
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _in(name, inner)
    elif isinstance(value, list):
        if _numeric(value):
            yield key, "is not served here: a list of numbers may be tokens, and no rail can read those"
        for inner in value:
            if isinstance(inner, dict | list):
                yield from _in(key, inner)


def _numeric(value: list[Any]) -> bool:
    if any(isinstance(one, int | float) and not isinstance(one, bool) for one in value):
        return True
    return bool(value) and all(isinstance(one, str) and _DIGITS.fullmatch(one) for one in value)
