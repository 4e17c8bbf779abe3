"""A PostgreSQL that hangs, for real: a proxy that goes silent on the connections that are open, and locks that another connection holds. Answers are
withheld, the gateway says that it is not ready, nothing hangs, it comes back by itself, and it ends when told."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from gateway_upstream import MockUpstream, says

from charter.store.audit import AuditError, AuditLog, Row
from charter.store.audit_verify import verify
from charter.store.database import Database, UnreachableError

WAIT_S, DRAIN_S = 2.0, 1.0
#: What a process may take beyond that to end: calls that write their last rows (5), what waits (6), and a machine that is busy.
MARGIN_S = 25.0
CONFIG = f"""
listen: {{port: 0}}
guard: guard.yaml
audit: {{wait_s: {WAIT_S}}}
shutdown: {{announce_s: 0, drain_s: {DRAIN_S}}}
"""
GUARD = "input:\n- {rail: length, timeout_ms: 10000}\noutput:\n- {rail: length, timeout_ms: 10000}\n"
CHAIN, QUEUE = 0x41554449, 0x52455657
ASK = {"model": "m", "messages": [{"role": "user", "content": "How do I prune roses?"}]}


class Proxy:
    """Before a server. Once ``hushed``, connections that are open carry nothing more, and stay open; new ones are as before."""

    def __init__(self, port: int) -> None:
        self._to, self._hushed, self._over = ("127.0.0.1", port), 0, False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._all: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def hush(self) -> None:
        self._hushed = len(self._all)

    def close(self) -> None:
        self._over = True
        socket.create_connection(("127.0.0.1", self.port)).close()
        self._thread.join(5)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            near, _ = self._listener.accept()
            if self._over:
                near.close()
                return
            far = socket.create_connection(self._to)
            number = len(self._all)
            self._all += [near, far]
            threading.Thread(target=self._pump, args=(near, far, number), daemon=True).start()

    def _pump(self, near: socket.socket, far: socket.socket, number: int) -> None:
        with near, far:
            while not self._over:
                for end in select.select([near, far], [], [], 0.1)[0]:
                    try:
                        data = end.recv(1 << 16)
                    except OSError:
                        return
                    if number < self._hushed:
                        if not data:
                            return
                        continue
                    if not data:
                        return
                    (far if end is near else near).sendall(data)


@pytest.fixture
def proxy(postgres: str) -> Iterator[Proxy]:
    found = Proxy(int(postgres.rpartition(":")[2]))
    yield found
    found.close()


@pytest.fixture
def behind(proxy: Proxy, fresh_postgres: str) -> str:
    """The URL of the fresh database by way of the proxy."""
    return f"postgresql://charter@127.0.0.1:{proxy.port}/{fresh_postgres.rpartition('/')[2]}"


def test_a_server_that_goes_silent_costs_no_row_and_its_connection_is_made_anew(proxy: Proxy, behind: str) -> None:
    database = Database(behind, limit_s=WAIT_S)
    log = AuditLog(database, wait_s=60.0)
    assert log.append(Row("a", {})).result(30) == 1
    proxy.hush()
    assert log.append(Row("b", {})).result(50) == 2
    log.close()
    assert verify(database).rows == 2
    database.close()


def test_work_at_a_silent_server_ends_in_the_middle(proxy: Proxy, behind: str) -> None:
    database = Database(behind, limit_s=WAIT_S)
    began_s = time.monotonic()

    def work() -> None:
        with database.write() as connection:
            proxy.hush()
            connection.exec_driver_sql("SELECT 1")

    with pytest.raises(UnreachableError):
        work()
    assert time.monotonic() - began_s < WAIT_S + 15
    database.close()


def test_a_lock_of_the_chain_that_its_holder_forgot_is_taken_from_it(fresh_postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between lock and commit it does nothing: frozen, or cut off from the server."""
    one, other = Database(fresh_postgres, limit_s=6.0), Database(fresh_postgres, limit_s=WAIT_S)
    frozen, go = threading.Event(), threading.Event()
    forgetful = AuditLog(one)
    linked = forgetful._head

    def freezes(cursor: Any) -> Any:
        frozen.set()
        go.wait(60)
        return linked(cursor)

    monkeypatch.setattr(forgetful, "_head", freezes)
    lost = forgetful.append(Row("frozen", {}))
    assert frozen.wait(30)
    log = AuditLog(other, wait_s=60.0)
    assert log.append(Row("b", {})).result(50) == 1
    go.set()
    with pytest.raises(AuditError):
        lost.result(30)
    for each in (forgetful, log):
        each.close()
    assert verify(other).rows == 1
    one.close()
    other.close()


@dataclass
class Gateway:
    process: subprocess.Popen[str]
    root: str
    http: httpx.Client

    def ask(self) -> int:
        return self.http.post(f"{self.root}/v1/chat/completions", json=ASK).status_code

    def ready(self) -> int:
        return self.http.get(f"{self.root}/readyz").status_code

    def report(self, number: int) -> tuple[int, float]:
        began_s = time.monotonic()
        answer = self.http.post(f"{self.root}/v1/safety/reports", json={"request_id": f"r{number}", "category": "other", "reporter_ref": str(number)})
        return answer.status_code, time.monotonic() - began_s

    def metric(self, name: str) -> float:
        lines = self.http.get(f"{self.root}/metrics").text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))

    def ends(self) -> float:
        """Seconds from SIGTERM to its end."""
        began_s = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(DRAIN_S + 60)
        return time.monotonic() - began_s


@pytest.fixture
def start(loop: Any, tmp_path: Path) -> Iterator[Callable[[str], Gateway]]:
    upstream = MockUpstream(says("Prune in March."))
    loop(upstream.start())
    (tmp_path / "gateway.yaml").write_text(CONFIG, encoding="utf-8")
    (tmp_path / "guard.yaml").write_text(GUARD, encoding="utf-8")
    begun: list[Gateway] = []

    def begin(url: str) -> Gateway:
        environ = {**os.environ, "CHARTER_DATABASE_URL": url}
        command = [sys.executable, "-m", "charter.cli", "serve", "--config", "gateway.yaml", "--upstream", upstream.url]
        process = subprocess.Popen(command, cwd=tmp_path, env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert process.stdout is not None
        root = process.stdout.readline().strip().removeprefix("listening on ").removesuffix("/v1")
        begun.append(Gateway(process, root, httpx.Client(trust_env=False, timeout=60)))
        return begun[-1]

    yield begin
    for each in begun:
        each.process.kill()
        each.process.communicate()
        each.http.close()
    loop(upstream.stop())


def within(seconds: float, found: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < end, what
        time.sleep(0.2)


def test_the_gateway_outlives_a_server_that_went_silent(start: Callable[[str], Gateway], proxy: Proxy, behind: str) -> None:
    gateway = start(behind)
    assert (gateway.ask(), gateway.ready()) == (200, 200)
    proxy.hush()
    within(40, lambda: gateway.ask() == 200, "answers again")
    within(40, lambda: gateway.ready() == 200, "ready again")
    proxy.hush()
    assert gateway.ends() < DRAIN_S + MARGIN_S


def test_a_held_lock_of_the_chain_withholds_and_is_told_until_it_is_let_go(start: Callable[[str], Gateway], fresh_postgres: str) -> None:
    gateway = start(fresh_postgres)
    assert gateway.ask() == 200
    with psycopg.connect(fresh_postgres) as holder:
        holder.execute("SELECT pg_advisory_xact_lock(%s)", (CHAIN,))
        assert gateway.ask() == 503
        within(40, lambda: gateway.ready() == 503, "not ready")
        assert gateway.metric("charter_audit_write_failures_total") >= 1
        holder.rollback()
    within(40, lambda: gateway.ready() == 200, "ready again, although nobody asks")
    assert gateway.ask() == 200
    with psycopg.connect(fresh_postgres, autocommit=True) as reader:

        def lost() -> int:
            bodies = [json.loads(body) for (body,) in reader.execute("SELECT body FROM audit").fetchall()]
            return sum(int(body["lost"]) for body in bodies if body["kind"] == "alive")

        within(40, lambda: lost() >= 1, "what was lost is on record")
    database = Database(fresh_postgres)
    assert verify(database).broken is None
    database.close()


def test_reports_end_while_the_queue_is_locked_and_so_does_the_gateway(start: Callable[[str], Gateway], fresh_postgres: str) -> None:
    gateway = start(fresh_postgres)
    assert gateway.report(0)[0] == 202
    with psycopg.connect(fresh_postgres) as holder, ThreadPoolExecutor(32) as many:
        holder.execute("SELECT pg_advisory_xact_lock(%s)", (QUEUE,))
        filed = [many.submit(gateway.report, number) for number in range(1, 25)]
        time.sleep(0.5)
        assert gateway.metric("charter_inflight_requests") >= 1
        assert gateway.ask() == 200
        told = [each.result() for each in filed]
        assert {status for status, _ in told} == {503}
        assert max(took_s for _, took_s in told) < 20
        assert gateway.metric('charter_requests_total{endpoint="reports",model="other",outcome="unavailable"}') == 24
        again = [many.submit(gateway.report, number) for number in range(30, 42)]
        time.sleep(0.3)
        took_s = gateway.ends()
        assert took_s < DRAIN_S + MARGIN_S
        for each in again:
            error = each.exception()
            assert isinstance(error, httpx.TransportError) or (error is None and each.result()[0] == 503)
        holder.rollback()
