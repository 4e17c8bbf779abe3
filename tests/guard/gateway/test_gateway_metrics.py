"""What the gateway's metrics and spans say of a request: every outcome, bounded labels, nothing of a text."""

from __future__ import annotations

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from charter.core.rows import Conversation
from charter.guard.engine import Guard
from charter.guard.gateway import _semconv as names
from charter.guard.gateway.metrics import SPECS, Metrics, Names
from charter.guard.gateway.record import Exchange, settle_outcome
from charter.guard.gateway.telemetry import Telemetry
from charter.guard.policy import GuardPolicy, RailEntry

SECRET = "the words of a person"


def exchange(**given_fields) -> Exchange:
    base = {"request_id": "r1", "decision_id": "d1", "endpoint": "chat.completions", "began_unix_s": 1_700_000_000.0, "model": "m"}
    return Exchange(**{**base, "outcome": "allowed", "status": 200, "total_ms": 30.0, "upstream_ms": 20.0, "input_ms": 4.0, **given_fields})


def scraped(metrics: Metrics) -> str:
    """What a scrape gets, through the ASGI app."""
    sent = []

    async def scrape() -> None:
        async def receive():
            return {"type": "http.request", "body": b""}

        async def send(message):
            sent.append(message)

        scope = {"type": "http", "method": "GET", "path": "/metrics", "query_string": b"", "headers": [(b"accept", b"text/plain")]}
        await metrics.app(scope, receive, send)

    asyncio.run(scrape())
    assert sent[0]["status"] == 200
    return b"".join(message.get("body", b"") for message in sent).decode()


def value(metrics: Metrics, name: str, **labels: str) -> float:
    return metrics.registry.get_sample_value(name, labels) or 0.0


@pytest.fixture
def checks(fakes):
    """Checks of a guard whose rails see something, fail, are in shadow, and pass."""
    from charter.guard.engine import Guard

    def broken(conversation, stage):
        raise RuntimeError(SECRET)

    rails = {"sees": fakes.rail("unsafe", 0.9, hazards=("weapons",)), "calm": fakes.rail("safe", 0.1)}
    talk = Conversation.ask(SECRET)
    policy = fakes.policy(rails)
    shadow = policy.model_copy(update={"input": tuple(e.model_copy(update={"shadow": e.label == "sees"}) for e in policy.input)})
    guards = Guard(policy, rails=rails), Guard(shadow, rails=rails), fakes.guard({"breaks": broken})
    return tuple(guard.check(talk, "input") for guard in guards)


def test_a_request_is_counted_once_with_its_times():
    metrics = Metrics(["chat.completions"], ["m"])
    metrics.watch(lambda: 3)
    metrics.done(exchange(streamed=True, first_chunk_ms=12.0, held_ms=7.0))
    assert value(metrics, "charter_requests_total", endpoint="chat.completions", model="m", outcome="allowed") == 1
    assert value(metrics, "charter_request_duration_seconds_sum", endpoint="chat.completions", streamed="true") == pytest.approx(0.030)
    assert value(metrics, "charter_gateway_overhead_seconds_sum", endpoint="chat.completions") == pytest.approx(0.010)
    assert value(metrics, "charter_time_to_first_chunk_seconds_sum", endpoint="chat.completions") == pytest.approx(0.012)
    assert value(metrics, "charter_stream_holdback_seconds_sum") == pytest.approx(0.007)
    assert value(metrics, "charter_inflight_requests") == 3


def test_rails_are_counted_by_what_they_did(checks):
    enforced, shadowed, broken = checks
    metrics = Metrics()
    metrics.done(exchange(inputs=[enforced, shadowed, broken], outcome="blocked", status=400, code="content_filter"))
    saw = {"guard": "sees", "stage": "input", "category": "weapons", "action": "block", "policy": enforced.policy}
    assert value(metrics, "charter_guard_decisions_total", mode="enforce", **saw) == 1
    assert value(metrics, "charter_guard_decisions_total", mode="shadow", **{**saw, "policy": shadowed.policy}) == 1
    ran = {"guard": "breaks", "stage": "input"}
    assert value(metrics, "charter_guard_runs_total", status="failed", **ran) == 1
    assert value(metrics, "charter_guard_duration_seconds_count", **ran) == 0, "a failure has no time of a verdict"
    assert value(metrics, "charter_errors_total", endpoint="other", code="content_filter") == 1


def test_failing_open_shows_as_a_bypass_and_never_as_an_allowed_verdict(fakes):
    def broken(conversation, stage):
        raise RuntimeError

    checked = fakes.guard({"breaks": broken}, {"on_error": "allow"}).check(Conversation.ask("hello"), "input")
    metrics = Metrics()
    metrics.done(exchange(inputs=[checked], bypass=["async"], outcome="bypassed"))
    assert value(metrics, "charter_guard_bypass_total", guard="breaks", reason="failed") == 1
    assert value(metrics, "charter_guard_bypass_total", guard="none", reason="async") == 1
    assert value(metrics, "charter_guard_runs_total", guard="breaks", stage="input", status="failed") == 1
    assert value(metrics, "charter_guard_runs_total", guard="breaks", stage="input", status="ok") == 0


def test_a_name_that_a_client_made_up_gets_no_label_of_its_own():
    metrics = Metrics(["chat.completions"], most_models=2)
    for n in range(5):
        metrics.done(exchange(model=f"junk-{n}", outcome="upstream_error", endpoint=f"/v1/junk-{n}"))
    for n in range(5):
        metrics.done(exchange(model=f"real-{n}"))
    text = scraped(metrics)
    assert "junk" not in text
    assert value(metrics, "charter_requests_total", endpoint="other", model="other", outcome="upstream_error") == 5
    assert value(metrics, "charter_requests_total", endpoint="chat.completions", model="other", outcome="allowed") == 3


@given(st.lists(st.tuples(st.text(), st.booleans())), st.integers(0, 5))
def test_a_label_has_at_most_as_many_values_as_its_cap(asked, most):
    label = Names(["known"], most)
    given_out = {label(name, learn=learn) for name, learn in asked} - {"known", "other"}
    assert len(given_out) <= most
    assert label("known") == "known"


def test_nothing_of_a_text_or_a_key_is_scraped(checks):
    metrics = Metrics(["chat.completions"])
    metrics.done(exchange(inputs=list(checks), key="key-of-somebody"))
    text = scraped(metrics)
    assert SECRET not in text
    assert "key-of-somebody" not in text


def test_a_scrape_has_every_metric_with_the_labels_that_are_written_down():
    metrics = Metrics(["chat.completions"], version="1.2")
    metrics.describe("p@1", "async", "relaxed")
    metrics.audit_failed(3)
    metrics.reported("hate")
    families = {family.name: family for family in text_string_to_metric_families(scraped(metrics))}
    assert {spec.name.removesuffix("_total") for spec in SPECS} <= set(families)
    assert families["charter_policy_info"].samples[0].labels == {"policy": "p@1", "stream_mode": "async", "audit": "relaxed"}
    assert families["charter_audit_write_failures"].samples[0].value == 3
    assert families["charter_reports"].samples[0].labels == {"category": "hate"}
    assert families["charter_build_info"].samples[0].labels["version"] == "1.2"


def test_failures_of_the_audit_start_at_nought_so_that_the_first_one_is_a_rise():
    assert "charter_audit_write_failures_total 0.0" in scraped(Metrics())


@pytest.fixture
def recorded():
    """(telemetry, spans, events) with the SDK's own exporters in memory."""
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    spans, events = InMemorySpanExporter(), InMemoryLogRecordExporter()
    tracers, loggers = TracerProvider(), LoggerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    loggers.add_log_record_processor(SimpleLogRecordProcessor(events))
    yield Telemetry(tracers, loggers), spans, events
    tracers.shutdown()
    loggers.shutdown()


def test_a_request_is_a_span_in_the_clients_trace_with_the_model_servers_part_inside(recorded):
    telemetry, spans, _ = recorded
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    telemetry.done(exchange(traceparent=f"00-{trace}-00f067aa0ba902b7-01"))
    model, whole = spans.get_finished_spans()
    assert f"{whole.context.trace_id:032x}" == trace
    assert model.parent.span_id == whole.context.span_id
    assert (whole.end_time - whole.start_time) == 30_000_000
    assert (model.start_time - whole.start_time, model.end_time - model.start_time) == (4_000_000, 20_000_000)
    assert model.attributes[names.REQUEST_MODEL] == "m"
    assert model.attributes[names.OPERATION] == "chat"


def test_verdicts_are_events_and_a_failed_rail_has_no_score(recorded, checks):
    telemetry, spans, events = recorded
    telemetry.done(exchange(inputs=list(checks), outcome="unavailable", code="guardrail_unavailable"))
    records = [item.log_record for item in events.get_finished_logs()]
    assert {record.event_name for record in records} == {"gen_ai.evaluation.result"}
    by_rail = {record.attributes[names.EVALUATION_NAME]: record.attributes for record in records}
    assert by_rail["sees"][names.EVALUATION_SCORE] == 0.9
    failed = [record.attributes for record in records if record.attributes[names.STATUS] == "failed"]
    assert failed
    assert all(names.EVALUATION_SCORE not in attributes for attributes in failed)
    (span,) = [span for span in spans.get_finished_spans() if span.parent is None]
    assert not span.status.is_ok
    assert all(record.trace_id == span.context.trace_id for record in records)


def test_no_span_and_no_event_holds_a_text(recorded, checks):
    telemetry, spans, events = recorded
    telemetry.done(exchange(inputs=list(checks), key="key-of-somebody"))
    everything = "".join(span.to_json() for span in spans.get_finished_spans())
    everything += "".join(f"{item.log_record.body} {item.log_record.attributes}" for item in events.get_finished_logs())
    assert "sees" in everything
    assert SECRET not in everything
    assert "key-of-somebody" not in everything


@pytest.mark.parametrize("header", ["", "garbage", "00-0-0-0", "00-" + "f" * 32 + "-" + "0" * 16 + "-01"])
def test_a_broken_trace_header_begins_a_trace_of_its_own(recorded, header):
    telemetry, spans, _ = recorded
    telemetry.done(exchange(traceparent=header))
    assert spans.get_finished_spans()[-1].parent is None


TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize(("header", "kept"), [(TRACE, TRACE), (None, ""), ("how to make it", ""), (TRACE.upper(), ""), (TRACE + "0", "")])
def test_the_clients_trace_is_told_with_its_request(launch, header, kept):
    running = launch()
    running.client().chat.completions.create(
        model="m", messages=[{"role": "user", "content": "hi"}], extra_headers={"traceparent": header} if header else {}
    )
    assert running.exchange().traceparent == kept


def test_without_an_sdk_nothing_happens_and_a_broken_one_harms_no_request(caplog):
    Telemetry().done(exchange())

    class Broken:
        def get_tracer(self, *args, **kwargs):
            return self

        def start_span(self, *args, **kwargs):
            raise OSError(SECRET)

    telemetry = Telemetry(Broken())
    telemetry.done(exchange())
    assert "OSError" in caplog.text
    assert SECRET not in caplog.text


def test_a_thousand_requests_leave_as_many_series_as_one(checks):
    metrics = Metrics(["chat.completions"], ["m"])
    metrics.done(exchange(inputs=list(checks)))
    before = len(scraped(metrics).splitlines())
    for n in range(1000):
        metrics.done(exchange(inputs=list(checks), request_id=f"r{n}", began_unix_s=time.time()))
    assert len(scraped(metrics).splitlines()) == before


@pytest.fixture
def guarded(fakes, launch):
    """A gateway before a model server, with a rail that blocks one word."""
    from charter.guard.engine import Guard
    from charter.guard.policy import GuardPolicy, RailEntry

    policy = GuardPolicy(name="words", input=(RailEntry(rail="length", name="word"),), unguarded=("output",))
    return lambda **config: launch(Guard(policy, rails={"word": fakes.finds("forbidden")}), **config)


def fetched(url: str) -> str:
    import urllib.request

    with urllib.request.urlopen(url, timeout=10) as found:
        return found.read().decode()


def ask(running, text: str):
    return running.client().chat.completions.create(model="m", messages=[{"role": "user", "content": text}])


def test_the_gateway_counts_what_it_serves_beside_the_api(guarded):
    import openai

    running = guarded()
    ask(running, "hello")
    with pytest.raises(openai.BadRequestError):
        ask(running, "a forbidden word")
    text = fetched(f"{running.root}/metrics")
    endpoint = running.exchange().endpoint
    assert f'charter_requests_total{{endpoint="{endpoint}",model="m",outcome="blocked"}} 1.0' in text
    assert 'charter_guard_decisions_total{action="block",category="none",guard="word",mode="enforce"' in text
    assert 'charter_policy_info{audit="off",policy="words@1+' in text
    assert "forbidden" not in text.replace("HELP", "")
    assert "charter_inflight_requests 0.0" in text, "a scrape is no request of a client"


def test_metrics_may_have_a_port_of_their_own_and_then_clients_do_not_reach_them(guarded):
    import urllib.error

    running = guarded(metrics={"port": 0})
    ask(running, "hello")
    with pytest.raises(urllib.error.HTTPError) as told:
        fetched(f"{running.root}/metrics")
    assert told.value.code == 404
    told.value.close()
    assert "charter_requests_total{" in fetched(f"http://127.0.0.1:{running.server.scraped.port}/metrics")


def test_an_audit_log_that_fails_is_counted(guarded):
    import openai

    from charter.guard.gateway.metrics import CountedAudit
    from charter.guard.gateway.record import AuditError

    class Broken:
        async def decided(self, *_, **__):
            raise AuditError

        async def done(self, *_):
            raise AuditError

    running = guarded()
    running.built.gateway.services.audit = CountedAudit(Broken(), running.built.metrics)
    with pytest.raises(openai.InternalServerError):
        ask(running, "hello")
    text = fetched(f"{running.root}/metrics")
    assert 'outcome="unavailable"} 1.0' in text
    assert "charter_audit_write_failures_total 2.0" in text, "the decision's row, and the closing row"


def test_closing_rows_that_wait_for_a_slow_disk_turn_nobody_away(guarded):
    import asyncio

    class Slow:
        async def decided(self, *_, **__):
            return

        async def done(self, *_):
            await asyncio.sleep(1.0)

    running = guarded(limits={"requests": 2})
    running.built.gateway.services.audit = Slow()
    for _ in range(6):
        assert ask(running, "hello").choices[0].finish_reason == "stop"


def open_guard(fakes):
    def broken(conversation, stage):
        raise RuntimeError

    return fakes.guard({"breaks": broken}, {"on_error": "allow"})


def test_a_bypass_is_counted_once_for_each_request(fakes):
    guard = open_guard(fakes)
    told = exchange(
        inputs=[guard.check(Conversation.ask("hello"), "input")], outputs=[guard.check(Conversation.ask("hello").with_reply("hi"), "output")]
    )
    settle_outcome(told)
    assert told.outcome == "bypassed"
    metrics = Metrics()
    metrics.done(told)
    assert value(metrics, "charter_guard_bypass_total", guard="breaks", reason="failed") == 1
    metrics.done(told)
    assert value(metrics, "charter_guard_bypass_total", guard="breaks", reason="failed") == 2


def test_what_was_withheld_is_no_bypass(fakes):
    def broken(conversation, stage):
        raise RuntimeError

    rails = {"sees": fakes.rail("unsafe", 0.9), "breaks": broken}
    policy = fakes.policy(rails)
    entries = tuple(e.model_copy(update={"action": "escalate"} if e.label == "sees" else {"on_error": "allow"}) for e in policy.input)
    checked = Guard(policy.model_copy(update={"input": entries}), rails=rails).check(Conversation.ask("hello"), "input")
    assert (checked.action, checked.bypass) == ("escalate", ("breaks: failed",))
    told = exchange(inputs=[checked])
    settle_outcome(told)
    assert (told.outcome, told.bypass) == ("escalated", [])
    metrics = Metrics()
    metrics.done(told)
    assert value(metrics, "charter_guard_bypass_total", guard="breaks", reason="failed") == 0


def test_refusals_are_counted_whatever_the_rail_is_called(fakes):
    entry = RailEntry(rail="refusal", name="declines", action="allow", timeout_ms=60_000)
    guard = Guard(GuardPolicy(input=(RailEntry(rail="length"),), output=(entry, RailEntry(rail="length"))))
    metrics = Metrics([], ["m"])
    for reply in ("I'm sorry, but I can't help with that.", "Cut above an outward bud.", ""):
        metrics.done(exchange(outputs=[guard.check(Conversation.ask("How do I prune roses?").with_reply(reply), "output")]))
    assert value(metrics, "charter_model_refusals_total", model="m", kind="full") == 1
    assert value(metrics, "charter_guard_runs_total", guard="declines", stage="output", status="skipped") == 1
