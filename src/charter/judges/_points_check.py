"""What the card of weights must hold before scores are made by it: a point that is no number would be over every score."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

from charter.judges._calibration import Calibration
from charter.judges._card_check import ANY_CONTENT, LATER, check, mapping, untaught_of
from charter.judges._heads import CONTENT_HEADS, REPLY_HEADS, TEXT_HEADS
from charter.judges._reply_inputs import REFUSAL_INPUTS, REPLY_INPUTS

_HEADS = tuple(head for head in (*TEXT_HEADS, *REPLY_HEADS, *CONTENT_HEADS, ANY_CONTENT) if head not in LATER)


def check_heads(card: Mapping[str, Any]) -> None:
    """The calibration and operating points of every head that the weights were taught, and the mixes. Raises ValueError that says what is wrong."""
    heads, stacks, untaught = mapping(card, "heads"), mapping(card, "stacks"), untaught_of(card)
    for head in dict.fromkeys((*(head for head in _HEADS if head not in untaught), *heads)):
        _head(mapping(heads, head, "heads."), f"heads.{head}.")
    _number(mapping(stacks, "hazards", "stacks."), "scale", "stacks.hazards.")
    reply = mapping(stacks, "harmful_reply", "stacks.")
    strange = [name for name in reply if name not in REPLY_INPUTS]
    check(bool(reply) and not strange, f"stacks.harmful_reply has {', '.join(map(str, strange)) or 'no inputs'}; known are {', '.join(REPLY_INPUTS)}")
    _numbers(reply, reply, "stacks.harmful_reply.")
    if "refusal" in stacks:
        _numbers(mapping(stacks, "refusal", "stacks."), REFUSAL_INPUTS, "stacks.refusal.")


def _head(head: Mapping[str, Any], where: str) -> None:
    points = mapping(head, "points", where)
    safe, unsafe = (_number(points, name, f"{where}points.", 0.0, 1.0) for name in ("safe", "unsafe"))
    check(safe <= unsafe, f"{where}points has safe ({safe:g}) over unsafe ({unsafe:g})")
    calibration = mapping(head, "calibration", where)
    _numbers(calibration, ("scale", "bias"), f"{where}calibration.")
    try:
        knots = Calibration.from_json(dict(calibration)).knots
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"{where}calibration.knots is no list of pairs of numbers") from None
    finite = all(abs(x) < float("inf") and 0.0 <= y <= 1.0 for x, y in knots)  # of what is no number neither holds
    rising = all(before[0] <= after[0] for before, after in pairwise(knots))
    check(finite and rising, f"{where}calibration.knots must rise, with shares of 0 to 1 beside them")


def _numbers(given: Mapping[str, Any], names: Iterable[str], where: str) -> None:
    for name in names:
        _number(given, name, where)


def _number(given: Mapping[str, Any], name: str, where: str, low: float = -1e6, high: float = 1e6) -> float:
    check(name in given, f"{where}{name} is missing")
    value = given[name]
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high
    check(is_number, f"{where}{name} is {repr(value)[:40]}, no number of {low:g} to {high:g}")
    return float(value)
