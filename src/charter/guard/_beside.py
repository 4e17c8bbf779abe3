"""Files that a guard's or a gateway's file names lie beside that file, wherever the program was started.

There is one meaning and no second place to look: with one, a guard would read another list in another working directory.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any, get_args

from charter.core import registry
from charter.guard.policy import STAGES, GuardPolicy
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
    inner = settings.get("settings")
    if (shelf, name) == ("rails", "judge") and isinstance(inner, dict) and isinstance(settings.get("judge"), str):
        found["settings"] = _settings("judges", settings["judge"], inner, folder)
    return found
