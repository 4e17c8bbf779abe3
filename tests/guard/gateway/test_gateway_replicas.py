"""Two gateways, each a process of its own, on one PostgreSQL and before one model server: keys, audit, reports, and the end of one of them."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from gateway_said import completion
from gateway_upstream import Asked, MockUpstream, Wire, answers, says
from sqlalchemy import func, select

from charter.store.database import Database
from charter.store.tables import audit, report, review_item
from forked import Forked

REFRESH_S = 0.3
CONFIG = f"""
listen: {{port: 0}}
guard: guard.yaml
keys: {{required: true, refresh_s: {REFRESH_S}}}
review: {{keep_answers_hours: 1, reports_per_reporter: 100}}
shutdown: {{announce_s: 0.3, drain_s: 20}}
"""
GUARD = "input:\n- {rail: length, timeout_ms: 10000}\noutput:\n- {rail: length, timeout_ms: 10000}\n"
SAYS = says("Prune in March. ", "Or in May.")


@dataclass
class Site:
    """The database, the model server, and what is started before them."""

    folder: Path
    environ: dict[str, str]
    upstream: MockUpstream
    database: Database
    forked: Forked
    running: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "charter.cli", "serve", "--config", "gateway.yaml", "--upstream", self.upstream.url]
        process = subprocess.Popen(command, cwd=self.folder, env=self.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.running.append(process)
        return process

    def charter(self, *words: str) -> str:
        done = self.forked.run(*words, cwd=self.folder, env=self.environ, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def keys(self, *words: str) -> str:
        return self.charter("keys", *words, "--config", "gateway.yaml")

    def ended(self) -> dict[str, dict[str, Any]]:
        """The closing rows by request. A request has one."""
        found: dict[str, dict[str, Any]] = {}
        with self.database.read() as connection:
            for named, body in connection.execute(select(audit.c.request_id, audit.c.body).order_by(audit.c.seq)):
                row = json.loads(body)
                if row["kind"] == "end":
                    assert named not in found
                    found[named] = row
        return found


def root_of(process: subprocess.Popen[str]) -> str:
    """Where it listens, once it does."""
    assert process.stdout is not None
    found = re.fullmatch(r"listening on (http://127\.0\.0\.1:\d+)/v1", process.stdout.readline().strip())
    assert found, process.communicate(timeout=30)
    return found[1]


@dataclass
class Client:
    """One replica as the holder of a key sees it."""

    root: str
    http: httpx.Client

    def ask(self, named: str = "", *, stream: bool = False, key: str | None = None) -> httpx.Response:
        headers = {**({"x-request-id": named} if named else {}), **({"authorization": f"Bearer {key}"} if key is not None else {})}
        body = {"model": "m", "messages": [{"role": "user", "content": "How do I prune roses?"}], "stream": stream}
        return self.http.post(f"{self.root}/v1/chat/completions", json=body, headers=headers)

    def report(self, **body: Any) -> dict[str, Any]:
        filed = self.http.post(f"{self.root}/v1/safety/reports", json={"category": "hate", "reporter_ref": "user 7", **body})
        assert filed.status_code == 202, filed.text
        return dict(filed.json())


@pytest.fixture(scope="module")
def site(postgres: str, forked: Forked, loop: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    import psycopg

    name = "r" + os.urandom(6).hex()
    with psycopg.connect(f"{postgres}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    folder = tmp_path_factory.mktemp("replicas")
    (folder / "gateway.yaml").write_text(CONFIG, encoding="utf-8")
    (folder / "guard.yaml").write_text(GUARD, encoding="utf-8")
    upstream = MockUpstream(SAYS)
    loop(upstream.start())
    environ = {**os.environ, "CHARTER_DATABASE_URL": f"{postgres}/{name}", "CHARTER_KEY_PEPPER": "p", "OPENAI_API_KEY": "upstream-key"}
    found = Site(folder, environ, upstream, Database(f"{postgres}/{name}"), forked)
    yield found
    for process in found.running:
        process.kill()
        process.communicate()
    found.database.close()
    loop(upstream.stop())


@pytest.fixture(scope="module")
def secret(site: Site) -> str:
    return site.keys("add", "web")


@pytest.fixture(scope="module")
def replicas(site: Site, secret: str) -> Iterator[tuple[Client, Client]]:
    """A and B, started at the same moment."""
    started = [site.start(), site.start()]
    with httpx.Client(trust_env=False, timeout=30, headers={"authorization": f"Bearer {secret}"}) as http:
        first, second = (Client(root_of(process), http) for process in started)
        yield first, second


def wait_for(found: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + 10
    while not (value := found()):
        assert time.monotonic() < end, what
        time.sleep(0.02)
    return value


def test_a_key_works_at_both_and_is_out_at_both_when_it_is_revoked(site: Site, replicas: tuple[Client, Client]) -> None:
    made = site.keys("add", "guest")
    assert [each.ask(key=made).status_code for each in replicas] == [200, 200]  # though both read the keys before it was made
    stop, seen = threading.Event(), list[int]()

    def go_on() -> None:
        while not stop.is_set():
            seen.extend(each.ask(key=made).status_code for each in replicas)

    busy = threading.Thread(target=go_on)  # what is in memory is in use
    busy.start()
    site.keys("revoke", "guest")
    time.sleep(2 * REFRESH_S)  # as keys.refresh_s says
    after = [each.ask(key=made) for each in replicas]
    stop.set()
    busy.join()
    assert [(each.status_code, each.json()["error"]["code"]) for each in after] == [(401, "invalid_api_key")] * 2
    assert set(seen) <= {200, 401}
    assert [each.ask().status_code for each in replicas] == [200, 200], "the other key is as it was"


def test_both_write_one_chain(site: Site, replicas: tuple[Client, Client]) -> None:
    def send(at: int) -> None:
        with httpx.Client(trust_env=False, timeout=30, headers=replicas[0].http.headers) as http:
            for number in range(15):
                answer = Client(replicas[at % 2].root, http).ask(f"chain-{'ab'[at % 2]}-{at}-{number}", stream=number % 3 == 0)
                assert answer.status_code == 200

    threads = [threading.Thread(target=send, args=(at,)) for at in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told = wait_for(lambda: rows if len(rows := [name for name in site.ended() if name.startswith("chain-")]) >= 60 else None, "closing rows")
    assert len(told) == 60
    writers = [name[6] for name in told]
    assert sum(one != other for one, other in itertools.pairwise(writers)) > 2, "they wrote one after the other, not beside each other"
    said = site.charter("audit", "verify", site.environ["CHARTER_DATABASE_URL"])
    with site.database.read() as connection:
        count = connection.execute(select(func.count()).select_from(audit)).scalar()
    assert f"{count} rows are whole, head {count} " in said


def test_what_one_answered_can_be_reported_at_the_other_and_counts_once(site: Site, replicas: tuple[Client, Client]) -> None:
    here, there = replicas
    assert here.ask("reported-1").status_code == 200
    filed = there.report(request_id="reported-1")  # at once: before the text is surely kept
    assert filed["duplicate"] is False
    assert here.report(request_id="reported-1") == {"report_id": filed["report_id"], "duplicate": True}
    [item] = wait_for(lambda: _rows(site, review_item, "reported-1"), "the report is in the queue")
    assert (item["why"], item["priority"]) == ("report", 50)
    assert "Prune in March. Or in May." in item["finding"]
    [kept] = _rows(site, report, "reported-1")
    assert kept["verified"] == 1


def test_the_id_in_an_answers_body_is_known_at_the_other_too(site: Site, replicas: tuple[Client, Client]) -> None:
    site.upstream.script = answers({**completion("Not before spring."), "id": "chatcmpl-of-one"})
    try:
        decision = replicas[0].ask("by-name").headers["x-decision-id"]
    finally:
        site.upstream.script = SAYS
    filed = replicas[1].report(response_id="chatcmpl-of-one")
    assert replicas[0].report(response_id="chatcmpl-of-one") == {"report_id": filed["report_id"], "duplicate": True}
    [item] = wait_for(lambda: _rows(site, review_item, "by-name"), "the report is in the queue")
    assert (item["decision_id"], item["priority"], item["response_id"]) == (decision, 50, "chatcmpl-of-one")
    assert "Not before spring." in item["finding"]
    again = replicas[0].report(request_id="by-name")
    assert again == {"report_id": filed["report_id"], "duplicate": True}, "it is the same answer"


def test_the_same_report_at_both_at_the_same_moment_is_one(site: Site, replicas: tuple[Client, Client]) -> None:
    for number in range(5):
        named = f"twice-{number}"
        assert replicas[number % 2].ask(named).status_code == 200
        told: list[dict[str, Any]] = []
        ready = threading.Barrier(2)

        def file(client: Client, named: str = named, told: list[Any] = told, ready: threading.Barrier = ready) -> None:
            ready.wait()
            told.append(client.report(request_id=named))

        threads = [threading.Thread(target=file, args=(client,)) for client in replicas]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(each["duplicate"] for each in told) == [False, True]
        assert len({each["report_id"] for each in told}) == 1
        [item] = wait_for(lambda named=named: _rows(site, review_item, named), "the report is in the queue")
        assert item["priority"] == 50


def _rows(site: Site, table: Any, named: str) -> list[dict[str, Any]]:
    column = table.c.answer if table is report else table.c.request_id
    with site.database.read() as connection:
        return [dict(row) for row in connection.execute(select(table).where(column == named)).mappings()]


class Load:
    """Clients that ask without a pause, whole and streamed, some over connections that they keep, until told to stop or nobody listens any more."""

    def __init__(self, root: str, secret: str, mark: str, clients: int = 8) -> None:
        self.whole: list[str] = []
        self.lost: dict[str, str] = {}
        self._root, self._secret, self._mark = root, secret, mark
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._go_on, args=(number,)) for number in range(clients)]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self._stop.set()
        self.wait()

    def wait(self) -> None:
        for thread in self._threads:
            thread.join()

    def _go_on(self, client: int) -> None:
        limits = httpx.Limits(max_keepalive_connections=10 if client % 4 < 2 else 0)
        headers = {"authorization": f"Bearer {self._secret}"}
        with httpx.Client(trust_env=False, timeout=30, limits=limits, headers=headers) as http:
            for number in range(100_000):
                if self._stop.is_set():
                    return
                named = f"{self._mark}-{client}-{number}"
                try:
                    answer = Client(self._root, http).ask(named, stream=client % 2 == 1)
                except httpx.ConnectError:
                    return
                except httpx.TransportError as error:
                    self.lost[named] = type(error).__name__
                    continue
                if answer.status_code == 200 and (client % 2 == 0 or answer.text.endswith("data: [DONE]\n\n")):
                    assert "Prune in March." in answer.text
                    self.whole.append(named)
                else:
                    self.lost[named] = f"{answer.status_code} {answer.text[-300:]}"


async def slowly(asked: Asked, wire: Wire) -> None:
    """An answer that takes a while, so that some are in work at any time."""
    await asyncio.sleep(0.25)
    await SAYS(asked, wire)


def test_one_ends_under_load_without_losing_a_request_and_the_other_goes_on(site: Site, replicas: tuple[Client, Client], secret: str) -> None:
    leaving = site.start()
    root = root_of(leaving)
    site.upstream.script = slowly
    ending, staying = Load(root, secret, "leaves"), Load(replicas[1].root, secret, "stays")
    try:
        wait_for(lambda: len(ending.whole) >= 16 and len(staying.whole) >= 16, "both are at work")
        leaving.send_signal(signal.SIGTERM)
        wait_for(lambda: leaving.poll() is not None, "it ends")
        ending.wait()
        before = len(staying.whole)
        wait_for(lambda: len(staying.whole) >= before + 16, "the other goes on")
    finally:
        site.upstream.script = SAYS
        leaving.kill()
        ending.end()
        staying.end()
    _, errors = leaving.communicate(timeout=10)
    assert leaving.returncode in (0, -signal.SIGTERM)
    assert "ERROR" not in errors
    assert "Traceback" not in errors
    assert staying.lost == {}
    asked = {each.headers["x-request-id"] for each in site.upstream.asked}
    taken = {name for name in asked if name.startswith("leaves-")}
    assert taken == set(ending.whole), f"accepted and not answered: {[(name, ending.lost.get(name)) for name in taken - set(ending.whole)]}"
    assert not any(said[0].isdigit() for said in ending.lost.values()), ending.lost  # errors that the gateway itself told of
    rows = site.ended()
    assert {rows[name]["outcome"] for name in taken} == {"allowed"}, "every one of them is on record"
    rows = wait_for(lambda: found if set(staying.whole) <= set(found := site.ended()) else None, "closing rows")
    assert {rows[name]["outcome"] for name in staying.whole} == {"allowed"}
    assert "rows are whole" in site.charter("audit", "verify", site.environ["CHARTER_DATABASE_URL"])
