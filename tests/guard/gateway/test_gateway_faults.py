"""Everything that can go wrong, one at a time: in the model server, in the rails, in the audit log. Each time nothing that no rail approved is out,
the client hears of it in time, and exactly one account with the right outcome is told, counted in metrics and closed in the audit log."""

from __future__ import annotations

import asyncio
import gzip
import json
import math
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import openai
import pytest
from gateway_said import completion, events
from gateway_upstream import Script, answers, chunk, says, spoken, streams

from charter.core.rows import Verdict
from charter.guard.engine import Guard
from charter.guard.gateway.auditing import GatewayAudit
from charter.guard.gateway.config import AuditConfig
from charter.guard.gateway.metrics import CountedAudit
from charter.guard.gateway.record import AuditError
from charter.guard.policy import GuardPolicy, RailEntry
from charter.guard.segments import view
from charter.store.audit import AuditLog

HI = [{"role": "user", "content": "How do I prune roses?"}]
#: Said by the model in every row; it may be out only where a row says so.
SAID = "Innocent words that no rail approved. "
SOON_S = 10.0
#: How long a row may take.
WAIT_S = 0.3


class Rails:
    """Rails whose behaviour a row sets."""

    def __init__(self) -> None:
        self.input: Any = None
        self.output: Any = None
        self.free = threading.Event()

    def reset(self) -> None:
        self.input = self.output = None
        self.free.set()
        self.free = threading.Event()

    def rail(self, stage: str) -> Any:
        def call(conversation: Any, _: str) -> Any:
            behaviour = getattr(self, stage)
            return behaviour(self, conversation) if behaviour is not None else verdict("safe", 0.0)

        return call


def verdict(outcome: str, score: float | None = None, **more: Any) -> Verdict:
    return Verdict(subject="x", outcome=outcome, score=score, judge="fake", judge_version="1", **more)


class Audit:
    """An audit log that fails when a row says so."""

    def __init__(self) -> None:
        self.fails = ""
        self.rows: list[str] = []

    async def decided(self, exchange: Any, checked: Any, stage: str, *, hurried: bool = True) -> None:
        await asyncio.sleep(0)
        if self.fails == stage:
            raise AuditError("disk full")
        self.rows.append(stage)

    async def done(self, exchange: Any) -> None:
        if self.fails == "done":
            raise AuditError("disk full")
        self.rows.append("done")

    async def going_on(self) -> None:
        return


class Log:
    """A log in which rows of one kind hang when a row says so: nobody ever hears of them."""

    intake = SimpleNamespace(taken_s=0.0, silent_s=0.0)

    def __init__(self) -> None:
        self.hangs = ""

    def append(self, row: Any, *, hurried: bool = True) -> Future[int]:
        written: Future[int] = Future()
        if self.hangs != row.body.get("stage", row.body["kind"]):
            written.set_result(1)
        return written


@dataclass
class Bench:
    running: Any
    rails: Rails
    audit: Audit
    before: dict[tuple[str, str], float] = field(default_factory=dict)

    def counts(self) -> dict[tuple[str, str], float]:
        """Requests by outcome, errors by code and audit rows that failed, as a scrape sees them."""
        found: dict[tuple[str, str], float] = {}
        for metric in self.running.built.metrics.registry.collect():
            for sample in metric.samples:
                if sample.name in COUNTED:
                    key = (sample.name, sample.labels.get(COUNTED[sample.name], ""))
                    found[key] = found.get(key, 0.0) + sample.value
        return found

    def counted(self) -> dict[tuple[str, str], float]:
        """What came to them since the request began."""
        return {key: value - self.before.get(key, 0.0) for key, value in self.counts().items() if value != self.before.get(key, 0.0)}


REQUESTS, ERRORS, LOST = "charter_requests_total", "charter_errors_total", "charter_audit_write_failures_total"
#: The label by which each is told.
COUNTED = {REQUESTS: "outcome", ERRORS: "code", LOST: ""}


def build(launch: Any, log: Log | None = None, **entry: Any) -> Bench:
    rails, audit = Rails(), Audit()
    rows = {stage: (RailEntry(rail="length", name=stage, timeout_ms=1500, **entry),) for stage in ("input", "output")}
    policy = GuardPolicy(**rows, cache=0, stream={"hold_chars": 8, "window_chars": 20})
    guard = Guard(policy, rails={"input": rails.rail("input"), "output": rails.rail("output")})
    times = {"connect_s": 3.0, "first_byte_s": 1.0, "idle_s": 1.0, "max_answer_bytes": 100_000, "max_event_bytes": 20_000}
    running = launch(guard, audit=audit, upstream=times, heartbeat_s=0.2, limits={"total_s": 8.0, "stalled_s": 1.0})
    written = audit if log is None else GatewayAudit(cast(AuditLog, log), AuditConfig(wait_s=WAIT_S))
    running.built.gateway.services.audit = CountedAudit(written, running.built.metrics)
    return Bench(running, rails, audit)


@pytest.fixture(scope="module")
def bench(launch: Any) -> Bench:
    return build(launch)


@pytest.fixture(scope="module")
def open_bench(launch: Any) -> Bench:
    """The same with rails that fail open, because the policy says so."""
    return build(launch, on_error="allow")


@pytest.fixture(scope="module")
def hung(launch: Any) -> tuple[Bench, Log]:
    """The same on an audit log that hangs."""
    log = Log()
    return build(launch, log), log


@dataclass
class Heard:
    """What a client got. ``code`` is '' for an answer."""

    text: str = ""
    code: str = ""
    status: int = 200
    finish: tuple[str, ...] = ()
    raw: str = ""
    seconds: float = 0.0
    texts: dict[int, str] = field(default_factory=dict)
    ended: set[int] = field(default_factory=set)


def hear(bench: Bench, stream: bool, **request: Any) -> Heard:
    bench.running.told.clear()
    bench.before = bench.counts()
    began = time.monotonic()
    heard = Heard()
    client = bench.running.client(timeout=SOON_S)
    try:
        done = client.chat.completions.create(model="m", messages=HI, stream=stream, **request)
        for part in done if stream else [done]:
            heard.raw += part.model_dump_json()
            for choice in part.choices:
                heard.text += (choice.delta if stream else choice.message).content or ""
                heard.finish += (choice.finish_reason,) if choice.finish_reason else ()
                heard.texts[choice.index] = heard.texts.get(choice.index, "") + ((choice.delta if stream else choice.message).content or "")
                heard.ended |= {choice.index} if choice.finish_reason else set()
    except openai.APIStatusError as error:
        heard.status, heard.code, heard.raw = error.status_code, error.code or "", error.response.text
    except openai.APIError as error:
        heard.code = error.code or "no code"
    heard.seconds = time.monotonic() - began
    return heard


def account(bench: Bench, lost_rows: int = 0, *, closed: bool = True) -> Any:
    """The one account of the request, which metrics have too, and the audit log by its closing row."""
    bench.running.exchange()
    [exchange] = bench.running.told
    wanted = {(REQUESTS, exchange.outcome): 1.0, (ERRORS, exchange.code): 1.0, (LOST, ""): float(lost_rows)}
    assert bench.counted() == {key: number for key, number in wanted.items() if number and key != (ERRORS, "")}
    assert (bench.audit.rows[-1:] == ["done"]) is closed
    bench.running.told.clear()
    bench.audit.rows.clear()
    bench.audit.fails = ""
    bench.rails.reset()
    return exchange


async def never(asked: Any, wire: Any) -> None:
    await wire.gone()


async def reset_at_once(asked: Any, wire: Any) -> None:
    wire.reset()


async def reset_in_body(asked: Any, wire: Any) -> None:
    await wire.head(200, content_length="500")
    await wire.send(b'{"id": "x", "cho')
    await asyncio.sleep(0.05)
    wire.reset()


async def short_body(asked: Any, wire: Any) -> None:
    await wire.head(200, content_length="500")
    await wire.send(b'{"id": "x", "cho')


async def hang_in_body(asked: Any, wire: Any) -> None:
    await wire.head(200, content_length="500")
    await wire.send(b'{"id": "x", "cho')
    await wire.gone()


async def endless_body(asked: Any, wire: Any) -> None:
    await wire.head(200)
    while True:
        await wire.send(b" " * 50_000)


async def no_http(asked: Any, wire: Any) -> None:
    await wire.send(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")


async def huge_head(asked: Any, wire: Any) -> None:
    await wire.head(200, x="y" * 100_000)
    await wire.send(b"{}")


async def bad_chunks(asked: Any, wire: Any) -> None:
    await wire.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n")


def raw(body: bytes, **headers: str) -> Script:
    return answers(body, **headers)


GOOD = json.dumps(completion(SAID)).encode()
#: A whole answer: (script, status, code, outcome).
WHOLE: dict[str, tuple[Script, int, str, str]] = {
    "reset before the head": (reset_at_once, 502, "upstream_unavailable", "upstream_error"),
    "reset in the body": (reset_in_body, 502, "upstream_interrupted", "upstream_error"),
    "closed in the body": (short_body, 502, "upstream_interrupted", "upstream_error"),
    "no head, ever": (never, 504, "upstream_timeout", "upstream_error"),
    "a body that stops": (hang_in_body, 504, "upstream_timeout", "upstream_error"),
    "a body without end": (endless_body, 502, "upstream_bad_answer", "upstream_error"),
    "not HTTP": (no_http, 502, "upstream_unavailable", "upstream_error"),
    "a huge head": (huge_head, 502, "upstream_unavailable", "upstream_error"),
    "chunks that are none": (bad_chunks, 502, "upstream_unavailable", "upstream_error"),
    "a redirect": (answers({}, 302, location="http://127.0.0.1:1/"), 502, "upstream_bad_answer", "upstream_error"),
    "400": (answers({"error": {"message": "context too long", "code": 400}}, 400), 400, "upstream_error", "upstream_error"),
    "401": (answers({"error": {"message": "bad key sk-123"}}, 401), 502, "upstream_refused", "upstream_error"),
    "404": (answers(b"<h1>nothing</h1>", 404, "text/html"), 404, "upstream_error", "upstream_error"),
    "422": (answers({"detail": [{"msg": "x"}]}, 422), 422, "upstream_error", "upstream_error"),
    "429": (answers({"error": {"message": "slow down"}}, 429, retry_after="7"), 429, "upstream_error", "upstream_error"),
    "500": (answers(b"", 500), 500, "upstream_error", "upstream_error"),
    "503": (answers(b"\xff\xfe", 503, retry_after="a, b"), 503, "upstream_error", "upstream_error"),
    "599": (answers({}, 599), 599, "upstream_error", "upstream_error"),
    "an empty body": (raw(b""), 502, "upstream_bad_answer", "upstream_error"),
    "truncated JSON": (raw(GOOD[:-9]), 502, "upstream_bad_answer", "upstream_error"),
    "bad UTF-8": (raw(GOOD.replace(b"Innocent", b"\xff\xfe")), 502, "upstream_bad_answer", "upstream_error"),
    "NaN": (raw(GOOD.replace(b'"created": 1', b'"created": NaN')), 502, "upstream_bad_answer", "upstream_error"),
    "a list": (raw(b"[]"), 502, "upstream_bad_answer", "upstream_error"),
    "HTML": (answers(b"<html>Login</html>", 200, "text/html"), 502, "upstream_bad_answer", "upstream_error"),
    "an error with status 200": (answers({"error": {"message": SAID}}), 502, "upstream_bad_answer", "upstream_error"),
    "no choices": (answers({"choices": []}), 502, "upstream_bad_answer", "upstream_error"),
    "a choice without a message": (answers({"choices": [{"index": 0}]}), 502, "upstream_bad_answer", "upstream_error"),
    "content that is a number": (answers(completion(7)), 502, "upstream_bad_answer", "upstream_error"),  # type: ignore[arg-type]
    "one index twice": (answers({"choices": completion(SAID)["choices"] * 2}), 502, "upstream_bad_answer", "upstream_error"),
    "gzip that nobody asked for": (answers(gzip.compress(GOOD), content_encoding="gzip"), 502, "upstream_bad_answer", "upstream_error"),
    "a gzip bomb": (answers(gzip.compress(b" " * 50_000_000), content_encoding="gzip"), 502, "upstream_bad_answer", "upstream_error"),
    "brackets without end": (raw(b'{"choices": ' + b"[" * 90_000), 502, "upstream_bad_answer", "upstream_error"),
    "a stream that was not asked for": (streams(*spoken(SAID)), 502, "upstream_bad_answer", "upstream_error"),
}


def sse(*data: bytes) -> list[bytes]:
    return [events(each, done=False) for each in data]


HEAD = sse(chunk(role="assistant", content=""), chunk(SAID))
#: A stream: (script, code, outcome). All of them fail before the reply is whole, so nothing of SAID may be out but what its windows let out.
STREAMED: dict[str, tuple[Script, str, str]] = {
    "JSON instead of a stream": (answers(completion(SAID)), "upstream_bad_answer", "upstream_error"),
    "an empty stream": (streams(), "upstream_interrupted", "upstream_error"),
    "only the end mark": (streams(b"data: [DONE]\n\n"), "upstream_bad_answer", "upstream_error"),
    "closed before the end": (streams(*HEAD), "upstream_interrupted", "upstream_error"),
    "closed within an event": (streams(*HEAD, b'data: {"choices": [{"delta"'), "upstream_interrupted", "upstream_error"),
    "one choice of two ends": (streams(*HEAD, *sse(chunk(finish="stop"), chunk(SAID, 1))), "upstream_interrupted", "upstream_error"),
    "reset": (streams(*HEAD, then="reset"), "upstream_interrupted", "upstream_error"),
    "silence": (streams(*HEAD, then="hang"), "upstream_timeout", "upstream_error"),
    "silence before the first event": (streams(then="hang"), "upstream_timeout", "upstream_error"),
    "bad UTF-8": (streams(*HEAD, b'data: {"choices": [{"delta": {"content": "\xff"}}]}\n\n'), "upstream_bad_answer", "upstream_error"),
    "garbage": (streams(*HEAD, b"data: {{{{\n\n"), "upstream_bad_answer", "upstream_error"),
    "a number": (streams(*HEAD, b"data: 7\n\n"), "upstream_bad_answer", "upstream_error"),
    "a huge event": (streams(*HEAD, b"data: " + b"x" * 30_000), "upstream_bad_answer", "upstream_error"),
    "an error event": (streams(*HEAD, b'data: {"error": {"message": "boom"}}\n\n'), "upstream_interrupted", "upstream_error"),
    "a named error event": (streams(*HEAD, b"event: error\ndata: {}\n\n"), "upstream_interrupted", "upstream_error"),
    "text after the end": (streams(*HEAD, *sse(chunk(finish="stop"), chunk("more"))), "upstream_bad_answer", "upstream_error"),
    "a choice that nobody asked for": (streams(*HEAD, *sse(chunk("x", 9))), "upstream_bad_answer", "upstream_error"),
    "a tool call that cannot be read": (streams(*HEAD, *sse(chunk(tool_calls=[7]))), "upstream_bad_answer", "upstream_error"),
    "gzip": (answers(gzip.compress(b"".join(HEAD)), 200, "text/event-stream", content_encoding="gzip"), "upstream_bad_answer", "upstream_error"),
    "500": (answers({"error": {"message": "boom"}}, 500), "upstream_error", "upstream_error"),
}  # fmt: skip


@pytest.mark.parametrize("name", WHOLE)
def test_faults_of_the_model_server(bench: Bench, name: str) -> None:
    script, status, code, outcome = WHOLE[name]
    bench.running.upstream.script = script
    heard = hear(bench, False)
    assert (heard.status, heard.code) == (status, code)
    assert "Innocent" not in heard.raw
    assert "sk-123" not in heard.raw
    assert heard.seconds < SOON_S
    assert (exchange := account(bench)).outcome == outcome
    assert (exchange.status, exchange.code) == (status, code)


@pytest.mark.parametrize("name", STREAMED)
def test_faults_of_the_model_server_while_it_streams(bench: Bench, name: str) -> None:
    script, code, outcome = STREAMED[name]
    bench.running.upstream.script = script
    heard = hear(bench, True, n=2)
    assert heard.code == code
    for choice, text in heard.texts.items():
        assert SAID.startswith(text), "a stream that breaks off is never more than what was approved"
        assert choice in heard.ended or len(text) < len(SAID)
    assert heard.ended <= {0}
    assert heard.seconds < SOON_S
    exchange = account(bench)
    assert (exchange.outcome, exchange.code) == (outcome, code)


def test_a_stream_without_an_end_mark_is_whole_if_every_choice_ended(bench: Bench) -> None:
    bench.running.upstream.script = streams(*spoken(SAID, end=False))
    heard = hear(bench, True)
    assert (heard.text, heard.finish, heard.code) == (SAID, ("stop",), "")
    assert account(bench).outcome == "allowed"


def test_no_server_at_all(launch: Any) -> None:
    audit = Audit()
    bench = Bench(launch(audit=audit, upstream={"url": "http://127.0.0.1:9/v1"}), Rails(), audit)
    for stream in (False, True):
        heard = hear(bench, stream)
        assert (heard.status, heard.code) == (502, "upstream_unavailable")
        assert account(bench).outcome == "upstream_error"


def raises(error: type[BaseException]) -> Any:
    def behave(rails: Rails, conversation: Any) -> Any:
        raise error("Innocent words that no rail approved.")

    return behave


def hangs(rails: Rails, conversation: Any) -> Any:
    rails.free.wait(10)
    return verdict("safe", 0.0)


def late_once(rails: Rails, conversation: Any) -> Any:
    """The whole reply is checked too late; its parts are not."""
    if "end of it" in view(conversation, "output").text:
        rails.free.wait(10)
    return verdict("safe", 0.0)


#: What a rail does; every one of these is a failure, and withholds.
RAILS = {
    "raises": raises(RuntimeError),
    "runs out of memory": raises(MemoryError),
    "ends the process": raises(SystemExit),
    "hangs": hangs,
    "returns nothing": lambda rails, conversation: None,
    "returns words": lambda rails, conversation: "safe",
    "returns true": lambda rails, conversation: True,
    "cannot judge": lambda rails, conversation: verdict("failed"),
    "scores NaN": lambda rails, conversation: Verdict.model_construct(
        subject="x", outcome="safe", score=math.nan, judge="f", judge_version="1", hazards=(), spans=(), label="", reason="", schema_version=1
    ),
    "scores 7": lambda rails, conversation: Verdict.model_construct(
        subject="x", outcome="safe", score=7.0, judge="f", judge_version="1", hazards=(), spans=(), label="", reason="", schema_version=1
    ),
    "knows another outcome": lambda rails, conversation: Verdict.model_construct(
        subject="x", outcome="fine", score=0.0, judge="f", judge_version="1", hazards=(), spans=(), label="", reason="", schema_version=1
    ),
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("stage", ["input", "output"])
@pytest.mark.parametrize("name", RAILS)
def test_faults_of_a_rail(bench: Bench, name: str, stage: str, stream: bool) -> None:
    setattr(bench.rails, stage, RAILS[name])
    bench.running.upstream.script = says(*SAID.split(" "))
    before = len(bench.running.upstream.asked)
    heard = hear(bench, stream)
    assert heard.code == "guardrail_unavailable"
    assert "Innocent" not in heard.raw
    assert heard.text == ""
    assert heard.seconds < SOON_S
    if stage == "input":
        assert len(bench.running.upstream.asked) == before, "the model is not asked"
    assert account(bench).outcome == "unavailable"


def test_a_rail_that_fails_at_the_end_of_a_stream(bench: Bench) -> None:
    """What its windows approved is out; the rest, and any sign of a good end, is not."""
    bench.rails.output = late_once
    bench.running.upstream.script = streams(*spoken(*[f"Sentence {n} of it. " for n in range(20)], "The end of it."), pause_s=0.02)
    heard = hear(bench, True)
    assert heard.code == "guardrail_unavailable"
    assert heard.finish == ()
    assert "Sentence 1 " in heard.text
    assert "The end" not in heard.text
    assert account(bench).outcome == "unavailable"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("stage", ["input", "output"])
def test_a_policy_that_fails_open_says_so(open_bench: Bench, stage: str, stream: bool) -> None:
    setattr(open_bench.rails, stage, raises(RuntimeError))
    open_bench.running.upstream.script = says(SAID)
    heard = hear(open_bench, stream)
    assert (heard.text, heard.code) == (SAID, "")
    exchange = account(open_bench)
    assert exchange.outcome == "bypassed"
    assert f"{stage}: failed" in exchange.bypass


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("stage", ["input", "output"])
def test_a_row_that_cannot_be_written_withholds(bench: Bench, stage: str, stream: bool) -> None:
    bench.audit.fails = stage
    bench.running.upstream.script = says(SAID)
    heard = hear(bench, stream)
    assert heard.code == "guardrail_unavailable"
    assert "Innocent" not in heard.raw
    assert account(bench, lost_rows=1).outcome == "unavailable"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_withheld_request_whose_row_cannot_be_written_is_no_content_filter(bench: Bench, stream: bool) -> None:
    bench.rails.input = lambda rails, conversation: verdict("unsafe", 1.0)
    bench.audit.fails = "input"
    heard = hear(bench, stream)
    assert heard.code == "guardrail_unavailable"
    assert account(bench, lost_rows=1).outcome == "unavailable"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_every_row_is_written(bench: Bench, stream: bool) -> None:
    bench.running.upstream.script = says(SAID)
    assert hear(bench, stream).text == SAID
    rows = list(bench.audit.rows)
    account(bench)
    assert rows[:2] == ["input", "output"]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_what_an_error_says_has_its_row_before_it_leaves(bench: Bench, stream: bool) -> None:
    bench.running.upstream.script = answers({"error": {"message": SAID}}, 400)
    heard = hear(bench, stream)
    assert (heard.status, heard.code) == (400, "upstream_error")
    assert SAID in heard.raw
    assert bench.audit.rows[:2] == ["input", "output"]
    exchange = account(bench)
    assert [len(exchange.inputs), len(exchange.outputs), exchange.outcome] == [1, 1, "upstream_error"]
    bench.audit.fails = "output"
    heard = hear(bench, stream)
    assert heard.code == "guardrail_unavailable"
    assert "Innocent" not in heard.raw
    assert account(bench, lost_rows=1).outcome == "unavailable"


def test_what_an_error_says_unread_is_a_bypass(launch: Any) -> None:
    audit = Audit()
    bench = Bench(launch(audit=audit), Rails(), audit)
    bench.running.upstream.script = answers({"error": {"message": SAID}}, 400)
    assert SAID in hear(bench, False).raw
    assert "unguarded" in account(bench).bypass


def test_a_closing_row_that_fails_does_not_undo_the_answer(bench: Bench) -> None:
    bench.audit.fails = "done"
    bench.running.upstream.script = says(SAID)
    assert hear(bench, False).text == SAID
    assert account(bench, lost_rows=1, closed=False).outcome == "allowed"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("row", ["input", "output", "end"])
def test_a_row_that_hangs_is_given_up(hung: tuple[Bench, Log], row: str, stream: bool) -> None:
    bench, log = hung
    log.hangs = row
    bench.running.upstream.script = says(SAID)
    heard = hear(bench, stream)
    outcome = account(bench, lost_rows=1, closed=False).outcome
    if row == "end":
        assert (heard.text, heard.code, outcome) == (SAID, "", "allowed"), "nobody waits for it"
        return
    assert (heard.code, heard.finish, outcome) == ("guardrail_unavailable", (), "unavailable")
    assert SAID.startswith(heard.text)
    assert len(heard.text) < len(SAID) * (stream and row == "output") or not heard.text, "more than windows let out"
    assert heard.seconds < WAIT_S + 3


def test_there_are_forty_kinds_and_more() -> None:
    assert len(WHOLE) + len(STREAMED) + len(RAILS) >= 40
