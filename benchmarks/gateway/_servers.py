"""Processes of the benchmarks: started, waited for, watched and always ended. Everything listens on loopback."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import platform
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

HERE = Path(__file__).parent
_TICKS = os.sysconf("SC_CLK_TCK")


class Server:
    """A server process and everything it started."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.name, self.process, self.port, self.log = name, process, port, log
        self.started_s = 0.0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def cpu_s(self) -> float:
        """Processor seconds so far, user and system, of the process and its living and waited-for children."""
        return sum(_ticks(pid) for pid in self._family()) / _TICKS

    def cpu_exact_s(self) -> float:
        """As ``cpu_s``, to the nanosecond where the kernel has schedstat (threads that ended are left out)."""
        total = 0
        for pid in self._family():
            for thread in Path(f"/proc/{pid}/task").glob("*/schedstat"):
                with contextlib.suppress(OSError):
                    total += int(thread.read_text().split()[0])
        return total / 1e9

    def resident_mib(self) -> float:
        total = 0
        for pid in self._family():
            with contextlib.suppress(OSError):
                total += next((int(line.split()[1]) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS")), 0)
        return total / 1024

    def _family(self) -> list[int]:
        found, todo = [], [self.process.pid]
        while todo:
            pid = todo.pop()
            found.append(pid)
            with contextlib.suppress(OSError):
                todo += [int(child) for task in Path(f"/proc/{pid}/task").glob("*/children") for child in task.read_text().split()]
        return found

    def stop(self, patience_s: float = 40.0) -> int:
        """SIGTERM, then SIGKILL. The exit code; -9 if it had to be killed."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(patience_s)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.process.wait()


def _ticks(pid: int) -> int:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return sum(int(n) for n in fields[11:15])


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextlib.contextmanager
def started(
    name: str,
    command: Sequence[str],
    port: int,
    *,
    ready: str = "",
    env: dict[str, str] | None = None,
    patience_s: float = 120.0,
    cwd: str | None = None,
) -> Iterator[Server]:
    """The server behind ``command`` once it answers (``ready``: a path that must give 200; '': it accepts a connection). Ended at the end."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / f"{name}.log"
        began = time.monotonic()
        with log.open("wb") as out:
            process = subprocess.Popen(
                command, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env={**os.environ, **(env or {})}, cwd=cwd
            )
        server = Server(name, process, port, log)
        try:
            while not answers(port, ready):
                if process.poll() is not None or time.monotonic() - began > patience_s:
                    raise SystemExit(f"{name} did not start:\n{log.read_text(encoding='utf-8', errors='replace')[-3000:]}")
                time.sleep(0.05)
            server.started_s = time.monotonic() - began
            yield server
        finally:
            server.stop()


def answers(port: int, path: str) -> bool:
    try:
        if not path:
            socket.create_connection(("127.0.0.1", port), 1.0).close()
            return True
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2.0)
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except OSError:
        return False


def upstream(texts: Path | None = None) -> contextlib.AbstractContextManager[Server]:
    port = free_port()
    return started("upstream", [sys.executable, str(HERE / "upstream.py"), "--port", str(port), *(["--texts", str(texts)] if texts else [])], port)


#: No rail at all: what the gateway itself costs.
NO_RAILS = 'name: none\nversion: "1"\nunguarded: [input, output]\nmedia: allow\n'


@contextlib.contextmanager
def gateway(
    upstream_url: str, guard: str = "default", *, lines: Sequence[str] = (), env: dict[str, str] | None = None, stub_encoder: bool = False
) -> Iterator[Server]:
    """``charter serve`` before ``upstream_url``. ``guard``: a shipped name, or YAML. ``lines`` are added to gateway.yaml. ``stub_encoder``: the
    encoder takes no time and finds nothing."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        where = Path(folder)
        if "\n" in guard:
            (where / "guard.yaml").write_text(guard, encoding="utf-8")
            guard = str(where / "guard.yaml")
        config = [f"listen: {{port: {port}}}", f"upstream: {{url: '{upstream_url}'}}", f"guard: {json.dumps(guard)}", *lines]
        if not any(line.startswith("database:") for line in lines):
            config.append(f"database: {{url: {json.dumps(str(where / 'gateway.db'))}}}")
        (where / "gateway.yaml").write_text("\n".join(config) + "\n", encoding="utf-8")
        program = [str(HERE / "stub_server.py")] if stub_encoder else ["-m", "charter.cli"]
        command = [sys.executable, *program, "serve", "--config", str(where / "gateway.yaml")]
        with started("charter", command, port, ready="/readyz", env=env, cwd=folder) as server:
            yield server


@contextlib.contextmanager
def litellm(python: str, upstream_url: str, extra: str = "") -> Iterator[Server]:
    """LiteLLM's proxy as its documentation starts it: one worker, no database, no callbacks."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config.yaml"
        config.write_text(
            f'model_list:\n  - model_name: "*"\n    litellm_params: {{model: "openai/*", api_base: "{upstream_url}", api_key: none}}\n{extra}',
            encoding="utf-8",
        )
        command = [str(Path(python).parent / "litellm"), "--config", str(config), "--port", str(port), "--host", "127.0.0.1"]
        env = {"LITELLM_MASTER_KEY": LITELLM_KEY, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MODE": "PRODUCTION", "LITELLM_LOG": "ERROR"}
        with started("litellm", command, port, ready="/health/liveliness", env=env, cwd=folder) as server:
            yield server


#: LiteLLM refuses to start with a weak key; this one protects nothing.
LITELLM_KEY = "sk-benchmark-4f1c2a9e7b3d5f60c8e1"


def machine() -> dict[str, str]:
    model = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "")
    names = ("uvicorn", "httptools", "uvloop", "aiohttp", "msgspec", "starlette")
    return {
        "date": time.strftime("%Y-%m-%d"),
        "processor": f"{os.cpu_count()} x {model}",
        "python": platform.python_version(),
        "load_before": f"{os.getloadavg()[0]:.2f}",
        **{name: _version(name) for name in names},
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def window_ms() -> dict[str, float]:
    """What the encoder takes for one window of 110 tokens on two threads, each after a pause: the machine's part of what is measured. Where the ninth
    decile is far above the first, both processors are at times threads of one core: on a rented machine that changes by the second, and nothing
    else tells."""
    script = """
import time, numpy
from charter.judges._encoder import WEIGHTS
from charter.judges._network import Network
network, took = Network(WEIGHTS / "classifier.onnx"), []
ids = numpy.arange(1000, 1110, dtype=numpy.int32)[None]
feed = {"input_ids": ids, "token_type_ids": ids * 0, "position_ids": numpy.arange(110, dtype=numpy.int32)}
for _ in range(160):
    time.sleep(0.02)
    began = time.perf_counter()
    network.run(["logits"], feed, alone=True)
    took.append(1000 * (time.perf_counter() - began))
print(*numpy.quantile(took[10:], [0.1, 0.5, 0.9]))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return dict(zip(("p10", "p50", "p90"), (round(float(each), 2) for each in done.stdout.split()), strict=True))
