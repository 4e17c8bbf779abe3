"""Every field of a type of the official SDKs (TypedDict or pydantic model), nested, by tagged path: ``input[message].content[input_text].text``.

A member of a union is named by its literal ``type`` (or ``role``); lists are left out of the path; keys of dictionaries are ``*``.
"""

from __future__ import annotations

import collections.abc
import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, NamedTuple, NotRequired, Required, Union, get_args, get_origin, get_type_hints

import pydantic
import typing_extensions
from typing_extensions import is_typeddict

#: text: any string; literal: strings of a list; number; flag; any: not said.
Kind = Literal["text", "literal", "number", "flag", "any", "null"]


class Leaf(NamedTuple):
    path: str
    kind: Kind


def leaves(hint: Any, path: str = "", seen: tuple[Any, ...] = ()) -> Iterator[Leaf]:
    """Every field of ``hint`` that holds no other fields. A type inside itself is not entered again."""
    hint = bare(hint)
    if is_object(hint):
        if hint in seen:
            return
        for name, field in fields(hint).items():
            yield from leaves(field, f"{path}.{name}" if path else name, (*seen, hint))
        return
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        for member in flat(hint):
            tag = tag_of(member)
            yield from leaves(member, f"{path}[{tag}]" if tag else path, seen)
    elif origin in (Literal, typing_extensions.Literal):
        yield Leaf(path, "literal")
    elif origin in (dict, collections.abc.Mapping):
        yield from leaves(args[1], f"{path}.*", seen)
    elif args and origin is not None:
        yield from leaves(args[0], path, seen)
    else:
        yield Leaf(path, kind_of(hint))


def bare(hint: Any) -> Any:
    while get_origin(hint) in (Required, NotRequired, Annotated, typing_extensions.Required, typing_extensions.NotRequired):
        hint = get_args(hint)[0]
    return hint


def flat(hint: Any) -> list[Any]:
    hint = bare(hint)
    if get_origin(hint) in (Union, types.UnionType):
        return [member for arg in get_args(hint) for member in flat(arg)]
    return [hint]


def is_object(hint: Any) -> bool:
    return is_typeddict(hint) or (isinstance(hint, type) and issubclass(hint, pydantic.BaseModel))


def fields(hint: Any) -> dict[str, Any]:
    if is_typeddict(hint):
        return get_type_hints(hint, include_extras=True)
    return {field.alias or name: field.annotation for name, field in hint.model_fields.items()}


def tag_of(hint: Any) -> str:
    hint = bare(hint)
    if not is_object(hint):
        return ""
    found = fields(hint)
    for name in ("type", "role"):
        if name in found:
            options = [option for member in flat(found[name]) for option in get_args(member) if isinstance(option, str)]
            if options:
                return "|".join(options)
    return ""


def kind_of(hint: Any) -> Kind:
    if hint is str:
        return "text"
    if hint is bool:
        return "flag"
    if hint in (int, float):
        return "number"
    if hint is type(None):
        return "null"
    return "any"
