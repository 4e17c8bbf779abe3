"""What every plugin's file holds, whoever wrote it: the first mistakes of an author, as lines that say what to write."""

from __future__ import annotations

from types import ModuleType

from pydantic import BaseModel

#: Characters of the first line of a docstring, which is the catalogue text.
SHORTEST, LONGEST = 20, 150


def missing(module: ModuleType) -> list[str]:
    """What a plugin cannot be listed or used without; empty for one that has it all."""
    found = []
    if not (module.__doc__ or "").strip():
        found.append("no docstring (its first line is the catalogue text)")
    not_covered = getattr(module, "NOT_COVERED", None)
    if not isinstance(not_covered, str) or not not_covered.strip():
        found.append("no NOT_COVERED (a text: what it does not catch or measure)")
    config = getattr(module, "Config", None)
    if not isinstance(config, type) or not issubclass(config, BaseModel):
        found.append("no Config (a subclass of charter.core.config.Config)")
    if not callable(getattr(module, "build", None)):
        found.append("no build (a function that makes the plugin from its Config)")
    return found


def untidy(module: ModuleType) -> list[str]:
    """What a plugin that holds everything should still have otherwise: it works, but reads badly or hides mistakes."""
    found = []
    first = (module.__doc__ or "").strip().partition("\n")[0]
    if not SHORTEST < len(first) <= LONGEST:
        found.append(f"the docstring's first line has {len(first)} characters, not {SHORTEST + 1} to {LONGEST}")
    if len(module.NOT_COVERED) <= SHORTEST:
        found.append("NOT_COVERED says too little: a sentence or two")
    if module.Config.model_config.get("extra") != "forbid":
        found.append("Config takes unknown keys, so a mistyped setting is lost: inherit from charter.core.config.Config")
    return found
