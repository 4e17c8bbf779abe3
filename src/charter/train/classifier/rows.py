"""The row that the classifier learns from, and how a user's own rows become such rows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from charter.core.errors import DataError
from charter.data.care import keep
from charter.data.prompts import read_lines
from charter.data.tables import RepeatedKey, parse_json
from charter.judges._heads import HAZARDS, OPERATOR_HEADS, YES_NO

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
    """The rows of a user's file that may be held, and how many were dropped."""

    rows: list[LabelledText]
    dropped: int


def read_own(path: Path, weight: float) -> OwnRows:
    """A user's JSONL rows (from review, from a red team). Raises DataError naming the file, the row and the value that is wrong."""
    rows = (_own(path, number, line, weight) for number, line in read_lines(path))
    return OwnRows(*keep((row.whole, row) for row in rows))


def own_source(path: Path) -> str:
    """What the rows of a user's file are counted under."""
    return f"own:{path.name}"


def _own(path: Path, number: int, line: str, weight: float) -> LabelledText:
    where = f"{path}: row {number}"
    try:
        row: Any = parse_json(line)
    except RepeatedKey as error:
        raise DataError(f"{where}: {error}", f"rows look like {FORM}") from None
    except ValueError:
        raise DataError(f"{where}: is not valid JSON", f"rows look like {FORM}") from None
    if not isinstance(row, dict) or not isinstance(row.get("text"), str) or not isinstance(row.get("labels"), dict) or not row["labels"]:
        raise DataError(f"{where}: 'text' and 'labels' are needed", f"rows look like {FORM}")
    for head, value in row["labels"].items():
        if head not in YES_NO:
            raise DataError(f"{where}: there is no head {head!r}; known: {', '.join(YES_NO)}", f"rows look like {FORM}")
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
            raise DataError(f"{where}: label {head!r} must be a number from 0 to 1, not {value!r}", f"rows look like {FORM}")
    if row.get("hazard", "") not in ("", *HAZARDS):
        raise DataError(f"{where}: there is no hazard {row['hazard']!r}; known: {', '.join(HAZARDS)}", f"rows look like {FORM}")
    reply, operator = row.get("reply"), row.get("operator")
    for name, value in (("reply", reply), ("operator", operator)):
        if value is not None and not isinstance(value, str):
            raise DataError(f"{where}: {name!r} must be text", f"rows look like {FORM}")
    _fits(row["labels"], reply, operator, where)
    return LabelledText(row["text"], reply, row["labels"], row.get("hazard", ""), own_source(path), "own", weight, operator)


def _fits(labels: Mapping[str, float], reply: str | None, operator: str | None, where: str) -> None:
    """A text beside instructions teaches the heads that read them, and nothing else does."""
    if operator is not None and reply is not None:
        raise DataError(f"{where}: has both 'operator' and 'reply'", "write two rows: one with each")
    others = sorted(set(labels) - set(OPERATOR_HEADS)) if operator is not None else sorted(set(labels) & set(OPERATOR_HEADS))
    if others:
        wanted = f"with 'operator' only {', '.join(OPERATOR_HEADS)} is learned" if operator is not None else "needs 'operator' beside it"
        raise DataError(f"{where}: label {others[0]!r}: {wanted}", f"rows look like {FORM}")
