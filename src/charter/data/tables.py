"""Tables of public data sets: CSV and JSON lines, gzipped or not, with the file and the row named when one is broken."""

from __future__ import annotations

import csv
import gzip
import io
import json
import sys
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

from charter.core.errors import DataError

csv.field_size_limit(min(sys.maxsize, 2**31 - 1))


class RepeatedKey(ValueError):
    """A JSON object that says one thing twice: which of the two was meant cannot be known."""


def parse_json(text: str) -> Any:
    """``json.loads``, which would take the last of two values of one key. Raises RepeatedKey, else what ``json.loads`` raises."""
    return json.loads(text, object_pairs_hook=_each_once)


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        key = next(key for key, times in Counter(key for key, _ in pairs).items() if times > 1)
        raise RepeatedKey(f"the key {key[:40]!r} stands twice")
    return found


def read_csv(path: Path, columns: Iterable[str], delimiter: str = ",") -> list[dict[str, str]]:
    """The records of a CSV file that has at least these columns. Raises DataError, also for a quote out of place, which would join rows, and for a
    row with more fields than the first line names, whose text would be cut."""
    wanted, records = set(columns), _records(path, delimiter)
    _, names = next(records, (1, []))
    if missing := sorted(wanted - set(names)):
        raise DataError(f"{path}: lacks the columns {', '.join(missing)}", f"head -1 {path}")
    if doubled := [name for name, times in Counter(names).items() if name and times > 1]:
        raise DataError(f"{path}: names the column {doubled[0][:40]!r} twice", f"head -1 {path}")
    needed = max((names.index(column) + 1 for column in wanted), default=0)
    rows = []
    for number, (line, fields) in enumerate(records, 1):
        where = f"{path}: row {number}, on line {line},"
        if len(fields) < needed:
            raise DataError(f"{where} is cut: it has fewer columns than the first line names", f"wc -l {path}, and get the file again")
        if len(fields) > len(names):
            hint = f'text that holds the separator stands in "quotes": sed -n {line}p {path}'
            raise DataError(f"{where} has {len(fields)} fields, and the first line names {len(names)} columns", hint)
        rows.append(dict(zip_longest(names, fields, fillvalue="")))
    return rows


def _records(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The records that are not blank, each with the line it begins on (1-based). Strict: else a stray quote would swallow the rows behind it."""
    reader = csv.reader(io.StringIO(read_text(path), newline=""), delimiter=delimiter, strict=True)
    line = 1
    try:
        for fields in reader:
            if fields:
                yield line, fields
            line = reader.line_num + 1
    except csv.Error as error:
        message = f"{path}: the row that begins on line {line} is not valid CSV: a quote is out of place ({error}; found on line {reader.line_num})"
        raise DataError(message, f'inside "quoted text" a quote is written twice: sed -n {line}p {path}') from None


def read_jsonl(path: Path, keys: Iterable[str] = ()) -> list[dict[str, Any]]:
    """The objects of a JSON-lines file, each with at least these keys; blank lines do not count. Raises DataError."""
    return [row for _, row in numbered_jsonl(path, keys)]


def numbered_jsonl(path: Path, keys: Iterable[str] = ()) -> list[tuple[int, dict[str, Any]]]:
    """The same, each with the number of its line, from 1: what a message calls a row has to be where an editor finds it."""
    rows = []
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = parse_json(line)
        except RepeatedKey as error:
            raise DataError(f"{path}: row {number}: {error}", f"sed -n {number}p {path}") from None
        except (ValueError, RecursionError):
            raise DataError(f"{path}: row {number}: is not valid JSON", f"sed -n {number}p {path}") from None
        missing = [key for key in keys if not isinstance(row, dict) or key not in row]
        if missing or not isinstance(row, dict):
            raise DataError(f"{path}: row {number}: {f'{missing[0]!r} is missing' if missing else 'is not an object'}", f"sed -n {number}p {path}")
        rows.append((number, row))
    return rows


def read_text(path: Path) -> str:
    """The whole file as text; one that is gzipped, by its first bytes, is unpacked. Raises DataError."""
    try:
        data = path.read_bytes()
        return (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode("utf-8-sig")
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise DataError(f"{path}: is a broken gzip file", "get the file again") from None
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file", f"ls {path.parent}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not UTF-8 text (byte {error.start})", f"iconv -t UTF-8 {path} > fixed && mv fixed {path}") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}", f"ls -l {path}") from None
