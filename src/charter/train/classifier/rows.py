"""The row that the classifier learns from, and how a user's own rows become such rows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from charter.core.errors import DataError
from charter.core.normalise.fold import seen as visible
from charter.data.care import must_drop
from charter.data.prompts import is_whole, read_lines
from charter.data.tables import RepeatedKey, parse_json
from charter.judges._heads import CONTENT_HEADS, HAZARDS, OPERATOR_HEADS, REPLY_HEADS, TEXT_HEADS, YES_NO

#: What training reads of each text of a row: so many characters, and of these so many tokens.
MOST_CHARACTERS, MOST_TOKENS = 6000, 600
#: The label that own rows do not have: what is served under its name is made of the kinds of content (``judges/_scoring.py``).
UNSERVED = "toxicity"
_KEYS = ("text", "labels", "hazard", "reply", "operator")
FORM = (
    '{"text": "...", "labels": {"harmful_request": 1, "jailbreak": 0}, "hazard": "S7"} (and "reply" for the heads on replies, '
    '"operator" for against_operator)'
)


class LabelledText(NamedTuple):
    """``labels`` has 0..1 for the heads that are known; the others do not learn from the row. ``reply`` is None for a text without one,
    ``operator`` (what the model was set up with) likewise; never are both there."""

    text: str
    reply: str | None
    labels: Mapping[str, float]
    hazard: str
    source: str
    licence: str
    weight: float = 1.0
    operator: str | None = None

    @property
    def whole(self) -> str:
        return "\n".join(part for part in (self.operator, self.text, self.reply) if part is not None)

    @property
    def key(self) -> tuple[str, str | None, str | None]:
        """Two rows with one key are one row twice."""
        return " ".join(self.text.lower().split()), self.reply, self.operator

    @property
    def alone(self) -> bool:
        """Whether the text stands by itself."""
        return self.reply is None and self.operator is None


class OwnRows(NamedTuple):
    """The rows of a user's file that may be held, the number of each in the file, and how many were dropped."""

    rows: list[LabelledText]
    numbers: list[int]
    dropped: int


def read_own(path: Path, weight: float) -> OwnRows:
    """A user's JSONL rows (from review, from a red team). Raises DataError naming the file, the row and the value that is wrong, and for a file
    without rows."""
    rows = [(number, _own(path, number, line, weight)) for number, line in read_lines(path)]
    if not rows:
        raise DataError(f"{path}: holds no rows", f"write one JSON object per line, such as {FORM}")
    kept = [(number, row) for number, row in rows if not must_drop(row.whole)]
    return OwnRows([row for _, row in kept], [number for number, _ in kept], len(rows) - len(kept))


def own_source(path: Path) -> str:
    """What the rows of a user's file are counted under."""
    return f"own:{path.name}"


def _own(path: Path, number: int, line: str, weight: float) -> LabelledText:
    def wrong(what: str) -> DataError:
        return DataError(f"{path}: row {number}: {what}", f"rows look like {FORM}")

    try:
        row: Any = parse_json(line)
    except RepeatedKey as error:
        raise wrong(str(error)) from None
    except (ValueError, RecursionError):  # the latter for endless nesting
        raise wrong("is not valid JSON") from None
    if not isinstance(row, dict) or not isinstance(row.get("text"), str) or not isinstance(row.get("labels"), dict) or not row["labels"]:
        raise wrong("'text' and 'labels' are needed")
    if unknown := sorted(set(row) - set(_KEYS)):
        raise wrong(f"unknown key {unknown[0][:40]!r}; known: {', '.join(_KEYS)}")
    for head, value in row["labels"].items():
        if head not in YES_NO:
            raise wrong(f"there is no head {head[:40]!r}; known: {', '.join(head for head in YES_NO if head != UNSERVED)}")
        if head == UNSERVED:
            raise wrong(f"label {head!r} is not learned from own rows: it is scored by kinds of content; label {', '.join(CONTENT_HEADS)} instead")
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
            raise wrong(f"label {head!r} must be a number from 0 to 1, not {value!r}")
    if row.get("hazard", "") not in ("", *HAZARDS):
        raise wrong(f"there is no hazard {row['hazard']!r}; known: {', '.join(HAZARDS)}")
    for key in ("text", "reply", "operator"):
        value = row.get(key)
        if value is not None and not isinstance(value, str):
            raise wrong(f"{key!r} must be text")
        if value is not None and not visible(value):
            raise wrong(f"{key!r} must be text that is not empty")
        if value is not None and not is_whole(value):
            raise wrong(f"{key!r} holds half of a \\u pair, which is no character")
    reply, operator = row.get("reply"), row.get("operator")
    if misfit := _misfit(row["labels"], reply, operator):
        raise wrong(misfit)
    return LabelledText(row["text"], reply, row["labels"], row.get("hazard", ""), own_source(path), "own", weight, operator)


def _misfit(labels: Mapping[str, float], reply: str | None, operator: str | None) -> str:
    """Which label would teach nothing that is served, '' if all fit: a head learns from what it reads when it judges, and from nothing else."""
    if operator is not None and reply is not None:
        return "has both 'operator' and 'reply': write two rows, one with each"
    beside, heads = ("operator", OPERATOR_HEADS) if operator is not None else ("reply", REPLY_HEADS) if reply is not None else ("", ())
    if beside:
        others = [head for head in labels if head not in heads]
        return f"label {others[0]!r}: with {beside!r} only {', '.join(heads)} is learned; write another row without it" if others else ""
    alone = (*TEXT_HEADS, *CONTENT_HEADS)
    others = [head for head in labels if head not in alone]
    return f"label {others[0]!r}: needs {'operator' if others[0] in OPERATOR_HEADS else 'reply'!r} beside it" if others else ""
