"""The encoder's network: a window says the same on one thread and on two, and two are used only while nobody else reads."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from charter.core.errors import MissingPartError
from charter.judges import _network
from charter.judges._encoder import WEIGHTS, Encoder
from charter.judges._network import Network

MODEL = WEIGHTS / "classifier.onnx"


@pytest.fixture(scope="module")
def network() -> Network:
    return Network(MODEL)


def feed(tokens: int, seed: int = 0) -> dict[str, Any]:
    ids = np.random.default_rng(seed).integers(1000, 20_000, (1, tokens)).astype(np.int32)
    return {"input_ids": ids, "token_type_ids": np.zeros_like(ids), "position_ids": np.arange(tokens, dtype=np.int32)}


class Session:
    """Notes who was asked, in place of a session."""

    def __init__(self, name: str, asked: list[str]) -> None:
        self.name, self.asked = name, asked

    def run(self, names: object, feed: object) -> list[object]:
        self.asked.append(self.name)
        return [np.zeros(1)]


@pytest.fixture
def asked(network: Network, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr(_network, "_READERS", _network._Readers())
    monkeypatch.setattr(network, "_one", Session("one", found))
    monkeypatch.setattr(network, "_two", Session("two", found))
    return found


@pytest.mark.parametrize("tokens", [2, 3, 17, 64, 127, 128])
def test_two_threads_say_the_same_as_one(network: Network, tokens: int) -> None:
    names = ["logits", next(name for name in network.outputs if name.startswith("layer_"))]
    for one, two in zip(network._one.run(names, feed(tokens)), network._two.run(names, feed(tokens)), strict=True):
        assert np.array_equal(one, two)


def test_two_threads_are_for_who_reads_one_window_while_nobody_else_reads(
    network: Network, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(_network.time, "monotonic", lambda: now[0])
    network.run([], {}, alone=True)
    network.run([], {}, alone=False)
    _network._READERS.enter()  # of any network of this process
    network.run([], {}, alone=True)
    _network._READERS.leave()
    now[0] += 0.9 * _network.QUIET_S
    network.run([], {}, alone=True)
    now[0] += 0.2 * _network.QUIET_S
    network.run([], {}, alone=True)
    assert asked == ["two", "one", "one", "one", "two"]


def test_the_encoder_says_which_windows_are_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, told = Encoder(), []

    class Noting:
        def run(self, names: list[str], feed: Any, *, alone: bool) -> list[Any]:
            told.append(alone)
            vectors = np.zeros((1, feed["input_ids"].shape[1], 384), np.float32)
            return [np.zeros((1, len(encoder.outputs)), np.float32), vectors][: len(names)]

    monkeypatch.setattr(encoder, "_network", Noting())
    short, long = encoder.tokens(["How do I bake bread?", " ".join(f"garden {n} was quiet" for n in range(90))])
    encoder.run(encoder.text(short))
    encoder.run(encoder.text(long))
    assert told[0] is True
    assert len(told) > 2
    assert not any(told[1:])


def test_a_forked_process_has_one_thread_and_ends() -> None:
    script = """
import gc, os, sys
from pathlib import Path
import numpy as np
from charter.judges._network import Network
network = Network(Path(sys.argv[1]))
ids = np.ones((1, 9), np.int32)
feed = {"input_ids": ids, "token_type_ids": ids * 0, "position_ids": np.arange(9, dtype=np.int32)}
before = network.run(["logits"], feed, alone=True)[0]
child = os.fork()
if not child:
    same = network._two is None and np.array_equal(network.run(["logits"], feed, alone=True)[0], before)
    del network
    gc.collect()
    os._exit(0 if same else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), network._two is not None)
"""
    done = subprocess.run([sys.executable, "-c", script, str(MODEL)], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.split() == ["0", "True"], done.stderr


def test_whoever_fails_leaves(network: Network) -> None:
    with pytest.raises(Exception, match="no such output"):
        network.run(["no such output"], feed(4), alone=True)
    assert _network._READERS._running == 0


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
    assert _network._READERS._running == 0


def test_one_thread_where_one_is_wanted() -> None:
    network = Network(MODEL, threads=1)
    assert network._two is None
    assert np.array_equal(network.run(["logits"], feed(9), alone=True)[0], network.run(["logits"], feed(9))[0])


def test_without_onnxruntime_the_way_to_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingPartError, match="onnxruntime is not installed"):
        Network(MODEL)


@pytest.mark.parametrize("held", [b"", b"version https://git-lfs.github.com/spec/v1\n", b"\xff" * 40, MODEL.read_bytes()[:9_000_000]])
def test_a_file_that_is_no_network_is_for_onnxruntime_to_refuse(tmp_path: Path, held: bytes) -> None:
    (tmp_path / "broken.onnx").write_bytes(held)
    assert _network._shared(tmp_path / "broken.onnx") == {}


def test_what_becomes_of_the_file_changes_no_number(tmp_path: Path) -> None:
    own = tmp_path / "own.onnx"
    own.write_bytes(MODEL.read_bytes())
    network = Network(own)
    before = network.run(["logits"], feed(9))[0]
    own.write_bytes(b"something else")
    assert np.array_equal(network.run(["logits"], feed(9))[0], before)
    assert np.array_equal(network.run(["logits"], feed(9), alone=True)[0], before)


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
