"""The second thread of a network never waits for the processor of the thread that waits for it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from charter.core.processors import processors
from charter.judges import _network, _second_thread
from charter.judges._encoder import WEIGHTS
from charter.judges._network import Network
from charter.judges._second_thread import SecondThread, started

several = pytest.mark.skipif(not hasattr(os, "sched_setaffinity") or processors() < 2, reason="needs two processors, and placing")


@pytest.fixture
def sleeper() -> Iterator[tuple[threading.Event, SecondThread]]:
    """A thread that sleeps, and what was found out about it."""
    end = threading.Event()
    thread, found = started(lambda: _begun(end))
    yield end, found
    end.set()
    thread.join()


def _begun(end: threading.Event) -> threading.Thread:
    thread = threading.Thread(target=end.wait)
    thread.start()
    return thread


@several
def test_it_may_run_anywhere_but_where_the_first_one_runs(sleeper: tuple[threading.Event, SecondThread]) -> None:
    _, second = sleeper
    assert second._thread is not None
    everywhere, real = os.sched_getaffinity(0), second._here
    try:
        for here in sorted(everywhere):
            os.sched_setaffinity(0, {here})  # this thread alone moves
            second._on, second._here = frozenset(), real
            second.place()
            assert os.sched_getaffinity(second._thread) == everywhere, "a thread that is bound to one processor tells nothing of others"
            os.sched_setaffinity(0, everywhere)
            second._here = lambda here=here: here
            second.place()
            assert os.sched_getaffinity(second._thread) == everywhere - {here}
            os.sched_setaffinity(second._thread, everywhere)
    finally:
        os.sched_setaffinity(0, everywhere)


@several
def test_the_system_is_asked_only_where_the_first_one_has_moved(
    sleeper: tuple[threading.Event, SecondThread], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, second = sleeper
    at, asked = [0], []
    monkeypatch.setattr(os, "sched_getaffinity", lambda thread: {0, 1, 2})
    monkeypatch.setattr(os, "sched_setaffinity", lambda thread, where: asked.append(sorted(where)))
    second._here = lambda: at[0]
    for at[0] in (0, 0, 0, 1, 1, 2, 2, 0):
        second.place()
    assert asked == [[1, 2], [0, 2], [0, 1], [1, 2]]


@several
def test_a_second_later_it_is_looked_at_again(sleeper: tuple[threading.Event, SecondThread], monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else may have put all threads of the process elsewhere, and back."""
    _, second = sleeper
    now, asked = [5.0], []
    monkeypatch.setattr(os, "sched_getaffinity", lambda thread: {0, 1})
    monkeypatch.setattr(os, "sched_setaffinity", lambda thread, where: asked.append(sorted(where)))
    monkeypatch.setattr(_second_thread.time, "monotonic", lambda: now[0])
    second._here = lambda: 0
    for now[0] in (5.0, 5.9, 6.1, 6.9, 7.2):
        second.place()
    assert asked == [[1]] * 3


def test_a_process_that_is_forked_while_a_network_is_loaded_can_load_one() -> None:
    script = """
import os, threading
from charter.judges._second_thread import started
loading, go = threading.Event(), threading.Event()
thread = threading.Thread(target=lambda: started(lambda: (loading.set(), go.wait(30))))
thread.start()
loading.wait(30)
child = os.fork()
if not child:
    started(lambda: None)
    os._exit(7)
go.set()
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False)
    assert done.stdout.split() == ["7"], done.stderr


@several
def test_where_the_system_refuses_it_runs_where_it_may(sleeper: tuple[threading.Event, SecondThread], monkeypatch: pytest.MonkeyPatch) -> None:
    _, second = sleeper

    def refuse(thread: int, where: object) -> None:
        raise PermissionError(1, "not permitted")

    monkeypatch.setattr(os, "sched_setaffinity", refuse)
    second.place()
    assert second._thread is None
    second.place()


@pytest.mark.parametrize("count", [0, 2])
def test_which_of_several_it_is_is_not_guessed(count: int) -> None:
    end = threading.Event()
    threads, second = started(lambda: [_begun(end) for _ in range(count)])
    assert second._thread is None
    second.place()
    end.set()
    for thread in threads:
        thread.join()


def test_without_proc_or_the_call_nothing_is_placed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_second_thread, "_TASKS", tmp_path / "none")
    end = threading.Event()
    thread, second = started(lambda: _begun(end))
    assert second._thread is None
    second.place()
    end.set()
    thread.join()
    monkeypatch.delattr(os, "sched_setaffinity", raising=False)
    SecondThread(1).place()


@several
def test_the_networks_second_thread_is_known_and_placed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_network, "_READERS", _network._Readers())  # other tests may just have read two windows at once
    network = Network(WEIGHTS / "classifier.onnx")
    assert network._second._thread is not None
    ids = np.ones((1, 9), np.int32)
    network.run(["logits"], {"input_ids": ids, "token_type_ids": ids * 0, "position_ids": np.arange(9, dtype=np.int32)}, alone=True)
    assert len(os.sched_getaffinity(network._second._thread)) == len(os.sched_getaffinity(0)) - 1
