"""Answers are reported by the id that their body has: what the client saw, on every surface, whole and streamed; within its key."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import messages_said
import pytest
import responses_said
from gateway_said import completion
from gateway_upstream import Asked, Wire, answers, chunk, streams
from sqlalchemy import select

from charter.core.rows import Finding, Verdict
from charter.guard.engine import Guard
from charter.guard.policy import GuardPolicy, RailEntry
from charter.store.database import Database
from charter.store.keys import add_key
from charter.store.tables import audit, report, review_item

TEXT = "Prune them in March."
NUMBER = itertools.count()
TALK = [{"role": "user", "content": "How do I prune roses?"}]
#: By path: what is asked, what the model server calls its answers, an answer whole and in a stream.
OLD_CHOICE = {"index": 0, "text": TEXT, "logprobs": None, "finish_reason": "stop"}
OLD = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m", "choices": [OLD_CHOICE]}
SURFACES: dict[str, tuple[dict[str, Any], str, bytes, bytes]] = {
    "chat/completions": (
        {"messages": TALK},
        "chatcmpl-1",
        json.dumps(completion(TEXT)).encode(),
        b"".join(b"data: " + each + b"\n\n" for each in (chunk(TEXT), chunk(finish="stop"))) + b"data: [DONE]\n\n",
    ),
    "completions": (
        {"prompt": "How do I prune roses?"},
        "cmpl-1",
        json.dumps(OLD).encode(),
        b"data: " + json.dumps(OLD).encode() + b"\n\ndata: [DONE]\n\n",
    ),
    "responses": (
        {"input": "How do I prune roses?"},
        "resp_1",
        json.dumps(responses_said.response(responses_said.message(TEXT))).encode(),
        responses_said.sse(responses_said.events(responses_said.message(TEXT))),
    ),
    "messages": (
        {"messages": TALK, "max_tokens": 9},
        "msg_1",
        json.dumps(messages_said.message(messages_said.text(TEXT))).encode(),
        responses_said.sse(messages_said.events(messages_said.text(TEXT))),
    ),
}


class Site:
    """A gateway that keeps its answers, as the holders of two keys see it."""

    def __init__(self, running: Any, database: Database, keys: dict[str, str], http: httpx.Client) -> None:
        self.running, self.database, self.keys, self.http = running, database, keys, http

    def ask(self, path: str, key: str = "web", named: str = "", **body: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.keys[key]}", **({"x-request-id": named} if named else {})}
        return self.http.post(f"/v1/{path}", json=body, headers=headers)

    def report(self, name: str, key: str = "web", *, wait_s: float = 10.0, **more: Any) -> dict[str, Any]:
        """A new report, as it stands in the database once its text is found, or when it is not waited for any longer."""
        filed = self.ask("safety/reports", key, response_id=name, category="hate", reporter_ref=str(next(NUMBER)), **more)
        assert filed.status_code == 202, filed.text
        end = time.monotonic() + wait_s
        while True:
            with self.database.read() as connection:
                [row] = connection.execute(select(report).where(report.c.id == filed.json()["report_id"])).mappings()
            if row["verified"] or time.monotonic() > end:
                return dict(row)
            time.sleep(0.02)

    def queued(self, decision: str) -> list[str]:
        """The replies that people are to look at."""
        with self.database.read() as connection:
            found = connection.execute(select(review_item.c.finding).where(review_item.c.decision_id == decision)).scalars().all()
        return [Finding.model_validate_json(each).conversation.reply or "" for each in found]

    def ended(self, request: str) -> dict[str, Any]:
        """The closing row of a request, which comes after its answer."""
        end = time.monotonic() + 10.0
        while True:
            with self.database.read() as connection:
                bodies = connection.execute(select(audit.c.body).where(audit.c.request_id == request)).scalars().all()
            found = [row for row in map(json.loads, bodies) if row["kind"] == "end"]
            if found or time.monotonic() > end:
                return dict(found[0])
            time.sleep(0.02)


@pytest.fixture(scope="module")
def site(launch: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    path = tmp_path_factory.mktemp("ids") / "gateway.db"
    database = Database(path)
    keys = {name: add_key(database, name, pepper=b"p").secret for name in ("web", "app")}

    def rail(conversation: Any, stage: str) -> Verdict:
        unsafe = "forbidden" in (conversation.prompt if stage == "input" else conversation.reply or "")
        return Verdict(subject="x", outcome="unsafe" if unsafe else "safe", score=float(unsafe), judge="fake", judge_version="1")

    entries = (RailEntry(rail="length", name="a", timeout_ms=10_000),)
    running = launch(
        Guard(GuardPolicy(name="p", input=entries, output=entries), rails={"a": rail}),
        mode="strict",
        on_block="refusal",
        database={"url": str(path)},
        keys={"required": True},
        review={"keep_answers_hours": 1, "reports_per_minute": 100_000},
        environ={"CHARTER_KEY_PEPPER": "p", "OPENAI_API_KEY": "upstream-key"},
    )
    with httpx.Client(base_url=running.root, trust_env=False, timeout=20) as http:
        yield Site(running, database, keys, http)
    database.close()


def as_new(site: Site, path: str, named: str = "") -> str:
    """The model server answers with an id that it had not used before, or with this one; returns it."""
    _, old, whole, streamed = SURFACES[path]
    new = named or f"{old[:-1]}{next(NUMBER)}x"
    whole, streamed = (raw.replace(f'"{old}"'.encode(), json.dumps(new).encode()) for raw in (whole, streamed))

    async def script(asked: Asked, wire: Wire) -> None:
        await (streams(streamed) if asked.json.get("stream") else answers(whole))(asked, wire)

    site.running.upstream.script = script
    return new


def seen(answer: httpx.Response, stream: bool) -> set[str]:
    """Every id that a client can read in an answer."""
    if not stream:
        return {answer.json()["id"]}
    told = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ") and line != "data: [DONE]"]
    found = [each.get("response") or each.get("message") or each for each in told]
    return {each["id"] for each in found if "id" in each}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", SURFACES)
def test_an_answer_is_reported_by_the_id_that_the_client_saw(site: Site, path: str, stream: bool) -> None:
    name = as_new(site, path)
    answer = site.ask(path, **SURFACES[path][0], model="m", stream=stream)
    assert answer.status_code == 200, answer.text
    assert seen(answer, stream) == {name}
    row = site.report(name)
    assert row["decision_id"] == answer.headers["x-decision-id"]
    assert site.queued(row["decision_id"]) == [TEXT]
    assert site.ended(answer.headers["x-request-id"])["response_id"] == name
    assert site.report(name, "app", wait_s=0.2)["decision_id"] == "", "what another key asked for"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", SURFACES)
def test_a_refusal_of_the_gateways_own_has_a_name_too(site: Site, path: str, stream: bool) -> None:
    body = {key: json.loads(json.dumps(value).replace("prune", "forbidden")) for key, value in SURFACES[path][0].items()}
    answer = site.ask(path, **body, model="m", stream=stream)
    assert answer.status_code == 200, answer.text
    [name] = seen(answer, stream)
    assert site.running.exchange().response_id == name
    assert site.ended(answer.headers["x-request-id"])["response_id"] == name
    assert site.report(name, wait_s=0.0)["answer"] == name, "no text of it is kept, but its name is on record"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", ["chatcmpl-" + "x" * 56, "chat:1", "gen+1/2", ""])
def test_a_name_that_may_not_be_kept_is_not(site: Site, name: str, stream: bool) -> None:
    path = "chat/completions"
    raw = SURFACES[path][3 if stream else 2].replace(b'"chatcmpl-1"', json.dumps(name).encode())
    site.running.upstream.script = streams(raw) if stream else answers(raw)
    answer = site.ask(path, **SURFACES[path][0], model="m", stream=stream)
    assert answer.status_code == 200, answer.text
    assert seen(answer, stream) == {name}, "the client gets it all the same"
    assert site.running.exchange().response_id == ""
    assert site.ask("safety/reports", response_id=name, category="hate").status_code == 400


def test_two_answers_of_one_name_are_none(site: Site) -> None:
    path = "chat/completions"
    for _ in range(2):
        as_new(site, path, "chatcmpl-same")
        assert site.ask(path, **SURFACES[path][0], model="m").status_code == 200
    wait = site.ask(path, **SURFACES[path][0], model="m", named="after")  # its text is kept after theirs
    assert wait.status_code == 200
    assert site.report("after")["verified"]
    assert site.report("chatcmpl-same", wait_s=0.0)["verified"] == 0


def test_the_choice_that_a_report_names_is_the_one_that_went_out_under_that_number(site: Site) -> None:
    path = "chat/completions"
    pieces = [chunk(text, index) for index, text in ((2, "Third."), (0, "First."), (1, "A forbidden one."))]
    pieces += [chunk(index=index, finish="stop") for index in (2, 1, 0)]  # they end in another order than they are numbered
    raw = b"".join(b"data: " + each + b"\n\n" for each in pieces) + b"data: [DONE]\n\n"
    for stream in (False, True):
        name = f"chatcmpl-three-{stream}"
        whole = {**completion("First.", "A forbidden one.", "Third."), "id": name}
        site.running.upstream.script = streams(raw.replace(b"chatcmpl-1", name.encode())) if stream else answers(whole)
        answer = site.ask(path, **SURFACES[path][0], model="m", n=3, stream=stream)
        assert answer.status_code == 200, answer.text
        row = site.report(name, choice_index=2)
        assert site.queued(row["decision_id"]) == ["Third."]
        assert site.report(name, choice_index=0)["decision_id"] == row["decision_id"]
        assert sorted(site.queued(row["decision_id"])) == ["First.", "Third."]
        assert site.report(name, choice_index=1, wait_s=0.2)["verified"] == 0, "it was withheld"
