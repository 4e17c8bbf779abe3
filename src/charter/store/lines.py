"""A result file of one's own form: JSON lines with a user's ids, appended as they come, taken up again after a stop."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from charter.core.errors import InputError, StoreError
from charter.store.rowlog import disk_error


class ResultFile:
    """Rows that have an ``id`` each. Whole lines in one write; a line torn by a kill is cut off before the next is written, and no sooner: until
    then the file may turn out to be somebody else's."""

    def __init__(self, path: Path) -> None:
        """Raises StoreError for a file that holds anything but such rows. Nothing in it is changed."""
        self.path = path
        self._rows: dict[str, dict[str, Any]] = {}
        self._torn: tuple[int, int] | None = None  # where the torn line begins and ends
        self._end = 0  # bytes of the file as far as it is known here
        self._lines = 0
        if path.exists():
            self._read()

    def __contains__(self, key: str) -> bool:
        return key in self._rows

    def rows(self) -> dict[str, dict[str, Any]]:
        """Rows by id, in the order they were written."""
        return dict(self._rows)

    def append(self, rows: Iterable[dict[str, Any]]) -> None:
        """Append rows whose id is new. Raises StoreError when the file cannot be written, or grew by what another one wrote: its rows would stand
        twice."""
        self._put([row for row in rows if key_of(row["id"]) not in self._rows])

    def replace(self, rows: Iterable[dict[str, Any]]) -> None:
        """Append rows whatever is there of their ids: of two lines the later one holds, until ``compact`` takes the earlier out. Raises as
        ``append``."""
        self._put(list(rows))

    def compact(self) -> None:
        """Leave one line for each id: the file is written anew beside itself and put in its own place, if any id has two. Raises StoreError when it
        cannot be written; then it stays as it is."""
        if self._lines == len(self._rows):
            return
        path = self.path.resolve()
        beside = path.with_name(path.name + ".part")
        try:
            with path.open("a", encoding="utf-8") as held:
                fcntl.flock(held, fcntl.LOCK_EX)
                self._alone()
                with beside.open("w", encoding="utf-8") as file:
                    file.write(_text(self._rows.values()))
                    file.flush()
                    os.fsync(file.fileno())
                shutil.copymode(path, beside)
                beside.replace(path)
                self._end, self._lines = path.stat().st_size, len(self._rows)
        except OSError as error:
            beside.unlink(missing_ok=True)
            raise disk_error(self.path, error) from None

    def _put(self, fresh: list[dict[str, Any]]) -> None:
        if not fresh:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                fcntl.flock(file, fcntl.LOCK_EX)  # nobody writes between the look at its size and the write
                self._alone()
                file.write(_text(fresh))
                file.flush()
                os.fsync(file.fileno())
                self._end = self.path.stat().st_size
        except OSError as error:
            raise disk_error(self.path, error) from None
        self._rows.update({key_of(row["id"]): row for row in fresh})
        self._lines += len(fresh)

    def _alone(self) -> None:
        if self.path.stat().st_size != self._end:
            raise StoreError(f"{self.path}: another charter is writing to it", "wait for it and run this again, or give another --out")
        if self._torn is not None:
            os.truncate(self.path, self._torn[0])
            self._torn = None

    def _read(self) -> None:
        try:
            data = self.path.read_bytes()
        except OSError as error:
            raise disk_error(self.path, error) from None
        self._end = len(data)
        end = data.rfind(b"\n") + 1
        for self._lines, line in enumerate(data[:end].splitlines(), 1):
            try:
                row = json.loads(line)
                self._rows[key_of(row["id"])] = row
            except (ValueError, TypeError, KeyError):
                raise self._foreign(f"line {self._lines} is no result row of this Charter") from None
        if end < len(data):
            if not self._rows:  # a line of ours that was torn, or a user's file: nobody can tell
                raise self._foreign("holds no whole result row of this Charter")
            self._torn = end, len(data)

    def _foreign(self, why: str) -> StoreError:
        return StoreError(f"{self.path}: {why}", "give another --out")


def _text(rows: Iterable[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=True) + "\n" for row in rows)


def write_new(path: Path, text: str) -> None:
    """Write a new file that its owner alone may read. Raises InputError for one that is there: what it holds may be nowhere else by now; StoreError
    when it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        raise InputError(f"{path}: is there already", "give another --out") from None
    except OSError as error:
        raise disk_error(path, error) from None


def key_of(value: Any) -> str:
    """An id as a key: the number 1 and the text "1" are two ids."""
    return json.dumps(value, ensure_ascii=True)
