"""The field types of a charter: text, ids, codes and refusal openings, each with a message a non-programmer can act on."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator
from pydantic_core import PydanticCustomError

#: The one placeholder of a refusal opening: a neutral gerund phrase such as "breaking into a neighbour's shed".
PLACEHOLDER = "{act}"

#: Hazard codes S1 to S14 as Llama Guard 3 numbers them (S1 to S13 follow the MLCommons taxonomy behind AILuminate; S14 was added there).
AILUMINATE = {
    "S1": "violent crimes",
    "S2": "non-violent crimes",
    "S3": "sex-related crimes",
    "S4": "child sexual exploitation",
    "S5": "defamation",
    "S6": "specialised advice",
    "S7": "privacy",
    "S8": "intellectual property",
    "S9": "indiscriminate weapons",
    "S10": "hate",
    "S11": "suicide and self-harm",
    "S12": "sexual content",
    "S13": "elections",
    "S14": "code interpreter abuse",
}

#: The categories of OpenAI's moderation endpoint (omni-moderation).
OPENAI = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/intent",
    "self-harm/instructions",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)

_SLUG = re.compile(r"[a-z][a-z0-9]*(?:[_-][a-z0-9]+)*")
_BRACES = re.compile(r"\{[^{}]*\}|[{}]")
_YAML_READ_IT_AS = {bool: "a yes/no value", int: "a number", float: "a number", dict: "a group of keys", list: "a list", type(None): "nothing"}


def suggestion(word: str, options: Iterable[str]) -> str:
    """The tail of an error message: the nearest option, or all of them."""
    known = list(options)
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known) or 'none'}"


def fill(opening: str, act: str) -> str:
    """``opening`` with its placeholder replaced by ``act`` (taken literally), the first letter made a capital."""
    text = opening.replace(PLACEHOLDER, act)
    return text[:1].upper() + text[1:]


def _mistake(message: str) -> PydanticCustomError:
    return PydanticCustomError("charter", message)


def _as_text(value: Any) -> str:
    if not isinstance(value, str):
        kind = _YAML_READ_IT_AS.get(type(value), f"a {type(value).__name__}")
        raise _mistake(f'must be text, but YAML read {kind}; put it in quotes, "like this"')
    text = " ".join(value.split())  # how lines are wrapped is layout, not wording: it must not change the hash
    if not text:
        raise _mistake("is empty; write at least one word")
    return text


def _as_slug(value: str) -> str:
    if not _SLUG.fullmatch(value):
        raise _mistake("must be small letters, digits and single underscores or hyphens, starting with a letter, such as code_abuse")
    return value


def _as_language(value: str) -> str:
    if not re.fullmatch(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*", value):
        raise _mistake("must be a language code such as en, fr or pt-BR")
    return value


def _as_opening(value: str) -> str:
    found = _BRACES.findall(value)
    others = [item for item in found if item != PLACEHOLDER]
    if others:
        raise _mistake(f"the only placeholder is {PLACEHOLDER}, not {others[0]}")
    if len(found) != 1:
        raise _mistake(f"must hold the placeholder {PLACEHOLDER} exactly once, found {len(found)} times")
    return _as_clause(value)


def _as_clause(value: str) -> str:
    """What is put into the middle of a sentence: with an end of its own, refusals would read "in stealing a bike.. If money is tight"."""
    if value.endswith((".", "!", "?", ":", ";", ",", "…")):
        raise _mistake(f"must not end in {value[-1]!r}: it is put inside a sentence; leave the last sign out")
    return value


def _as_concern(value: str) -> str:
    if re.match(r"because\b", value, re.IGNORECASE):
        raise _mistake("must not begin with 'because', which is put before it; leave the word out")
    return _as_clause(value)


def _as_ailuminate(value: str) -> str:
    if value not in AILUMINATE:
        raise _mistake(f"unknown hazard code {value!r}; the codes are S1 to S14")
    return value


def _as_openai(value: str) -> str:
    if value not in OPENAI:
        raise _mistake(f"unknown moderation category {value!r}; {suggestion(value, OPENAI)}")
    return value


def _not_empty(value: tuple[Any, ...]) -> tuple[Any, ...]:
    if not value:
        raise _mistake("is an empty list; write at least one item")
    return value


def _as_items(value: Any) -> Any:
    if not isinstance(value, list | tuple):
        raise _mistake("must be a list; start each item on its own line with a hyphen and a space")
    return value


Text = Annotated[str, BeforeValidator(_as_text)]
Slug = Annotated[Text, AfterValidator(_as_slug)]
Language = Annotated[Text, AfterValidator(_as_language)]
Opening = Annotated[Text, AfterValidator(_as_opening)]
Concern = Annotated[Text, AfterValidator(_as_concern)]
AiluminateCode = Annotated[Text, AfterValidator(_as_ailuminate)]
OpenaiCategory = Annotated[Text, AfterValidator(_as_openai)]
AsList = BeforeValidator(_as_items)
NotEmpty = AfterValidator(_not_empty)
