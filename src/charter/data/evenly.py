"""A small part of many rows that is spread evenly over their groups and over the length of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

T = TypeVar("T")


def evenly(
    rows: Sequence[T],
    group: Callable[[T], str],
    limit: int | None,
    *,
    first: Callable[[T], bool] | None = None,
    order: Mapping[str, int] | None = None,
) -> list[T]:
    """At most ``limit`` rows, taken round-robin from the groups and spread over each group's length, in the order in which they stand.

    Rows of which ``first`` is true are taken before all others. Where several groups are due, the one of the lowest number in ``order`` comes first;
    without ``order`` it is the first by name for the first row of each, and the longest for every other.
    """
    if limit is None or limit >= len(rows):
        return list(rows)
    groups: dict[str, list[int]] = {}
    for index, row in enumerate(rows):
        groups.setdefault(group(row), []).append(index)
    turn = {name: number for number, name in enumerate(sorted(groups))} if order is None else order
    ranked = sorted(
        (
            first is None or not first(rows[index]),
            _spread(position) + (position / (len(indexes) * 1_000_000) if order is None else 0.0),
            turn[name],
            index,
        )
        for name, indexes in groups.items()
        for position, index in enumerate(indexes)
    )
    return [rows[index] for index in sorted(index for *_, index in ranked[:limit])]


def _spread(position: int) -> float:
    """Rank in a van der Corput order, so that any first part of the ranking is spread over the whole."""
    value, base, rest = 0.0, 0.5, position
    while rest:
        value, base, rest = value + base * (rest & 1), base / 2, rest >> 1
    return value
