"""Streams that break off before their last check: what is out of them has a row, is counted, and gets to people."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from gateway_call import Client, Listener, Upstream, call
from gateway_upstream import chunk, spoken

from charter.core.rows import Conversation
from charter.guard.engine import Guard
from charter.guard.gateway.config import ReviewConfig
from charter.guard.gateway.metrics import Metrics
from charter.guard.gateway.record import AuditError, Exchange
from charter.guard.gateway.reviewing import ReviewSink
from charter.guard.policy import GuardPolicy, RailEntry
from charter.guard.segments import view
from charter.store.database import Database
from charter.store.reports import Report, file_report

ASK = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "How do I prune roses?"}]}
SAID = [f"Sentence number {n} says this. " for n in range(12)]
STREAM = {"hold_chars": 8, "window_chars": 20, "growth": 0.0}


class Rows:
    """An audit log in memory."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str]] = []
        self.fails = False

    async def decided(self, exchange: Exchange, checked: Any, stage: str, *, hurried: bool = True) -> None:
        await asyncio.sleep(0.01)
        if self.fails and stage == "output":
            raise AuditError("full")
        self.rows.append((stage, checked.action))

    async def done(self, exchange: Exchange) -> None:
        self.rows.append(("done", exchange.outcome))

    async def going_on(self) -> None:
        return


def guard(fakes, *rails: tuple[str, str, Any], **policy: Any) -> Guard:
    """Rails of the output stage, as (name, action, rail)."""
    entries = tuple(RailEntry(rail="length", name=name, action=action, timeout_ms=10_000) for name, action, _ in rails)
    made = {name: rail for name, _, rail in rails}
    return Guard(GuardPolicy(unguarded=("input",), output=entries, cache=0, stream={**STREAM, **policy}), rails=made)


def broken(made: Guard, upstream: Upstream, leaves_after: str = "", **more: Any) -> tuple[Exchange, Client, Rows]:
    """The account of a stream whose client hangs up once it has ``leaves_after``, if that is anything."""
    rows, listener = more.pop("audit", None) or Rows(), Listener()
    sinks = [listener, *more.pop("sinks", [])]

    async def ask() -> Client:
        client = Client({**ASK, **more.pop("body", {})})
        task = asyncio.create_task(call(client, made, upstream, audit=rows, sinks=sinks, **more).run())
        while leaves_after and leaves_after.encode() not in client.got:
            await asyncio.wait_for(client.heard.wait(), 60)
            client.heard.clear()
        if leaves_after:
            client.gone.set()
        await asyncio.wait_for(task, 60)
        return client

    client = asyncio.run(ask())
    [exchange] = listener.told
    return exchange, client, rows


def hangs_after(*texts: str, then: str = "hang") -> Upstream:
    return Upstream(spoken(*texts, end=False)[:-1], then)


def test_a_client_that_hangs_up_leaves_a_row_of_what_it_has(fakes):
    exchange, _, rows = broken(guard(fakes, ("a", "block", fakes.rail("safe", 0.1))), hangs_after(*SAID), "number 3")
    assert exchange.outcome == "disconnected"
    assert [checked.action for checked in exchange.outputs] == ["allow"]
    assert rows.rows == [("output", "allow"), ("done", "disconnected")]
    kept = exchange.replies[0].conversation
    assert kept.messages[0].content == "How do I prune roses?"
    assert "".join(SAID[:4]).startswith(kept.reply[:60])
    assert "number 3" in kept.reply, "from its first word to the last one that is out"
    assert exchange.parts, "the rails of parts before that are counted too"


@pytest.mark.parametrize("then", ["lost", "end"])
def test_so_does_a_model_server_that_breaks_off(fakes, then):
    exchange, client, rows = broken(guard(fakes, ("a", "block", fakes.rail("safe", 0.1))), hangs_after(*SAID, then=then))
    assert exchange.code == "upstream_interrupted"
    assert b"number 3" in client.got
    assert rows.rows == [("output", "allow"), ("done", "upstream_error")]
    assert "number 3" in exchange.replies[0].conversation.reply


def test_so_does_a_request_whose_time_is_over(fakes):
    exchange, client, rows = broken(guard(fakes, ("a", "block", fakes.rail("safe", 0.1))), hangs_after(*SAID), limits={"total_s": 3.0})
    assert exchange.code == "deadline_exceeded"
    assert b"number 3" in client.got
    assert [stage for stage, _ in rows.rows] == ["output", "done"]


def test_what_was_flagged_in_the_middle_gets_to_people(fakes):
    """The strictest of the checks that let text out is the one that is kept, not the last."""
    exchange, _, rows = broken(guard(fakes, ("a", "flag", fakes.finds("number 2")), context_chars=100), hangs_after(*SAID), "number 7")
    [checked] = exchange.outputs
    assert (checked.action, checked.review) == ("flag", "flagged")
    assert "number 2" in view(checked.conversation, "output").text
    assert ("output", "flag") in rows.rows
    assert "number 7" in exchange.replies[0].conversation.reply


def test_what_is_kept_is_masked_as_it_left(fakes):
    made = guard(fakes, ("a", "mask", fakes.finds("number 2", "NUMBER")), masked="window")
    exchange, client, _ = broken(made, hangs_after(*SAID), "number 5")
    assert b"number 2" not in client.got
    assert "Sentence <NUMBER> says" in exchange.replies[0].conversation.reply
    assert "number 2" not in exchange.replies[0].conversation.reply


def test_where_nothing_is_out_nothing_is_told(fakes):
    made = guard(fakes, ("a", "block", fakes.rail("safe", 0.1)), mode="full")
    exchange, client, rows = broken(made, hangs_after(*SAID, then="lost"))
    assert b"Sentence" not in client.got
    assert (exchange.outputs, exchange.replies) == ([], {})
    assert rows.rows == [("done", "upstream_error")]


def test_a_choice_that_came_to_its_end_has_one_row(fakes):
    """One of two choices is whole, or withheld, when the model server breaks off."""
    data = [chunk(role="assistant", content="")]
    for text in SAID:
        data += [chunk(text), chunk(text.replace("this", "a forbidden word"), 1)]
    pieces = [b"data: " + each + b"\n\n" for each in [*data, chunk(finish="stop")]]
    made = guard(fakes, ("a", "block", fakes.finds("forbidden")))
    exchange, _, rows = broken(made, Upstream(pieces, "lost"), body={"n": 2})
    assert sorted(rows.rows) == [("done", "upstream_error"), ("output", "allow"), ("output", "block")]
    assert set(exchange.replies) == {0}
    assert exchange.replies[0].conversation.reply == "".join(SAID)


def test_a_choice_that_grows_too_long_has_a_row_of_what_is_out(fakes):
    made = guard(fakes, ("a", "block", fakes.rail("safe", 0.1)), max_chars=200)
    exchange, client, rows = broken(made, Upstream(spoken(*SAID)))
    assert b"number 3" in client.got
    assert exchange.blocked_by == ["too long"]
    assert ("output", "allow") in rows.rows
    assert "number 3" in exchange.replies[0].conversation.reply


def test_a_row_that_cannot_be_written_then_is_in_the_log(fakes, caplog):
    rows = Rows()
    rows.fails = True
    exchange, _, _ = broken(guard(fakes, ("a", "block", fakes.rail("safe", 0.1))), hangs_after(*SAID), "number 3", audit=rows)
    assert rows.rows == [("done", "disconnected")]
    assert f"{exchange.request_id}: an audit row could not be written" in caplog.text


def value(metrics: Metrics, name: str, **labels: str) -> float:
    return metrics.registry.get_sample_value(name, labels) or 0.0


@pytest.mark.parametrize("leaves", ["", "number 7"])
def test_rails_that_fail_in_parts_that_pass_are_counted(fakes, leaves):
    runs = []

    def fails_twice(conversation: Conversation, stage: str) -> Any:
        runs.append(stage)
        if len(runs) <= 2:
            raise RuntimeError
        return fakes.verdict("safe", 0.0)

    entries = (RailEntry(rail="length", name="a", on_error="allow", timeout_ms=10_000),)
    made = Guard(GuardPolicy(unguarded=("input",), output=entries, cache=0, stream=STREAM), rails={"a": fails_twice})
    metrics = Metrics(["chat"])
    upstream = hangs_after(*SAID) if leaves else Upstream(spoken(*SAID))
    exchange, _, _ = broken(made, upstream, leaves, sinks=[metrics])
    assert "a: failed" in exchange.bypass
    ran = {status: value(metrics, "charter_guard_runs_total", guard="a", stage="output", status=status) for status in ("failed", "ok")}
    assert ran["failed"] == 2
    assert len(runs) - 1 <= ran["failed"] + ran["ok"] <= len(runs), "the check that was under way when the client left may be lost"
    decided = value(metrics, "charter_guard_checks_total", stage="output", action="allow", policy=made.label)
    assert decided == len(exchange.outputs) == 1, "decisions are those on record"


def test_a_report_of_a_broken_off_answer_is_verified(fakes, tmp_path: Path):
    database = Database(tmp_path / "a.db")
    sink = ReviewSink(database, ReviewConfig(keep_answers_hours=1.0))
    made = guard(fakes, ("a", "block", fakes.rail("safe", 0.1)))
    exchange, _, _ = broken(made, hangs_after(*SAID), "number 3", sinks=[sink])
    sink.close()
    filed = file_report(database, Report("report", exchange.request_id, 0, "hate", "", "somebody", ""), keep_s=60.0)
    with database.read() as connection:
        found = connection.exec_driver_sql("SELECT verified FROM report").scalar_one()
    database.close()
    assert not filed.duplicate
    assert found
