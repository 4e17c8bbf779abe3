"""Retrieved documents, which model servers take beside the messages (``documents``; vLLM and SGLang also among the arguments of the chat template).
They are data like the result of a tool, and that is what the rails are told they are: nobody's instructions, and read for orders."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from charter.guard.gateway.surfaces._located import Path
from charter.guard.gateway.surfaces._texts import Text, leaves, unknown

FIELD: Final = "documents"
#: Objects of a body in which documents may stand; () is the body itself.
PLACES: Final[tuple[tuple[str, ...], ...]] = ((), ("chat_template_kwargs",))


def apart(body: dict[str, Any]) -> tuple[dict[str, Any], list[list[Text]]]:
    """``body`` without its documents, and the texts of each document. Raises BadRequestError for what of them is no text and could tell one."""
    found: list[list[Text]] = []
    for place in PLACES:
        holder = body.get(place[0]) if place else body
        if not isinstance(holder, dict) or holder.get(FIELD) is None:
            continue
        unknown({FIELD: holder[FIELD]}, frozenset(), place)
        found += [texts for texts in _each(holder[FIELD], (*place, FIELD)) if texts]
        rest = {key: value for key, value in holder.items() if key != FIELD}
        body = {**body, place[0]: rest} if place else rest
    return body, found


def _each(given: Any, path: Path) -> Iterator[list[Text]]:
    if isinstance(given, list):
        for number, one in enumerate(given):
            yield list(leaves(one, (*path, number), FIELD))
    else:
        yield list(leaves(given, path, FIELD))
