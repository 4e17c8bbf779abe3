"""The encoder's network in onnxruntime: a window on one thread, or on two while nobody else reads.

Where many windows wait, one thread for each is best: nothing is divided, and nothing waits. A window that is read while all else is idle takes two
thirds of its time on two threads, which give the same numbers. So the network is loaded twice, with one table of words (half of its memory) for both.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from charter.core.errors import MissingPartError

#: Seconds without two windows at once after which the second thread is used again: under load it would take others' time for little.
QUIET_S = 1.0
#: Smallest table that is worth sharing, in bytes; types of numbers in ONNX files that such a table may have.
_LARGE, _TYPES = 1 << 20, {1: np.float32, 2: np.uint8, 3: np.int8}
#: Where things stand in an ONNX file: the graph of a model, the tables of a graph, and of a table its sizes, type, name and numbers.
_GRAPH, _TABLES, _SIZES, _TYPE, _NAME, _NUMBERS = 7, 5, 1, 2, 8, 9


class Network:
    """``run`` for any thread. ``threads`` 1: one for each window always."""

    def __init__(self, path: Path, threads: int = 2) -> None:
        self._shared = _shared(path)  # kept: onnxruntime reads it and does not hold it
        self._one = _session(path, 1, self._shared)
        self._two = _session(path, 2, self._shared) if threads > 1 else None
        _give_back()
        self._lock, self._running, self._crowded_s = threading.Lock(), 0, float("-inf")
        self._process = os.getpid()

    @property
    def outputs(self) -> list[str]:
        return [str(output.name) for output in self._one.get_outputs()]

    def run(self, names: Sequence[str], feed: Mapping[str, Any], *, alone: bool = False) -> list[Any]:
        """The outputs of one window. ``alone``: its reader has no other one to read."""
        session = self._enter(alone)
        try:
            return list(session.run(list(names), dict(feed)))
        finally:
            with self._lock:
                self._running -= 1

    def _enter(self, alone: bool) -> Any:
        with self._lock:
            self._running += 1
            if self._running > 1:
                self._crowded_s = time.monotonic()
            quiet = alone and self._running == 1 and time.monotonic() - self._crowded_s > QUIET_S
        # a forked process has none of the other thread
        return self._two if quiet and self._two is not None and os.getpid() == self._process else self._one


def _session(path: Path, threads: int, shared: Mapping[str, Any]) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingPartError(f"{error.name} is not installed; the classifier runs on it", "pip install onnxruntime tokenizers") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.force_spinning_stop", "1")  # between windows the second thread sleeps
    options.enable_cpu_mem_arena = False  # the arena keeps the largest batch's memory for ever
    # the graph is written as it should run (train/classifier/export.py); what the higher levels fuse is slower
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 3
    for name, table in shared.items():
        options.add_initializer(name, table)
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _give_back() -> None:
    """What loading took and needs no more, to the system: some 15 MB. Where the C library has no such call they are used again."""
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def _shared(path: Path) -> dict[str, Any]:
    """The table of words, as it lies in the file: pages that nobody asks for are not in memory. Nothing where the file has no such table."""
    import onnxruntime

    with path.open("rb") as file:
        held = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    for field, start, end in _fields(held, 0, len(held)):
        if field != _GRAPH:
            continue
        for inner, first, last in _fields(held, start, end):
            if inner == _TABLES and last - first >= _LARGE:
                name, table = _table(held, first, last)
                if name == "word" and table is not None:
                    return {name: onnxruntime.OrtValue.ortvalue_from_numpy(table)}
    return {}


def _table(held: mmap.mmap, start: int, end: int) -> tuple[str, Any]:
    name, kind, sizes, place = "", 0, [], (0, 0)
    for field, first, last in _fields(held, start, end):
        if field == _NAME:
            name = held[first:last].decode("utf-8", "replace")
        elif field == _NUMBERS:
            place = (first, last)
        elif field == _TYPE:
            kind = first
        elif field == _SIZES:
            sizes += list(_numbers(held, first, last)) if last >= 0 else [first]
    if kind not in _TYPES or int(np.prod(sizes)) * np.dtype(_TYPES[kind]).itemsize != place[1] - place[0]:
        return name, None
    return name, np.frombuffer(held, _TYPES[kind], int(np.prod(sizes)), place[0]).reshape(sizes)


def _fields(held: mmap.mmap, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Number, start and end of each field of a message in Protocol Buffers; of a whole number itself and -1."""
    while at < end:
        key, at = _number(held, at)
        if key & 7 == 0:
            value, at = _number(held, at)
            yield key >> 3, value, -1
            continue
        length, at = _number(held, at) if key & 7 == 2 else ({1: 8, 5: 4}[key & 7], at)
        yield key >> 3, at, at + length
        at += length


def _numbers(held: mmap.mmap, at: int, end: int) -> Iterator[int]:
    while at < end:
        value, at = _number(held, at)
        yield value


def _number(held: mmap.mmap, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = held[at]
        value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
        if byte < 128:
            return value, at
