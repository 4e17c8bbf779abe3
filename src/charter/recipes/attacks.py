"""Attacks as a recipe or a command names them: by name, or by name with settings, which the attack's own ``Config`` checks."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator

from charter.core.config import Document, apply_overrides, check
from charter.core.errors import InputError
from charter.core.registry import find
from charter.core.shapes import Attack

Named = str | dict[str, dict[str, Any]]
FORM = "write its name, or {jailbreak: {per_goal: 4}} to set something"


def checked(value: object) -> Named:
    """The entry in its shortest form: settings that are the attack's defaults are left out. Raises ValueError for what names no attack, or for
    settings that it does not have."""
    name, settings = (value, {}) if isinstance(value, str) else next(iter(value.items())) if isinstance(value, dict) and len(value) == 1 else ("", {})
    if not isinstance(name, str) or not name or not isinstance(settings, dict | None):
        raise ValueError(f"is no attack; {FORM}")
    try:
        wanted = find("attacks", name).Config
    except InputError as error:
        raise ValueError(error.message) from None
    found, problems = check(wanted, Document(name, settings or {}, {}, ()))
    if found is None:
        raise ValueError(f"{name}: {'; '.join(map(str, problems))}")
    kept = found.model_dump(mode="json", exclude_defaults=True)
    return {name: kept} if kept else name


Entry = Annotated[Named, BeforeValidator(checked)]


def name_of(entry: Named) -> str:
    return entry if isinstance(entry, str) else next(iter(entry))


def settings_of(entry: Named) -> dict[str, Any]:
    return {} if isinstance(entry, str) else next(iter(entry.values()))


def build_attack(entry: Named) -> Attack:
    """The attack of an entry that was ``checked``."""
    module = find("attacks", name_of(entry))
    attack: Attack = module.build(module.Config.model_validate(settings_of(entry)))
    return attack


def read_entry(text: str) -> Named:
    """The entry that is typed as ``NAME`` or ``NAME:KEY=VALUE``, several settings with more colons. Raises InputError."""
    name, *settings = text.split(":")
    if not settings:
        find("attacks", name)  # says of itself what is wrong
    try:
        return checked({name: apply_overrides({}, settings)})
    except ValueError as error:
        message = error.message if isinstance(error, InputError) else str(error)
        raise InputError(f"--attack {text}: {message}", "--attack jailbreak:per_goal=4; charter list attacks") from None
