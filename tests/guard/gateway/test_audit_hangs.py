"""An audit log that hangs, for real: its database is locked by somebody else. Streams under way stop, and a log that is only slow stops none."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from gateway_upstream import spoken, streams

from charter.core.rows import Verdict
from charter.guard.engine import Guard
from charter.guard.policy import GuardPolicy, RailEntry

WAIT_S, PAUSE_S = 1.0, 0.2
ASK = {"model": "m", "messages": [{"role": "user", "content": "How do I prune roses?"}]}
SAID = [f"Sentence number {n} says this. " for n in range(30)]


def guarded() -> Guard:
    def safe(conversation: Any, stage: str) -> Verdict:
        return Verdict(subject="x", outcome="safe", score=0.0, judge="fake", judge_version="1")

    rails = {stage: (RailEntry(rail="length", name="a"),) for stage in ("input", "output")}
    return Guard(GuardPolicy(**rails, cache=0, stream={"hold_chars": 8, "window_chars": 20, "growth": 0.0}), rails={"a": safe})


@pytest.fixture(params=["guarded", "unguarded"])
def running(request: pytest.FixtureRequest, launch: Any, tmp_path: Path) -> Any:
    """A gateway before a model server that takes six seconds for a reply, whether or not a rail reads it."""
    guard = guarded() if request.param == "guarded" else None
    found = launch(guard, mode="strict", keeps={"wait_s": WAIT_S}, database={"url": str(tmp_path / "g.db")}, heartbeat_s=0.5)
    found.upstream.script = streams(*spoken(*SAID), pause_s=PAUSE_S)
    return found


@contextmanager
def other(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(tmp_path / "g.db", isolation_level=None, timeout=30, check_same_thread=False)
    yield connection
    connection.close()


def texts(answer: httpx.Response) -> Iterator[str]:
    """Pieces of text as they come; of an error its code, in brackets; at last the end mark."""
    for line in answer.iter_lines():
        if line == "data: [DONE]":
            yield "[DONE]"
        elif line.startswith("data: "):
            told = json.loads(line.removeprefix("data: "))
            yield f"[{told['error']['code']}]" if "error" in told else "".join(c["delta"].get("content") or "" for c in told["choices"])


def ready(running: Any) -> tuple[int, list[str]]:
    found = httpx.get(f"{running.root}/readyz", trust_env=False, timeout=20)
    return found.status_code, found.json()["reasons"]


def kinds(tmp_path: Path) -> list[str]:
    with other(tmp_path) as connection:
        return [json.loads(body)["kind"] for (body,) in connection.execute("SELECT body FROM audit ORDER BY seq")]


def metric(running: Any, name: str) -> float:
    with urllib.request.urlopen(f"{running.root}/metrics") as page:
        return sum(float(line.rpartition(" ")[2]) for line in page.read().decode().splitlines() if line.startswith(name))


def test_a_stream_stops_once_the_log_has_taken_no_row_for_its_time_and_the_gateway_says_so(running: Any, tmp_path: Path) -> None:
    came: list[tuple[float, str]] = []
    checks = bool(running.built.guard.rails["output"])
    url = f"{running.root}/v1/chat/completions"
    with (
        other(tmp_path) as blocker,
        httpx.Client(trust_env=False, timeout=40) as client,
        client.stream("POST", url, json={**ASK, "stream": True}) as answer,
    ):
        locked_s = float("inf")
        for text in texts(answer):
            if text and locked_s == float("inf"):
                blocker.execute("BEGIN IMMEDIATE")
                locked_s = time.monotonic()
            came.append((time.monotonic() - locked_s, text))
        assert came[-1][1] == "[guardrail_unavailable]"
        assert ready(running) == (503, ["the audit log takes no rows"])
        running.upstream.script = None
        assert client.post(url, json=ASK).status_code == (503 if checks else 200), "what no rail reads needs no row before it leaves"
        blocker.execute("ROLLBACK")
        end = time.monotonic() + 30
        while ready(running)[0] != 200:  # nobody asks anything meanwhile
            assert time.monotonic() < end
            time.sleep(0.1)
        assert client.post(url, json=ASK).status_code == 200
    said = [at for at, text in came if text.startswith("Sentence") or "says" in text]
    assert max(said) < WAIT_S + 1.0
    assert len(said) < len(SAID) - 5
    first = running.exchange(0)
    assert (first.outcome, first.code, first.status) == ("unavailable", "guardrail_unavailable", 200)
    assert metric(running, "charter_audit_write_failures_total") >= 1
    assert metric(running, 'charter_requests_total{endpoint="chat",model="other",outcome="unavailable"}') == (2 if checks else 1)
    assert "alive" in kinds(tmp_path), "a row tells how many were lost"


def test_a_log_that_is_slow_stops_no_stream(running: Any, tmp_path: Path) -> None:
    over = threading.Event()

    def slow() -> None:
        with other(tmp_path) as blocker:
            while not over.is_set():
                blocker.execute("BEGIN IMMEDIATE")
                time.sleep(0.6 * WAIT_S)
                blocker.execute("ROLLBACK")
                over.wait(0.4)

    thread = threading.Thread(target=slow)
    thread.start()
    try:
        with httpx.stream("POST", f"{running.root}/v1/chat/completions", json={**ASK, "stream": True}, trust_env=False, timeout=40) as answer:
            came = list(texts(answer))
    finally:
        over.set()
        thread.join()
    assert "".join(came) == "".join(SAID) + "[DONE]"
    assert running.exchange(0).outcome in ("allowed", "bypassed")


def test_a_stream_that_is_long_writes_few_rows_of_the_logs_own(running: Any, tmp_path: Path) -> None:
    began_s = time.monotonic()
    with httpx.stream("POST", f"{running.root}/v1/chat/completions", json={**ASK, "stream": True}, trust_env=False, timeout=40) as answer:
        assert list(texts(answer))[-1] == "[DONE]"
    running.exchange(0)
    assert 2 <= kinds(tmp_path).count("alive") <= 1 + (time.monotonic() - began_s) / (WAIT_S / 2)
