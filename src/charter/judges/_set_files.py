"""The files of judge sets: found, hashed, and read row by row, with the file and the row named when one is broken."""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from charter.core.errors import DataError
from charter.data.tables import RepeatedKey, parse_json  # which also lets a field be as long as it is

HINT = "set CHARTER_DATA to the folder of public sets"
FORM = "check files, columns and label of the judge set: docs/judges.md"


def found_files(patterns: Sequence[str], data: Path) -> list[Path]:
    """Files below ``data``, in the order of the patterns, each once. Raises DataError for a pattern without a file."""
    found: list[Path] = []
    for pattern in patterns:
        try:
            paths = sorted(path for path in data.glob(pattern) if path.is_file())
        except (NotImplementedError, ValueError, IndexError):
            raise DataError(f"{pattern!r} names no file below {data}: paths of a judge set begin there", FORM) from None
        if not paths:
            raise DataError(f"{data / pattern}: there is no such file; judges are measured on it", HINT)
        found += paths
    return list(dict.fromkeys(found))


def content_of(path: Path) -> bytes:
    """The file, unpacked. Raises DataError."""
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if path.suffix == ".gz" else content
    except (OSError, EOFError, zlib.error):
        raise DataError(f"{path}: cannot be read; judges are measured on it", HINT) from None


def rows_of(path: Path, content: bytes, key: str) -> Iterator[Any]:
    """Rows of a CSV file (comments before its first line are passed over), of JSON lines, or of the list in a JSON file, under ``key`` if there is
    one. Raises DataError: for text that is not UTF-8, and for a row that says one thing twice or more than it has columns for."""
    name = path.name.removesuffix(".gz")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not UTF-8 text (byte {error.start})", f"iconv -t UTF-8 {path} > fixed && mv fixed {path}") from None
    try:
        if name.endswith(".csv"):
            yield from _records(path, text)
        elif name.endswith(".jsonl"):
            yield from (parse_json(line) for line in text.split("\n") if line.strip())
        else:
            found = json.loads(text)
            found = found[key] if key else found
            if not isinstance(found, list):
                raise TypeError("no list")
            yield from found
    except DataError:
        raise
    except RepeatedKey as error:
        raise DataError(f"{path}: in one of its rows {error}", FORM) from None
    except (ValueError, KeyError, TypeError, RecursionError, csv.Error):
        raise DataError(f"{path}: is not a file of the form that its judge set says", FORM) from None


def _records(path: Path, text: str) -> Iterator[dict[str, str | None]]:
    lines = text.splitlines(keepends=True)
    start = next((n for n, line in enumerate(lines) if not line.startswith("#")), 0)
    reader = csv.DictReader(io.StringIO("".join(lines[start:]), newline=""))
    doubled = [name for name, times in Counter(reader.fieldnames or ()).items() if name and times > 1]
    if doubled:
        raise DataError(f"{path}: names the column {doubled[0][:40]!r} twice", f"head -{start + 1} {path}")
    for number, row in enumerate(reader, 1):
        if None in row:
            raise DataError(f"{path}: row {number} has more fields than the first line names", 'text that holds a comma stands in "quotes"')
        yield row


def value_of(row: Any, column: str) -> Any:
    """What stands in a column, with dots for what lies deeper; None if nothing does."""
    if column == ".":
        return row
    for step in column.split("."):
        if isinstance(row, list) and step.isdigit() and int(step) < len(row):
            row = row[int(step)]
        elif isinstance(row, dict) and step in row:
            row = row[step]
        else:
            return None
    return row


def text_of(row: Any, column: str, key: str) -> str:
    """The same as text, '' for nothing. Raises DataError where the row has no such column."""
    value = value_of(row, column)
    if value is None and not (isinstance(row, dict) and column.split(".")[0] in row):
        there = f"there are {', '.join(map(str, row))[:200]}" if isinstance(row, dict) else "the row is no object"
        raise DataError(f"{key}: there is no column {column!r}; {there}", FORM)
    return "" if value is None else str(value)


def number_of(value: Any) -> float | None:
    """A finite number, or None: what is no number is no label."""
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None
