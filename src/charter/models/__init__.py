"""Model backends, one file each, and ``load_model``: the text a person types becomes a ``Model``. Importing this imports no backend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from charter.core import registry
from charter.core.shapes import Model
from charter.models._written import FORMS as FORMS
from charter.models._written import read_written


class Route(NamedTuple):
    """Which file on the shelf builds a spec, and from what."""

    plugin: str
    argument: str


def load_model(spec: str | Mapping[str, Any], **options: Any) -> Model:
    """The model that ``spec`` names: one of ``FORMS``, YAML of one backend and its settings, or a YAML file of either. ``options`` are settings too.

    Raises InputError for a spec or a setting that is wrong, MissingPartError when the backend is not installed, ModelError when the model
    cannot be had.
    """
    found = read_written(spec)
    model: Model = registry.find("models", found.plugin).build(found.argument, **{**found.options, **options})
    return model


def route(spec: str) -> Route:
    """Where ``spec`` leads, without building anything and without its settings. Raises InputError."""
    found = read_written(spec)
    return Route(found.plugin, found.argument)
