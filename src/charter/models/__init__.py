"""Model backends, one file each, and ``load_model``: the text a person types becomes a ``Model``. Importing this imports no backend."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Any, NamedTuple

from charter.core import registry
from charter.core.errors import InputError
from charter.core.shapes import Model

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
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


class Route(NamedTuple):
    """Which file on the shelf builds a spec, and from what."""

    plugin: str
    argument: str


def load_model(spec: str, **options: Any) -> Model:
    """The model that ``spec`` names (``FORMS`` lists the ways), built with the backend's own options.

    Raises InputError for a spec or an option that is wrong, MissingPartError when the backend is not installed, ModelError when the model
    cannot be had.
    """
    plugin, argument = route(spec)
    model: Model = registry.find("models", plugin).build(argument, **options)
    return model


def route(spec: str) -> Route:
    """Where ``spec`` leads, without building anything. An installed backend's name wins over a folder of that name (write ``./NAME``)."""
    text = spec.strip()
    name, colon, argument = text.partition(":")
    if name in registry.names("models"):
        forms = [form for form in FORMS if form.partition(":")[0] == name]
        if not argument and (colon or (forms and name not in forms)):
            raise InputError(f"model {spec!r}: nothing stands after '{name}:'; forms: {', '.join(forms) or name + ':ARGUMENT'}", HINT)
        return Route(name, argument)
    path = Path(text).expanduser()
    if text and path.is_dir():
        return Route("hf", str(path))
    if text.endswith(".gguf") or path.is_file() or text.startswith((".", "/", "~")):
        return Route("hf", _weights_file(spec, path))
    if _HUB_ID.fullmatch(text):
        return Route("hf", text)
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
