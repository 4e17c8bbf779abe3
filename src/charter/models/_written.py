"""From what a person writes to a backend, what it runs, and its settings. One language, as for judges, for commands, recipes and files alike:

openai:MODEL@URL                                    a spec: the settings are those that ship
openai: {model: "MODEL@URL", api_key_env: MY_KEY}   with settings, those of the shelf's page
model.yaml                                          a file that holds one of these
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from charter.core import registry
from charter.core.config import Document, as_text, parse_yaml, read_yaml
from charter.core.errors import InputError

FORMS = (
    "embedded",
    "embedded:full",
    "scripted",
    "scripted:FILE.yaml",
    "hf:ORG/NAME",
    "FOLDER",
    "FILE.gguf",
    "ORG/NAME",
    "openai:MODEL",
    "openai:MODEL@http://HOST:PORT/v1",
)
HINT = "charter doctor"
SETTINGS_HINT = "'openai: {model: \"NAME@http://localhost:8000/v1\", timeout_s: 300}'; docs/evaluation.md says how a model is named"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
#: One name, a colon and a blank: YAML and no spec.
_MAPPING = re.compile(r"\{|[\w-]+:\s+\S")


class Written(NamedTuple):
    """Which file on the shelf builds the model, from what, and with which settings."""

    plugin: str
    argument: str
    options: dict[str, Any]

    @property
    def short(self) -> str:
        """The spec without its settings, as it is typed: a folder is its path."""
        if self.plugin == "hf" and Path(self.argument).expanduser().exists():
            return self.argument
        return f"{self.plugin}:{self.argument}" if self.argument else self.plugin


def read_written(spec: str | Mapping[str, Any]) -> Written:
    """What ``spec`` says, text or YAML that is read already; nothing is built, and the settings are not looked at. An installed backend's name wins
    over a folder of that name (write ``./NAME``). Raises InputError."""
    if not isinstance(spec, str):
        return _from_document(Document("model", dict(spec), {}, ()), "")
    text = spec.strip()
    if text.endswith((".yaml", ".yml")) and text.partition(":")[0] not in registry.names("models") and "\n" not in text:
        return _from_document(read_yaml(Path(text).expanduser()), text)
    return _from_document(parse_yaml(text, "model"), "") if _MAPPING.match(text) else _from_text(spec)


def _from_document(document: Document, file: str) -> Written:
    where, data = document.name, document.data
    if document.problems:
        raise InputError("\n".join(f"{where}: {problem}" for problem in document.problems), SETTINGS_HINT)
    if isinstance(data, str) and file and not data.strip().endswith((".yaml", ".yml")):
        return read_written(data)
    if not isinstance(data, dict) or len(data) != 1:
        found = f"this has the keys {', '.join(map(str, data))}" if isinstance(data, dict) and data else "this is none"
        raise InputError(f"{where}: a model is a spec, or a mapping of one backend to its settings; {found}", SETTINGS_HINT)
    ((name, settings),) = data.items()
    settings = {"model": settings} if isinstance(settings, str) else {} if settings is None else settings
    if not isinstance(settings, dict) or not all(isinstance(key, str) for key in settings):
        raise InputError(f"{where}: {name}: settings are a mapping, {name}: {{model: ..., KEY: VALUE}}", SETTINGS_HINT)
    options = dict(settings)
    argument = options.pop("model", "")
    if not isinstance(argument, str):
        raise InputError(f"{where}: {name}: model is text; put it in quotes", SETTINGS_HINT)
    found_at = _from_text(f"{name}:{argument}" if argument else str(name))
    return found_at._replace(options=options)


def _from_text(spec: str) -> Written:
    text = spec.strip()
    name, colon, argument = text.partition(":")
    if name in registry.names("models"):
        forms = [form for form in FORMS if form.partition(":")[0] == name]
        if not argument and (colon or (forms and name not in forms)):
            raise InputError(f"model {spec!r}: nothing stands after '{name}:'; forms: {', '.join(forms) or name + ':ARGUMENT'}", HINT)
        return Written(name, argument, {})
    path = Path(text).expanduser()
    if text and path.is_dir():
        return Written("hf", str(path), {})
    if text.endswith(".gguf") or path.is_file() or text.startswith((".", "/", "~")):
        return Written("hf", _weights_file(spec, path), {})
    if _HUB_ID.fullmatch(text):
        return Written("hf", text, {})
    raise _unknown(spec, name, bool(colon))


def _weights_file(spec: str, path: Path) -> str:
    if not path.exists():
        raise InputError(f"model {spec!r}: there is no such folder or file", f"ls {path.parent}")
    if path.suffix != ".gguf":
        raise InputError(f"model {spec!r}: is a file that is not .gguf; give a .gguf file or the folder that holds the weights", HINT)
    return str(path)


def _unknown(spec: str, name: str, prefixed: bool) -> InputError:
    known = registry.names("models")
    close = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.6)
    advice = f"; did you mean {close[0] + spec.strip()[len(name) :]!r}?" if close else ""
    what = f"no backend is called {name!r}" if prefixed else "is no backend, folder, .gguf file or hub id"
    others = [f"{other} (installed)" for other in known if not any(form.partition(":")[0] == other for form in FORMS)]
    return InputError(f"model {spec!r}: {what}{advice}\n  forms: {', '.join([*FORMS, *others])}", HINT)


def lasting(spec: str) -> str:
    """``spec`` without the settings that change no answer (the backend's ``ASIDE``), such as waits, budgets and keys: what run folders remember, so
    that a run which stopped for one of them goes on under another. A spec without settings, or that names no model, is left as it is."""
    try:
        found = read_written(spec)
    except InputError:
        return spec
    if not found.options and not spec.strip().endswith((".yaml", ".yml")) and not _MAPPING.match(spec.strip()):
        return spec
    aside: frozenset[str] = getattr(registry.find("models", found.plugin), "ASIDE", frozenset())
    kept = {key: value for key, value in sorted(found.options.items()) if key not in aside}
    return str(as_text({found.plugin: {"model": found.argument, **kept}})) if kept else found.short


def short(spec: str) -> str:
    """``spec`` without settings, for names of folders."""
    try:
        found = read_written(spec)
    except InputError:
        return spec
    return found.short if found.options else spec
