"""What of an answer is no text, and stays none: names and enumerations are plain, counts are numbers, log probabilities spell their text.

A model server is not trusted to keep to that: what it says in a field that no rail reads would reach the client unread.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

_PLAIN = re.compile(r"[A-Za-z0-9_.:/@+=-]{0,256}")
_OTHER = re.compile(r"[^A-Za-z0-9_.:/@+=-]")
#: What is longer, or has a space inside, is no token but a text.
_TOKEN = re.compile(r"\s{0,32}\S{0,32}")
#: Tokens that only end a text, in the spellings of the usual vocabularies.
_END = re.compile(r"<\|[A-Za-z_]{1,24}\|>|</s>|<eos>|<end_of_turn>|<\uff5cend\u2581of\u2581sentence\uff5c>")
#: Alternatives of one token that are passed on; the published most.
_ALTERNATIVES = 20


def plain(value: Any) -> Any:
    """A name as it is, or without what no name has. Numbers pass; anything else is None."""
    if isinstance(value, str):
        return value if _PLAIN.fullmatch(value) else _OTHER.sub("_", value)[:256]
    return value if isinstance(value, int | float) else None


def tidy(given: dict[str, Any], names: Iterable[str], seen: set[Any] | None = None) -> dict[str, Any]:
    """``given`` with the fields in ``names`` plain; itself if they are. ``seen`` keeps values that were found plain: streams repeat them."""
    changed: dict[str, Any] = {}
    for name in names:
        value = given.get(name)
        if value is None or (seen is not None and isinstance(value, str) and value in seen):
            continue
        clean = plain(value)
        if clean is not value:
            changed[name] = clean
        elif seen is not None:
            seen.add(value)
    return {**given, **changed} if changed else given


def alternatives(given: Any, count: int) -> list[dict[str, Any] | None] | None:
    """Alternatives of ``count`` tokens as ``/v1/completions`` writes them: numbers by token."""
    if not isinstance(given, list) or len(given) != count:
        return None
    return [
        {other: number for other, number in [*each.items()][:_ALTERNATIVES] if is_token(other) and isinstance(number, int | float)}
        if isinstance(each, dict)
        else None
        for each in given
    ]


def numbers(given: Any) -> list[int | float | None]:
    """A list of numbers; what is none is null."""
    return [one if isinstance(one, int | float) else None for one in given] if isinstance(given, list) else []


def is_token(text: Any) -> bool:
    return isinstance(text, str) and _TOKEN.fullmatch(text) is not None


def spells(given: Any, text: str | None, ends: bool) -> bool:
    """Whether these tokens are those of ``text``; where the text ``ends``, one end mark may come after it. No tokens spell a text that is not there:
    what they say would be read by nobody. A token may be empty: part of a letter, which the next one completes."""
    if not text or not isinstance(given, list) or not given or not all(isinstance(one, str) for one in given):
        return False
    if len(given) > 4 * len(text) + 1:
        return False
    return "".join(given) == text or (ends and "".join(given[:-1]) == text and _END.fullmatch(given[-1]) is not None)


def token(one: dict[str, Any]) -> dict[str, Any]:
    """A token with its number. Its bytes spell it, but for one that is a part of a letter."""
    told: dict[str, Any] = {"token": one["token"]}
    if "logprob" in one:
        told["logprob"] = one["logprob"] if isinstance(one["logprob"], int | float) else None
    if "bytes" in one:
        given = one["bytes"]
        half = "\ufffd" in one["token"] and isinstance(given, list) and len(given) <= 4 and set(map(type, given)) <= {int}
        told["bytes"] = given if half or given is None else list(one["token"].encode("utf-8", "surrogatepass"))
    return told


def tokens(given: Any, text: str | None, *, ends: bool) -> list[Any] | None:
    """Log probabilities that may go with ``text``, None if these are not its own. Alternatives are kept while they are tokens and not texts."""
    if given == []:
        return []
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given) or not spells([one.get("token") for one in given], text, ends):
        return None
    return [{**token(one), **_alternatives(one)} for one in given]


def _alternatives(one: dict[str, Any]) -> dict[str, Any]:
    given = one.get("top_logprobs")
    if not isinstance(given, list):
        return {}
    return {"top_logprobs": [token(other) for other in given[:_ALTERNATIVES] if isinstance(other, dict) and is_token(other.get("token"))]}
