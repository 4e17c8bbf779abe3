"""Charter: the whole safety-alignment loop of a language model, from one document. See README.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from charter.guard.engine import Guard as Guard
    from charter.recipes.comparison import compare as compare
    from charter.recipes.evaluation import evaluate as evaluate

__version__ = "0.1.0"
#: Names that are imported when they are first asked for: importing charter stays quick.
_LAZY = {"Guard": "charter.guard.engine", "compare": "charter.recipes.comparison"}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'charter' has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(_LAZY[name]), name)  # noqa: TID251
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY])
