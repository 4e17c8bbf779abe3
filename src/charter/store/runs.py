"""Run folders: ``run.json`` first (what was asked for, with what), then rows. A finished folder is never done again; a half-finished one goes on."""

from __future__ import annotations

import fcntl
import json
import os
import platform
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TextIO, TypeVar

from charter.core.errors import StoreError
from charter.core.rows import Row, Run, content_id
from charter.store.rowlog import RowLog, disk_error, set_aside

R = TypeVar("R", bound=Row)
TRACKED = ("charter-align", "torch", "transformers", "trl", "peft", "openai")


class RunFolder:
    """One stage's folder. Use as a context manager: it holds a lock, so that two processes never write the same rows.

    Opening a folder that holds another stage, configuration or input raises StoreError: rows of two recipes are never mixed.
    """

    def __init__(self, path: Path, stage: str, config: dict[str, Any], *, seed: int = 0, inputs: dict[str, str] | None = None) -> None:
        self.path = path
        wanted = Run(stage=stage, config=config, seed=seed, inputs=inputs or {}, versions=_versions())
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise disk_error(path, error) from None
        self._lock = _lock(path)
        self._started = time.monotonic()
        try:
            found = read_run(path)
            if found is not None and _identity(found) != _identity(wanted):
                raise StoreError(f"{path}: holds {_difference(found, wanted)}", f"give another --out, or remove it: rm -r {path}")
            self.run = found or wanted
            if found is None:
                self._save()
        except BaseException:
            os.close(self._lock)
            raise

    @property
    def finished(self) -> bool:
        return self.run.status == "done"

    def log(self, name: str, row_type: type[R], sync_s: float = 0.0) -> RowLog[R]:
        """The rows ``<name>.jsonl`` of this folder; ``sync_s`` as in ``RowLog``."""
        return RowLog(self.path / f"{name}.jsonl", row_type, sync_s)

    def finish(self, *, rows_in: int, rows_out: int, dropped: dict[str, int] | None = None, outputs: dict[str, str] | None = None) -> None:
        """Mark the stage as done. Does nothing if it already was."""
        if self.finished:
            return
        spent = self.run.seconds + time.monotonic() - self._started
        update = {"rows_in": rows_in, "rows_out": rows_out, "dropped": dict(sorted((dropped or {}).items()))}
        self.run = self.run.model_copy(update={**update, "outputs": outputs or {}, "seconds": round(spent, 3), "status": "done"})
        self._save()

    def settle(
        self, *, rows_in: int, rows_out: int, dropped: dict[str, int], status: Literal["done", "failed"], outputs: dict[str, str] | None = None
    ) -> None:
        """``finish`` for a folder that may grow after it was done, and may end as failed: what is true now is written. Without ``outputs`` those that
        it has stay."""
        spent = self.run.seconds + time.monotonic() - self._started
        self._started = time.monotonic()
        update = {"rows_in": rows_in, "rows_out": rows_out, "dropped": dict(sorted(dropped.items())), "seconds": round(spent, 3), "status": status}
        self.run = self.run.model_copy(update=update if outputs is None else {**update, "outputs": outputs})
        self._save()

    def clear_unfinished(self, *names: str) -> None:
        """Remove derived, not-yet-complete sub-folders so that they can be made anew."""
        for name in names:
            shutil.rmtree(self.path / name, ignore_errors=True)

    def _save(self) -> None:
        write_json(self.path / "run.json", self.run.model_dump(mode="json"))

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if not self.finished:
            spent = self.run.seconds + time.monotonic() - self._started
            self.run = self.run.model_copy(update={"seconds": round(spent, 3)})
            if kind is None or not issubclass(kind, StoreError):
                self._save()
        os.close(self._lock)


def read_run(path: Path) -> Run | None:
    """The Run of a folder, or None if there is none yet."""
    file = path / "run.json"
    if not file.exists():
        return None
    try:
        return Run.model_validate_json(file.read_text(encoding="utf-8"))
    except ValueError:
        raise StoreError(f"{file}: is damaged or of a newer Charter", set_aside(path)) from None


def write_json(path: Path, value: Any) -> None:
    """Write JSON so that a reader sees the old file or the new one, never half of one."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, sort_keys=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """``write_json`` for any text."""
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def write_bytes(path: Path, data: bytes) -> None:
    """``write_json`` for anything. A link stays, and what it names is written; a device or a pipe is written to as it is."""
    try:
        if path.absolute().is_relative_to("/dev") or path.absolute().is_relative_to("/proc") or (path.exists() and not path.is_file()):
            path.write_bytes(data)
            return
        target = Path(os.path.realpath(path)) if path.is_symlink() else path
        temporary = target.with_name(target.name + ".tmp")
        target.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except OSError as error:
        raise disk_error(path, error) from None


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder that is no run folder, made where it is missing. Raises StoreError where another charter holds it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise disk_error(folder, error) from None
    held = _lock(folder)
    try:
        yield
    finally:
        os.close(held)


def _lock(path: Path) -> int:
    try:
        handle = os.open(path / ".lock", os.O_CREAT | os.O_RDWR, 0o644)
    except OSError as error:
        raise disk_error(path, error) from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise StoreError(f"{path}: another charter is writing there", "wait for it, or give another --out") from None
    return handle


def _identity(run: Run) -> str:
    return content_id({"stage": run.stage, "config": run.config, "seed": run.seed, "inputs": run.inputs})


def _difference(found: Run, wanted: Run) -> str:
    if found.stage != wanted.stage:
        return f"a run of {found.stage!r}, not of {wanted.stage!r}"
    if found.seed != wanted.seed:
        return f"a run with seed {found.seed}, not {wanted.seed}"
    before, now = (str(run.config.get("model", "")).rpartition("#") for run in (found, wanted))
    if before[0] == now[0] and before[1] and now[1] and before != now:
        return f"rows of {now[0]} as it was before its files changed"
    keys = sorted(k for k in {*found.config, *wanted.config} if content_id(found.config.get(k)) != content_id(wanted.config.get(k)))
    return (
        f"a run of another recipe (different: {', '.join(_told(k, found.config.get(k), wanted.config.get(k)) for k in keys)})"
        if keys
        else "a run over other input rows"
    )


def _told(key: str, before: Any, now: Any) -> str:
    """A key that differs; of a group of keys the first three that do, with both values."""
    if not isinstance(before, dict) or not isinstance(now, dict):
        return key
    changed = _changes(before, now)
    return f"{key}: {', '.join(changed[:3])}{f' and {len(changed) - 3} more' if len(changed) > 3 else ''}"


def _changes(before: dict[str, Any], now: dict[str, Any], group: str = "") -> list[str]:
    """``group.key OLD -> NEW`` for every value that differs."""
    found: list[str] = []
    for key in [*before, *(key for key in now if key not in before)]:
        old, new = before.get(key), now.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            found += _changes(old, new, f"{group}{key}.")
        elif content_id(old) != content_id(new):
            found.append(f"{group}{key} {_short(old)} -> {_short(new)}")
    return found


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else text[:37] + "..."


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in TRACKED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


class LogFile:
    """A log file that is made when the first line is written, so that a command that is refused at once leaves nothing behind."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stream: TextIO | None = None

    def write(self, text: str) -> int:
        """Raises StoreError when the file cannot be written."""
        try:
            if self._stream is None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._stream = self._path.open("a", encoding="utf-8", errors="backslashreplace")
            return self._stream.write(text)
        except OSError as error:
            raise disk_error(self._path, error) from None

    def flush(self) -> None:
        if self._stream is not None:
            self._stream.flush()

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()


@contextmanager
def open_log(path: Path) -> Iterator[LogFile]:
    """A log file to append to, made at its first line."""
    log = LogFile(path)
    try:
        yield log
    finally:
        log.close()
