"""The list of models takes neither connections nor time from requests, and counts as a key's request like any other."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from gateway_call import Answered

from charter.guard.engine import Guard
from charter.guard.gateway import models
from charter.guard.gateway.app import Gateway
from charter.guard.gateway.config import GatewayConfig
from charter.guard.gateway.keys import KeyGate
from charter.guard.gateway.models import KEPT_S, Models, Page
from charter.guard.gateway.pipeline import Services
from charter.guard.gateway.wire.errors import GatewayError
from charter.guard.policy import GuardPolicy
from charter.store.keys import Key, digest_of

LIST = json.dumps({"object": "list", "data": [{"id": "m"}]}).encode()


class Upstream:
    """Answers ``body`` once ``go`` is set, and counts."""

    def __init__(self, body: bytes = LIST, status: int = 200) -> None:
        self.body, self.status = body, status
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.inside = self.most = 0
        self.go = asyncio.Event()
        self.go.set()

    async def send(self, method: str, path: str, body: bytes | None, headers: Any) -> Any:
        self.asked.append(path)
        self.headers.append(dict(headers))
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            await self.go.wait()
        finally:
            self.inside -= 1
        answer = Answered([self.body], "end", is_stream=False)
        answer.status = self.status
        return answer


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_who_asks_at_the_same_time_or_soon_after_hears_the_same() -> None:
    async def ask() -> list[int]:
        upstream, clock, counts = Upstream(), Clock(), []
        found = Models(lambda: upstream, clock)  # type: ignore[arg-type, return-value]
        upstream.go.clear()
        together = [asyncio.create_task(found()) for _ in range(100)]
        await asyncio.sleep(0)
        together[0].cancel()  # a client that leaves takes the answer of nobody else with it
        await asyncio.sleep(0)
        upstream.go.set()
        assert [told["data"] for told in await asyncio.gather(*together[1:])] == [[{"id": "m"}]] * 99
        for later_s in (KEPT_S / 2, KEPT_S):
            counts.append(len(upstream.asked))
            clock.now_s += later_s
            await found()
        return [*counts, len(upstream.asked)]

    assert asyncio.run(ask()) == [1, 1, 2]


def test_failures_are_told_and_not_kept() -> None:
    async def ask() -> list[str]:
        upstream = Upstream(status=500)
        found, told = Models(lambda: upstream), []  # type: ignore[arg-type, return-value]
        for body, status in ((LIST, 500), (b"<html>", 200), (LIST, 404), (LIST, 200)):
            upstream.body, upstream.status = body, status
            try:
                await found()
                told.append("")
            except GatewayError as error:
                told.append(error.code)
        return told

    assert asyncio.run(ask()) == ["upstream_error", "upstream_bad_answer", "model_not_found", ""]


def test_few_questions_are_open_at_once_and_none_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "WAIT_S", 0.3)

    async def ask() -> tuple[set[str], int]:
        upstream = Upstream()
        upstream.go.clear()
        found = Models(lambda: upstream)  # type: ignore[arg-type, return-value]
        told = await asyncio.gather(*(found(f"name-{n}") for n in range(30)), return_exceptions=True)
        assert upstream.inside == 0, "no connection is held for it any more"
        return {error.code for error in told if isinstance(error, GatewayError)}, upstream.most

    assert asyncio.run(ask()) == ({"upstream_timeout"}, models._AT_ONCE)


def test_answers_about_made_up_names_fill_no_memory() -> None:
    async def ask() -> int:
        upstream = Upstream(json.dumps({"id": "m"}).encode())
        found = Models(lambda: upstream, Clock())  # type: ignore[arg-type, return-value]
        for n in range(models._MOST + 20):
            await found(f"name-{n}")
        return len(found._kept)

    assert asyncio.run(ask()) == models._MOST


def test_pages_of_a_list_are_asked_for_and_nothing_else_of_a_query() -> None:
    query = {"after_id": "m-20", "limit": "20", "before_id": "a&b=c", "note": "x"}
    page = Page.asked(query, {b"anthropic-version": b"2023-06-01"})
    assert page == Page("after_id=m-20&limit=20", "2023-06-01")
    assert Page.asked({}, {b"anthropic-version": b"two words"}) == Page()
    assert Page.asked({"after_id": "ORG/m+lora"}, {}) == Page("after_id=ORG/m%2Blora"), "as it is: a plus in a query means a space"

    async def ask() -> Upstream:
        upstream = Upstream()
        found = Models(lambda: upstream, Clock())  # type: ignore[arg-type, return-value]
        for one in (page, Page(), page, Page("after_id=m-40", "2023-06-01"), Page()):
            await found("", one)
        return upstream

    upstream = asyncio.run(ask())
    assert upstream.asked == ["/models?after_id=m-20&limit=20", "/models", "/models?after_id=m-40"], "each page is one of its own"
    assert upstream.headers == [{"anthropic-version": "2023-06-01"}, {}, {"anthropic-version": "2023-06-01"}]


def test_the_list_counts_as_a_request_of_its_key() -> None:
    pepper = b"pepper"
    key = Key("k", "ck-", digest_of("ck-right", pepper), "", frozenset({"api"}), 3, 1, 0.0, None)
    guard = Guard(GuardPolicy(unguarded=("input", "output")))

    async def ask() -> list[tuple[int, str | None]]:
        upstream = Upstream()
        gate = KeyGate(lambda: [key], pepper)
        gateway = Gateway(Services(GatewayConfig(), {"": guard}, upstream, gate))  # type: ignore[arg-type]
        told: list[tuple[int, str | None]] = []

        async def get(path: str) -> None:
            async def receive() -> dict[str, Any]:
                return {"type": "http.request", "body": b""}

            async def send(message: Any) -> None:
                if message["type"] == "http.response.start":
                    left = dict(message["headers"]).get(b"x-ratelimit-remaining-requests")
                    told.append((message["status"], left.decode() if left is not None else None))

            headers = [(b"authorization", b"Bearer ck-right"), (b"host", b"localhost")]
            scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": headers, "root_path": ""}
            await gateway(scope, receive, send)  # type: ignore[arg-type]

        upstream.go.clear()
        first = asyncio.create_task(get("/v1/models"))
        while not upstream.asked:
            await asyncio.sleep(0.005)
        await get("/v1/models")  # one at once is this key's limit
        upstream.go.set()
        await first
        for path in ("/v1/models/m", "/v1/models", "/v1/models"):
            await get(path)
        return told

    told = asyncio.run(ask())
    assert [status for status, _ in told] == [429, 200, 200, 200, 429]
    assert told[1][1] == "2", "limits are told as they are elsewhere"
