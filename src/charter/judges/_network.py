"""The encoder's network in onnxruntime: a window on one thread, or on two while nobody else in this process reads.

Where many windows wait, one thread for each is best: nothing is divided, and nothing waits. A window that is read while all else is idle takes two
thirds of its time on two threads, which give the same numbers. So the network is loaded twice, with one table of words (half of its memory) for both.
"""

from __future__ import annotations

import ctypes
import math
import os
import threading
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from charter.core.errors import MissingPartError
from charter.judges._second_thread import SecondThread, started

#: Seconds without two windows at once after which the second thread is used again: under load it would take others' time for little.
QUIET_S = 1.0
#: Smallest table that is worth sharing, in bytes, its name, and the types of numbers in ONNX files that it may have.
_LARGE, _WORDS, _TYPES = 1 << 20, b"word", {1: np.float32, 2: np.uint8, 3: np.int8}
#: Where things stand in an ONNX file: the graph of a model, the tables of a graph, and of a table its sizes, type, name and numbers.
_GRAPH, _TABLES, _SIZES, _TYPE, _NAME, _NUMBERS = 7, 5, 1, 2, 8, 9


class _Readers:
    """Who reads in this process, whichever network."""

    def __init__(self) -> None:
        self._lock, self._running, self._crowded_s = threading.Lock(), 0, float("-inf")

    def enter(self) -> bool:
        """Whether nobody else reads, and for a while no two have."""
        with self._lock:
            self._running += 1
            if self._running > 1:
                self._crowded_s = time.monotonic()
            return self._running == 1 and time.monotonic() - self._crowded_s > QUIET_S

    def leave(self) -> None:
        with self._lock:
            self._running -= 1


class Network:
    """``run`` for any thread. ``threads`` 1: one for each window always."""

    def __init__(self, path: Path, threads: int = 2) -> None:
        shared = _shared(path) if threads > 1 else {}
        self._one = _session(path, 1, shared)
        self._two, self._second = started(lambda: _session(path, 2, shared)) if threads > 1 else (None, SecondThread(None))
        self._shared = shared  # onnxruntime reads it and does not hold it: the sessions go first
        _give_back()
        _NETWORKS.add(self)

    @property
    def outputs(self) -> list[str]:
        return [str(output.name) for output in self._one.get_outputs()]

    def run(self, names: Sequence[str], feed: Mapping[str, Any], *, alone: bool = False) -> list[Any]:
        """The outputs of one window. ``alone``: its reader has no other one to read."""
        readers = _READERS
        quiet = readers.enter()
        try:
            session = self._one
            if alone and quiet and self._two is not None:
                session = self._two
                self._second.place()
            return list(session.run(list(names), dict(feed)))
        finally:
            readers.leave()


_READERS = _Readers()
_NETWORKS: weakref.WeakSet[Network] = weakref.WeakSet()
_LEFT_ALONE: list[Any] = []


def _forked() -> None:
    """A forked process has none of the second threads: they are not used there, and not waited for when their sessions would end."""
    global _READERS
    _READERS = _Readers()
    for network in list(_NETWORKS):
        _LEFT_ALONE.append(network._two)
        network._two = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


def _runtime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingPartError(f"{error.name} is not installed; the classifier runs on it", "pip install onnxruntime tokenizers") from None
    return onnxruntime


def _session(path: Path, threads: int, shared: Mapping[str, Any]) -> Any:
    runtime = _runtime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.force_spinning_stop", "1")  # between windows the second thread sleeps
    options.enable_cpu_mem_arena = False  # the arena keeps the largest batch's memory for ever
    # the graph is written as it should run (train/classifier/export.py); what the higher levels fuse is slower
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 3
    for name, table in shared.items():
        options.add_initializer(name, table)
    return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _give_back() -> None:
    """What loading took and needs no more, to the system: some 15 MB. Where the C library has no such call they are used again."""
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def _shared(path: Path) -> dict[str, Any]:
    """A copy of the table of words; nothing where the file has no such table, or cannot be read: onnxruntime will say why."""
    held = path.read_bytes()
    with suppress(KeyError, IndexError, ValueError):
        for field, start, end in _fields(held, 0, len(held)):
            for inner, first, last in _fields(held, start, end) if field == _GRAPH else ():
                if inner == _TABLES and last - first >= _LARGE and (table := _table(held, first, last)) is not None:
                    return {_WORDS.decode(): _runtime().OrtValue.ortvalue_from_numpy(table)}
    return {}


def _table(held: bytes, start: int, end: int) -> Any:
    """The numbers of a table, if it is that of the words."""
    name, kind, place = b"", 0, (0, 0)
    sizes: list[int] = []
    for field, first, last in _fields(held, start, end):
        if field == _NAME:
            name = held[first:last]
        elif field == _NUMBERS:
            place = (first, last)
        elif field == _TYPE:
            kind = first
        elif field == _SIZES:
            sizes += list(_numbers(held, first, last)) if last >= 0 else [first]
    if name != _WORDS or kind not in _TYPES or math.prod(sizes) * np.dtype(_TYPES[kind]).itemsize != place[1] - place[0]:
        return None
    return np.frombuffer(held, _TYPES[kind], math.prod(sizes), place[0]).reshape(sizes).copy()


def _fields(held: bytes, at: int, end: int) -> Iterator[tuple[int, int, int]]:
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


def _numbers(held: bytes, at: int, end: int) -> Iterator[int]:
    while at < end:
        value, at = _number(held, at)
        yield value


def _number(held: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = held[at]
        value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
        if byte < 128:
            return value, at
