"""Keys: shown once and kept as a hash, asked for wherever others can reach the port, revoked within seconds, limited, never in a log or an answer."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.core.errors import InputError, StoreError
from charter.guard.engine import Guard
from charter.guard.gateway import serve
from charter.guard.gateway.config import GatewayConfig
from charter.guard.gateway.keys import KeyGate, allows
from charter.guard.gateway.limits import Limiter
from charter.guard.gateway.wire.errors import GatewayError
from charter.guard.policy import GuardPolicy
from charter.store.database import Database
from charter.store.keys import Key, add_key, all_keys, digest_of, revoke_key

PEPPER = b"pepper of the test"
ASK: Any = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    found = Database(tmp_path / "keys.db")
    yield found
    found.close()


def refused(gate: KeyGate, secret: str, endpoint: str = "chat") -> GatewayError | None:
    async def ask() -> None:
        await gate.admit(secret, endpoint)

    try:
        asyncio.run(ask())
    except GatewayError as error:
        return error
    return None


def test_a_key_is_nowhere_in_the_database(database: Database, tmp_path: Path) -> None:
    made = add_key(database, "web-app", pepper=PEPPER)
    assert len(made.secret) == 46
    database.close()
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert made.secret.encode() not in stored
    assert made.secret[9:].encode() not in stored
    assert made.key.prefix == made.secret[:9]
    assert all_keys(database) == [made.key]


def test_names_are_names_and_are_given_once(database: Database) -> None:
    add_key(database, "one", pepper=PEPPER)
    revoke_key(database, "one")
    for name in ("one", "", "a b", "x" * 65, "a\n", "é"):
        with pytest.raises(InputError):
            add_key(database, name, pepper=PEPPER)
    for name in ("one", "two"):
        with pytest.raises(InputError, match="no key in use"):
            revoke_key(database, name)


def test_another_pepper_is_another_key() -> None:
    assert digest_of("ck-x", b"a") != digest_of("ck-x", b"b")


@given(st.text())
def test_no_text_is_a_key_by_chance(credential: str) -> None:
    known = Key("k", "ck-", digest_of("ck-right", PEPPER), "", frozenset({"api"}), None, None, 0.0, None)
    error = refused(KeyGate(lambda: [known], PEPPER), credential)
    assert error is not None
    assert error.status == 401
    assert not credential or len(credential) < 4 or credential not in error.message


def test_a_revoked_key_is_out_and_a_new_one_in_within_seconds(database: Database) -> None:
    clock = Clock()
    gate = KeyGate(lambda: all_keys(database), PEPPER, clock=clock)
    first = add_key(database, "first", pepper=PEPPER)
    assert refused(gate, first.secret) is None
    second = add_key(database, "second", pepper=PEPPER)
    clock.now_s += 1.1
    assert refused(gate, second.secret) is None, "an unknown key may be a new one"
    revoke_key(database, "first")
    clock.now_s += 4.1
    found = refused(gate, first.secret)
    assert found is not None
    assert (found.status, found.code) == (401, "invalid_api_key")


def test_what_a_slow_reading_found_lets_no_revoked_key_in(database: Database) -> None:
    clock, slow = Clock(), []
    made = add_key(database, "one", pepper=PEPPER)

    def load() -> list[Key]:
        found = all_keys(database)
        if slow:
            slow.clear()
            revoke_key(database, "one")  # while it is on its way
            clock.now_s += 20
        return found

    gate = KeyGate(load, PEPPER, clock=clock)
    assert refused(gate, made.secret) is None
    slow.append(1)
    clock.now_s += 5
    found = refused(gate, made.secret)
    assert found is not None
    assert found.status == 401


def test_unknown_keys_do_not_make_the_database_work(database: Database) -> None:
    clock, reads = Clock(), []

    def load() -> list[Key]:
        reads.append(1)
        return []

    gate = KeyGate(load, PEPPER, clock=clock)
    for n in range(50):
        assert refused(gate, f"guess-{n}") is not None
    assert len(reads) == 1


def test_a_lost_database_is_bridged_and_then_nobody_comes_in(database: Database) -> None:
    clock, lost = Clock(), []

    def load() -> list[Key]:
        if lost:
            raise StoreError("lost")
        return all_keys(database)

    gate = KeyGate(load, PEPPER, clock=clock)
    made = add_key(database, "one", pepper=PEPPER)
    assert refused(gate, made.secret) is None
    lost.append(1)
    clock.now_s += 30
    assert refused(gate, made.secret) is None
    clock.now_s += 40
    found = refused(gate, made.secret)
    assert found is not None
    assert (found.status, found.code) == (503, "keys_unavailable")
    lost.clear()
    assert refused(gate, made.secret) is None


def test_a_database_that_hangs_is_bridged_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("charter.guard.gateway.keys._WAIT_S", 0.05)
    clock, hang, go = Clock(), [], threading.Event()
    known = Key("k", "ck-", digest_of("ck-right", PEPPER), "", frozenset({"api"}), None, None, 0.0, None)

    def load() -> list[Key]:
        if hang:
            go.wait(20)
        return [known]

    async def ask() -> list[int]:
        gate = KeyGate(load, PEPPER, clock=clock)
        await gate.admit("ck-right", "chat")
        hang.append(1)
        found = []
        for later_s in (30, 40):
            clock.now_s += later_s
            try:
                found.append(200 if (await asyncio.wait_for(gate.admit("ck-right", "chat"), 5)).name == "k" else 0)
            except GatewayError as error:
                found.append(error.status)
        go.set()
        return found

    assert asyncio.run(ask()) == [200, 503]


def test_batches_of_others_keep_nobody_waiting_at_the_door() -> None:
    """Keys are read in a thread of their own: the loop's common ones may all be taken."""
    known = Key("k", "ck-", digest_of("ck-right", PEPPER), "", frozenset({"api"}), None, None, 0.0, None)
    go = threading.Event()

    async def ask() -> str:
        loop = asyncio.get_running_loop()
        busy = [loop.run_in_executor(None, go.wait, 20) for _ in range((os.cpu_count() or 1) + 4)]
        try:
            return (await asyncio.wait_for(KeyGate(lambda: [known], PEPPER).admit("ck-right", "chat"), 5)).name
        finally:
            go.set()
            await asyncio.gather(*busy)

    assert asyncio.run(ask()) == "k"


@pytest.mark.parametrize(
    ("scopes", "endpoint", "may"),
    [
        ("api", "chat", True), ("api", "models", True), ("api", "reports", False), ("reports", "chat", False), ("reports", "reports", True),
        ("chat", "chat", True), ("chat", "models", True), ("chat", "messages", False), ("reports", "models", False),
        ("admin", "models", False), ("admin", "chat", False), ("admin", "reports", False), ("admin api", "chat", True),
    ],
)  # fmt: skip
def test_scopes(scopes: str, endpoint: str, may: bool) -> None:
    assert allows(frozenset(scopes.split()), endpoint) is may


def test_a_key_whose_guard_is_not_here_is_not_let_in_under_another(database: Database) -> None:
    made = add_key(database, "strict", pepper=PEPPER, guard="strict")
    assert refused(KeyGate(lambda: all_keys(database), PEPPER, guards=frozenset({"strict"})), made.secret) is None
    found = refused(KeyGate(lambda: all_keys(database), PEPPER), made.secret)
    assert found is not None
    assert found.status == 503


@given(st.lists(st.floats(0, 5), min_size=1, max_size=200), st.integers(1, 30))
def test_no_more_requests_than_the_bucket_gives(gaps_s: list[float], per_minute: int) -> None:
    clock = Clock()
    limiter, let_in = Limiter(clock=clock), 0
    for gap_s in gaps_s:
        clock.now_s += gap_s
        wait_s = 0
        try:
            headers = dict(limiter.enter("k", per_minute, None))
        except GatewayError as error:
            wait_s = error.retry_after_s or 0
        else:
            let_in += 1
            assert 0 <= int(headers[b"x-ratelimit-remaining-requests"]) < per_minute
            continue
        assert wait_s > 0
        clock.now_s += wait_s
        limiter.enter("k", per_minute, None)  # who waits as told is let in
        let_in += 1
    assert let_in <= per_minute + (clock.now_s - 1000) * per_minute / 60 + 1e-3


def test_requests_at_once_are_counted_in_and_out_and_memory_is_bounded() -> None:
    limiter = Limiter(most=10)
    limiter.enter("busy", None, 2)
    limiter.enter("busy", None, 2)
    with pytest.raises(GatewayError) as found:
        limiter.enter("busy", None, 2)
    assert (found.value.status, found.value.code) == (429, "concurrency_limit_exceeded")
    for n in range(100):
        limiter.enter(f"k{n}", 5, None)
        limiter.leave(f"k{n}")
    assert len(limiter) == 10
    limiter.leave("busy")
    limiter.enter("busy", None, 2)
    with pytest.raises(GatewayError):
        limiter.enter("busy", None, 2)


@pytest.fixture(scope="module")
def guarded(launch: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A gateway that asks for keys, and its database."""
    path = tmp_path_factory.mktemp("keys") / "gateway.db"
    database = Database(path)
    secrets = {
        "web": add_key(database, "web", pepper=PEPPER).secret,
        "few": add_key(database, "few", pepper=PEPPER, requests_per_minute=2).secret,
        "gone": add_key(database, "gone", pepper=PEPPER).secret,
        "reports": add_key(database, "reports", pepper=PEPPER, scopes=frozenset({"reports"})).secret,
    }
    environ = {"OPENAI_API_KEY": "upstream-key", "CHARTER_KEY_PEPPER": PEPPER.decode()}
    running = launch(keys={"required": True, "refresh_s": 0.05}, database={"url": str(path)}, environ=environ, mode="strict")
    yield running, secrets, database
    database.close()


def test_the_sdk_with_and_without_a_key(guarded: Any) -> None:
    running, secrets, _ = guarded
    assert running.client(api_key=secrets["web"]).chat.completions.create(**ASK).choices[0].message.content
    assert running.exchange().key == "web"
    with pytest.raises(openai.AuthenticationError) as found:
        running.client(api_key="ck-wrong-wrong").chat.completions.create(**ASK)
    assert found.value.code == "invalid_api_key"
    assert "ck-wrong-wrong" not in found.value.message
    with pytest.raises(openai.PermissionDeniedError):
        running.client(api_key=secrets["reports"]).chat.completions.create(**ASK)
    seen = [dict(request.headers) for request in getattr(running.upstream, "requests", [])]
    assert not any(secrets["web"] in str(headers) for headers in seen)


def test_both_headers_and_the_list_of_models(guarded: Any) -> None:
    running, secrets, _ = guarded
    with httpx.Client(base_url=running.root, trust_env=False) as client:
        assert client.post("/v1/chat/completions", json=ASK, headers={"x-api-key": secrets["web"]}).status_code == 200
        assert client.post("/v1/chat/completions", json=ASK).json()["error"]["code"] == "missing_api_key"
        assert client.get("/v1/models").status_code == 401
        assert client.get("/healthz").status_code == 200


def test_limits_are_told_in_headers_that_sdks_know(guarded: Any) -> None:
    running, secrets, _ = guarded
    with httpx.Client(base_url=running.root, trust_env=False, headers={"authorization": f"Bearer {secrets['few']}"}) as client:
        first = client.post("/v1/chat/completions", json=ASK)
        assert (first.headers["x-ratelimit-limit-requests"], first.headers["x-ratelimit-remaining-requests"]) == ("2", "1")
        assert client.post("/v1/chat/completions", json=ASK).status_code == 200
        third = client.post("/v1/chat/completions", json=ASK)
    assert third.status_code == 429
    assert third.json()["error"]["code"] == "rate_limit_exceeded"
    assert 1 <= int(third.headers["retry-after"]) <= 30
    with pytest.raises(openai.RateLimitError):
        running.client(api_key=secrets["few"]).chat.completions.create(**ASK)


def test_a_key_revoked_beside_the_gateway_is_shut_out(guarded: Any) -> None:
    running, secrets, database = guarded
    client = running.client(api_key=secrets["gone"])
    client.chat.completions.create(**ASK)
    revoke_key(database, "gone")

    def ask_on() -> None:
        end = time.monotonic() + 10
        while time.monotonic() < end:
            client.chat.completions.create(**ASK)

    with pytest.raises(openai.AuthenticationError):
        ask_on()


def test_no_key_is_in_the_audit_log(guarded: Any) -> None:
    running, secrets, database = guarded
    running.client(api_key=secrets["web"]).chat.completions.create(**ASK)
    with sqlite3.connect(database.url.database or "") as connection:
        bodies = [body for (body,) in connection.execute("SELECT body FROM audit")]
    connection.close()
    assert any('"key":"web"' in body for body in bodies)
    assert not any(secret in body for body in bodies for secret in secrets.values())


def test_strangers_write_one_row_a_minute_however_often_they_come(guarded: Any) -> None:
    running, secrets, database = guarded

    def rows() -> list[dict[str, Any]]:
        assert running.told_so_far is running.told, "no request is in work"
        with sqlite3.connect(database.url.database or "") as connection:
            found = [json.loads(body) for (body,) in connection.execute("SELECT body FROM audit ORDER BY seq")]
        connection.close()
        return found

    turned_away = running.built.gateway.services.turned_away
    turned_away.tell()  # what other tests left
    time.sleep(0.1)
    before = len(rows())
    with httpx.Client(base_url=running.root, trust_env=False) as client:
        for _ in range(20):
            assert client.post("/v1/chat/completions", json=ASK, headers={"x-api-key": "ck-unknown"}).status_code == 401
        assert client.get("/v1/models").status_code == 401
        assert client.get("/v1/nothing").status_code == 404
    assert len(rows()) == before
    counted = running.built.metrics.registry.get_sample_value
    assert counted("charter_errors_total", {"endpoint": "chat", "code": "invalid_api_key"}) >= 20
    assert counted("charter_errors_total", {"endpoint": "none", "code": "unsupported_endpoint"}) == 1
    assert (counted("charter_errors_total", {"endpoint": "none", "code": "missing_api_key"}) or 0) >= 1
    turned_away.tell()
    end = time.monotonic() + 5
    while len(rows()) == before and time.monotonic() < end:
        time.sleep(0.02)
    [row] = rows()[before:]
    assert row["kind"] == "turned_away"
    assert row["codes"] == {"invalid_api_key": 20, "missing_api_key": 1, "unsupported_endpoint": 1}
    with httpx.Client(base_url=running.root, trust_env=False, headers={"x-api-key": secrets["reports"]}) as client:
        assert client.post("/v1/chat/completions", json=ASK).status_code == 403
    running.built.gateway.services.turned_away.tell()
    while len(rows()) == before + 1 and time.monotonic() < end:
        time.sleep(0.02)
    [*_, row] = rows()
    assert (row["kind"], row["key"], row["code"]) == ("end", "reports", "insufficient_scope"), "whose key is known has a row of its own"


def started(path: Path, *, audit: str = "off", **config: Any) -> serve.Built:
    guard = Guard(GuardPolicy(name="open", unguarded=("input", "output")))
    settings = {"database": {"url": str(path)}, "audit": {"mode": audit}, **config}
    return serve.build(GatewayConfig.model_validate(settings), environ={}, guards=dict.fromkeys(["", *config.get("guards", {})], guard))


@pytest.mark.parametrize("audit", ["off", "strict"])
def test_on_loopback_keys_are_asked_for_once_there_are_any(tmp_path: Path, audit: str) -> None:
    path = tmp_path / "gateway.db"
    assert not started(path, audit=audit).asks_for_keys
    assert path.exists() is (audit == "strict"), "a gateway without an audit log makes no database"
    database = Database(path)
    add_key(database, "one", pepper=b"")
    assert started(path, audit=audit).asks_for_keys
    revoke_key(database, "one")
    with pytest.raises(InputError, match=r"keys were made for this gateway, and all keys in .* are revoked"):
        started(path, audit=audit)
    opened = started(path, audit=audit, listen={"open": True})
    assert not opened.asks_for_keys
    assert "no keys" in opened.bypass, "keys are there and nobody is asked for one"
    add_key(database, "two", pepper=b"")
    assert started(path, audit=audit).asks_for_keys
    database.close()


def test_guards_for_keys_need_keys_on_loopback_too(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    with pytest.raises(InputError, match="guards: strict is for those who have a key, and there are no keys"):
        started(path, guards={"strict": "default"})
    database = Database(path)
    add_key(database, "one", pepper=b"", guard="strict")
    database.close()
    assert started(path, guards={"strict": "default"}).asks_for_keys


def test_whoever_has_no_key_or_a_revoked_one_stays_out_on_loopback(launch: Any, tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    database = Database(path)
    gone, stays = add_key(database, "gone", pepper=b"", requests_per_minute=1).secret, add_key(database, "stays", pepper=b"").secret
    revoke_key(database, "gone")
    database.close()
    running = launch(database={"url": str(path)})
    for secret in ("nonsense", gone):
        with pytest.raises(openai.AuthenticationError):
            running.client(api_key=secret).chat.completions.create(**ASK)
    with httpx.Client(base_url=running.root, trust_env=False) as client:
        assert client.post("/v1/chat/completions", json=ASK).status_code == 401
        assert client.get("/v1/models").status_code == 401
    assert running.client(api_key=stays).chat.completions.create(**ASK).choices


@pytest.mark.parametrize("mode", ["off", "strict"])
def test_a_key_made_while_a_keyless_gateway_runs_is_asked_for_from_the_next_reading_on(launch: Any, tmp_path: Path, mode: str) -> None:
    path = tmp_path / "gateway.db"
    running = launch(database={"url": str(path)}, keys={"refresh_s": 0.05}, mode=mode)
    assert running.client().chat.completions.create(**ASK).choices
    database = Database(path)
    made = add_key(database, "one", pepper=b"").secret
    time.sleep(0.2)
    with pytest.raises(openai.AuthenticationError):
        running.client().chat.completions.create(**ASK)
    assert running.client(api_key=made).chat.completions.create(**ASK).choices
    revoke_key(database, "one")
    database.close()
    time.sleep(0.2)
    for secret in ("client-key", made):
        with pytest.raises(openai.AuthenticationError):
            running.client(api_key=secret).chat.completions.create(**ASK)


def test_a_port_that_others_can_reach_needs_a_key(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    config = GatewayConfig.model_validate({"listen": {"host": "0.0.0.0"}, "database": {"url": str(path)}, "audit": {"mode": "off"}})
    guard = Guard(GuardPolicy(name="open", unguarded=("input", "output")))
    with pytest.raises(InputError, match="no keys"):
        serve.build(config, environ={}, guards={"": guard})
    database = Database(path)
    add_key(database, "one", pepper=b"")
    database.close()
    built = serve.build(config, environ={}, guards={"": guard})
    assert isinstance(built.gateway.services.gate, KeyGate)
    assert "no keys" not in built.bypass
