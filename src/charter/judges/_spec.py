"""From what a person writes to a judge. One language, YAML, for the command line, recipes and files alike:

refusal                                              a judge on the shelf
harmbench:openai:MODEL@URL                           one that asks a model; the model as everywhere else
llama_guard: {model: "openai:MODEL@URL", version: 3} with settings
cascade: [refusal, harmbench:MODEL]                  judges made of judges: all_of (and), any_of (or), negation (not),
threshold: {judge: classifier, high: 0.8}            threshold, majority, cascade
mine.yaml                                            a file that holds one of these
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

from pydantic import BeforeValidator, ValidationError

from charter.core.config import Document, check, parse_yaml, read_yaml
from charter.core.errors import InputError
from charter.core.registry import find, names
from charter.core.shapes import Judge

ALIASES = {"and": "all_of", "or": "any_of", "not": "negation"}
HINT = "docs/judges.md, or: charter list judges"
#: Names of settings that a bare list or a bare judge may stand for.
MANY, ONE = "judges", "judge"
#: Files that are being read, each named in the one before.
_READING: ContextVar[tuple[Path, ...]] = ContextVar("judge_files", default=())
#: They compare two replies, and are measured and labelled with, nothing else.
COMPARE = ("pairwise", "rules_pairwise")


def _spec(value: Any) -> Any:
    if isinstance(value, str | dict):
        return value
    raise ValueError("a judge is a name, or a mapping of one name to its settings")


def _specs(value: Any) -> Any:
    if isinstance(value, list | tuple) and value:
        return tuple(_spec(item) for item in value)
    raise ValueError("a list of judges is needed")


Spec = Annotated[Any, BeforeValidator(_spec)]
SomeSpecs = Annotated[tuple[Any, ...], BeforeValidator(_specs)]


def build_judge(spec: Any) -> Judge:
    """The judge that ``spec`` names: text, or YAML that is already read. Raises InputError that names what is wrong, MissingPartError and
    ModelError where its model cannot be had."""
    if isinstance(spec, Path):
        return _from_file(spec)
    if isinstance(spec, str):
        return _from_text(spec.strip())
    if isinstance(spec, dict):
        return _from_mapping(spec, "judge")
    raise InputError(f"{spec!r} is no judge: give a name, or a mapping of one name to its settings", HINT)


def build_judges(specs: Sequence[Any]) -> list[Judge]:
    """All of them, in order. Raises InputError for none."""
    if not specs:
        raise InputError("a judge made of judges needs a list of them", "'any_of: [refusal, harm]'")
    return [build_judge(spec) for spec in specs]


def _from_text(text: str) -> Judge:
    if not text:
        raise InputError("a judge is missing", HINT)
    prefixed = text.partition(":")[0] in names("judges")
    if text.endswith((".yaml", ".yml")) and not prefixed and "\n" not in text and ": " not in text:
        return _from_file(Path(text).expanduser())
    if text[0] in "{[" or ": " in text or "\n" in text:
        return _from_document(parse_yaml(text, "judge"))
    name, colon, argument = text.partition(":")
    module = _find(name)
    if name in COMPARE:
        raise InputError(f"{name} does not judge one conversation: it compares two replies", f"charter judges measure {text}")
    if not colon:
        return _build(module, name, module.Config())
    if "model" not in module.Config.model_fields:
        raise InputError(f"judge {text!r}: {name} asks no model, so nothing stands after its name", name)
    if not argument:
        raise InputError(f"judge {text!r}: no model stands after '{name}:'", f"{name}:openai:MODEL@http://localhost:8000/v1")
    return _settings(module, name, {"model": argument}, Document("judge", {"model": argument}, {}, ()))


def _from_file(path: Path) -> Judge:
    """Raises InputError for a file that is being read already: it would never end."""
    here, inside = path.resolve(), _READING.get()
    if here in inside:
        raise InputError(f"{path}: names itself{'' if here == inside[-1] else f', through {inside[-1]}'}", HINT)
    token = _READING.set((*inside, here))
    try:
        return _from_document(read_yaml(path))
    finally:
        _READING.reset(token)


def _from_document(document: Document) -> Judge:
    if isinstance(document.data, str):
        return _from_text(document.data.strip())
    if document.problems:
        raise InputError("\n".join(f"{document.name}: {problem}" for problem in document.problems), HINT)
    if not isinstance(document.data, dict):
        raise InputError(f"{document.name}: holds no judge: give a name, or a mapping of one name to its settings", HINT)
    return _from_mapping(document.data, document.name)


def _from_mapping(data: dict[Any, Any], where: str) -> Judge:
    if len(data) != 1:
        raise InputError(f"{where}: a judge is a mapping of one name to its settings; this has the keys {', '.join(map(str, data)) or 'none'}", HINT)
    ((name, settings),) = data.items()
    name = str(name)
    module = _find(name)
    fields = module.Config.model_fields
    if settings is None:
        settings = {}
    elif isinstance(settings, list) and MANY in fields:
        settings = {MANY: settings}
    elif ONE in fields and (isinstance(settings, str) or (isinstance(settings, dict) and len(settings) == 1 and not set(settings) & set(fields))):
        settings = {ONE: settings}
    elif isinstance(settings, str) and "model" in fields:
        settings = {"model": settings}
    return _settings(module, name, settings, Document(f"{where}: {name}", settings, {}, ()))


def _settings(module: ModuleType, name: str, settings: Any, document: Document) -> Judge:
    if settings == {}:
        try:
            return _build(module, name, module.Config())
        except ValidationError:
            pass
    config, problems = check(module.Config, document)
    if config is None:
        raise InputError("\n".join(f"{document.name}: {problem}" for problem in problems), HINT)
    return _build(module, name, config)


def _build(module: ModuleType, name: str, config: Any) -> Judge:
    build: Callable[[Any], Judge] = module.build
    judge = build(config)
    if not isinstance(judge, Judge) or len(inspect.signature(judge.__call__).parameters) != 1:
        raise InputError(f"{name} does not judge one conversation and cannot be used here", HINT)
    return judge


def _find(name: str) -> ModuleType:
    real = ALIASES.get(name, name)
    if real not in names("judges"):
        close = difflib.get_close_matches(name, [*names("judges"), *ALIASES], n=1)
        advice = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(names('judges'))}"
        raise InputError(f"no judge is called {name[:80]!r}; {advice}", "charter list judges")
    return find("judges", real)
