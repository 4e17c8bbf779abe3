"""Shapes: what may stand in a JSON body, field by field, and what of it is text. A surface is written down as shapes; walking a body with them is
what reads it, and listing them is its contract, so that the two cannot differ.

Nothing that holds text gets past a shape unread: the texts of an unknown field are read in a request; in an answer such a field is left out. ``null``
may stand anywhere. Names in the contract: ``input[message].content[input_text].text``; ``[tag]`` is the member of a union.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

from charter.guard.gateway.surfaces._located import Path, as_text
from charter.guard.gateway.surfaces._surface import Contract
from charter.guard.gateway.surfaces._texts import digest, is_blob, is_word, leaves, tells
from charter.guard.gateway.surfaces._unread import unread

Kind = Literal["text", "name", "arguments", "image", "audio", "video", "file"]
_PLAIN = re.compile(r"[A-Za-z0-9_.:/@+=-]{0,256}")
_OTHER = re.compile(r"[^A-Za-z0-9_.:/@+=-]")
_KEY = re.compile(r"[A-Za-z0-9_.:/@+-]{1,64}")


class Unreadable(Exception):
    """``name`` is the field (its plain part), ``why`` what is wrong with it; neither holds text of the body. ``code``: what a client is told; a
    mistake of form is no content that was withheld, and is not counted as one."""

    def __init__(self, name: str, why: str, code: str = "invalid_request") -> None:
        super().__init__(f"{name}: {why}")
        self.name, self.why, self.code = name, why, code


class Bit(NamedTuple):
    """Something that was read: text, a tool's name or its arguments (JSON source), or media (``text`` is then its URL or data). ``path`` is where it
    may be rewritten, None where it may not."""

    kind: Kind
    text: str
    path: Path | None


@dataclass
class Reading:
    """What a walk found, in order. ``strict`` (a request): what does not fit raises, and texts of unknown fields are read; else (an answer) such a
    field is left out of the value that the walk returns."""

    strict: bool
    bits: list[Bit] = field(default_factory=list)


class Shape(Protocol):
    """One kind of value."""

    def walk(self, value: Any, at: Path, name: str, into: Reading) -> Any:
        """Read ``value`` and return what of it may go on (itself, where all of it may). Raises Unreadable."""
        ...

    def contract(self, name: str) -> Iterator[tuple[str, Contract]]:
        """Every field and its class."""
        ...


@dataclass(frozen=True)
class Text:
    """Text that a model reads or a person sees."""

    kind: Kind = "text"
    fixed: bool = False  # what a mask in it would break, such as a key

    def walk(self, value: Any, at: Path, name: str, into: Reading) -> Any:
        if value is None:
            return None
        if not isinstance(value, str):
            raise Unreadable(name, "must be text")
        if value:
            into.bits.append(Bit(self.kind, value, None if self.fixed else at))
        return value

    def contract(self, name: str) -> Iterator[tuple[str, Contract]]:
        yield name, "guarded"


@dataclass(frozen=True)
class Json:
    """Any JSON value. ``whole``: its JSON text is what is read (arguments of a tool); else each of its strings (``_texts.leaves``)."""

    kind: Kind = "text"
    whole: bool = False

    def walk(self, value: Any, at: Path, name: str, into: Reading) -> Any:
        if self.whole and value is not None:
            into.bits.append(Bit(self.kind, as_text(value), at))
        elif value is not None:
            into.bits += [Bit(self.kind, text, path) for path, text in leaves(value, at)]
        return value

    def contract(self, name: str) -> Iterator[tuple[str, Contract]]:
        yield name, "guarded"


@dataclass(frozen=True)
class Media:
    """A picture, a sound, a file: the guard's policy lets media pass or not; nothing here looks into them."""

    kind: Kind

    def walk(self, value: Any, at: Path, name: str, into: Reading) -> Any:
        if value is not None:
            into.bits.append(Bit(self.kind, digest(value), None))
        return value

    def contract(self, name: str) -> Iterator[tuple[str, Contract]]:
        yield name, "guarded"


@dataclass(frozen=True)
class Number:
    """A number or a flag."""

    def walk(self, value: Any, at: Path, name: str, into: Reading) -> Any:
        if value is None or isinstance(value, (bool, int, float)):
            return value
        raise Unreadable(name, "must be a number or a flag")

    def contract(self, name: str) -> Iterator[tuple[str, Contract]]:
        yield name, "opaque"


@dataclass(frozen=True)
class Numbers:
    """A long list of numbers, read at once."""

    def walk(self, value: Any, at: Path, name: str, into: Reading) -> Any:
        if isinstance(value, list) and set(map(type, value)) <= {int, float}:
            return value
        raise Unreadable(name, "must be a list of numbers")

    def contract(self, name: str) -> Iterator[tuple[str, Contract]]:
        yield name, "opaque"


@dataclass(frozen=True)
class Plain:
    """An identifier, a word of a list, or (``blob``) base64 that only its maker can read: no spaces, so no sentence. Numbers and flags pass too."""

    blob: bool = False

    def walk(self, value: Any, at: Path, name: str, into: Reading) -> Any:
        if value is None or isinstance(value, (bool, int, float)):
            return value
        if isinstance(value, str) and (is_blob(value) if self.blob else _PLAIN.fullmatch(value)):
            return value
        if isinstance(value, str) and not into.strict:  # an answer is not lost for a file name with a space in it
            return None if self.blob else _OTHER.sub("_", value)[:256]
        raise Unreadable(name, "must be base64" if self.blob else "must be a plain name (letters, digits and _.:/@+=-, at most 256)")

    def contract(self, name: str) -> Iterator[tuple[str, Contract]]:
        yield name, "constrained"


@dataclass(frozen=True)
class Word:
    """A setting that is one of a few words, and may stand in the model's prompt: too short for a sentence."""

    def walk(self, value: Any, at: Path, name: str, into: Reading) -> Any:
        if value is None or (isinstance(value, str) and is_word(value)):
            return value
        raise Unreadable(name, "must be a word of at most 16 letters")

    def contract(self, name: str) -> Iterator[tuple[str, Contract]]:
        yield name, "constrained"


@dataclass(frozen=True)
class Known:
    """In an answer, one of these words; null for any other."""

    words: frozenset[str]

    def walk(self, value: Any, at: Path, name: str, into: Reading) -> Any:
        return value if isinstance(value, str) and value in self.words else None

    def contract(self, name: str) -> Iterator[tuple[str, Contract]]:
        yield name, "constrained"


@dataclass(frozen=True)
class Words:
    """Any settings made of plain names, numbers and flags."""

    def walk(self, value: Any, at: Path, name: str, into: Reading) -> Any:
        if isinstance(value, dict):
            return Dictionary(self).walk(value, at, name, into)
        return (Many(self) if isinstance(value, list) else Plain()).walk(value, at, name, into)

    def contract(self, name: str) -> Iterator[tuple[str, Contract]]:
        yield name, "constrained"


@dataclass(frozen=True)
class Refused:
    """What this gateway does not serve."""

    why: str = "is not served by this gateway, because it could not be checked"

    def walk(self, value: Any, at: Path, name: str, into: Reading) -> Any:
        if value is None or value is False or value == []:
            return value
        raise Unreadable(name, self.why, "unsupported_content")

    def contract(self, name: str) -> Iterator[tuple[str, Contract]]:
        yield name, "refused"


@dataclass(frozen=True)
class Beside:
    """Of an answer: never passed on as it came. The surface puts in what it knows itself (a field of the request, log probabilities that spell the
    checked text), or nothing."""

    def walk(self, value: Any, at: Path, name: str, into: Reading) -> Any:
        return None

    def contract(self, name: str) -> Iterator[tuple[str, Contract]]:
        yield name, "constrained"


@dataclass(frozen=True)
class Many:
    """A list. In an answer none of its items is null: whoever reads on counts on them."""

    of: Shape

    def walk(self, value: Any, at: Path, name: str, into: Reading) -> Any:
        if value is None:
            return None
        if not isinstance(value, list):
            raise Unreadable(name, "must be a list")
        if not into.strict and None in value:
            raise Unreadable(name, "must hold no null")
        return _same(value, [self.of.walk(item, (*at, n), name, into) for n, item in enumerate(value)])

    def contract(self, name: str) -> Iterator[tuple[str, Contract]]:
        yield from self.of.contract(name)


@dataclass(frozen=True)
class Dictionary:
    """An object with any keys; the keys are plain names, and texts where its values are."""

    of: Shape

    def walk(self, value: Any, at: Path, name: str, into: Reading) -> Any:
        if value is None:
            return None
        if not isinstance(value, dict) or not all(_KEY.fullmatch(key) for key in value):
            raise Unreadable(name, "must be an object whose keys are plain names")
        if into.strict and isinstance(self.of, Text):
            into.bits += [Bit("text", key, None) for key in value]
        return _same(value, {key: self.of.walk(item, (*at, key), f"{name}.*", into) for key, item in value.items()})

    def contract(self, name: str) -> Iterator[tuple[str, Contract]]:
        yield from self.of.contract(f"{name}.*")


class Object:
    """An object with known keys. Texts are read in the order in which the shape names them, whatever order the body has."""

    def __init__(self, **fields: Shape) -> None:
        self.fields: Mapping[str, Shape] = {name.rstrip("_"): shape for name, shape in fields.items()}

    def but(self, **fields: Shape) -> Object:
        """A copy with other or more fields."""
        return Object(**{**self.fields, **fields})

    def walk(self, value: Any, at: Path, name: str, into: Reading) -> Any:
        if value is None:
            return None
        if not isinstance(value, dict):
            raise Unreadable(name or "the body", "must be an object")
        dot = f"{name}." if name else ""
        found = {key: shape.walk(value[key], (*at, key), f"{dot}{key}", into) for key, shape in self.fields.items() if key in value}
        refused = unread(value, self.fields.keys()) if into.strict and not value.keys() <= self.fields.keys() else None
        if refused is not None:
            raise Unreadable(f"{dot}{refused[0]}" if refused[0] else name or "a field", refused[1], "unsupported_field")
        for key in [key for key in value if key not in self.fields]:
            if into.strict:
                into.bits += [Bit("text", text, path) for path, text in leaves({key: value[key]}, at)]
                found[key] = value[key]
            elif not tells({key: value[key]}):
                found[key] = value[key]
        return _same(value, {key: found[key] for key in value if key in found})

    def contract(self, name: str) -> Iterator[tuple[str, Contract]]:
        if not self.fields and name:  # numbers and flags alone
            yield name, "opaque"
        for key, shape in self.fields.items():
            yield from shape.contract(f"{name}.{key}" if name else key)


class Union:
    """Objects that a field tells apart. ``missing`` is the tag of those without the field."""

    def __init__(self, by: str, members: Mapping[str, Shape], missing: str = "") -> None:
        self.by, self.members, self.missing = by, members, missing

    def walk(self, value: Any, at: Path, name: str, into: Reading) -> Any:
        if value is None:
            return None
        tag = (value.get(self.by) or self.missing) if isinstance(value, dict) else None
        shape = self.members.get(tag) if isinstance(tag, str) else None
        if shape is None:
            shown = f" of {self.by} {tag}" if isinstance(tag, str) and _KEY.fullmatch(tag) else ""
            raise Unreadable(name, f"has a part{shown} that cannot be checked", "unsupported_content")
        return shape.walk(value, at, f"{name}[{tag}]", into)

    def contract(self, name: str) -> Iterator[tuple[str, Contract]]:
        for tag, shape in self.members.items():
            yield from shape.contract(f"{name}[{tag}]")


@dataclass(frozen=True)
class Either:
    """Text, a list or an object, whichever it is."""

    text: Shape | None = None
    items: Shape | None = None
    object: Shape | None = None

    def walk(self, value: Any, at: Path, name: str, into: Reading) -> Any:
        if value is None:
            return None
        shape = self.items if isinstance(value, list) else self.object if isinstance(value, dict) else self.text
        if shape is None:
            raise Unreadable(name, "has a form that is not known")
        return shape.walk(value, at, name, into)

    def contract(self, name: str) -> Iterator[tuple[str, Contract]]:
        for shape in (self.text, self.items, self.object):
            if shape is not None:
                yield from shape.contract(name)


def contract_of(shape: Shape) -> dict[str, Contract]:
    """Every field of a shape. One name with two classes (text or list) has the one that is checked."""
    found: dict[str, Contract] = {}
    for name, kind in shape.contract(""):
        if found.get(name) != "guarded":
            found[name] = kind
    return found


def _same(old: Any, new: Any) -> Any:
    """``old`` if nothing was left out of it: most bodies are not copied."""
    if isinstance(old, dict):
        return old if len(old) == len(new) and all(new[key] is old[key] for key in old) else new
    return old if all(a is b for a, b in zip(old, new, strict=True)) else new
