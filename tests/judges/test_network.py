"""The encoder's network: a window says the same on one thread and on two, and two are used only while nobody else reads."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from charter.judges import _network
from charter.judges._encoder import WEIGHTS
from charter.judges._network import Network

MODEL = WEIGHTS / "classifier.onnx"


@pytest.fixture(scope="module")
def network() -> Network:
    return Network(MODEL)


def feed(tokens: int, seed: int = 0) -> dict[str, Any]:
    ids = np.random.default_rng(seed).integers(1000, 20_000, (1, tokens)).astype(np.int32)
    return {"input_ids": ids, "token_type_ids": np.zeros_like(ids), "position_ids": np.arange(tokens, dtype=np.int32)}


def which(network: Network, *, alone: bool) -> str:
    """The session that a reader gets, who then leaves."""
    session = network._enter(alone)
    network._running -= 1
    return "two" if session is network._two else "one"


@pytest.mark.parametrize("tokens", [2, 3, 17, 64, 127, 128])
def test_two_threads_say_the_same_as_one(network: Network, tokens: int) -> None:
    names = ["logits", next(name for name in network.outputs if name.startswith("layer_"))]
    for one, two in zip(network._one.run(names, feed(tokens)), network._two.run(names, feed(tokens)), strict=True):
        assert np.array_equal(one, two)


def test_two_threads_are_for_who_reads_one_window_while_nobody_else_reads(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(_network.time, "monotonic", lambda: now[0])
    assert (which(network, alone=True), which(network, alone=False)) == ("two", "one")
    network._enter(alone=True)
    assert which(network, alone=True) == "one", "somebody reads"
    network._running -= 1
    now[0] += 0.9 * _network.QUIET_S
    assert which(network, alone=True) == "one", "two have read at once a moment ago"
    now[0] += 0.2 * _network.QUIET_S
    assert which(network, alone=True) == "two"


def test_a_forked_process_has_one_thread(network: Network) -> None:
    reading, writing = os.pipe()
    child = os.fork()
    if not child:  # pragma: no cover - another process
        network._crowded_s = float("-inf")
        os.write(writing, which(network, alone=True).encode())
        os._exit(0)
    os.waitpid(child, 0)
    with os.fdopen(reading, "rb") as told:
        os.close(writing)
        assert told.read() == b"one"


def test_whoever_fails_leaves(network: Network) -> None:
    with pytest.raises(Exception, match="no such output"):
        network.run(["no such output"], feed(4), alone=True)
    assert network._running == 0


def test_many_at_once_get_their_own_numbers(network: Network) -> None:
    wanted = [network._one.run(["logits"], feed(20 + n, n))[0] for n in range(8)]
    found: list[Any] = [None] * 8

    def read(n: int) -> None:
        for _ in range(5):
            found[n] = network.run(["logits"], feed(20 + n, n), alone=n % 2 == 0)[0]

    threads = [threading.Thread(target=read, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(*pair) for pair in zip(found, wanted, strict=True))
    assert network._running == 0


def test_one_thread_where_one_is_wanted() -> None:
    network = Network(MODEL, threads=1)
    assert network._two is None
    assert which(network, alone=True) == "one"


def test_the_table_of_words_is_that_of_the_file(network: Network) -> None:
    onnx = pytest.importorskip("onnx")
    [table] = [table for table in onnx.load(MODEL).graph.initializer if table.name == "word"]
    assert np.array_equal(network._shared["word"].numpy(), onnx.numpy_helper.to_array(table))


def test_a_file_without_such_a_table_shares_nothing(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    held = onnx.load(MODEL)
    [table] = [table for table in held.graph.initializer if table.name == "word"]
    table.name = "lexicon"
    for node in held.graph.node:
        node.input[:] = ["lexicon" if name == "word" else name for name in node.input]
    onnx.save(held, tmp_path / "other.onnx")
    network = Network(tmp_path / "other.onnx")
    assert network._shared == {}
    assert np.array_equal(network.run(["logits"], feed(9))[0], Network(MODEL).run(["logits"], feed(9))[0])
