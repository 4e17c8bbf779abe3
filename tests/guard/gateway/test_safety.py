"""Reports, feedback and rows for people, through a gateway that listens: looked up here, bounded, never a 500."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from gateway_said import completion, events
from gateway_upstream import answers, chunk, streams
from hypothesis import HealthCheck, Phase, settings
from sqlalchemy import select

from charter.core.rows import Finding, Verdict
from charter.guard.engine import Guard
from charter.guard.gateway import serve
from charter.guard.gateway.config import GatewayConfig
from charter.guard.gateway.safety import document
from charter.guard.policy import GuardPolicy, RailEntry, ReviewPolicy
from charter.store.database import Database
from charter.store.keys import add_key
from charter.store.tables import kept_text, report, review_item

KEY: dict[str, str] = {"CHARTER_KEY_PEPPER": "p", "OPENAI_API_KEY": "upstream-key"}


def ask(text: str) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": text}]}


def guard() -> Guard:
    """``secret`` escalates, ``odd`` is flagged."""

    def rail(word: str) -> Any:
        def judge(conversation: Any, stage: str) -> Verdict:
            unsafe = word in (conversation.prompt if stage == "input" else conversation.reply or "")
            return Verdict(subject="x", outcome="unsafe" if unsafe else "safe", score=float(unsafe), judge=word, judge_version="1")

        return judge

    entries = (RailEntry(rail="length", name="secret", action="escalate"), RailEntry(rail="length", name="odd", action="flag"))
    policy = GuardPolicy(name="p", input=entries, output=entries, review=ReviewPolicy(flagged=True))
    return Guard(policy, rails={"secret": rail("secret"), "odd": rail("odd")})


@pytest.fixture(scope="module")
def gateway(launch: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("safety") / "gateway.db"
    review = {"keep_answers_hours": 1, "reports_per_minute": 100_000, "reports_per_reporter": 100_000}
    running = launch(guard(), mode="strict", database={"url": str(path)}, review=review)
    database = Database(path)
    with httpx.Client(base_url=running.root, trust_env=False, timeout=20) as client:
        yield client, database
    database.close()


def rows(database: Database, table: Any, count: int = 1, **where: str) -> list[dict[str, Any]]:
    """Waits for rows: they are written beside the requests."""
    end = time.monotonic() + 10
    while True:
        with database.read() as connection:
            query = select(table).where(*(table.c[name] == value for name, value in where.items()))
            found = [dict(row) for row in connection.execute(query).mappings()]
        if len(found) >= count or time.monotonic() > end:
            return found
        time.sleep(0.02)


def test_what_escalates_and_what_is_flagged_waits_for_a_person(gateway: Any) -> None:
    client, database = gateway
    held = client.post("/v1/chat/completions", json=ask("a secret"), headers={"x-request-id": "held-1"})
    assert held.status_code == 400
    [item] = rows(database, review_item, request_id="held-1")
    assert (item["why"], item["stage"], item["state"], item["decision_id"]) == ("escalated", "input", "pending", held.headers["x-decision-id"])
    assert Finding.model_validate_json(item["finding"]).conversation.prompt == "a secret"
    assert client.post("/v1/chat/completions", json=ask("an odd one"), headers={"x-request-id": "odd-1"}).status_code == 200
    [item] = rows(database, review_item, request_id="odd-1")
    assert item["why"] == "flagged"


def test_a_report_is_about_what_was_really_said(gateway: Any) -> None:
    client, database = gateway
    answer = client.post("/v1/chat/completions", json=ask("hello"), headers={"x-request-id": "told-1"})
    text = answer.json()["choices"][0]["message"]["content"]
    rows(database, kept_text, request_id="told-1")
    body = {"request_id": "told-1", "category": "hate", "reason": "rude", "comment": "it said: something else", "reporter_ref": "user 7"}
    filed = client.post("/v1/safety/reports", json=body)
    assert filed.status_code == 202, filed.text
    assert filed.json()["duplicate"] is False
    [item] = rows(database, review_item, request_id="told-1")
    assert item["why"] == "report"
    assert Finding.model_validate_json(item["finding"]).conversation.reply == text
    assert "something else" not in item["finding"]
    again = client.post("/v1/safety/reports", json={**body, "category": "other"})
    assert again.json() == {"report_id": filed.json()["report_id"], "duplicate": True}
    [kept] = rows(database, report, id=filed.json()["report_id"])
    assert "user 7" not in json.dumps(kept)


def test_where_no_answers_are_kept_a_report_finds_the_flagged_choice_that_it_names_and_no_other(launch: Any, tmp_path: Path) -> None:
    running = launch(guard(), mode="strict", database={"url": str(tmp_path / "g.db")})
    database = Database(tmp_path / "g.db")
    pieces = [chunk(text, index) for index, text in ((2, "Plain."), (1, "An odd one."), (0, "Plainer."))]
    pieces += [chunk(index=index, finish="stop") for index in (1, 2, 0)]
    with httpx.Client(base_url=running.root, trust_env=False, timeout=20) as client:
        for stream in (False, True):
            name = f"named-{stream}"
            running.upstream.script = streams(events(*pieces)) if stream else answers(completion("Plainer.", "An odd one.", "Plain."))
            asked = {**ask("hello"), "n": 3, "stream": stream}
            assert client.post("/v1/chat/completions", json=asked, headers={"x-request-id": name}).status_code == 200
            [item] = rows(database, review_item, request_id=name)
            assert (item["stage"], item["choice_index"]) == ("output", 1)
            for choice in (0, 1, 2):
                body = {"request_id": name, "category": "hate", "choice_index": choice}
                assert client.post("/v1/safety/reports", json=body).status_code == 202
            told = {row["choice_index"]: row["verified"] for row in rows(database, report, 3, answer=name)}
            assert told == {0: 0, 1: 1, 2: 0}
    database.close()


def test_an_answer_that_nobody_knows_is_kept_as_unverified(gateway: Any) -> None:
    client, database = gateway
    filed = client.post("/v1/safety/feedback", json={"response_id": "chatcmpl-unknown", "rating": "down"})
    assert filed.status_code == 202
    [kept] = rows(database, report, id=filed.json()["report_id"])
    assert (kept["verified"], kept["kind"], kept["category"]) == (0, "feedback", "down")


def test_idempotency(gateway: Any) -> None:
    client, _ = gateway
    one, other = {"request_id": "i-1", "category": "other"}, {"request_id": "i-2", "category": "other"}
    headers = {"idempotency-key": "k-1"}
    first = client.post("/v1/safety/reports", json=one, headers=headers)
    assert client.post("/v1/safety/reports", json=one, headers=headers).json()["report_id"] == first.json()["report_id"]
    assert client.post("/v1/safety/reports", json=other, headers=headers).status_code == 409


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"request_id": "x"}, "category"),
        ({"request_id": "x", "category": "nonsense-value"}, "category"),
        ({"category": "hate"}, "response_id"),
        ({"request_id": "x", "response_id": "y", "category": "hate"}, "response_id"),
        ({"request_id": "a b", "category": "hate"}, "request_id"),
        ({"request_id": "x", "category": "hate", "choice_index": -1}, "choice_index"),
        ({"request_id": "x", "category": "hate", "choice_index": True}, "choice_index"),
        ({"request_id": "x", "category": "hate", "comment": "x" * 2001}, "comment"),
        ({"request_id": "x", "category": "hate", "text": "it said so"}, "the body"),
    ],
)
def test_a_body_that_is_wrong_names_the_field_and_no_value(gateway: Any, body: dict[str, Any], param: str) -> None:
    client, _ = gateway
    answer = client.post("/v1/safety/reports", json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param
    assert "nonsense" not in answer.text
    assert "it said so" not in answer.text


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"{", {}, 400),
        (b'{"request_id":"x","request_id":"y","category":"hate"}', {}, 400),
        (b"\xff", {}, 400),
        (b"[]", {}, 400),
        (b"[" * 5000, {}, 400),
        (b'{"request_id":"x","category":"other","comment":"\\u0000 \\ud800"}', {}, None),
        (b"x" * 70_000, {}, 413),
        (b"{}", {"content-type": "text/plain"}, 415),
        (b"{}", {"content-encoding": "gzip"}, 415),
    ],
)
def test_broken_bodies_are_refused(gateway: Any, content: bytes, headers: dict[str, str], status: int | None) -> None:
    client, _ = gateway
    answer = client.post("/v1/safety/reports", content=content, headers={"content-type": "application/json", **headers})
    assert answer.status_code == status or (status is None and answer.status_code in (202, 400))


def test_wrong_methods_and_paths_beside(gateway: Any) -> None:
    client, _ = gateway
    assert client.get("/v1/safety/reports").status_code == 405
    assert client.post("/v1/safety/other", json={}).status_code == 404
    assert client.post("/v1/safety/reports", json={}, headers={"host": "evil.example"}).status_code == 403


def test_reports_need_a_key_that_may_and_are_limited(launch: Any, tmp_path: Path) -> None:
    database = Database(tmp_path / "g.db")
    secret = add_key(database, "web", pepper=b"p").secret
    other = add_key(database, "no-reports", pepper=b"p", scopes=frozenset({"api"})).secret
    database.close()
    running = launch(
        guard(), mode="strict", database={"url": str(tmp_path / "g.db")}, keys={"required": True}, environ=KEY, review={"reports_per_reporter": 2}
    )
    body = {"request_id": "x", "category": "hate", "reporter_ref": "one"}
    with httpx.Client(base_url=running.root, trust_env=False, timeout=20) as client:

        def send(key: str, **more: str) -> httpx.Response:
            return client.post("/v1/safety/reports", json={**body, **more}, headers={"authorization": f"Bearer {key}"} if key else {})

        assert (send("").status_code, send("ck-wrong").status_code, send(other).status_code) == (401, 401, 403)
        assert [send(secret).status_code for _ in range(3)] == [202, 202, 429]
        assert int(send(secret).headers["retry-after"]) >= 1
        assert send(secret, reporter_ref="two").status_code == 202


def test_a_lost_database_is_a_503(tmp_path: Path) -> None:
    from starlette.testclient import TestClient

    config = GatewayConfig.model_validate({"database": {"url": str(tmp_path / "g.db")}})
    built = serve.build(config, environ={}, guards={"": guard()})
    database = Database(tmp_path / "g.db")
    with TestClient(built.gateway, base_url="http://localhost", raise_server_exceptions=False) as client:
        with database.write() as connection:
            connection.exec_driver_sql("DROP TABLE report")
        answer = client.post("/v1/safety/reports", json={"request_id": "x", "category": "hate"})
    database.close()
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "reports_unavailable")


SCHEMA = schemathesis.openapi.from_dict(document())


@SCHEMA.parametrize()
@settings(max_examples=60, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck), deadline=None)
def test_the_published_schema_holds_and_nothing_is_a_500(case: Any, gateway: Any) -> None:
    client, _ = gateway
    case.call_and_validate(base_url=str(client.base_url))


def test_the_document_is_served_as_it_is(gateway: Any) -> None:
    client, _ = gateway
    assert client.get("/v1/safety/openapi.json").json() == json.loads(json.dumps(document()))
