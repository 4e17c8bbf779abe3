"""Files that a guard's or a gateway's file names lie beside that file, wherever the program was started.

There is one meaning and no second place to look: with one, a guard would read another list in another working directory.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any, get_args

from charter.core import registry
from charter.core.config import parse_yaml, read_yaml
from charter.core.errors import InputError
from charter.guard.policy import STAGES, GuardPolicy
from charter.judges._spec import ALIASES, MANY, ONE
from charter.policy.load import shipped


def anchored(policy: GuardPolicy) -> GuardPolicy:
    """The policy with full paths in place of the relative ones that it names; as it is where it came from no file."""
    folder = policy.folder
    if folder is None:
        return policy
    found: dict[str, Any] = {"charter": placed(policy.charter, folder, shipped())}
    for stage in STAGES:
        entries = policy.rails(stage)
        found[stage] = tuple(e.model_copy(update={"settings": _settings("rails", e.rail, e.settings, folder)}) for e in entries)
    return policy.model_copy(update=found)


def placed(spec: str, folder: Path, names: Collection[str] = ()) -> str:
    """``spec`` as a full path, unless it is one, or one of ``names``, or looks like a name that is none: whoever looks it up says that best."""
    path = Path(spec)
    if spec in names or not spec or spec.startswith("~") or path.is_absolute():
        return spec
    is_file = path.suffix.lower() in (".yaml", ".yml") or len(path.parts) > 1 or (folder / path).exists()
    return str(folder / path) if is_file else spec


def _settings(shelf: str, name: str, settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    fields = registry.find(shelf, name).Config.model_fields
    found = dict(settings)
    for key, value in settings.items():
        if not isinstance(value, str) or key not in fields:
            continue
        kind = fields[key].annotation
        if kind is Path or Path in get_args(kind):
            found[key] = value if value.startswith("~") else str(folder / value)
        elif key == "charter":
            found[key] = placed(value, folder, shipped())
    if (shelf, name) == ("rails", "judge"):
        judge, inner = settings.get("judge"), settings.get("settings")
        if isinstance(inner, dict) and isinstance(judge, str) and judge in registry.names("judges"):
            found["settings"] = _settings("judges", judge, inner, folder)
        elif judge is not None:
            found["judge"] = _judge(judge, folder)
    for key in (ONE, MANY):
        if shelf == "judges" and key in fields and key in settings:
            found[key] = _judge(settings[key], folder)
    return found


def _judge(spec: Any, folder: Path) -> Any:
    """A judge, or a list of them, as it is written anywhere, with full paths; what is no judge as it is: whoever builds it says that best. A file
    that holds one is read here: what it names lies beside it."""
    if isinstance(spec, list):
        return [_judge(one, folder) for one in spec]
    if isinstance(spec, str):
        return _text(spec.strip(), folder)
    if not isinstance(spec, dict) or len(spec) != 1:
        return spec
    ((name, settings),) = spec.items()
    real = ALIASES.get(str(name), str(name))
    if real not in registry.names("judges"):
        return spec
    fields = registry.find("judges", real).Config.model_fields
    if isinstance(settings, dict) and not (ONE in fields and len(settings) == 1 and not settings.keys() & fields.keys()):
        return {name: _settings("judges", real, settings, folder)}
    return {name: _judge(settings, folder)} if ONE in fields or MANY in fields else spec


def _text(spec: str, folder: Path) -> Any:
    is_yaml = spec[:1] in ("{", "[") or ": " in spec or "\n" in spec
    is_file = not is_yaml and spec.endswith((".yaml", ".yml"))
    if not is_yaml and not is_file:
        return spec
    path = Path(placed(spec, folder)).expanduser()
    try:
        document = read_yaml(path) if is_file else parse_yaml(spec, "judge")
    except InputError:
        return str(path) if is_file else spec
    if document.problems or document.data == spec:
        return str(path) if is_file else spec
    return _judge(document.data, path.parent if is_file else folder)
