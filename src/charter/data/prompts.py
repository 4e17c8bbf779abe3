"""Anybody's own test set: JSONL rows ``{"id", "prompt", "harmful": true|false, "hazard"?}``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from charter.core.errors import DataError
from charter.core.normalise.fold import seen as visible
from charter.core.rows import Conversation, Example, Source
from charter.data.care import REASON, must_drop
from charter.data.tables import RepeatedKey, parse_json

FORM = '{"id": "a1", "prompt": "How do I …?", "harmful": false, "hazard": "privacy"}'
ALLOWED = {"id", "prompt", "harmful", "hazard"}


class Prompts(NamedTuple):
    """The examples of a file, and how many rows were dropped and why."""

    examples: list[Example]
    dropped: dict[str, int]


def read_prompts(path: Path) -> Prompts:
    """Read and check every row before anything is asked. Raises DataError naming the file, the row (1-based) and the value that is wrong."""
    lines = read_lines(path)
    examples: list[Example] = []
    dropped = 0
    seen: dict[str, int] = {}
    for number, line in lines:
        row = _row(path, number, line)
        key = str(row["id"])
        if key in seen:
            raise DataError(f"{path}: row {number}: id {_short(key)} stands already on row {seen[key]}", "give every row its own id")
        seen[key] = number
        if must_drop(row["prompt"]):
            dropped += 1
            continue
        examples.append(
            Example(
                key=key,
                conversation=Conversation.ask(row["prompt"]),
                harmful=row["harmful"],
                hazard=row.get("hazard") or "",
                source=Source(dataset=path.name, row=str(number)),
            )
        )
    if not examples and dropped:
        raise DataError(f"{path}: all {dropped} rows were dropped: {REASON}", "use other rows")
    if not examples:
        raise DataError(f"{path}: holds no rows", f"write one JSON object per line, such as {FORM}")
    return Prompts(examples, {REASON: dropped} if dropped else {})


def read_lines(path: Path) -> list[tuple[int, str]]:
    """Non-blank lines with their 1-based numbers. Raises DataError for a missing file, a folder, or text that is not UTF-8."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file", "check its path") from None
    except IsADirectoryError:
        raise DataError(f"{path}: is a folder, not a JSONL file", f"ls {path}") from None
    except UnicodeDecodeError as error:
        # not the file's bytes: the decoder counts from behind a byte order mark
        row = error.object[: error.start].count(b"\n") + 1
        raise DataError(f"{path}: row {row}: is not UTF-8 text", f"iconv -t UTF-8 {path} > fixed.jsonl") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}", f"ls -l {path}") from None
    return [(n, line) for n, line in enumerate(text.split("\n"), 1) if line.strip()]


def _row(path: Path, number: int, line: str) -> dict[str, Any]:
    where = f"{path}: row {number}"
    try:
        row = parse_json(line)
    except RepeatedKey as error:
        raise DataError(f"{where}: {error}", f"rows look like {FORM}") from None
    except json.JSONDecodeError as error:
        raise DataError(f"{where}: is not valid JSON ({error.msg} at column {error.colno})", f"rows look like {FORM}") from None
    except (ValueError, RecursionError):  # json lets these through for endless numbers and endless nesting
        raise DataError(f"{where}: is not valid JSON (a number or a nesting without end)", f"rows look like {FORM}") from None
    if not isinstance(row, dict):
        raise DataError(f"{where}: is a {type(row).__name__}, not an object", f"rows look like {FORM}")
    for key in ("id", "prompt", "harmful"):
        if key not in row:
            raise DataError(f"{where}: {key!r} is missing", f"rows look like {FORM}")
    unknown = sorted(set(row) - ALLOWED)
    if unknown:
        raise DataError(f"{where}: unknown key {_short(unknown[0])}; known: id, prompt, harmful, hazard", f"rows look like {FORM}")
    if not isinstance(row["prompt"], str) or not visible(row["prompt"]):
        raise DataError(f"{where}: 'prompt' must be text that is not empty", f"rows look like {FORM}")
    if not isinstance(row["harmful"], bool):
        raise DataError(f"{where}: 'harmful' must be true or false, not {json.dumps(row['harmful'])[:40]}", f"rows look like {FORM}")
    if not isinstance(row["id"], (str, int)) or isinstance(row["id"], bool):
        raise DataError(f"{where}: 'id' must be a text or a number", f"rows look like {FORM}")
    if not isinstance(row.get("hazard"), str | None):
        raise DataError(f"{where}: 'hazard' must be text", f"rows look like {FORM}")
    for key in ("id", "prompt", "hazard"):
        if isinstance(row.get(key), str) and not is_whole(row[key]):
            raise DataError(f"{where}: {key!r} holds half of a \\u pair, which is no character", f"rows look like {FORM}")
    return row


def is_whole(text: str) -> bool:
    """Whether the text can be written down: JSON may spell half of a surrogate pair, UTF-8 may not."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def _short(text: str) -> str:
    """A user's value as shown in a message: escaped, and never long."""
    return repr(text if len(text) <= 40 else text[:37] + "...")
