"""A user's own rows before anything is learned: each text once, what contradicts itself aside, nothing that is measured or calibrated on."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from charter.data.dedupe import HeldOut
from charter.train.classifier.evaluated import Evaluated
from charter.train.classifier.rows import LabelledText, own_source, read_own

Tell = Callable[[str], None]
#: What was left out: reason and source to count.
Dropped = Counter[tuple[str, str]]
#: Why a row goes that is, or nearly is, one to calibrate on.
LIKE_HELD = "like own held out"
#: Seconds between two lines that say how far a comparison is.
EVERY_S = 10.0
T = TypeVar("T")


class Placed(NamedTuple):
    """A row and where it stands."""

    row: LabelledText
    path: Path
    number: int

    @property
    def key(self) -> tuple[str | None, ...]:
        """Two rows with one key say one thing of one text."""
        return tuple(None if part is None else " ".join(part.lower().split()) for part in (self.row.text, self.row.reply, self.row.operator))

    @property
    def said(self) -> dict[str, float | str]:
        """Its labels, and its hazard if it has one."""
        return {**self.row.labels, **({"hazard": self.row.hazard} if self.row.hazard else {})}


def own_rows(paths: Iterable[Path], weight: float, evaluated: Evaluated | None, dropped: Dropped, tell: Tell) -> list[LabelledText]:
    """The rows of a user's files that may be used, each text once, without those that are like an evaluated one. Raises DataError as ``read_own``
    does."""
    placed: list[Placed] = []
    for path in paths:
        found = read_own(path, weight)
        placed += [Placed(row, path, number) for row, number in zip(found.rows, found.numbers, strict=True)]
        if found.dropped:
            dropped["care", own_source(path)] += found.dropped
    rows = once(placed, dropped, tell)
    return rows if evaluated is None else _unlike(rows, evaluated, dropped, tell)


def once(placed: Sequence[Placed], dropped: Dropped, tell: Tell) -> list[LabelledText]:
    """Rows of one text (reply and operator alike) as one row with the labels of all. A label that they contradict each other on is nobody's: it says
    nothing, whichever row came first. Every row that is not left is counted: ``repeated``, ``merged`` (its labels stand in an earlier row), or
    ``contradictory``."""
    groups: dict[tuple[str | None, ...], list[Placed]] = {}
    for each in placed:
        groups.setdefault(each.key, []).append(each)
    rows: list[LabelledText] = []
    disputes: list[tuple[str, Placed, Placed]] = []
    for group in groups.values():
        said: dict[str, list[tuple[float | str, Placed]]] = {}
        for each in group:
            for head, value in each.said.items():
                said.setdefault(head, []).append((value, each))
        split = {head: found for head, values in said.items() if (found := _contradicting(values))}
        disputes += [(head, *found) for head, found in split.items()]
        labels = {head: _mean(values) for head, values in said.items() if head not in split and head != "hazard"}
        hazard = "" if "hazard" in split else group[0].row.hazard or next((each.row.hazard for each in group if each.row.hazard), "")
        if labels:
            rows.append(group[0].row._replace(labels=labels, hazard=hazard))
        known: set[str] = set()
        for place, each in enumerate(group):
            if place or not labels:
                why = "contradictory" if each.said.keys() & split.keys() else "merged" if each.said.keys() - known else "repeated"
                dropped[why, each.row.source] += 1
            known |= each.said.keys()
    if disputes:
        head, first, other = disputes[0]
        where = f"{first.path}: row {first.number}, and {other.path}: row {other.number}"
        tell(f"own rows contradict each other, and such labels are not used: {len(disputes)} in all, the first {head!r} of {where}")
    return rows


def _contradicting(values: Sequence[tuple[float | str, Placed]]) -> tuple[Placed, Placed] | None:
    """The first two that mean different things, if any do."""
    meant = [(round(value) if not isinstance(value, str) else value, each) for value, each in values]
    return next(((meant[0][1], each) for value, each in meant if value != meant[0][0]), None)


def _mean(values: Sequence[tuple[float | str, Placed]]) -> float:
    """Of labels that mean the same; numbers that are equal stay as they are."""
    numbers = [float(value) for value, _ in values]
    return numbers[0] if len(set(numbers)) == 1 else sum(numbers) / len(numbers)


class Apart:
    """Tells rows that are, or nearly are, rows to calibrate on, whatever their labels: what was learned by heart looks better than it is. A text is
    compared with texts, a pair with pairs, of which both parts must be alike."""

    def __init__(self, held: Sequence[LabelledText]) -> None:
        shapes: dict[str, list[LabelledText]] = {}
        for row in held:
            shapes.setdefault(_shape(row), []).append(row)
        self._texts = {shape: HeldOut([row.text for row in rows]) for shape, rows in shapes.items()}
        self._others = {shape: HeldOut([_other(row) for row in rows]) for shape, rows in shapes.items() if shape}

    def is_held(self, row: LabelledText) -> bool:
        shape = _shape(row)
        if shape not in self._texts:
            return False
        if not shape:
            return self._texts[shape].has_like(row.text)
        found = self._texts[shape].alike(row.text)
        return bool(found and found & self._others[shape].alike(_other(row)))


def apart(rows: Sequence[LabelledText], held: Apart, dropped: Dropped, tell: Tell) -> list[LabelledText]:
    """The rows that are no rows to calibrate on."""
    kept = []
    for row in watched(rows, "own rows compared with those held out", tell):
        if held.is_held(row):
            dropped[LIKE_HELD, row.source] += 1
        else:
            kept.append(row)
    return kept


def watched(rows: Iterable[T], what: str, tell: Tell) -> Iterator[T]:
    """The rows; tells how many went by, every few seconds."""
    last = time.monotonic()
    for number, row in enumerate(rows):
        if time.monotonic() - last >= EVERY_S:
            last = time.monotonic()
            tell(f"{number:,} {what}")
        yield row


def _unlike(rows: Sequence[LabelledText], evaluated: Evaluated, dropped: Dropped, tell: Tell) -> list[LabelledText]:
    kept = []
    for row in watched(rows, "own rows compared with evaluated sets", tell):
        close = evaluated.close_to_own(row.text) or (row.operator and evaluated.close_to_own(row.operator))
        close = close or (row.reply and evaluated.close_to_own(row.reply, asked=False))
        if close:
            dropped[f"like {close}", row.source] += 1
        else:
            kept.append(row)
    return kept


def _shape(row: LabelledText) -> str:
    return "reply" if row.reply is not None else "operator" if row.operator is not None else ""


def _other(row: LabelledText) -> str:
    """What stands beside the text."""
    return row.reply or row.operator or ""
