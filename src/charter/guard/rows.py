"""Texts to check or to calibrate on, from JSONL: ``{"id", "prompt" or "messages", "reply"?, "harmful"?, "labels"?}``, one object a line.

``harmful`` says whether the row should be held back; ``labels`` says it for single rails by name. Rows that are sexual about minors are dropped and
counted.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from charter.core.errors import DataError, InputError
from charter.core.rows import Conversation
from charter.data.care import REASON, must_drop, said
from charter.data.prompts import read_lines
from charter.guard.messages import conversation_of
from charter.guard.policy import Stage

KEYS = frozenset({"id", "prompt", "messages", "reply", "harmful", "labels"})
FORM = '{"id": "a1", "prompt": "...", "reply": "...", "harmful": true}'


class CheckRow(NamedTuple):
    """One text to check. ``harmful`` is None where nobody has said."""

    id: str
    conversation: Conversation
    stage: Stage
    harmful: bool | None
    labels: Mapping[str, bool]

    def label(self, rail: str) -> bool | None:
        """Whether ``rail`` should hold this row back."""
        return self.labels.get(rail, self.harmful)


class CheckRows(NamedTuple):
    """The rows of a file, its hash (16 digits of SHA-256), and how many rows were dropped and why."""

    rows: list[CheckRow]
    hash: str
    dropped: dict[str, int]


def read_rows(path: Path) -> CheckRows:
    """Every row of a JSONL file. Raises DataError naming file, row and key."""
    rows: list[CheckRow] = []
    seen: set[str] = set()
    dropped = 0
    for number, line in read_lines(path):
        row = _row(f"{path}: row {number}", line)
        if row.id in seen:
            raise DataError(f"{path}: row {number}: the id {row.id[:40]!r} stands twice", "give every row its own id")
        seen.add(row.id)
        if must_drop(said(row.conversation)):
            dropped += 1
        else:
            rows.append(row)
    if not rows:
        raise DataError(f"{path}: holds no rows", f"rows look like {FORM}")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    return CheckRows(rows, digest, {REASON: dropped} if dropped else {})


def _row(where: str, line: str) -> CheckRow:
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):
        raise DataError(f"{where}: is not valid JSON", f"rows look like {FORM}") from None
    if not isinstance(data, dict):
        raise DataError(f"{where}: is a {type(data).__name__}, not an object", f"rows look like {FORM}")
    unknown = sorted(set(data) - KEYS)
    if unknown:
        raise DataError(f"{where}: unknown key {unknown[0][:40]!r}; known: {', '.join(sorted(KEYS))}", f"rows look like {FORM}")
    if isinstance(data.get("id"), bool) or not isinstance(data.get("id"), str | int):
        raise DataError(f"{where}: 'id' must be a text or a number", f"rows look like {FORM}")
    if ("prompt" in data) == ("messages" in data):
        raise DataError(f"{where}: needs either 'prompt' or 'messages'", f"rows look like {FORM}")
    reply, harmful, labels = data.get("reply"), data.get("harmful"), data.get("labels") or {}
    if not isinstance(reply, str | None):
        raise DataError(f"{where}: 'reply' must be text", f"rows look like {FORM}")
    if not isinstance(harmful, bool | None):
        raise DataError(f"{where}: 'harmful' must be true or false", f"rows look like {FORM}")
    if not isinstance(labels, dict) or not all(isinstance(value, bool) for value in labels.values()):
        raise DataError(f"{where}: 'labels' must be true or false by rail", '{"labels": {"jailbreak": true}}')
    talk = _conversation(where, data)
    if reply is not None:
        talk = talk.with_reply(reply)
    return CheckRow(str(data["id"]), talk, "output" if talk.reply is not None else "input", harmful, labels)


def _conversation(where: str, data: dict[str, Any]) -> Conversation:
    if "prompt" in data and not isinstance(data["prompt"], str):
        raise DataError(f"{where}: 'prompt' must be text", f"rows look like {FORM}")
    try:
        return conversation_of(data["prompt"] if "prompt" in data else data["messages"])
    except InputError as error:
        raise DataError(f"{where}: messages: {error.message}", f"rows look like {FORM}") from None
