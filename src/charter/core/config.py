"""YAML to strict pydantic, with the line of every mistake.

``read_yaml`` remembers where each value stood; ``parse`` turns every pydantic complaint into one line that names the file, the line, the key,
the value and, for a mistyped key, the right one. Duplicate keys are refused: YAML would silently keep the last.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from charter.core.errors import InputError

M = TypeVar("M", bound=BaseModel)
KeyPath = tuple[str | int, ...]
#: Entries that aliases may repeat in one document.
MOST_REPEATED = 10_000


class Config(BaseModel):
    """Base of every configuration: frozen, unknown keys refused. Field descriptions are the documentation."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def as_text(value: Any) -> Any:
    """A mapping of one name to its settings as one line of YAML, ``name: {key: value}``; anything else as it is. Raises ValueError for a mapping of
    several names."""
    if not isinstance(value, Mapping):
        return value
    if len(value) != 1:
        raise ValueError("is text, or a mapping of one name to its settings")
    ((name, settings),) = value.items()
    line = yaml.safe_dump(settings, default_flow_style=True, sort_keys=False, allow_unicode=True, width=float("inf"))
    return f"{name}: {line.removesuffix('...' + chr(10)).strip()}"


#: A model or a judge: its name, or a mapping of its name to settings, kept as text so that it can be told, compared and given back.
SpecText = Annotated[str, BeforeValidator(as_text)]


class Problem(NamedTuple):
    """One mistake in a document, with the line (1-based; 0 = the whole file)."""

    line: int
    where: str
    message: str

    def __str__(self) -> str:
        place = f"line {self.line}: " if self.line else ""
        return f"{place}{self.where}: {self.message}" if self.where else f"{place}{self.message}"


class Document(NamedTuple):
    """A parsed YAML file and where each key and item stood."""

    name: str
    data: Any
    lines: dict[KeyPath, int]
    problems: tuple[Problem, ...]


def read_yaml(path: Path) -> Document:
    """Read one YAML document. Raises InputError (file, line) if it cannot be read as YAML at all."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file", "check the path") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a folder, not a YAML file", f"ls {path}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text (byte {error.start})", f"iconv -t UTF-8 {path}") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}", f"ls -l {path}") from None
    return parse_yaml(text, str(path))


def parse_yaml(text: str, name: str) -> Document:
    """``read_yaml`` for text that is already in memory; ``name`` is used in messages."""
    lines: dict[KeyPath, int] = {}
    problems: list[Problem] = []
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if node is not None:  # before the data are built: merged keys and aliases of aliases grow beyond any memory
            _walk(node, (), lines, problems, _Repeats(name))
        data = None if node is None else yaml.SafeLoader("").construct_document(node)
    except InputError:
        raise
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 0
        raise InputError(f"{name}: line {line}: not valid YAML: {getattr(error, 'problem', error)}") from None
    except (ValueError, RecursionError) as error:  # PyYAML lets these through for impossible dates and endless nesting
        raise InputError(f"{name}: not valid YAML: {error}") from None
    return Document(name, data, lines, tuple(problems))


class _Repeats:
    """Counts the entries that stand in a document only because an alias repeats them."""

    def __init__(self, name: str) -> None:
        self._name, self._seen, self._count = name, set[int](), 0

    def __call__(self, node: yaml.Node) -> None:
        """Raises InputError where they are too many."""
        self._count += id(node) in self._seen
        self._seen.add(id(node))
        if self._count > MOST_REPEATED:
            line = node.start_mark.line + 1
            raise InputError(
                f"{self._name}: line {line}: aliases (*name) repeat more than {MOST_REPEATED:,} entries", "write out what they stand for"
            )


def _walk(node: yaml.Node, path: KeyPath, lines: dict[KeyPath, int], problems: list[Problem], repeats: _Repeats) -> None:
    repeats(node)
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            name, line = str(key.value), key.start_mark.line + 1
            if name in seen:
                problems.append(Problem(line, name, f"stands twice (first on line {seen[name]}); keep one"))
            seen[name] = line
            lines[(*path, name)] = line
            _walk(value, (*path, name), lines, problems, repeats)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _walk(value, (*path, index), lines, problems, repeats)


def check(model: type[M], document: Document) -> tuple[M | None, list[Problem]]:
    """Validate; return the object, or None with every problem found, in the order of the file."""
    problems = list(document.problems)
    if not isinstance(document.data, dict):
        kind = "is empty" if document.data is None else f"holds a {type(document.data).__name__}"
        return None, [*problems, Problem(0, "", f"{kind}; a mapping of keys is needed: {_names(model)}")]
    try:
        value = model.model_validate(document.data)
    except ValidationError as error:
        problems += [_problem(model, document, item) for item in error.errors(include_url=False)]
        value = None
    return value if not problems else None, sorted(problems, key=lambda p: p.line)


def parse(model: type[M], document: Document, hint: str = "") -> M:
    """Validate or raise InputError listing every problem, one per line."""
    value, problems = check(model, document)
    if value is None:
        lines = [f"{document.name}: {problem}" for problem in problems]
        raise InputError("\n".join(lines), hint)
    return value


def _problem(model: type[BaseModel], document: Document, item: Mapping[str, Any]) -> Problem:
    loc: KeyPath = tuple(p for p in item["loc"] if p not in ("tuple", "list", "dict"))
    line = next((document.lines[loc[:n]] for n in range(len(loc), -1, -1) if loc[:n] in document.lines), 0)
    where = ".".join(str(p) for p in loc)
    if item["type"] == "extra_forbidden":
        options = _siblings(model, loc)
        close = difflib.get_close_matches(str(loc[-1]), options, n=1, cutoff=0.6)
        advice = f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(options)}"
        return Problem(line, where, f"unknown key {str(loc[-1])!r}; {advice}")
    if item["type"] == "missing":
        return Problem(line, where, "is missing")
    message, given = item["msg"].removeprefix("Value error, "), item.get("input")
    if isinstance(given, dict):  # the rule is of several keys, and all of a document says nothing of which
        return Problem(line, where, message)
    got = repr(given)
    return Problem(line, where, f"{message} (got {got if len(got) <= 60 else got[:57] + '...'})")


def _siblings(model: type[BaseModel], loc: KeyPath) -> list[str]:
    """Field names valid at the parent of ``loc``, found by walking the annotations."""
    current: Any = model
    for step in loc[:-1]:
        if isinstance(step, int):
            continue
        fields = getattr(current, "model_fields", {})
        if step not in fields:
            continue
        current = _inner_model(fields[step].annotation)
    return list(getattr(current, "model_fields", {}))


def _inner_model(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _inner_model(argument)
        if found is not None:
            return found
    return None


def _names(model: type[BaseModel]) -> str:
    return ", ".join(model.model_fields)


def apply_overrides(data: dict[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """Apply ``key.sub=value`` texts (value read as YAML) to a nested mapping; returns a new mapping."""
    result: dict[str, Any] = _copy(data)
    for text in overrides:
        key, sign, value = text.partition("=")
        if not sign or not key:
            raise InputError(
                f"{text!r}: an override is written key=value", "the recipe first, then overrides: charter align quickstart seed=1 train.sft.epochs=2"
            )
        target = result
        *parents, last = key.split(".")
        for name in parents:
            target = target.setdefault(name, {})
            if not isinstance(target, dict):
                raise InputError(f"{text!r}: {name!r} is not a group of keys")
        try:
            target[last] = yaml.safe_load(value)
        except (yaml.YAMLError, ValueError, RecursionError):  # ValueError: a date that no calendar has
            raise InputError(f"{text!r}: the value is not valid YAML") from None
    return result


def _copy(value: Any) -> Any:
    return {k: _copy(v) for k, v in value.items()} if isinstance(value, dict) else value
