"""The list of models as it leaves: names, numbers and dates. What an upstream writes beside them is text that no rail read, and stays here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from charter.guard.gateway.wire.errors import GatewayError

#: A model's name, an owner's, a date: no spaces, so that a description cannot pass for one.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}", re.ASCII)
_DEEPEST = 4


def listed(found: object) -> dict[str, Any]:
    """An upstream's answer to ``GET /models`` or ``/models/NAME`` with plain names, numbers and truth values alone; models without a plain
    ``id`` are left out. Raises GatewayError (502) where it is neither one model nor a list of them."""
    if isinstance(found, Mapping) and isinstance(found.get("data"), list):
        models = [plain for model in found["data"] if (plain := _plain(model, 0)) and "id" in plain]
        return {**_plain({name: value for name, value in found.items() if name != "data"}, 0), "data": models}
    if isinstance(found, Mapping) and "id" in (plain := _plain(found, 0)):
        return plain
    raise GatewayError(502, "upstream_bad_answer", "the model server's answer is no list of models")


def _plain(found: object, depth: int) -> dict[str, Any]:
    if not isinstance(found, Mapping):
        return {}
    kept = {name: _value(value, depth) for name, value in found.items() if isinstance(name, str) and _NAME.fullmatch(name)}
    return {name: value for name, value in kept.items() if value is not ... and (name != "id" or isinstance(value, str))}


def _value(value: object, depth: int) -> Any:
    """The value as it may leave, or ``...``."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return value if _NAME.fullmatch(value) else ...
    if depth >= _DEEPEST:
        return ...
    if isinstance(value, list):
        return [kept for one in value if (kept := _value(one, depth + 1)) is not ...]
    return _plain(value, depth + 1)
