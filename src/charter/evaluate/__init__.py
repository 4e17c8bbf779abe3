"""Measure a model's harm and over-refusal, compare two of them, and decide whether the new one may ship.

The room can be called: ``from charter import evaluate; evaluate("embedded", "quick")`` is ``charter.recipes.evaluation.evaluate``, which lies a floor
above, so it is fetched by name when it is called.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


class _Room(ModuleType):
    def __call__(self, *given: Any, **named: Any) -> Any:
        import importlib

        return importlib.import_module("charter.recipes.evaluation").evaluate(*given, **named)  # noqa: TID251


sys.modules[__name__].__class__ = _Room
