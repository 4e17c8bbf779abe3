"""Every field of a type of the official SDKs (TypedDict or pydantic model), nested, and a value of the type with a mark in just that field.

Paths are tagged: ``input[message].content[input_text].text``. A member of a union is named by its literal ``type`` (or ``role``); lists are left out
of the path; keys of dictionaries are ``*``.
"""

from __future__ import annotations

import collections.abc
import types
from collections.abc import Iterator
from functools import cache
from typing import Annotated, Any, Literal, NamedTuple, NotRequired, Required, Union, get_args, get_origin, get_type_hints

import pydantic
import typing_extensions
from typing_extensions import is_typeddict

#: text: any string; literal: strings of a list; number; flag; any: not said.
Kind = Literal["text", "literal", "number", "flag", "any", "null"]
MARK = "zq forbidden words"
WRAPPERS = (Required, NotRequired, Annotated, typing_extensions.Required, typing_extensions.NotRequired)


class Leaf(NamedTuple):
    """A field that holds no other fields. ``value``: a value of the whole type with MARK in this field, None where no text can stand in it."""

    path: str
    kind: Kind
    value: Any


def leaves(hint: Any, seen: tuple[Any, ...] = ()) -> Iterator[Leaf]:
    """Every leaf of ``hint``. A type inside itself is not entered again."""
    hint = bare(hint)
    origin, args = get_origin(hint), get_args(hint)
    if is_object(hint):
        if hint not in seen:
            for name, field in fields(hint).items():
                for path, kind, value in leaves(field, (*seen, hint)):
                    whole = None if value is None else {**least_fields(hint), name: value}
                    yield Leaf(f"{name}{_dotted(path)}", kind, whole)
    elif origin in (Union, types.UnionType):
        for member in flat(hint):
            tags = tags_of(member) or ("",)
            for path, kind, value in leaves(member, seen):
                for tag in tags:
                    yield Leaf((f"[{tag}]" if tag else "") + _dotted(path), kind, value if value is None or not tag else retagged(value, tag, member))
    elif origin in (Literal, typing_extensions.Literal):
        yield Leaf("", "literal", None)
    elif origin in (dict, collections.abc.Mapping):
        for path, kind, value in leaves(args[1], seen):
            yield Leaf(f".*{_dotted(path)}", kind, None if value is None else {"key": value})
    elif args and origin is not None:
        for path, kind, value in leaves(args[0], seen):
            yield Leaf(path, kind, None if value is None else [value])
    else:
        kind = kind_of(hint)
        yield Leaf("", kind, MARK if kind == "text" else {"deep": [MARK]} if kind == "any" else None)


def _dotted(path: str) -> str:
    return path if not path or path[0] in ".[" else f".{path}"


def retagged(value: Any, tag: str, member: Any) -> Any:
    """``value`` as the member of the union that ``tag`` names, where one type has several tags."""
    return {**value, "type": tag} if "type" in fields(bare(member)) and isinstance(value, dict) else value


@cache
def least_fields(hint: Any) -> dict[str, Any]:
    """The fields that a value of an object must have, and those that tell it apart."""
    return {name: least(field) for name, field in fields(hint).items() if name in ("type", "role") or name in required(hint)}


def least(hint: Any) -> Any:
    """The smallest value of a type."""
    hint = bare(hint)
    origin, args = get_origin(hint), get_args(hint)
    if is_object(hint):
        return dict(least_fields(hint))
    if origin in (Union, types.UnionType):
        members = flat(hint)
        return least(next((m for m in members if not is_object(m)), members[0]))
    if origin in (Literal, typing_extensions.Literal):
        return args[0]
    if origin in (dict, collections.abc.Mapping):
        return {}
    if args and origin is not None:
        return []
    return {"text": "x", "number": 0, "flag": False, "any": {}, "null": None, "literal": ""}[kind_of(hint)]


def bare(hint: Any) -> Any:
    while get_origin(hint) in WRAPPERS:
        hint = get_args(hint)[0]
    return hint


@cache
def flat(hint: Any) -> tuple[Any, ...]:
    hint = bare(hint)
    if get_origin(hint) in (Union, types.UnionType):
        return tuple(member for arg in get_args(hint) for member in flat(arg))
    return (hint,)


def is_object(hint: Any) -> bool:
    return is_typeddict(hint) or (isinstance(hint, type) and get_origin(hint) is None and issubclass(hint, pydantic.BaseModel))


@cache
def fields(hint: Any) -> dict[str, Any]:
    if is_typeddict(hint):
        return get_type_hints(hint, include_extras=True)
    return {field.alias or name: field.annotation for name, field in hint.model_fields.items()}


@cache
def required(hint: Any) -> frozenset[str]:
    if is_typeddict(hint):
        return frozenset(name for name, field in fields(hint).items() if get_origin(field) in (Required, typing_extensions.Required))
    return frozenset(field.alias or name for name, field in hint.model_fields.items() if field.is_required())


@cache
def tags_of(hint: Any) -> tuple[str, ...]:
    """The values of the field that tells a member of a union apart."""
    hint = bare(hint)
    if is_object(hint):
        for name in ("type", "role"):
            if name in fields(hint):
                options = [option for member in flat(fields(hint)[name]) for option in get_args(member) if isinstance(option, str)]
                if options:
                    return tuple(options)
    return ()


def kind_of(hint: Any) -> Kind:
    if hint is str:
        return "text"
    if hint is bool:
        return "flag"
    if hint in (int, float):
        return "number"
    return "null" if hint is type(None) else "any"
