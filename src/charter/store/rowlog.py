"""Append-only JSONL of rows, keyed by content, readable by eye and by pandas.

A line is ``{"key": …, "id": …, <fields of the row>}``. Appends are whole lines in one write, flushed to disk. A line without an end was torn by a
kill, or is being written just now: readers pass over it, and who next appends cuts it off. Reading changes nothing, so it needs no lock. Keys
already there are never written twice, so repeating work is harmless.
"""

from __future__ import annotations

import errno
import json
import math
import os
import time
from collections.abc import Collection, Generator, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO, Generic, TypeVar

from charter.core.errors import StoreError
from charter.core.rows import Row

R = TypeVar("R", bound=Row)
#: Bytes read at once when a torn line is looked for.
BLOCK = 1 << 16


class RowLog(Generic[R]):
    """The rows of one type in one file. Not for two writers at once: the run folder holds the lock.

    Every append is written at once, so a killed process loses nothing; it is also forced to the disk, against a loss of power, unless that was done
    less than ``sync_s`` seconds ago. ``sync`` forces the rest.
    """

    def __init__(self, path: Path, row_type: type[R], sync_s: float = 0.0) -> None:
        self.path = path
        self.row_type = row_type
        self._sync_s = sync_s
        self._synced = -math.inf
        self._keys: dict[str, int] = {}  # the last line of each key
        self._lines = 0
        self._appended = False
        if path.exists():
            with closing(_lines(path)) as lines:
                for self._lines, line in enumerate(lines, 1):
                    self._keys[self._fields(self._lines, line)["key"]] = self._lines

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, key: str) -> bool:
        return key in self._keys

    def keys(self) -> list[str]:
        return list(self._keys)

    def append(self, rows: Iterable[tuple[str, R]]) -> int:
        """Append rows whose key is new; returns how many were. Raises StoreError when the disk is full or not writable, ValueError for a
        row that has a key of its own and is filed under another: it could not be found again."""
        fresh: dict[str, R] = {}
        for key, row in rows:
            own = getattr(row, "key", key)
            if own != key:
                raise ValueError(f"the row {own!r} cannot be stored under the key {key!r}")
            if key not in self._keys:
                fresh.setdefault(key, row)
        if fresh:
            self._put(fresh.items())
        return len(fresh)

    def replace(self, rows: Iterable[tuple[str, R]]) -> None:
        """Write rows again whose key may be there already: the later line holds for readers that keep the last, as a dictionary does."""
        given = list(rows)
        if given:
            self._put(given)

    def sync(self) -> None:
        """Force what was written to the disk."""
        if self._sync_s and self.path.exists():
            _write(self.path, "")
            self._synced = time.monotonic()

    def _put(self, rows: Collection[tuple[str, R]]) -> None:
        due = time.monotonic() - self._synced >= self._sync_s
        if not self._appended and self.path.exists():  # only now: whoever merely reads may stand beside one who writes
            _cut_torn_line(self.path)
        self._appended = True
        _write(self.path, "".join(_line(key, row) for key, row in rows), due)
        self._keys.update((key, number) for number, (key, _) in enumerate(rows, self._lines + 1))
        self._lines += len(rows)
        if due:
            self._synced = time.monotonic()

    def items(self) -> list[tuple[str, R]]:
        """All rows with their keys, in the order they were written."""
        return list(self.iterate())

    def iterate(self) -> Iterator[tuple[str, R]]:
        """``items`` one by one, so that a long log needs no memory."""
        if self.path.exists():
            with closing(_lines(self.path)) as lines:
                for number, line in enumerate(lines, 1):
                    yield self._read(number, line)

    def latest(self) -> Iterator[tuple[str, R]]:
        """``iterate`` without the lines that a later one of the same key has replaced."""
        for number, (key, row) in enumerate(self.iterate(), 1):
            if self._keys.get(key) == number:
                yield key, row

    def rows(self) -> list[R]:
        return [row for _, row in self.items()]

    def _fields(self, number: int, line: str) -> dict[str, Any]:
        try:
            fields = json.loads(line)
        except ValueError:
            raise self._damaged(number) from None
        if not isinstance(fields, dict) or not isinstance(fields.get("key"), str):
            raise self._damaged(number)
        return fields

    def _damaged(self, number: int) -> StoreError:
        kind = self.row_type.__name__
        return StoreError(f"{self.path}: line {number} is damaged or no {kind} of this Charter", set_aside(self.path.parent))

    def _read(self, number: int, line: str) -> tuple[str, R]:
        fields = self._fields(number, line)
        fields.pop("id", None)
        key = fields["key"]
        if "key" not in self.row_type.model_fields:
            del fields["key"]
        try:
            return key, self.row_type.model_validate(fields)
        except ValueError:
            raise self._damaged(number) from None


def _line(key: str, row: Row) -> str:
    fields: dict[str, Any] = {"key": key, "id": row.id, **row.model_dump(mode="json")}
    return json.dumps(fields, ensure_ascii=True) + "\n"


def _lines(path: Path) -> Generator[str, None, None]:
    """The lines that were whole when the file was opened. Bytes that are no UTF-8 become escapes that JSON does not know."""
    with path.open("rb") as file:
        left = _whole(file)
        file.seek(0)
        for line in file:
            left -= len(line)
            if left < 0:
                return
            yield line.decode("utf-8", "backslashreplace")


def _write(path: Path, text: str, sync: bool = True) -> None:
    size = path.stat().st_size if path.exists() else 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            if sync:
                os.fsync(file.fileno())
    except OSError as error:
        if path.exists() and path.stat().st_size != size:
            os.truncate(path, size)
        raise disk_error(path, error) from None


def disk_error(path: Path, error: OSError) -> StoreError:
    """The clear line for a write that failed; what was written before stays."""
    if error.errno == errno.ENOSPC:
        return StoreError(f"{path}: no space left on the disk; finished rows are kept", f"df -h {path.parent}, free some space, run it again")
    return StoreError(f"{path}: cannot be written: {error.strerror}", "give --out a folder that you may write to")


def set_aside(folder: Path) -> str:
    """The next command where rows cannot be read: nothing is lost by it, whosever they are."""
    return f"mv {folder} {folder}.damaged and run it again"


def _whole(file: BinaryIO) -> int:
    """Where the last whole line ends: back from the end to a line break, block by block, for a log may be larger than memory."""
    end = file.seek(0, os.SEEK_END)
    while end > 0:
        start = max(0, end - BLOCK)
        file.seek(start)
        found = file.read(end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def _cut_torn_line(path: Path) -> None:
    with path.open("rb") as file:
        end = _whole(file)
        torn = end < file.seek(0, os.SEEK_END)
    if torn:
        os.truncate(path, end)
