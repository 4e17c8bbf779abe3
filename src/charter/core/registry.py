"""Shelves: folders of one-file plugins, found by file name and never listed anywhere.

A plugin is a module with a docstring (first line = catalogue text), ``NOT_COVERED`` (what it does not catch or measure), a ``Config`` and
``build(config)``. Files whose name starts with ``_`` are helpers. Third parties add theirs through the entry-point group ``charter.<shelf>``; what
one of them lacks is told when it is looked for, and hides no other plugin.
"""

from __future__ import annotations

import difflib
import importlib
import os
import pkgutil
import sys
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType

from charter.core.contract import missing
from charter.core.errors import CharterError, InputError

SHELVES = {
    "attacks": "charter.redteam.attacks",
    "rails": "charter.guard.rails",
    "benchmarks": "charter.evaluate.benchmarks",
    "trainers": "charter.train.trainers",
    "sources": "charter.data.sources",
    "judges": "charter.judges",
    "models": "charter.models",
}


def names(shelf: str) -> list[str]:
    """Names of all plugins on a shelf, sorted, without importing them."""
    package = importlib.import_module(_package(shelf))
    built_in = {m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_") and not m.ispkg}
    outside = {point.name for point in _of_others(shelf)}
    return sorted(built_in | outside)


def find(shelf: str, name: str) -> ModuleType:
    """The module of plugin ``name``. Raises InputError for a name that is not there, which names the right ones, for two plugins of one name, and for
    another package's plugin that cannot be imported or lacks what every plugin has."""
    package = _package(shelf)
    available = names(shelf)
    if name not in available:
        close = difflib.get_close_matches(name, available, n=1)
        advice = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(available) or 'none'}"
        raise InputError(f"no {shelf[:-1]} is called {name!r}; {advice}", f"charter list {shelf}")
    outside = [point for point in _of_others(shelf) if point.name == name]
    built_in = {m.name for m in pkgutil.iter_modules(importlib.import_module(package).__path__)}
    if len(outside) + (name in built_in) > 1:
        raise InputError(f"two plugins on the shelf {shelf} are called {name!r}", "pip uninstall one of them")
    return _loaded(shelf, outside[0]) if outside else importlib.import_module(f"{package}.{name}")


def _of_others(shelf: str) -> tuple[EntryPoint, ...]:
    """What other packages add to a shelf. To look means to read a file of every package that is installed, so it is done again only where a folder
    of ``sys.path`` is another one or something was put into it."""
    return _read_entries(f"charter.{shelf}", tuple(_as_it_stands(folder or os.curdir) for folder in sys.path))


def _as_it_stands(folder: str) -> tuple[str, int, int]:
    try:
        found = os.stat(folder)
    except OSError:
        return folder, 0, 0
    return folder, found.st_ino, found.st_mtime_ns


@lru_cache(maxsize=64)
def _read_entries(group: str, folders: tuple[tuple[str, int, int], ...]) -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group=group))


def _loaded(shelf: str, point: EntryPoint) -> ModuleType:
    whose = f"the {shelf[:-1]} {point.name!r}" + (f" of the package {point.dist.name} {point.dist.version}" if point.dist else "")
    hint = f"charter list {shelf} --check {point.name}"
    try:
        module = point.load()
    except CharterError:
        raise
    except Exception as error:  # somebody else's file may do anything while it is read
        raise InputError(f"{whose} cannot be loaded: {type(error).__name__}: {error}", f"python -c 'import {point.module}'") from error
    if not isinstance(module, ModuleType):
        raise InputError(f"{whose} is not a module; its entry point must name one", hint)
    lacks = missing(module)
    if lacks:
        raise InputError(f"{whose} has {'; '.join(lacks)}", hint)
    return module


def siblings(package: str) -> list[ModuleType]:
    """The modules of a package that are no helpers, by name: for folders that are filled by file but are no shelf."""
    found = importlib.import_module(package)
    return [importlib.import_module(f"{package}.{m.name}") for m in pkgutil.iter_modules(found.__path__) if not m.name.startswith("_")]


def _package(shelf: str) -> str:
    if shelf not in SHELVES:
        raise InputError(f"there is no shelf {shelf!r}; known: {', '.join(SHELVES)}", "charter list")
    return SHELVES[shelf]
